"""The shipped models: sizes, loading, and what they can do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fgscore.demo import clip_folder, sam_folder, weights_folder
from fgscore.demo.draw import draw, image_rng
from fgscore.demo.kinds import KINDS
from fgscore.demo.parts import WHOLE_PARTS

MEGABYTE = 1_000_000


def test_the_weights_are_small_and_are_no_pickles() -> None:
    files = [path for path in weights_folder().rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".json", ".txt", ".md", ".safetensors"}
    assert max(path.stat().st_size for path in files) < 4 * MEGABYTE
    assert sum(path.stat().st_size for path in files) <= 6 * MEGABYTE


def test_the_recorded_figures_keep_the_promises() -> None:
    figures = json.loads((weights_folder() / "figures.json").read_text())
    assert 0.35 <= figures["clip"]["zero_shot"] <= 0.85
    assert figures["sam"]["best_iou"] >= 0.6


def test_the_tokenizer_knows_the_names() -> None:
    transformers = pytest.importorskip("transformers")
    auto = transformers.AutoTokenizer.from_pretrained(clip_folder())
    own = transformers.CLIPTokenizer.from_pretrained(clip_folder())
    for kind in KINDS:
        prompt = f"a photo of a {kind.name},"
        ids = auto(prompt)["input_ids"]
        assert ids == own(prompt)["input_ids"]
        assert len(ids) == 24
        assert ids[0] == auto.bos_token_id and ids[-1] == auto.eos_token_id
        # CLIP's text feature is taken where the largest id is.
        assert ids[-1] == max(ids) == len(auto) - 1
        assert auto.decode(ids, skip_special_tokens=True).replace(" ", "") == prompt.replace(" ", "")


def test_the_vocabulary_is_what_its_writer_makes(tmp_path: Path) -> None:
    from fgscore.demo.train.captions import words
    from fgscore.demo.train.tokenizer import write_tokenizer

    write_tokenizer(tmp_path, words())
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        assert (tmp_path / name).read_bytes() == (clip_folder() / name).read_bytes()


def test_clip_loads_as_any_other() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = transformers.CLIPModel.from_pretrained(clip_folder(), dtype=torch.float32)
    processor = transformers.AutoImageProcessor.from_pretrained(clip_folder())
    assert next(model.parameters()).dtype == torch.float32
    assert model.config.text_config.max_position_embeddings == 77
    pixels = processor(np.zeros((50, 80, 3), np.uint8), return_tensors="pt")["pixel_values"]
    size = model.config.vision_config.image_size
    assert tuple(pixels.shape) == (1, 3, size, size)


def test_zero_shot_is_well_above_chance() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    pytest.importorskip("segment_anything")
    from fgscore.demo.train.evaluate import zero_shot

    jobs = [(label, j) for label in range(24) for j in range(4)]
    images = [draw(KINDS[label], image_rng(11, "test", KINDS[label], j)).image for label, j in jobs]
    accuracy = np.mean(zero_shot(clip_folder(), images).argmax(1) == [label for label, _ in jobs])
    assert 0.3 < accuracy < 0.9


def test_sam_finds_whole_parts() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("segment_anything")
    from fgscore.demo.train.evaluate import evaluate_sam

    figures = evaluate_sam(sam_folder(), images=6, seed=11)
    assert set(figures["by_part"]) == set(WHOLE_PARTS)
    assert figures["best_iou"] >= 0.6
    assert figures["masks_kept"] >= 3
