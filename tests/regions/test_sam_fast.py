"""Masks in half the precision: as near to upstream's as they say."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("segment_anything")

import equality  # noqa: E402
import loaded  # noqa: E402
from segment_anything import SamAutomaticMaskGenerator  # noqa: E402

from fgscore.demo.draw import draw, image_rng  # noqa: E402
from fgscore.demo.kinds import KINDS  # noqa: E402
from fgscore.demo.models import load_sam  # noqa: E402
from fgscore.errors import BadParameter  # noqa: E402
from fgscore.regions import select  # noqa: E402
from fgscore.regions.sam import encoder  # noqa: E402
from fgscore.regions.sam import fast as sam_fast  # noqa: E402
from fgscore.regions.sam.fast import FastGenerator  # noqa: E402
from fgscore.regions.sam.frame import Frame, measure, measure_roughly  # noqa: E402
from fgscore.regions.sam.kernels import native  # noqa: E402
from fgscore.runtime import Runtime  # noqa: E402

LOOSE = {"points_per_side": 6, "pred_iou_thresh": 0.4, "stability_score_thresh": 0.5}


@pytest.fixture(scope="module")
def bird():
    return draw(KINDS[0], image_rng(0, "test", KINDS[0], 0)).image


@pytest.fixture(autouse=True)
def bfloat16_everywhere(monkeypatch):
    monkeypatch.setattr(sam_fast, "half", lambda device: torch.bfloat16)


def test_the_demo_models_masks_are_nearly_upstreams(bird):
    upstream = SamAutomaticMaskGenerator(load_sam(), **{**LOOSE, "points_per_side": 12})
    report = equality.nearness(upstream, FastGenerator(upstream), bird)
    assert report.passed, report.line()
    assert len(report.ious) > 50
    assert min(report.ious) < 1  # else it was not fast


@pytest.mark.slow
def test_masks_of_a_decoder_of_vit_bs_shape_are_nearly_upstreams_in_half_precision(bird, monkeypatch):
    monkeypatch.setitem(sam_fast.ARRAYS, "cpu", torch.bfloat16)  # coarser than a GPU's float16
    monkeypatch.setattr(native, "_on_cpu", lambda: None)  # as a GPU has none
    network = equality.small_sam()
    settings = {**equality.thresholds(network, bird), "points_per_side": 4, "box_nms_thresh": 1.0}
    upstream = SamAutomaticMaskGenerator(network, **settings)
    report = equality.nearness(upstream, FastGenerator(upstream), bird)
    assert len(report.ious) > 10
    assert 0.8 < np.mean(report.ious) < 1, report.line()


def test_what_is_found_is_measured_at_full_size(bird):
    upstream = SamAutomaticMaskGenerator(load_sam(), output_mode="uncompressed_rle", **LOOSE)
    found = FastGenerator(upstream).generate(bird)
    assert len(found.area) > 2
    for i, runs in enumerate(found.runs):
        mask = equality._decode(runs, bird.shape[:2])
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert found.area[i] == mask.sum()
        assert found.boxes_xyxy[i].tolist() == [columns[0], rows[0], columns[-1], rows[-1]]
        assert found.stability[i] >= LOOSE["stability_score_thresh"]


@pytest.mark.parametrize("size_wh", [(1024, 683), (500, 900), (300, 300)], ids=str)
def test_low_resolution_measures_are_off_by_a_cell(size_wh):
    width, height = size_wh
    scale = 1024 / max(size_wh)
    frame = Frame(1024, (round(height * scale), round(width * scale)), (0, 0, width, height), (height, width))
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    logits = torch.stack([20 - ((x - 60) ** 2 + (y - 70) ** 2).sqrt(), 29.5 - (x - 90).abs() - (y - 80).abs()])
    area, stability, boxes = measure(logits, frame, 0.0, 1.0)
    rough_area, rough_stability, rough_boxes = measure_roughly(logits, frame, 0.0, 1.0)
    assert ((rough_area / area - 1).abs() < 0.02).all()
    assert ((rough_stability - stability).abs() < sam_fast.MARGIN).all()
    assert ((rough_boxes - boxes).abs() <= 4 / scale + 1).all()


def test_fused_attention_is_the_one_in_rows():
    torch.manual_seed(0)
    attention = load_sam().image_encoder.blocks[0].attn
    side = 6
    heads, d = attention.num_heads, attention.qkv.in_features // attention.num_heads
    q, k, v = torch.randn(3, 2, heads, side, side, d)
    with torch.no_grad():
        torch.testing.assert_close(
            encoder._fused(attention, q, k, v), encoder._rows(attention, q, k, v), atol=1e-5, rtol=1e-5
        )


def test_fast_is_part_of_the_spec_and_of_what_is_told(bird):
    generator = loaded.generator("sam", Runtime(), checkpoint="demo", fast=True, **LOOSE)
    assert generator.implementation == "fast"
    assert len(select(generator.propose(bird, "bird"), 32, 0.0, 1.0).area) > 0


def test_fast_excludes_what_upstream_alone_does():
    with pytest.raises(BadParameter, match="min_mask_region_area=0 with fast=True, found 5"):
        loaded.generator("sam", Runtime(), checkpoint="demo", fast=True, min_mask_region_area=5)
