"""Prompts, class embeddings and the one place that divides by a norm."""

import math

import numpy as np
import pytest

from fgscore import encoders
from fgscore.errors import StoreError, UsageError


class Recorder:
    """An encoder of texts that keeps what it was asked; its embeddings are letter counts."""

    dim = 26
    logit_scale = 55.0

    def __init__(self):
        self.asked = []

    def embed_texts(self, texts):
        self.asked.append(list(texts))
        return np.array([[t.lower().count(chr(97 + i)) for i in range(26)] for t in texts], np.float32)

    def beyond_context(self, texts):
        return []


def test_the_default_prompt_is_the_papers_comma_included():
    assert encoders.prompt_set("plain").templates == ("a photo of a {},",)


@pytest.mark.parametrize("prompt", ["a {}.", "a {name}.", "a {class name}.", "a {class}.", "a {c}."])
def test_a_template_may_be_written_out(prompt):
    assert encoders.prompt_set(prompt).templates == ("a {}.",)


@pytest.mark.parametrize("prompt", ["a bird", "{} and {}", "a {colour} {}", "a {0}", "a {}{", "{name!r}", ""])
def test_anything_else_is_refused_with_the_form_wanted(prompt):
    with pytest.raises(UsageError, match="template with one {} for the class name, found"):
        encoders.prompt_set(prompt)


def test_a_misspelt_prompt_set_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'plain'"):
        encoders.prompt_set("plane")


def test_class_names_stand_in_the_template_as_they_are():
    encoder = Recorder()
    encoders.embed_text(encoder, ["crow", "{odd} %s\\1"], ["a {}."])
    assert encoder.asked == [["a crow.", "a {odd} %s\\1."]]


def test_class_embeddings_are_the_mean_of_unit_rows_normalised_again():
    names, templates = ["crow", "blue jay"], ["a photo of a {},", "{}", "zzzz {}"]
    bank = encoders.embed_text(Recorder(), names, templates)
    for row, name in zip(bank.text, names, strict=True):
        total = np.zeros(26)
        for template in templates:
            text = template.replace("{}", name)
            counts = [text.count(chr(97 + i)) for i in range(26)]
            total += np.array(counts) / math.sqrt(sum(v * v for v in counts))
        np.testing.assert_allclose(row, total / math.sqrt((total**2).sum()), rtol=0, atol=1e-6)
    assert (bank.class_names, bank.templates, bank.logit_scale) == (("crow", "blue jay"), tuple(templates), 55.0)


def test_many_classes_are_embedded_in_blocks_and_in_order():
    encoder = Recorder()
    names = [chr(97 + i % 26) * (1 + i // 26) for i in range(150)]
    bank = encoders.embed_text(encoder, names, ["{}"])
    assert bank.text.argmax(axis=1).tolist() == [i % 26 for i in range(150)]
    assert max(len(block) for block in encoder.asked) <= 64


def test_unit_rows_and_norms():
    rows, norms = encoders.unit(np.array([[3, 4], [0, -2]], np.float16), "images")
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, -1]], atol=1e-7)
    assert norms.tolist() == [5, 2]
    assert (rows.dtype, norms.dtype) == (np.float32, np.float32)


def test_no_rows_are_no_fault():
    rows, norms = encoders.unit(np.zeros((0, 4)), [])
    assert (rows.shape, norms.shape) == ((0, 4), (0,))


@pytest.mark.parametrize("bad", [[0, 0], [np.nan, 1], [np.inf, 1]], ids=str)
def test_a_zero_or_non_finite_embedding_is_refused_by_name(bad):
    raw = np.array([[1, 0], bad, [1, 1]], np.float32)
    with pytest.raises(StoreError, match=r"embedding for b\.jpg \(1 of 3\).*fp32"):
        encoders.unit(raw, ["a.jpg", "b.jpg", "c.jpg"])


def test_batched_keeps_order_and_leaves_a_shorter_end():
    assert list(encoders.batched(iter(range(7)), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(encoders.batched([], 3)) == []
