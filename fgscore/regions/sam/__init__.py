"""Masks of Segment Anything's automatic mask generator (section 3.2.1).

The image is reduced to ``max_side`` first (SAM works at 1,024 pixels inside; full-size masks would only cost memory),
never enlarged. Masks are kept at that size, boxes in the frame of the original image.

They are segment_anything's, by our own implementation of its generator (``sam/masks.py``, ``sam/decoder.py``; with
numba on a CPU ``sam/kernels/cpu.py``), which the tests and ``make bench-extract`` hold against upstream's;
``--implementation upstream`` runs upstream's own.
"""

from __future__ import annotations

import ctypes
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fgscore.errors import BadParameter, MissingWeights, missing_extra
from fgscore.machine import timing
from fgscore.regions import Proposals, check_area
from fgscore.regions.sam import checkpoint as sam_checkpoint
from fgscore.types import Runtime, file_sha256
from fgscore.weights import listed, not_finite

if TYPE_CHECKING:
    from fgscore.regions.sam.masks import Masks

VERSION = 1
NEEDS = ("torch", "torchvision", "segment_anything", "PIL")
MASKS = True
CHECKPOINTS = {
    "vit_b": "sam_vit_b_01ec64.pth",
    "vit_l": "sam_vit_l_0b3195.pth",
    "vit_h": "sam_vit_h_4b8939.pth",
}
URL = "https://dl.fbaipublicfiles.com/segment_anything/"
SHA256 = {
    "vit_b": "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    "vit_l": "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    "vit_h": "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
}
BYTES = {"vit_b": 375_042_383, "vit_l": 1_249_524_607, "vit_h": 2_564_550_879}  # about, to see whether they fit


def load(
    runtime: Runtime,
    /,
    *,
    checkpoint: str = "vit_b",
    n: int = 32,
    area_min: float = 0.02,
    area_max: float = 0.5,
    max_side: int | None = 1024,
    points_per_side: int = 32,
    pred_iou_thresh: float = 0.88,
    stability_score_thresh: float = 0.95,
    stability_score_offset: float = 1.0,
    box_nms_thresh: float = 0.7,
    crop_n_layers: int = 0,
    crop_nms_thresh: float = 0.7,
    crop_overlap_ratio: float = 512 / 1500,
    crop_n_points_downscale_factor: int = 1,
    min_mask_region_area: int = 0,
    fast: bool = False,
) -> SamGenerator:
    """A generator of the masks of ``segment_anything.SamAutomaticMaskGenerator``, whose parameters keep their names.

    ``checkpoint`` is vit_b, vit_l, vit_h, 'demo', or the path of a state dict (``.pth`` or safetensors), also as
    training writes it. ``fast`` works in bfloat16:
    nearly the same masks, see ``sam/fast.py``.
    Raises :class:`MissingWeights` where the checkpoint is not on disk, :class:`MissingExtra` without the package.
    """
    check_area(area_min, area_max, n)
    if fast and min_mask_region_area:
        raise BadParameter(f"expected min_mask_region_area=0 with fast=True, found {min_mask_region_area}")
    if max_side is not None and max_side < 1:
        raise BadParameter(f"expected max_side of at least 1 or None, found {max_side}")
    try:
        from segment_anything import SamAutomaticMaskGenerator
    except ImportError as error:
        raise missing_extra(error.name or "segment-anything", "the region generator 'sam'") from error
    upstream = SamAutomaticMaskGenerator(
        _load_model(runtime, checkpoint),
        points_per_side=points_per_side,
        pred_iou_thresh=pred_iou_thresh,
        stability_score_thresh=stability_score_thresh,
        stability_score_offset=stability_score_offset,
        box_nms_thresh=box_nms_thresh,
        crop_n_layers=crop_n_layers,
        crop_nms_thresh=crop_nms_thresh,
        crop_overlap_ratio=crop_overlap_ratio,
        crop_n_points_downscale_factor=crop_n_points_downscale_factor,
        min_mask_region_area=min_mask_region_area,
        output_mode="uncompressed_rle",
    )
    return SamGenerator(upstream, max_side, runtime.implementation, fast)


class SamGenerator:
    """``(image, image_id) -> Proposals`` by our own code, or by upstream's where the runtime asks for it or where ours
    does not do (another decoder, or small regions to be removed); ``implementation`` says which. ``fast`` is by our own
    in any case. Raises :class:`BadParameter` where that cannot be."""

    def __init__(self, upstream: Any, max_side: int | None, implementation: str, fast: bool = False) -> None:
        from fgscore.regions.sam import decoder as sam_decoder
        from fgscore.regions.sam import fast as sam_fast
        from fgscore.regions.sam import masks as sam_masks

        ours = sam_decoder.supports(upstream.predictor.model) and not upstream.min_mask_region_area
        if fast and not ours:
            raise BadParameter("expected a Sam with upstream's own decoder for fast=True, found another")
        self.implementation = "fast" if fast else implementation if ours else "upstream"
        self.device = str(upstream.predictor.device)
        self.thread_safe = self.implementation != "upstream"  # whose predictor holds one image at a time
        self._max_side, self._upstream = max_side, upstream
        makers: dict[str, Any] = {"exact": sam_masks.ExactGenerator, "fast": sam_fast.FastGenerator}
        make = makers.get(self.implementation)
        self._own = make(upstream) if make else None
        if self.device == "cpu":
            _keep_memory()

    def __call__(self, image: np.ndarray, image_id: str) -> Proposals:
        """Masks of ``image`` (H, W, 3) uint8, before the area filter and the cap."""
        with timing.spent("resize"):
            reduced = reduce(image, self._max_side)
        with timing.spent("masks"):
            masks = self._own.generate(reduced) if self._own else columns(self._upstream.generate(reduced))
        return proposals(masks, reduced.shape[:2], image.shape[:2])


