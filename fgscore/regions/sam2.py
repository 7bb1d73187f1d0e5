"""Masks of everything in an image by SAM 2, on a grid of points, as SAM's automatic mask generator has it."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt, Lt

from fgscore import specs
from fgscore.pretrained.published import stored_name
from fgscore.regions.sam.generator import Settings
from fgscore.regions.sam.published import PublishedSam
from fgscore.runtime import Runtime


def sam2(
    runtime: Runtime,
    /,
    *,
    model: Annotated[str, specs.StoredAs(stored_name)] = "facebook/sam2.1-hiera-tiny",
    revision: str | None = None,
    n: int = 32,
    area_min: float = 0.02,
    area_max: float = 0.5,
    max_side: int | None = 1024,
    points_per_side: Annotated[int, Ge(1)] = 32,
    pred_iou_thresh: Annotated[float, Ge(0)] = 0.8,
    stability_score_thresh: Annotated[float, Ge(0)] = 0.95,
    stability_score_offset: float = 1.0,
    box_nms_thresh: Annotated[float, Gt(0)] = 0.7,
    crop_n_layers: Annotated[int, Ge(0)] = 0,
    crop_nms_thresh: Annotated[float, Gt(0)] = 0.7,
    crop_overlap_ratio: Annotated[float, Ge(0), Lt(1)] = 512 / 1500,
    crop_n_points_downscale_factor: Annotated[int, Ge(1)] = 1,
) -> Sam2:
    """Masks of everything in an image by SAM 2; parameters and defaults are those of its automatic mask generator.

    ``model`` is a hub id or a local folder in transformers' format, the video model or that of images.
    """
    settings = Settings(
        points_per_side=points_per_side,
        pred_iou_thresh=pred_iou_thresh,
        stability_score_thresh=stability_score_thresh,
        stability_score_offset=stability_score_offset,
        box_nms_thresh=box_nms_thresh,
        crop_n_layers=crop_n_layers,
        crop_nms_thresh=crop_nms_thresh,
        crop_overlap_ratio=crop_overlap_ratio,
        crop_n_points_downscale_factor=crop_n_points_downscale_factor,
    )
    made = Sam2(runtime, model, revision, max_side, settings)
    made.n, made.area_min, made.area_max = n, area_min, area_max
    return made


class Sam2(PublishedSam):
    """See :func:`sam2`."""

    component, called, model_class = "sam2", "SAM 2", "Sam2Model"
