"""When are two lists of SAM's masks the same, and random weights on which the question is worth asking."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import Sam
from torch import Tensor

from fgscore.demo.models import build_sam
from fgscore.regions.sam.frame import Frame, measure
from fgscore.regions.sam.masks import Masks

NEAR = 1e-5  # of a threshold, or between predicted IoUs: rounding decides, not the method
FLIPPED = 10  # pixels a mask


@dataclass
class Report:
    """What a comparison found. ``unexplained`` are masks that only one side kept, thresholds and ties apart."""

    compared: int = 0
    identical: int = 0
    most_flipped: int = 0
    lowest_iou: float = 1.0
    at_a_threshold: int = 0
    unexplained: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.compared > 0 and not self.unexplained and self.most_flipped <= FLIPPED

    def add(self, other: Report) -> None:
        self.compared += other.compared
        self.identical += other.identical
        self.most_flipped = max(self.most_flipped, other.most_flipped)
        self.lowest_iou = min(self.lowest_iou, other.lowest_iou)
        self.at_a_threshold += other.at_a_threshold
        self.unexplained += other.unexplained

    def line(self) -> str:
        return (
            f"{self.compared} masks compared, {self.identical} identical, at most {self.most_flipped} flipped pixels, "
            f"lowest IoU {self.lowest_iou:.6f}, {self.at_a_threshold} decided by rounding at a threshold, "
            f"{len(self.unexplained)} unexplained"
        )


@dataclass
class Nearness:
    """Approximate masks against upstream's of the same prompt and index: ``lost`` and ``gained`` are survivors of the
    filters that only upstream has, or only the other."""

    ious: list[float] = field(default_factory=list)
    lost: int = 0
    gained: int = 0

    @property
    def passed(self) -> bool:
        n = len(self.ious) + self.lost
        return bool(self.ious) and np.mean(self.ious) >= 0.98 and self.lost <= 0.03 * n and self.gained <= 0.03 * n

    def line(self) -> str:
        return (
            f"{len(self.ious)} masks compared, mean IoU {np.mean(self.ious):.5f}, lowest {min(self.ious):.4f}, "
            f"{self.lost} lost, {self.gained} gained"
        )


@torch.no_grad()
def nearness(upstream: SamAutomaticMaskGenerator, fast: Any, image: np.ndarray) -> Nearness:
    """The survivors of ``fast``, one of our generators, against upstream's, before duplicates are removed."""
    found = Nearness()
    upstream.predictor.set_image(image)
    sam, theirs = upstream.predictor.model, upstream.predictor.features
    hw = image.shape[:2]
    frame = Frame(sam.image_encoder.img_size, upstream.predictor.input_size, (0, 0, hw[1], hw[0]), hw)
    with torch.inference_mode(), fast._float32():
        shared = fast._decoder.image(fast._embed(image)[0])
    coords = upstream.predictor.transform.apply_coords(upstream.point_grids[0] * np.array(hw)[None, ::-1], hw)
    for points in torch.as_tensor(coords, device=theirs.device).split(16):
        logits, iou = decode_upstream(sam, theirs, points)
        with torch.inference_mode(), fast._float32():
            batch, own_iou = fast._decoder.prompts(shared, points)
            own_logits = fast._decoder.logits(shared, batch, torch.ones_like(own_iou, dtype=torch.bool))
        masks, kept = _survivors(logits.flatten(0, 1), iou.flatten(), frame, upstream)
        own_masks, own_kept = _survivors(own_logits, own_iou.flatten(), frame, upstream)
        found.lost += int((kept & ~own_kept).sum())
        found.gained += int((own_kept & ~kept).sum())
        both = kept & own_kept
        inner, outer = (masks[both] & own_masks[both]).sum((1, 2)), (masks[both] | own_masks[both]).sum((1, 2))
        found.ious += (inner / outer).tolist()
    return found


def _survivors(logits: Tensor, iou: Tensor, frame: Frame, settings: Any) -> tuple[Tensor, Tensor]:
    """Masks (m, H, W) of the image's size, and which of them pass the filters (m,)."""
    masks = [frame.resize(one[None], -torch.inf)[0][0] > 0 for one in logits]
    _, stability, _ = measure(logits, frame, 0.0, settings.stability_score_offset)
    return torch.stack(masks), (iou > settings.pred_iou_thresh) & (stability >= settings.stability_score_thresh)


def compare(theirs: Masks, ours: Masks, image_hw: tuple[int, int], settings: Any) -> Report:
    """``ours`` against ``theirs``, both of one image under the settings of an upstream generator."""
    report, left = Report(), set(range(len(ours.area)))
    alone = []
    for i in range(len(theirs.area)):
        near = [j for j in left if abs(ours.predicted_iou[j] - theirs.predicted_iou[i]) < NEAR]
        mask = _decode(theirs.runs[i], image_hw)
        differing = {j: int((mask != _decode(ours.runs[j], image_hw)).sum()) for j in near}
        best = min(differing, key=differing.__getitem__, default=None)
        if best is None or differing[best] > 0.01 * mask.sum():
            alone.append((theirs, i, ours))
            continue
        left.remove(best)
        report.compared += 1
        report.identical += differing[best] == 0
        report.most_flipped = max(report.most_flipped, differing[best])
        other = _decode(ours.runs[best], image_hw)
        report.lowest_iou = min(report.lowest_iou, float((mask & other).sum() / (mask | other).sum()))
    alone += [(ours, j, theirs) for j in left]
    for of, i, others in alone:
        if _rounding_decides(of, i, others, settings):
            report.at_a_threshold += 1
        else:
            report.unexplained.append(f"box {of.boxes_xyxy[i].tolist()}, predicted IoU {of.predicted_iou[i]:.7f}")
    return report


