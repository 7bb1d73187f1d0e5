"""`_sam_keys.py` and the upscaling on a CPU, where time goes to memory: products by torch, all between them in kernels.

What has few numbers is done for all prompts of a batch at once, so that weights are read once; what has many, prompt by
prompt in the same arrays, so that these stay in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from fgscore.regions import _sam_kernels as kernels
from fgscore.regions._sam_keys import Keys, Layer, Projection, Stage, centre

TILE = 4096  # pixels that are upscaled for the second time at one time


def _heads(x: Tensor, heads: int) -> Tensor:
    """(b, T, H d) as (b, H, T, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2).contiguous()


def _in_basis(x: Tensor, projection: Projection, keys: Keys) -> Tensor:
    """Tokens' vectors ``x`` (b, H, T, d) times the basis through ``projection``, (b, H T, K)."""
    b, heads, _, d = x.shape
    basis = (keys.basis @ projection.weight.T).unflatten(-1, (heads, d))  # (b, K, H, d)
    return (x @ basis.permute(0, 2, 3, 1)).flatten(1, 2)


def read(
    attention: Any, queries: Tensor, stage: Stage, key: Projection, value: Projection, keys: Keys | None
) -> Tensor:
    """Tokens attend to the image: (b, t, c) for ``queries`` (b, t, c), through the output projection."""
    heads, n = attention.num_heads, stage.value.shape[-1]
    q = _heads(attention.q_proj(queries), heads)
    q *= q.shape[-1] ** -0.5
    b, _, t, _ = q.shape
    found, weights = torch.empty_like(q), q.new_empty(heads * t, n)
    shared = stage.key.numpy(), key.fixed.view_as(stage.key).numpy()
    last = stage.value.numpy(), weights.numpy()
    if keys is None:
        for i in range(b):
            kernels.over_pixels(q[i].numpy(), *shared, None, np.ones(n, np.float32), *last, found[i].numpy())
    else:
        small, in_columns = _in_basis(q, key, keys), q.new_empty(b, heads * t, keys.columns.shape[1])
        low = torch.empty_like(weights)
        for i in range(b):
            torch.mm(small[i], keys.columns[i], out=low)
            kernels.over_pixels(q[i].numpy(), *shared, low.numpy(), keys.rho[i, 0].numpy(), *last, found[i].numpy())
            torch.mm(weights, keys.columns[i].T, out=in_columns[i])
        basis = (keys.basis @ value.weight.T).unflatten(-1, (heads, -1)).transpose(1, 2)  # (b, H, K, d)
        found += in_columns.unflatten(1, (heads, t)) @ basis
    return attention.out_proj(found.transpose(1, 2).flatten(2) + value.fixed[:, 0])


def write(attention: Any, with_pe: Tensor, tokens: Tensor, layer: Layer, stage: Stage, keys: Keys | None) -> Keys:
    """The image attends to the tokens, then its layer norm."""
    assert stage.query is not None and stage.energy is not None
    k, v = (_heads(x, layer.heads) for x in (attention.k_proj(with_pe), attention.v_proj(tokens)))
    b, heads, t, _ = k.shape
    n = stage.energy.shape[-1]
    values = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
    basis, of_layers, before = (values @ layer.lift).flatten(1, 2), [values], 0
    if keys is not None:
        basis, of_layers = torch.cat([keys.basis, basis], dim=1), [*keys.values, values]
        before, small = keys.columns.shape[1], _in_basis(k, layer.query, keys)
    basis = centre(basis, -1)
    of_all, gram = torch.cat(of_layers, dim=1)[..., :-1].contiguous(), torch.bmm(basis, basis.mT)
    lifted, size = torch.cat(stage.lifted), (basis.shape[-1], layer.norm.eps)
    columns, rho = k.new_empty(b, basis.shape[1], n), k.new_ones(b, 1, n) if keys is None else keys.rho.clone()
    low, product = k.new_empty(heads * t, n), k.new_empty(basis.shape[1], n)
    shared = stage.query.numpy(), layer.query.fixed.view_as(stage.query).numpy()
    for i in range(b):
        one, factor = columns[i], rho[i, 0].numpy()
        if keys is not None:
            one[:before] = keys.columns[i]
            torch.mm(small[i], keys.columns[i], out=low)
        added = None if keys is None else low.numpy()
        kernels.over_tokens(k[i].numpy(), *shared, added, factor, one[before:].numpy())
        torch.mm(gram[i], one, out=product)
        kernels.normalise(
            one.numpy(),
            of_all[i].numpy(),
            lifted.numpy(),
            product.numpy(),
            factor,
            stage.energy.numpy(),
            *size,
        )
    return Keys(rho, columns, basis * layer.norm.weight, tuple(of_layers))


def upscaled(
    keys: Keys, image: Tensor, first: Projection, norm: Any, second: Tensor, bias: Tensor, weights: list[Tensor]
) -> list[Tensor]:
    """Masks (k_i, 16 N) of each prompt of ``keys``: both transposed convolutions, and the product with ``weights``
    (k_i, c''); pixels in the order (second subpixel, first subpixel, N)."""
    fixed, gain, shift, last = (v.flatten().numpy() for v in (first.fixed, norm.weight, norm.bias, bias))
    n, found = keys.rho.shape[-1], []
    small = keys.basis @ first.weight.T  # (b, K, 4 c')
    x, y = image.new_empty(small.shape[-1], n), image.new_empty(len(second), TILE)
    for i, chosen in enumerate(weights):
        torch.mm(small[i].T, keys.columns[i], out=x)
        kernels.rise(x.numpy(), image.numpy(), keys.rho[i, 0].numpy(), fixed, gain, shift, norm.eps)
        of_channel = x.view(-1, 4 * n)
        masks = x.new_empty(len(chosen), 4, 4 * n)
        for at in range(0, 4 * n, TILE):
            some = of_channel[:, at : at + TILE]
            product = torch.mm(second, some, out=y[:, : some.shape[1]])
            kernels.draw(product.numpy(), last, chosen.numpy(), masks.numpy(), at)
        found.append(masks.flatten(1))
    return found
