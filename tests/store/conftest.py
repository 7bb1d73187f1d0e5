"""One small record of every kind of shard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fgscore.types import (
    Descriptions,
    EmbeddingShard,
    FeatureShard,
    GlobalShard,
    MaskRLE,
    RegionBatch,
    ScoreShard,
    TextBank,
    ThumbnailShard,
)


@pytest.fixture
def records() -> dict[str, Any]:
    """Kind to record: two images of two regions and one, width 4."""
    ids, offsets = np.array(["a", "bé"]), np.array([0, 2, 3])
    rows = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    masks = MaskRLE(np.array([1, 5, 0, 6, 3, 1, 2]), np.array([0, 2, 4, 7]), np.array([[2, 3], [2, 3]]))
    jpeg, sizes = np.arange(9, dtype=np.uint8), np.array([[4, 3], [2, 4]])
    return {
        "thumbnails": ThumbnailShard(ids, jpeg, np.array([0, 5, 9]), sizes, 10 * sizes),
        "regions": RegionBatch(
            image_ids=ids,
            offsets=offsets,
            boxes_xyxy=np.arange(12).reshape(3, 4),
            area=np.array([0.1, 0.2, 0.3]),
            predicted_iou=np.array([0.5, 0.6, 0.7]),
            stability=np.array([0.8, 0.9, 1.0]),
            masks=masks,
        ),
        "region_embeddings": EmbeddingShard(ids, offsets, rows, np.array([1.0, 2.0, 3.0])),
        "globals": GlobalShard(ids, rows[:2], np.array([1.0, 2.0])),
        "text": TextBank(("jay", "crow"), ("a {}",), rows[:2], 100.0),
        "descriptions": Descriptions(("jay", "crow"), ("it caws", "bé", "it sings"), offsets, rows, rows[:2]),
        "scores": ScoreShard(ids, offsets, np.array([0.1, 0.2, 0.3]), np.array([0, 0, 1])),
        "features": FeatureShard(ids, np.linspace(0, 1, 16).reshape(2, 8), np.array([2, 1])),
    }
