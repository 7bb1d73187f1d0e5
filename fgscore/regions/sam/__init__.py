"""Masks of Segment Anything's automatic mask generator (section 3.2.1).

They are segment_anything's, by our own implementation of its generator (``sam/masks.py``, ``sam/decoder.py``; with
numba on a CPU ``sam/kernels/cpu.py``), which the tests and ``make bench-extract`` hold against upstream's;
``--implementation upstream`` runs upstream's own.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from fgscore import specs
from fgscore.errors import BadParameter, MissingWeights, missing_extra
from fgscore.machine.memory import keep_freed
from fgscore.models import Download
from fgscore.regions.sam import checkpoint as sam_checkpoint
from fgscore.regions.sam.generator import SegmentEverything
from fgscore.regular import file_sha256
from fgscore.runtime import Runtime
from fgscore.weights import listed, not_finite

if TYPE_CHECKING:
    from fgscore.regions.sam.masks import Masks

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
DEMO = "demo"


def stored_name(checkpoint: str) -> str:
    """What the store keeps of ``checkpoint``: of a path its file name, as the weights' hash says the rest."""
    return checkpoint if checkpoint in (*CHECKPOINTS, DEMO) else Path(checkpoint).name


def sam(
    runtime: Runtime,
    /,
    *,
    checkpoint: Annotated[str, specs.StoredAs(stored_name)] = "vit_b",
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
) -> Sam:
    """Masks of Segment Anything's automatic mask generator (section 3.2.1), whose parameters keep their names.

    ``checkpoint`` is vit_b, vit_l, vit_h, 'demo', or the path of a state dict (``.pth`` or safetensors), also as
    training writes it. ``fast`` works in bfloat16: nearly the same masks, see ``sam/fast.py``.
    """
    if fast and min_mask_region_area:
        raise BadParameter(f"expected min_mask_region_area=0 with fast=True, found {min_mask_region_area}")
    made = Sam(
        runtime,
        checkpoint,
        max_side,
        fast,
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
    )
    made.n, made.area_min, made.area_max = n, area_min, area_max
    return made