def _rounding_decides(of: Masks, i: int, others: Masks, settings: Any) -> bool:
    """Whether mask ``i`` is within NEAR of a threshold, or lost to one of ``others`` that overlaps as much and whose
    predicted IoU is as near."""
    if abs(of.predicted_iou[i] - settings.pred_iou_thresh) < NEAR:
        return True
    if abs(of.stability[i] - settings.stability_score_thresh) < NEAR:
        return True
    overlaps = np.array([_box_iou(of.boxes_xyxy[i], box) for box in others.boxes_xyxy])
    tied = np.abs(others.predicted_iou - of.predicted_iou[i]) < NEAR
    return bool((tied & (overlaps > settings.box_nms_thresh - 1e-3)).any())


def _box_iou(a: np.ndarray, b: np.ndarray) -> float:
    low, high = np.maximum(a[:2], b[:2]), np.minimum(a[2:], b[2:])
    inner = np.prod(np.maximum(high - low, 0))
    return float(inner / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - inner))


def _decode(runs: np.ndarray, image_hw: tuple[int, int]) -> np.ndarray:
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs.astype(np.int64)).reshape(image_hw[1], image_hw[0]).T


def decode_upstream(sam: Sam, embedding: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Upstream's low-resolution logits (b, 3, h, w) and predicted IoU (b, 3) for ``points`` (b, 2), in the precision
    of ``embedding``; the prompts themselves are always embedded in float32."""
    dtype = embedding.dtype
    labels = torch.ones(len(points), 1, dtype=torch.int, device=points.device)
    sparse, dense = sam.prompt_encoder(points=(points[:, None], labels), boxes=None, masks=None)
    decoder = sam.mask_decoder if dtype == torch.float32 else copy.deepcopy(sam.mask_decoder).to(dtype)
    return decoder(
        image_embeddings=embedding,
        image_pe=sam.prompt_encoder.get_dense_pe().to(dtype),
        sparse_prompt_embeddings=sparse.to(dtype),
        dense_prompt_embeddings=dense.to(dtype),
        multimask_output=True,
    )


def small_sam(seed: int = 0) -> Sam:
    """A Sam with ViT-B's decoder and grid, and an image encoder of two thin blocks; weights of :func:`liven`."""
    torch.manual_seed(seed)
    config = {"image_size": 1024, "patch_size": 16, "encoder_dim": 32, "encoder_depth": 2, "encoder_heads": 2}
    decoder = {"transformer_dim": 256, "decoder_depth": 2, "decoder_heads": 8, "decoder_mlp_dim": 2048}
    return liven(build_sam({**config, **decoder, "window_size": 14, "global_blocks": (1,)}).eval(), seed)


@torch.no_grad()
def liven(sam: Sam, seed: int = 0) -> Sam:
    """Random weights whose masks have shapes and whose scores differ: what training does, roughly.

    Norms and biases away from one and zero, sharper attention, position tables filled, upscaling kernels nearly
    constant over their four pixels; then logits scaled to a deviation of 10, predicted IoU to 0.8 +- 0.1.
    """
    generator = torch.Generator().manual_seed(seed)

    def noise(p: Tensor, std: float) -> Tensor:
        return std * torch.randn(p.shape, generator=generator)

    norms = {id(p) for m in sam.modules() if "Norm" in type(m).__name__ for p in m.parameters()}
    for name, p in sam.named_parameters():
        if id(p) in norms:
            p.add_(noise(p, 0.2))
        elif "rel_pos" in name or "pos_embed" in name:
            p.copy_(noise(p, 0.02))
        elif name.endswith("bias"):
            p.add_(noise(p, 0.05))
    for name, p in sam.mask_decoder.transformer.named_parameters():
        p.mul_(2.0 if "q_proj.weight" in name or "k_proj.weight" in name else 3.0 if "out_proj.weight" in name else 1.0)
    for i in (0, 3):
        kernel = sam.mask_decoder.output_upscaling[i].weight
        kernel.copy_(kernel.mean((2, 3), keepdim=True) * 2 + 0.1 * kernel)
    _scale_outputs(sam, generator)
    return sam


def _scale_outputs(sam: Sam, generator: torch.Generator) -> None:
    side, grid = sam.image_encoder.img_size, sam.prompt_encoder.image_embedding_size
    embedding = torch.randn(1, sam.mask_decoder.transformer_dim, *grid, generator=generator)
    logits, iou = decode_upstream(sam, embedding, side * torch.rand(8, 2, generator=generator))
    for mlp in sam.mask_decoder.output_hypernetworks_mlps:
        for p in mlp.layers[-1].parameters():
            p.mul_(10 / logits.std())
    last = sam.mask_decoder.iou_prediction_head.layers[-1]
    last.weight.mul_(0.1 / iou.std())
    last.bias.copy_((last.bias - iou.mean()) * (0.1 / iou.std()) + 0.8)


def thresholds(sam: Sam, image: np.ndarray, points: int = 16) -> dict[str, float]:
    """Settings under which about 40 % of the masks pass the predicted IoU, and most of those the stability score."""
    side = int(points**0.5)
    settings: dict[str, Any] = {"points_per_side": side, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}
    loose = SamAutomaticMaskGenerator(sam, pred_iou_thresh=0.0, output_mode="uncompressed_rle", **settings)
    found = loose.generate(image)
    iou = np.quantile([m["predicted_iou"] for m in found], 0.6)
    kept = [m["stability_score"] for m in found if m["predicted_iou"] > iou]
    return {"pred_iou_thresh": float(iou), "stability_score_thresh": float(np.quantile(kept, 0.1))}
