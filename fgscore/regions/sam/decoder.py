"""SAM's mask decoder for many point prompts of one image: predicted IoU first, logits of chosen masks after.

The IoU head reads one token: prompts are filtered on it before the mask tokens attend for the last time and before
anything is upscaled. Mask token 0 and the point tokens are not computed in the last attention at all. What the image
side of the transformer is made of, and why it is exact, says ``sam/keys.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from fgscore.regions.sam import keys as sam_keys
from fgscore.regions.sam.kernels.native import native, threads
from fgscore.regions.sam.keys import Keys, Layer, Projection, Stage, add_product, centre, through

PROMPTS = 16  # in a batch that kernels work on: the weights are read once for all of them
NUMBERS = {"cpu": 1 << 21, "cuda": 1 << 26}  # that an array of a batch of prompts holds: on the CPU, what a cache does


def prompts_at_a_time(where: Tensor, numbers: int) -> int:
    """Prompts in a batch whose largest array has ``numbers`` for each."""
    return min(64, max(1, NUMBERS.get(where.device.type, NUMBERS["cuda"]) // numbers))


def supports(sam: Any) -> bool:
    """Whether ``sam`` is put together as upstream's: a two-way transformer, two transposed convolutions of stride 2."""
    up = sam.mask_decoder.output_upscaling
    names = [type(module).__name__ for module in up]
    two = (2, 2)
    return (
        type(sam.mask_decoder.transformer).__name__ == "TwoWayTransformer"
        and len(names) == 5
        and [names[i] for i in (0, 1, 3)] == ["ConvTranspose2d", "LayerNorm2d", "ConvTranspose2d"]
        and all(up[i].kernel_size == up[i].stride == two and up[i].padding == (0, 0) for i in (0, 3))
    )