class Sam(SegmentEverything):
    """See :func:`sam`. Where the checkpoint is not on disk or is not SAM's, :meth:`weights`, :meth:`check` and
    :meth:`load` raise :class:`MissingWeights`, and :class:`MissingExtra` without the packages."""

    needs = ("torch", "torchvision", "segment_anything", "PIL")

    def __init__(
        self, runtime: Runtime, checkpoint: str, max_side: int | None, fast: bool = False, **upstream: Any
    ) -> None:
        super().__init__(max_side)
        self._runtime, self.checkpoint, self._fast = runtime, checkpoint, fast
        self._settings = upstream
        if checkpoint in CHECKPOINTS:
            file = CHECKPOINTS[checkpoint]
            digest = f"sha256:{SHA256[checkpoint]}"
            self.downloads = (Download(URL + file, file, digest, BYTES[checkpoint], unpack=False),)

    @property
    def path(self) -> Path:
        """Where the checkpoint lies: a name is looked for in the folder of models, anything else is a path."""
        if self.checkpoint == DEMO:
            from fgscore import demo

            return demo.sam_folder() / "model.safetensors"
        if self.checkpoint in CHECKPOINTS:
            path = self._runtime.models / CHECKPOINTS[self.checkpoint]
            way_out = f"run `fgscore download \"sam(checkpoint='{self.checkpoint}')\"`, or put {URL}{path.name} there"
        else:
            path = Path(self.checkpoint).expanduser()
            way_out = f"give an existing .pth file, or one of {', '.join(CHECKPOINTS)}"
        if not path.is_file():
            what = "something else" if path.exists() else "none"
            raise MissingWeights(f"expected a file of SAM weights at {path}, found {what}; {way_out}")
        return path

    @property
    def is_known(self) -> bool:
        """Whether it is the model that ships with fgscore, or a published one."""
        return self.checkpoint in (DEMO, *CHECKPOINTS)

    def weights(self) -> str:
        """SHA-256 of the checkpoint file, with a warning where it is not a published one."""
        path, name = self.path, self.checkpoint
        sha256 = file_sha256(path)
        known = [SHA256[name]] if name in SHA256 else list(SHA256.values())
        if name != DEMO and sha256 not in known:
            wanted = f"of the published {name}" if name in SHA256 else "of any published checkpoint"
            warnings.warn(f"{path.name}: its SHA-256 {sha256} is not that {wanted}; go on if it is yours", stacklevel=2)
        return sha256

    def check(self) -> None:
        """Whether the checkpoint's weights are a SAM's, by names and shapes: nothing is computed, and little is
        read."""
        if self.checkpoint != DEMO:
            self._outline()

    def _outline(self, device: str = "meta") -> tuple[Any, dict[str, Any]]:
        """A model of the checkpoint's kind without its weights, and these."""
        import torch
        from segment_anything import sam_model_registry

        path = self.path
        tensors = sam_checkpoint.state_dict(path)
        with torch.device(device):
            model = sam_model_registry[sam_checkpoint.kind(tensors, path)](checkpoint=None)
        sam_checkpoint.check_fit(model, tensors, path)
        return model, tensors

    def load(self) -> None:
        """Load the model onto its device. Raises :class:`BadParameter` where ``fast`` cannot be."""
        try:
            from segment_anything import SamAutomaticMaskGenerator
        except ImportError as error:
            raise missing_extra(error.name or "segment-anything", "the region generator 'sam'") from error
        self.use(SamAutomaticMaskGenerator(self._model(), output_mode="uncompressed_rle", **self._settings))

    def _model(self) -> Any:
        device = self._runtime.torch_device()
        if self.checkpoint == DEMO:
            from fgscore.demo.models import load_sam

            return load_sam(device)
        model, tensors = self._outline("cpu")
        if wrong := not_finite(tensors):
            count = f"{len(wrong)} weights are not finite: {listed(wrong)}"
            raise MissingWeights(f"{self.path}: {count}; fetch it again")
        model.load_state_dict(tensors)
        return model.to(device).eval()

    def use(self, upstream: Any) -> None:
        """Make masks as ``upstream``, segment_anything's generator, does: by our own code, or by its own where the
        runtime asks for it or where ours does not do (another decoder, or small regions to be removed);
        ``implementation`` says which. ``fast`` is by our own in any case."""
        from fgscore.regions.sam import decoder as sam_decoder
        from fgscore.regions.sam.exact import ExactGenerator
        from fgscore.regions.sam.fast import FastGenerator

        ours = sam_decoder.supports(upstream.predictor.model) and not upstream.min_mask_region_area
        if self._fast and not ours:
            raise BadParameter("expected a Sam with upstream's own decoder for fast=True, found another")
        self.implementation = "fast" if self._fast else self._runtime.implementation if ours else "upstream"
        self.device = str(upstream.predictor.device)
        self.thread_safe = self.implementation != "upstream"  # whose predictor holds one image at a time
        makers: dict[str, Any] = {"exact": ExactGenerator, "fast": FastGenerator}
        make = makers.get(self.implementation)
        self._upstream, self._own = upstream, make(upstream) if make else None
        if self.device == "cpu":
            keep_freed()

    def _macs_of_crop(self) -> tuple[int, int]:
        from fgscore.regions.sam.counted import macs_of_crop

        if self.checkpoint == DEMO:
            from fgscore.demo.models import load_sam

            return macs_of_crop(load_sam("meta"))
        return macs_of_crop(self._outline()[0].eval())

    def _grids(self) -> list[np.ndarray]:
        from segment_anything.utils.amg import build_all_layer_point_grids

        names = ("points_per_side", "crop_n_layers", "crop_n_points_downscale_factor")
        return build_all_layer_point_grids(*(self._settings[name] for name in names))

    def _generate(self, image: np.ndarray) -> Masks:
        """Masks of a reduced image; none of one that is so thin that nothing of it would be left in the model's
        square."""
        side = self._upstream.predictor.transform.target_length
        if 2 * side * min(image.shape[:2]) < max(image.shape[:2]):  # upstream rounds its shorter side to zero
            return columns([])
        masks: Masks = self._own.generate(image) if self._own else columns(self._upstream.generate(image))
        return masks


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
