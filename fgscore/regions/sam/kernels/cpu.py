"""`sam/keys.py` and the upscaling on a CPU, where time goes to memory: products by torch, all between them in kernels.

What has few numbers is done for all prompts of a batch at once, so that weights are read once; what has many, prompt by
prompt in the same arrays, so that these stay in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fgscore.regions.sam.kernels import loops as kernels
from fgscore.regions.sam.kernels.measure import measure
from fgscore.regions.sam.keys import Keys, Layer, Projection, Stage, centre

__all__ = ["measure", "over_keys", "read", "untouched", "upscale", "write"]
TILE = 4096  # pixels that are upscaled for the second time at one time


def _array(x: Tensor) -> np.ndarray:
    """``x`` as the kernels take it, sharing its memory."""
    return (x.view(torch.uint16) if x.dtype == torch.bfloat16 else x).numpy()


def _heads(x: Tensor, heads: int) -> Tensor:
    """(b, T, H d) as (b, H, T, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2).contiguous()


def _in_basis(x: Tensor, projection: Projection, keys: Keys) -> Tensor:
    """Tokens' vectors ``x`` (b, H, T, d) times the basis through ``projection``, (b, H T, K)."""
    _, heads, _, d = x.shape
    basis = (keys.basis @ projection.weight.T).unflatten(-1, (heads, d))  # (b, K, H, d)
    return (x @ basis.permute(0, 2, 3, 1)).flatten(1, 2).to(keys.columns.dtype)


def untouched(features: Tensor, b: int, precision: torch.dtype) -> Keys:
    """The keys of ``b`` prompts before the first layer: the image's ``features`` (c, N) alone."""
    c, n = features.shape
    columns, basis = features.new_empty(b, 0, n, dtype=precision), features.new_empty(b, 0, c)
    return Keys(features.new_ones(b, 1, n), columns, basis, ())


def read(attention: Any, queries: Tensor, stage: Stage, key: Projection, value: Projection, keys: Keys) -> Tensor:
    """Tokens attend to the image: (b, t, c) for ``queries`` (b, t, c), through the output projection."""
    heads, n, columns = attention.num_heads, stage.value.shape[-1], keys.columns
    q = _heads(attention.q_proj(queries), heads)
    q *= q.shape[-1] ** -0.5
    b, _, t, _ = q.shape
    small, found, totals = _in_basis(q, key, keys), torch.empty_like(q), q.new_empty(b, heads * t)
    low, weights = (columns.new_empty(heads * t, n) for _ in range(2))
    in_columns = columns.new_empty(b, heads * t, columns.shape[1])
    of_image = _array(stage.key), _array(key.fixed.view_as(stage.key)), _array(low)
    for i in range(b):
        torch.mm(small[i], columns[i], out=low)
        own = _array(weights), _array(found[i]), _array(totals[i])
        kernels.over_pixels(_array(q[i]), *of_image, _array(keys.rho[i, 0]), _array(stage.value), *own)
        torch.mm(weights, columns[i].T, out=in_columns[i])
    basis = (keys.basis @ value.weight.T).unflatten(-1, (heads, -1)).transpose(1, 2)  # (b, H, K, d)
    found += in_columns.to(q.dtype).unflatten(1, (heads, t)) @ basis
    found /= totals.view(b, heads, t, 1)
    return attention.out_proj(found.transpose(1, 2).flatten(2) + value.fixed[:, 0])


def write(
    attention: Any,
    with_pe: Tensor,
    tokens: Tensor,
    layer: Layer,
    stage: Stage,
    keys: Keys,
    precision: torch.dtype,
) -> Keys:
    """The image attends to the tokens, then its layer norm; the columns are kept in ``precision``."""
    assert stage.query is not None and stage.energy is not None
    k, v = (_heads(x, layer.heads) for x in (attention.k_proj(with_pe), attention.v_proj(tokens)))
    b, heads, t, _ = k.shape
    values = (*keys.values, torch.cat([v, torch.ones_like(v[..., :1])], dim=-1))
    basis = centre(torch.cat([keys.basis, (values[-1] @ layer.lift).flatten(1, 2)], dim=1), -1)
    before, n = keys.columns.shape[1:]
    columns, rho = keys.columns.new_empty(b, basis.shape[1], n), keys.rho.clone()
    columns[:, :before] = keys.columns
    small, gram = _in_basis(k, layer.query, keys), torch.bmm(basis, basis.mT).to(precision)
    low, product = (columns.new_empty(rows, n) for rows in (heads * t, len(gram[0])))
    vectors = torch.cat(values, dim=1)[..., :-1].contiguous()
    of_image = _array(stage.query), _array(layer.query.fixed.view_as(stage.query)), _array(low)
    of_norm = _array(stage.lifted[0]), _array(product)
    for i in range(b):
        own, factor = columns[i], _array(rho[i, 0])
        torch.mm(small[i], keys.columns[i], out=low)
        kernels.over_tokens(_array(k[i]), *of_image, factor, _array(own[before:]))
        torch.mm(gram[i], own, out=product)
        parts = _array(own), _array(vectors[i]), *of_norm, factor, _array(stage.energy)
        kernels.normalise(*parts, basis.shape[-1], layer.norm.eps)
    return Keys(rho, columns, basis * layer.norm.weight, values)


def upscale(
    keys: Keys,
    image: Tensor,
    first: Projection,
    norm: Any,
    second: Tensor,
    bias: Tensor,
    weights: Sequence[Tensor],
) -> Tensor:
    """Masks (k, 16 N) of all prompts of ``keys``: both transposed convolutions, and the product with ``weights``, of
    each prompt (k_i, c''); pixels in the order (second subpixel, first subpixel, N)."""
    fixed, gain, shift, last = (_array(v.flatten()) for v in (first.fixed, norm.weight, norm.bias, bias))
    n, found = keys.rho.shape[-1], []
    small = (keys.basis @ first.weight.T).to(keys.columns.dtype)  # (b, K, 4 c')
    rows = small.shape[-1]
    x, raised = keys.columns.new_empty(rows, n), image.new_empty(rows // 4, 4 * n)
    for i, chosen in enumerate(weights):
        torch.mm(small[i].T, keys.columns[i], out=x)
        of_norm = fixed, gain, shift, norm.eps, _array(raised.view(rows, n))
        kernels.rise(_array(x), _array(image), _array(keys.rho[i, 0]), *of_norm)
        masks = image.new_empty(len(chosen), 4, 4 * n)
        for at in range(0, 4 * n, TILE):
            product = torch.mm(second, raised[:, at : at + TILE])
            kernels.draw(_array(product), last, _array(chosen), _array(masks), at)
        found.append(masks.flatten(1))
    return torch.cat(found)


def over_keys(scores: Tensor, by_row: Tensor, by_column: Tensor) -> tuple[Tensor, Tensor]:
    """``scores`` (n, r w, h w) plus the bias by the key's row, (n, r, w, h), and column, (n, r, w, w), in place: over
    the second of what is returned, (n, r w, 1), they are the softmax over keys."""
    totals = scores.new_empty(*scores.shape[:2], 1, dtype=torch.float32)
    one, two, three = (_array(x.reshape(-1, x.shape[-1])) for x in (scores, by_row, by_column))
    kernels.over_keys(one, two, three, _array(totals.view(-1)))
    return scores, totals
