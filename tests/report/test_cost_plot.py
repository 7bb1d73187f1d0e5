"""Accuracy over cost: which points there are, and the backbones beside them."""

from __future__ import annotations

import pytest
from counts import vit

from fgscore.evaluate.costs import Cost
from fgscore.evaluate.results import Result
from fgscore.report.backbones import BACKBONES
from fgscore.report.cost_plot import Point, accuracy_over_cost, points

B, L = (12, 768), (24, 1024)
TOWERS = {"ViT-B/32": (*B, 32, 224, 3072, 512), "ViT-B/16": (*B, 16, 224, 3072, 512),
          "ViT-L/14": (*L, 14, 224, 4096, 768), "ViT-L/14@336": (*L, 14, 336, 4096, 768)}  # fmt: skip


def result(macs: float | None, accuracy: float, **more: object) -> Result:
    made = {"dataset": "cub", "regions": "", "encoder": "clip", "prompt": "", "scorer": "", "target": "",
            "pool": "none", "features": "unit", "head": "logreg", "per_class": accuracy, "n_train": 1, "n_test": 4,
            "without_regions": 0, "converged": True, "seconds": 1.0, "details": "{}", "digest": "0"}  # fmt: skip
    return Result(accuracy=accuracy, cost=Cost(macs), **{**made, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("name", BACKBONES)
def test_the_scale_of_backbones_is_the_closed_formula(name: str) -> None:
    assert BACKBONES[name] == vit(*TOWERS[name])


def test_a_backbone_is_what_torch_counts() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from fgscore.machine.macs import macs_of

    layers, width, patch, side, mlp, out = TOWERS["ViT-L/14@336"]
    tower = transformers.CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=16,
        patch_size=patch,
        image_size=side,
        projection_dim=out,
    )
    with torch.device("meta"):
        model = transformers.CLIPVisionModelWithProjection(tower).eval()
    picture = torch.empty(1, 3, side, side, device="meta")
    assert macs_of(lambda: model(pixel_values=picture)) == BACKBONES["ViT-L/14@336"]


def test_controls_are_told_from_regions_and_what_is_an_upper_bound_or_unknown_is_left_out() -> None:
    own = {"regions": "random_crop", "pool": "topk"}
    found = points([
        result(1e9, 0.5), result(1e9, 0.5, pool="self"), result(1e9, 0.6, head="zeroshot"),
        result(9e9, 0.7, scorer="entropy", target="global", **own), result(9e9, 0.6, scorer="random", **own),
        result(9e9, 0.9, scorer="entropy", target="oracle", **own), result(None, 0.9, pool="mean", regions="sam"),
    ])  # fmt: skip
    assert [point.kind for point in found] == ["global embedding", "control", "control", "regions", "control"]


def test_seeds_of_a_setting_are_one_point_and_encoders_are_named_where_there_are_several() -> None:
    seeds = [result(1e9, 0.4 + 0.1 * seed, head="adamw", seed=seed) for seed in (0, 1, 2)]
    (one,) = points(seeds)
    assert one.accuracy == pytest.approx(0.5) and one.name == ""
    assert [point.name for point in points([*seeds, result(2e9, 0.5, encoder="timm")])] == ["clip", "timm"]


def test_it_is_drawn_with_the_backbones_in_its_range() -> None:
    pytest.importorskip("matplotlib")
    plot = accuracy_over_cost([Point("cub", "global embedding", 4.4e9, 0.5), Point("cub", "regions", 20e9, 0.6)])
    assert plot is not None
    drawn = plot.render("svg").decode()
    assert "ViT-B/32, 4.409" in drawn and "ViT-B/16, 17.56" in drawn and "ViT-L/14" not in drawn
    assert "mathdefault" not in drawn


def test_where_all_cost_the_same_there_is_nothing_to_draw() -> None:
    assert accuracy_over_cost([Point("cub", "regions", 4e9, 0.5)] * 2) is None
