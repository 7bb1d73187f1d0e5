"""Stored masks against the reference implementation of Segment Anything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fgscore.store import shards
from fgscore.types import MaskRLE, RegionBatch

amg = pytest.importorskip("segment_anything.utils.amg")
torch = pytest.importorskip("torch")

SHAPES = [(1, 1), (1, 7), (7, 1), (5, 8), (40, 33)]


def drawn(height: int, width: int) -> list[np.ndarray]:
    """Blank, full, noisy and boxed masks, and such as begin or end with a set pixel."""
    rng = np.random.default_rng(height * 100 + width)
    blank = np.zeros((height, width), bool)
    corner, last, box = blank.copy(), blank.copy(), blank.copy()
    corner[0, 0], last[-1, -1] = True, True
    box[height // 4 : height // 2 + 1, width // 3 : width // 2 + 1] = True
    return [blank, ~blank, corner, last, box, rng.random((height, width)) < 0.5, ~corner]


def stored(masks: list[np.ndarray], tmp_path: Path) -> tuple[RegionBatch, list[dict]]:
    """The masks of one image, encoded by upstream, written to a shard and read back."""
    upstream = amg.mask_to_rle_pytorch(torch.from_numpy(np.stack(masks)))
    counts = [r["counts"] for r in upstream]
    runs = MaskRLE(
        counts=np.concatenate([np.array(c) for c in counts]),
        offsets=np.concatenate([[0], np.cumsum([len(c) for c in counts])]),
        size_hw=np.array([masks[0].shape]),
    )
    n = len(masks)
    area = np.array([m.mean() for m in masks])
    batch = RegionBatch(np.array(["a"]), np.array([0, n]), np.zeros((n, 4)), area, np.ones(n), np.ones(n), runs)
    shards.write(tmp_path / "shard.h5", batch)
    return shards.read(tmp_path / "shard.h5", "regions"), upstream


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stored_mask_decodes_to_the_mask_that_was_drawn(shape: tuple[int, int], tmp_path: Path) -> None:
    masks = drawn(*shape)
    batch, _ = stored(masks, tmp_path)
    assert batch.masks is not None
    for i, mask in enumerate(masks):
        decoded = batch.masks.decode(i, 0)
        assert decoded.dtype == bool
        np.testing.assert_array_equal(decoded, mask)


@pytest.mark.parametrize("shape", SHAPES)
def test_stored_runs_are_what_upstream_decodes_and_measures(shape: tuple[int, int], tmp_path: Path) -> None:
    batch, upstream = stored(drawn(*shape), tmp_path)
    runs = batch.masks
    assert runs is not None
    for i, reference in enumerate(upstream):
        ours = {"size": runs.size_hw[0].tolist(), "counts": runs.counts[runs.offsets[i] : runs.offsets[i + 1]].tolist()}
        assert ours == reference
        np.testing.assert_array_equal(runs.decode(i, 0), amg.rle_to_mask(ours))
        assert batch.area[i] == pytest.approx(amg.area_from_rle(ours) / (shape[0] * shape[1]))


def test_masks_of_images_of_different_sizes_are_told_apart(tmp_path: Path) -> None:
    tall, wide = np.zeros((4, 2), bool), np.zeros((2, 3), bool)
    tall[3, 0], wide[0, 2] = True, True
    runs = MaskRLE(np.array([3, 1, 4, 4, 1, 1]), np.array([0, 3, 6]), np.array([[4, 2], [2, 3]]))
    np.testing.assert_array_equal(runs.decode(0, 0), tall)
    np.testing.assert_array_equal(runs.decode(1, 1), wide)


def test_runs_that_do_not_fill_the_mask_are_refused() -> None:
    runs = MaskRLE(np.array([3, 2]), np.array([0, 2]), np.array([[2, 3]]))
    with pytest.raises(ValueError, match="mask 0: runs add up to 5, expected 2 x 3"):
        runs.decode(0, 0)
