"""SAM's mask decoder for many point prompts of one image, without an image-sized key matrix per prompt.

Upstream keeps, for every prompt, an N x c matrix of image keys. It needs none: all prompts start from the same image,
and what a layer adds to it has low rank. With N pixels, c channels, T tokens, H heads of width d, the keys after any
number of layers are, for each prompt,

    keys = rho F + C U + beta                                                                            (1)

``F`` (c, N) is the image's alone and ``beta`` (c,) the weights'; of the prompt are ``rho`` (N,), ``C`` (K, N) and ``U``
(K, c), where K grows by H T a layer. At the start rho = 1, F is the image and K = 0. One layer:

* Image attends to tokens. With A (H T, N), whose columns sum to 1 in every head, and token values v_th, it adds the sum
  of A_th (v_th Wo_h) + bo. As the columns sum to 1, constants move into the values: V_th = v_th Wo_h + (bo + beta) / H,
  so that keys + update = rho F + [C; A] [U; V] and no constant is left.
* Layer norm. F, U and V are centred over channels beforehand; then the mean is zero, and the variance is
  (rho^2 |F_n|^2 + sum_k C_kn (2 rho (U F)_kn + (U U' C)_kn)) / c: a Gram matrix of K x K, and U F, which needs no c
  channels because U_th = [v_th, 1] B_h with B_h = [Wo_h; (bo + beta) / H] of the weights: B F is once an image.
  The result is (1) again: rho <- r rho, C <- r [C; A], F, U <- F gamma, U gamma, beta <- the norm's.

Any linear layer W on the keys is rho (F W) + C (U W) + beta W: F W once an image, U W is K rows. So the products of
tokens and image, the final attention and the first transposed convolution (which is a linear layer, its kernel being
its stride) never see c x N per prompt.

The IoU head reads one token: prompts are filtered on it before the mask tokens attend for the last time and before
anything is upscaled. Mask token 0 and the point tokens are not computed in the last attention at all.

Pixels are the last, contiguous dimension throughout: softmax over seven tokens is then vectorised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


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


@dataclass(frozen=True)
class Keys:
    """Equation (1) for a batch of b prompts: ``rho`` (b, 1, N), ``columns`` C (b, K, N), ``basis`` U (b, K, c);
    ``values`` holds [v, 1] (b, H, T, d + 1) of every layer so far."""

    rho: Tensor
    columns: Tensor
    basis: Tensor
    values: tuple[Tensor, ...]


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


class Projection:
    """The keys through one linear layer: ``weight`` (m, c), and ``fixed`` (m, N or 1), which is beta, the position and
    the bias through it: what depends on the weights alone."""

    def __init__(self, weight: Tensor, bias: Tensor, shift: Tensor) -> None:
        self.weight, self.fixed = weight, weight @ shift + bias[:, None]


class Layer:
    """What one layer's attention from and to the image needs of the weights."""

    def __init__(self, block: Any, beta: Tensor, position: Tensor) -> None:
        reads, writes = block.cross_attn_token_to_image, block.cross_attn_image_to_token
        self.heads = writes.num_heads
        self.key = Projection(reads.k_proj.weight, reads.k_proj.bias, position + beta)
        self.value = Projection(reads.v_proj.weight, reads.v_proj.bias, beta)
        scale = (writes.internal_dim // writes.num_heads) ** -0.5
        self.query = Projection(writes.q_proj.weight * scale, writes.q_proj.bias * scale, position + beta)
        out = writes.out_proj
        of_head = out.weight.T.unflatten(0, (self.heads, -1))  # (H, d, c)
        constant = ((out.bias + beta[:, 0]) / self.heads).expand(self.heads, 1, -1)
        self.lift = torch.cat([of_head, constant], dim=1)  # B, (H, d + 1, c)
        self.norm = block.norm4


@dataclass(frozen=True)
class Stage:
    """What of an image the attention at one depth needs: F through the projections, (H, d, N) each."""

    key: Tensor
    value: Tensor
    query: Tensor | None = None
    energy: Tensor | None = None  # |F|^2 after centring, (N,)
    lifted: tuple[Tensor, ...] = ()  # B F of every layer up to this one, (H, d + 1, N)


@dataclass(frozen=True)
class Image:
    """What all prompts of an image share."""

    stages: Sequence[Stage]
    upscaled: Tensor  # F through the first transposed convolution, (4 c', N)


class Decoder:
    """Predicted IoU and low-resolution logits of upstream's ``MaskDecoder``, for single foreground points."""

    def __init__(self, sam: Any) -> None:
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
        centred = _centre(first.weight.flatten(1).T.unflatten(0, (-1, 4)), 0).flatten(0, 1)
        bias = _centre(first.bias, 0).repeat_interleave(4)
        self._first = Projection(centred, bias, beta)
        self._second = second.weight.flatten(1).T.contiguous()
        self._second_bias = second.bias.repeat_interleave(4)[:, None]

    def image(self, embedding: Tensor) -> Image:
        """What the decoder needs of an image's embedding (1, c, h, w)."""
        features = embedding[0].flatten(1) + self._prompts.no_mask_embed.weight[0][:, None]
        stages: list[Stage] = []
        lifts: list[Tensor] = []
        for layer in self._layers:
            key, value, query = (_through(p, features, layer.heads) for p in (layer.key, layer.value, layer.query))
            features = _centre(features, 0)
            lifts = [_centre(lift, -1) for lift in (*lifts, layer.lift)]
            lifted = tuple(lift @ features for lift in lifts)
            stages.append(Stage(key, value, query, features.square().sum(0), lifted))
            features = features * layer.norm.weight[:, None]
            lifts = [lift * layer.norm.weight for lift in lifts]
        heads = self._transformer.final_attn_token_to_image.num_heads
        stages.append(Stage(_through(self._final_key, features, heads), _through(self._final_value, features, heads)))
        return Image(stages, self._first.weight @ features)

    def prompts(self, image: Image, points: Tensor) -> tuple[Prompts, Tensor]:
        """The layers of the transformer for ``points`` (b, 2) in the model's input frame, and the predicted IoU (b, M)
        of the M masks that upstream's multimask output has."""
        labels = torch.ones(len(points), 1, dtype=torch.int, device=points.device)
        sparse, _ = self._prompts(points=(points[:, None], labels), boxes=None, masks=None)
        own = torch.cat([self._decoder.iou_token.weight, self._decoder.mask_tokens.weight])
        tokens = torch.cat([own.expand(len(points), -1, -1), sparse], dim=1)
        queries, keys = tokens, None
        for block, layer, stage in zip(self._transformer.layers, self._layers, image.stages, strict=False):
            if block.skip_first_layer_pe:
                queries = block.norm1(block.self_attn(q=queries, k=queries, v=queries))
            else:
                q = queries + tokens
                queries = block.norm1(queries + block.self_attn(q=q, k=q, v=queries))
            read = block.cross_attn_token_to_image
            queries = block.norm2(queries + _read(read, queries + tokens, stage, layer.key, layer.value, keys))
            queries = block.norm3(queries + block.mlp(queries))
            keys = _write(block.cross_attn_image_to_token, queries + tokens, queries, layer, stage, keys)
        assert keys is not None
        batch = Prompts(tokens, queries, keys)
        iou = self._decoder.iou_prediction_head(self._attend_last(image, batch, slice(0, 1))[:, 0])
        return batch, iou[:, 1:]

    def logits(self, image: Image, batch: Prompts, keep: Tensor) -> Tensor:
        """Low-resolution logits (k, 4 h, 4 w) of the k masks that ``keep`` (b, M) chooses of the prompts'."""
        count = self._decoder.num_mask_tokens
        chosen = self._attend_last(image, batch, slice(2, 1 + count))  # token 0 is for the IoU, mask token 0 unused
        mlps = self._decoder.output_hypernetworks_mlps[1:]
        weights = torch.stack([mlp(chosen[:, i]) for i, mlp in enumerate(mlps)], dim=1)
        found = []
        share = 1 if keep.device.type == "cpu" else len(keep)  # one prompt's pixels fit the cache
        for start in range(0, len(keep), share):
            rows = slice(start, start + share)
            masks = weights[rows] @ self._upscale(image, batch.take(rows).keys)
            found.append(self._arrange(masks[keep[rows]]))
        return torch.cat(found)

    def _arrange(self, masks: Tensor) -> Tensor:
        """(k, 4 h, 4 w) of (k, 16 h w) in the order of `_upscale`; pixels are moved in long runs as far as can be."""
        h, w = self.grid
        k = len(masks)
        parts = masks.view(k, 2, 2, 2, 2, h * w).permute(0, 1, 3, 4, 2, 5)  # rows of both, then columns of both
        rows = parts.reshape(k, 4, 4, h * w).mT.reshape(k, 2, 2, h, 4 * w)
        return rows.permute(0, 3, 2, 1, 4).reshape(k, 4 * h, 4 * w)

    def _attend_last(self, image: Image, batch: Prompts, which: slice) -> Tensor:
        """The tokens ``which`` after the final attention and its norm."""
        queries, tokens = batch.queries[:, which], batch.tokens[:, which]
        attention = self._transformer.final_attn_token_to_image
        stage = image.stages[-1]
        read = _read(attention, queries + tokens, stage, self._final_key, self._final_value, batch.keys)
        return self._transformer.norm_final_attn(queries + read)

    def _upscale(self, image: Image, keys: Keys) -> Tensor:
        """(b, c'', 16 N): both transposed convolutions; pixels in the order (second subpixel, first subpixel, N)."""
        b, n = len(keys.rho), keys.rho.shape[-1]
        x = torch.addcmul(self._first.fixed, image.upscaled, keys.rho)
        x.baddbmm_(self._first.weight @ keys.basis.mT, keys.columns)
        x = x.view(b, -1, 4 * n)
        variance = x.square().mean(1, keepdim=True)
        x.mul_((variance + self._norm.eps).rsqrt_())
        x = self._activate(torch.addcmul(self._norm.bias[:, None], x, self._norm.weight[:, None]))
        x = torch.bmm(self._second.expand(b, -1, -1), x)
        return self._activate_last(x.add_(self._second_bias)).view(b, -1, 16 * n)


def _centre(x: Tensor, dim: int) -> Tensor:
    return x - x.mean(dim, keepdim=True)


def _through(projection: Projection, features: Tensor, heads: int) -> Tensor:
    """F W by heads, (H, d, N)."""
    return (projection.weight @ features).unflatten(0, (heads, -1))


def _heads(x: Tensor, heads: int) -> Tensor:
    """(b, T, H d) as (b, H, T, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _shared(x: Tensor, image: Tensor) -> Tensor:
    """``x`` (b, H, t, m) times what all prompts share, ``image`` (H, m, n)."""
    if x.device.type != "cpu":
        return x @ image
    out = x.new_empty(*x.shape[:3], image.shape[-1])  # matmul would copy the image for every prompt
    for one, into in zip(x, out, strict=True):
        torch.bmm(one, image, out=into)
    return out


def _products(x: Tensor, own: Tensor, projection: Projection, keys: Keys | None) -> Tensor:
    """(b, H, T, N): tokens' vectors ``x`` (b, H, T, d) times the keys through ``projection``, head by head; ``own`` is
    F through it."""
    b, heads, t, _ = x.shape
    fixed = projection.fixed.unflatten(0, (heads, -1))
    if keys is None:
        return _shared(x, own + fixed)
    products = _shared(x, own).mul_(keys.rho[:, None])
    products += _shared(x, fixed)
    basis = (keys.basis @ projection.weight.T).unflatten(-1, (heads, -1))  # (b, K, H, d)
    small = x @ basis.permute(0, 2, 3, 1)  # (b, H, T, K)
    return products.view(b, heads * t, -1).baddbmm_(small.flatten(1, 2), keys.columns).view_as(products)


def _read(
    attention: Any, queries: Tensor, stage: Stage, key: Projection, value: Projection, keys: Keys | None
) -> Tensor:
    """Tokens attend to the image: (b, t, c) for ``queries`` (b, t, c), through the output projection."""
    heads = attention.num_heads
    q = _heads(attention.q_proj(queries), heads)
    weights = _products(q * q.shape[-1] ** -0.5, stage.key, key, keys).softmax(-1)
    if keys is None:
        found = _shared(weights, stage.value.mT)
    else:
        in_columns = weights.flatten(1, 2) @ keys.columns.mT  # (b, H T, K)
        basis = (keys.basis @ value.weight.T).unflatten(-1, (heads, -1)).transpose(1, 2)
        found = in_columns.view(*weights.shape[:3], -1) @ basis
        found += _shared(weights.mul_(keys.rho[:, None]), stage.value.mT)
    found = found.transpose(1, 2).flatten(2) + value.fixed[:, 0]
    return attention.out_proj(found)


def _write(attention: Any, with_pe: Tensor, tokens: Tensor, layer: Layer, stage: Stage, keys: Keys | None) -> Keys:
    """The image attends to the tokens, then its layer norm."""
    assert stage.query is not None and stage.energy is not None
    heads = layer.heads
    k, v = _heads(attention.k_proj(with_pe), heads), _heads(attention.v_proj(tokens), heads)
    weights = _products(k, stage.query, layer.query, keys).softmax(2)
    values = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
    basis = (values @ layer.lift).flatten(1, 2)
    columns, lifted = weights.flatten(1, 2), [values]
    if keys is not None:
        basis = torch.cat([keys.basis, basis], dim=1)
        columns = torch.cat([keys.columns, columns], dim=1)
        lifted = [*keys.values, values]
    basis = _centre(basis, -1)
    cross = [_shared(x, y).flatten(1, 2) for x, y in zip(lifted, stage.lifted, strict=True)]
    sums = torch.cat(cross, dim=1).mul_(2)
    energy = stage.energy
    if keys is not None:
        sums.mul_(keys.rho)
        energy = keys.rho.square() * energy
    sums.baddbmm_(basis @ basis.mT, columns).mul_(columns)
    variance = (sums.sum(1, keepdim=True) + energy) / basis.shape[-1]
    r = (variance.clamp_(min=0) + layer.norm.eps).rsqrt_()
    rho = r if keys is None else r * keys.rho
    return Keys(rho, columns * r, basis * layer.norm.weight, tuple(lifted))