def _suits_kernels(sam: Any) -> bool:
    """Whether every head has a multiple of four channels and activations are GELUs, as kernels want it."""
    transformer = sam.mask_decoder.transformer
    attentions = [transformer.final_attn_token_to_image]
    for block in transformer.layers:
        attentions += [block.cross_attn_token_to_image, block.cross_attn_image_to_token]
    fours = all(a.internal_dim // a.num_heads % 4 == 0 for a in attentions)
    return fours and all(
        isinstance(sam.mask_decoder.output_upscaling[i], torch.nn.GELU)
        and sam.mask_decoder.output_upscaling[i].approximate == "none"
        for i in (2, 4)
    )


@dataclass(frozen=True)
class Prompts:
    """A batch of b prompts before the last attention: ``tokens`` and ``queries`` (b, T, c), and the image side."""

    tokens: Tensor
    queries: Tensor
    keys: Keys

    def take(self, rows: Tensor | slice) -> Prompts:
        """The prompts at ``rows`` alone."""
        keys = self.keys
        taken = Keys(keys.rho[rows], keys.columns[rows], keys.basis[rows], tuple(v[rows] for v in keys.values))
        return Prompts(self.tokens[rows], self.queries[rows], taken)


@dataclass(frozen=True)
class EncodedImage:
    """What all prompts of an image share."""

    stages: Sequence[Stage]
    upscaled: Tensor  # F through the first transposed convolution, (4 c', N)


class Decoder:
    """Predicted IoU and low-resolution logits of upstream's ``MaskDecoder``, for single foreground points.

    ``precision`` is that of the largest arrays: columns and, without kernels, what comes after the first upscaling's
    layer norm. With kernels that stays float32: rounding there costs more IoU than anywhere else.
    """

    def __init__(self, sam: Any, precision: torch.dtype = torch.float32) -> None:
        self._precision = precision
        self._cpu = native(sam.device) if _suits_kernels(sam) else None
        by: Any = self._cpu or sam_keys
        self._read = by.read
        self._write = partial(by.write, precision=precision)
        decoder, self._prompts = sam.mask_decoder, sam.prompt_encoder
        self._decoder, self._transformer = decoder, decoder.transformer
        self._position = self._prompts.get_dense_pe()[0].flatten(1)
        self.grid = tuple(self._prompts.image_embedding_size)
        beta = torch.zeros_like(self._position[:, :1])
        self._layers = []
        for block in self._transformer.layers:
            self._layers.append(Layer(block, beta, self._position))
            beta = block.norm4.bias[:, None]
        final = self._transformer.final_attn_token_to_image
        self._final_key = Projection(final.k_proj.weight, final.k_proj.bias, self._position + beta)
        self._final_value = Projection(final.v_proj.weight, final.v_proj.bias, beta)
        first, self._norm, self._activate, second, self._activate_last = decoder.output_upscaling
        # centred over the channels of a pixel, so that the layer norm after it has a mean of zero
        centred = centre(first.weight.flatten(1).T.unflatten(0, (-1, 4)), 0).flatten(0, 1)
        bias = centre(first.bias, 0).repeat_interleave(4)
        self._first = Projection(centred, bias, beta)
        late = torch.float32 if self._cpu else precision
        self._gain, self._bias = (v[:, None].to(late) for v in (self._norm.weight, self._norm.bias))
        self._second = second.weight.flatten(1).T.contiguous().to(late)
        self._second_bias = second.bias.repeat_interleave(4)[:, None].to(late)

    @property
    def by_kernels(self) -> bool:
        """Whether compiled kernels do it."""
        return self._cpu is not None

    def batches(self, points: Tensor) -> tuple[Tensor, ...]:
        """``points`` (B, 2) in batches of a size that suits the device."""
        tokens = 1 + self._decoder.num_mask_tokens + 2  # a point and its padding
        columns = tokens * sum(layer.heads for layer in self._layers)
        most = prompts_at_a_time(points, columns * self._position.shape[-1])
        return points.split(max(1, min(PROMPTS, -(-len(points) // threads()))) if self._cpu else most)

    def image(self, embedding: Tensor) -> EncodedImage:
        """What the decoder needs of an image's embedding (1, c, h, w)."""
        features = embedding[0].flatten(1) + self._prompts.no_mask_embed.weight[0][:, None]
        stages: list[Stage] = []
        lifts: list[Tensor] = []
        for layer in self._layers:
            key, value, query = (through(p, features, layer.heads) for p in (layer.key, layer.value, layer.query))
            features = centre(features, 0)
            lifts = [centre(lift, -1) for lift in (*lifts, layer.lift)]
            lifted = tuple(lift @ features for lift in lifts)
            together = (torch.cat(lifted),) if self._cpu else lifted  # as kernels want it
            stages.append(Stage(key, value, query, features.square().sum(0), together))
            features = features * layer.norm.weight[:, None]
            lifts = [lift * layer.norm.weight for lift in lifts]
        heads = self._transformer.final_attn_token_to_image.num_heads
        stages.append(Stage(through(self._final_key, features, heads), through(self._final_value, features, heads)))
        return EncodedImage(stages, self._first.weight @ features)

    def prompts(self, image: EncodedImage, points: Tensor) -> tuple[Prompts, Tensor]:
        """The layers of the transformer for ``points`` (b, 2) in the model's input frame, and the predicted IoU (b, M)
        of the M masks that upstream's multimask output has."""
        labels = torch.ones(len(points), 1, dtype=torch.int, device=points.device)
        sparse, _ = self._prompts(points=(points[:, None], labels), boxes=None, masks=None)
        own = torch.cat([self._decoder.iou_token.weight, self._decoder.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(points), -1, -1), sparse], dim=1)
        queries, keys = tokens, self._cpu.untouched(self._position, len(points), self._precision) if self._cpu else None
        for block, layer, stage in zip(self._transformer.layers, self._layers, image.stages, strict=False):
            if block.skip_first_layer_pe:
                queries = block.norm1(block.self_attn(q=queries, k=queries, v=queries))
            else:
                q = queries + tokens
                queries = block.norm1(queries + block.self_attn(q=q, k=q, v=queries))
            attention = block.cross_attn_token_to_image
            found = self._read(attention, queries + tokens, stage, layer.key, layer.value, keys)
            queries = block.norm2(queries + found)
            queries = block.norm3(queries + block.mlp(queries))
            keys = self._write(block.cross_attn_image_to_token, queries + tokens, queries, layer, stage, keys)
        assert keys is not None
        batch = Prompts(tokens, queries, keys)
        iou = self._decoder.iou_prediction_head(self._attend_last(image, batch, slice(0, 1))[:, 0])
        return batch, iou[:, 1:]

    def logits(self, image: EncodedImage, batch: Prompts, keep: Tensor) -> Tensor:
        """Low-resolution logits (k, 4 h, 4 w) of the k masks that ``keep`` (b, M) chooses of the prompts'."""
        count = self._decoder.num_mask_tokens
        chosen = self._attend_last(image, batch, slice(2, 1 + count))  # token 0 is for the IoU, mask token 0 unused
        mlps = self._decoder.output_hypernetworks_mlps[1:]
        weights = torch.stack([mlp(chosen[:, i]) for i, mlp in enumerate(mlps)], dim=1)
        if self._cpu:
            kept = [some[which] for some, which in zip(weights, keep, strict=True)]
            second = self._second, self._second_bias
            return self._arrange(self._cpu.upscale(batch.keys, image.upscaled, self._first, self._norm, *second, kept))
        weights = weights.to(self._precision)
        found = []
        share = prompts_at_a_time(keep, self._second.shape[0] * 4 * batch.keys.rho.shape[-1])
        for start in range(0, len(keep), share):
            rows = slice(start, start + share)
            masks = weights[rows] @ self._upscale(image, batch.take(rows).keys)
            found.append(self._arrange(masks[keep[rows]].float()))
        return torch.cat(found)

    def _arrange(self, masks: Tensor) -> Tensor:
        """(k, 4 h, 4 w) of (k, 16 h w) in the order of `_upscale`; pixels are moved in long runs as far as can be."""
        h, w = self.grid
        k = len(masks)
        parts = masks.view(k, 2, 2, 2, 2, h * w).permute(0, 1, 3, 4, 2, 5)  # rows of both, then columns of both
        rows = parts.reshape(k, 4, 4, h * w).mT.reshape(k, 2, 2, h, 4 * w)
        return rows.permute(0, 3, 2, 1, 4).reshape(k, 4 * h, 4 * w)

    def _attend_last(self, image: EncodedImage, batch: Prompts, which: slice) -> Tensor:
        """The tokens ``which`` after the final attention and its norm."""
        queries, tokens = batch.queries[:, which], batch.tokens[:, which]
        attention = self._transformer.final_attn_token_to_image
        stage = image.stages[-1]
        found = self._read(attention, queries + tokens, stage, self._final_key, self._final_value, batch.keys)
        return self._transformer.norm_final_attn(queries + found)

    def _upscale(self, image: EncodedImage, keys: Keys) -> Tensor:
        """(b, c'', 16 N): both transposed convolutions; pixels in the order (second subpixel, first subpixel, N)."""
        b, n = len(keys.rho), keys.rho.shape[-1]
        x = torch.addcmul(self._first.fixed, image.upscaled, keys.rho)
        add_product(x, self._first.weight @ keys.basis.mT, keys.columns)
        x = x.view(b, -1, 4 * n)
        variance = x.square().mean(1, keepdim=True)
        x.mul_((variance + self._norm.eps).rsqrt_())
        x = self._activate(x.to(self._precision).mul_(self._gain).add_(self._bias))
        x = torch.bmm(self._second.expand(b, -1, -1), x)
        return self._activate_last(x.add_(self._second_bias)).view(b, -1, 16 * n)