def _keep_memory() -> None:
    """Have glibc keep freed memory: a batch of prompts is gigabytes of temporaries, and getting each page anew from
    the system costs more than the arithmetic on it."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    never_map, never_trim, room_on_top = (-4, 0), (-1, 2**31 - 1), (-2, 1 << 26)
    for parameter, value in (never_map, never_trim, room_on_top):
        mallopt(parameter, value)


def resolve(params: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint's path is stored as its file name: the weights' hash says the rest."""
    checkpoint = str(params["checkpoint"])
    known = checkpoint in CHECKPOINTS or checkpoint == "demo"
    return {**params, "checkpoint": checkpoint if known else Path(checkpoint).name}


def weights(runtime: Runtime, params: dict[str, Any]) -> str:
    """SHA-256 of the checkpoint file, with a warning where it is not a published one; raises :class:`MissingWeights`
    where there is none."""
    checkpoint = str(params["checkpoint"])
    path = checkpoint_path(runtime, checkpoint)
    sha256 = file_sha256(path)
    known = [SHA256[checkpoint]] if checkpoint in SHA256 else list(SHA256.values())
    if checkpoint != "demo" and sha256 not in known:
        wanted = f"of the published {checkpoint}" if checkpoint in SHA256 else "of any published checkpoint"
        warnings.warn(f"{path.name}: its SHA-256 {sha256} is not that {wanted}; go on if it is yours", stacklevel=2)
    return sha256


def checkpoint_path(runtime: Runtime, checkpoint: str) -> Path:
    """Where the checkpoint lies: a name is looked for in the folder of models, anything else is a path."""
    if checkpoint == "demo":
        from fgscore import demo

        return demo.sam_folder() / "model.safetensors"
    if checkpoint in CHECKPOINTS:
        path = runtime.models / CHECKPOINTS[checkpoint]
        way_out = f"run `fgscore download \"sam(checkpoint='{checkpoint}')\"`, or put {URL}{path.name} there"
    else:
        path = Path(checkpoint).expanduser()
        way_out = f"give an existing .pth file, or one of {', '.join(CHECKPOINTS)}"
    if not path.is_file():
        what = "something else" if path.exists() else "none"
        raise MissingWeights(f"expected a file of SAM weights at {path}, found {what}; {way_out}")
    return path


def _load_model(runtime: Runtime, checkpoint: str) -> Any:
    from segment_anything import sam_model_registry

    device = runtime.torch_device()
    if checkpoint == "demo":
        from fgscore.demo.models import load_sam

        return load_sam(device)
    path = checkpoint_path(runtime, checkpoint)
    tensors = sam_checkpoint.state_dict(path)
    model = sam_model_registry[sam_checkpoint.kind(tensors, path)](checkpoint=None)
    sam_checkpoint.check_fit(model, tensors, path)
    if wrong := not_finite(tensors):
        raise MissingWeights(f"{path}: {len(wrong)} weights are not finite: {listed(wrong)}; fetch it again")
    model.load_state_dict(tensors)
    return model.to(device).eval()


def check(runtime: Runtime, params: dict[str, Any]) -> None:
    """Whether the checkpoint's weights are a SAM's, by names and shapes: nothing is computed, and little is read.

    Raises :class:`MissingWeights`.
    """
    import torch
    from segment_anything import sam_model_registry

    if params["checkpoint"] == "demo":
        return
    path = checkpoint_path(runtime, str(params["checkpoint"]))
    tensors = sam_checkpoint.state_dict(path)
    with torch.device("meta"):
        model = sam_model_registry[sam_checkpoint.kind(tensors, path)](checkpoint=None)
    sam_checkpoint.check_fit(model, tensors, path)


def reduce(image: np.ndarray, max_side: int | None) -> np.ndarray:
    """``image`` (H, W, 3) uint8 with its longest side at most ``max_side`` pixels, bilinear with antialias."""
    from PIL import Image

    height, width = image.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return image
    scale = max_side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def columns(records: list[dict[str, Any]]) -> Masks:
    """Upstream's list of masks as columns."""
    from fgscore.regions.sam.masks import Masks

    xywh = np.array([m["bbox"] for m in records], np.int64).reshape(-1, 4)
    return Masks(
        boxes_xyxy=np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1),
        area=np.array([m["area"] for m in records], np.int64),
        predicted_iou=np.array([m["predicted_iou"] for m in records], np.float32),
        stability=np.array([m["stability_score"] for m in records], np.float32),
        runs=[np.array(m["segmentation"]["counts"], np.uint32) for m in records],
    )


def proposals(masks: Masks, mask_hw: tuple[int, ...], image_hw: tuple[int, ...]) -> Proposals:
    """Masks of a reduced image as proposals for the original one.

    Upstream's boxes include the last column and row; ours end after them.
    """
    (mask_h, mask_w), (image_h, image_w) = mask_hw, image_hw
    low = masks.boxes_xyxy[:, :2] * (image_w / mask_w, image_h / mask_h)
    high = (masks.boxes_xyxy[:, 2:] + 1) * (image_w / mask_w, image_h / mask_h)
    high = np.minimum(np.ceil(high - 1e-9), (image_w, image_h))
    return Proposals(
        boxes_xyxy=np.concatenate([np.floor(low + 1e-9), high], axis=1).astype(np.int32),
        area=masks.area / (mask_h * mask_w),
        predicted_iou=masks.predicted_iou.astype(np.float64),
        stability=masks.stability.astype(np.float64),
        runs=masks.runs,
        mask_hw=(mask_h, mask_w),
    )
