"""The training code, tried on a handful of images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("segment_anything")

from fgscore.demo.kinds import KINDS, Kind  # noqa: E402
from fgscore.demo.parts import PART_NAMES  # noqa: E402
from fgscore.demo.train import clip, sam  # noqa: E402
from fgscore.demo.train.__main__ import train_one  # noqa: E402
from fgscore.demo.train.captions import CAPTION_PARTS, also_true, attribute_codes, caption_pair  # noqa: E402
from fgscore.demo.train.tokenizer import learn_merges  # noqa: E402
from fgscore.demo.train.views import VIEW_WEIGHTS, draw_views  # noqa: E402

BIRD = Kind("red", "hook", "blue", "plain", "fan", "banded")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Smaller batches, so that two steps take a moment; the torch settings are put back."""
    monkeypatch.setattr(clip, "BATCH", 16)
    monkeypatch.setattr(sam, "BATCH", 2)
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.set_flush_denormal(False)  # else later tests in this process do without the smallest numbers


@pytest.mark.slow
@pytest.mark.parametrize("part", ["clip", "sam"])
def test_the_same_seed_gives_the_same_file(part: str, few: None, tmp_path: Path) -> None:
    for run in ("a", "b"):
        train_one(part, tmp_path / run, seed=5, scale=1e-4)
    train_one(part, tmp_path / "c", seed=6, scale=1e-4)
    a, b, c = ((tmp_path / run / "model.safetensors").read_bytes() for run in "abc")
    assert a == b
    assert a != c


def test_no_view_is_of_an_evaluated_kind() -> None:
    views = draw_views(12, 0, lambda done, total: None)
    assert not set(views.kinds) & set(KINDS)
    assert views.pixels.shape[:2] == views.visible.shape[:2] == (12, len(VIEW_WEIGHTS))
    assert views.visible[:, 0].mean() > 0.9


def test_merges_spell_every_word_with_one_token() -> None:
    merges = learn_merges(["bird", "billed"])
    tokens = {"".join(pair) for pair in merges}
    assert {"bird</w>", "billed</w>"} <= tokens
    assert learn_merges(["billed", "bird"]) == merges


def test_a_wrong_caption_differs_in_one_attribute_it_claims() -> None:
    rng = np.random.default_rng(0)
    truth = attribute_codes(BIRD)
    for _ in range(50):
        right, wrong = caption_pair(BIRD, ("bill", "tail"), rng)
        claimed = [code >= 0 for code in right.codes]
        assert all(code == true for code, true in zip(right.codes, truth, strict=True) if code >= 0)
        assert [code >= 0 for code in wrong.codes] == claimed
        assert sum(a != b for a, b in zip(right.codes, wrong.codes, strict=True)) == 1
        assert right.text != wrong.text


def test_a_view_without_parts_is_background() -> None:
    right, wrong = caption_pair(BIRD, (), np.random.default_rng(0))
    assert "background" in right.text and "bird" not in right.text
    assert "bird" in wrong.text
    assert len(CAPTION_PARTS) == 5


def test_a_caption_holds_for_every_image_that_has_what_it_claims() -> None:
    codes = np.array([[0, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    claims = np.array([[0, 0, -1, -1, -1, -1], [-1, -1, 1, -1, -1, -1], [-1, -1, -1, -1, -1, -1]])
    truth = also_true(codes, claims, np.array([False, False, True]))
    np.testing.assert_array_equal(truth, [[True, False, False], [True, True, False], [False, False, True]])


def test_a_click_is_answered_by_part_group_and_bird() -> None:
    labels = torch.zeros(4, 4, dtype=torch.int64)
    labels[0, 0], labels[0, 1], labels[1, 1] = (PART_NAMES.index(name) for name in ("wing", "wing_bar", "tail"))
    group, part, group_again, bird = sam._answers(labels, PART_NAMES.index("wing_bar"))
    assert (int(part.sum()), int(group.sum()), int(bird.sum())) == (1, 2, 3)
    assert torch.equal(group, group_again)
    assert all(int(answer.sum()) == 13 for answer in sam._answers(labels, 0))


def test_balanced_loss_hears_a_small_part() -> None:
    target = torch.zeros(1, 1, 100, 100, dtype=torch.bool)
    target[..., :2, :2] = True
    nothing = float(sam._balanced_bce(torch.full(target.shape, -5.0), target))
    everything = float(sam._balanced_bce(torch.full(target.shape, 5.0), target))
    assert nothing == pytest.approx(everything, rel=1e-4)
