"""The image side of SAM's mask decoder for many prompts, without an image-sized key matrix per prompt.

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

Pixels are the last, contiguous dimension throughout: softmax over seven tokens is then vectorised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Keys:
    """Equation (1) for a batch of b prompts: ``rho`` (b, 1, N), ``columns`` C (b, K, N), ``basis`` U (b, K, c);
    ``values`` holds [v, 1] (b, H, T, d + 1) of every layer so far."""

    rho: Tensor
    columns: Tensor
    basis: Tensor
    values: tuple[Tensor, ...]


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


def centre(x: Tensor, dim: int) -> Tensor:
    """``x`` less its mean over ``dim``."""
    return x - x.mean(dim, keepdim=True)


def through(projection: Projection, features: Tensor, heads: int) -> Tensor:
    """F W by heads, (H, d, N)."""
    return (projection.weight @ features).unflatten(0, (heads, -1))


def _heads(x: Tensor, heads: int) -> Tensor:
    """(b, T, H d) as (b, H, T, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def _shared(x: Tensor, image: Tensor) -> Tensor:
    """``x`` (b, H, t, m) times what all prompts share, ``image`` (H, m, n)."""
    if x.device.type != "cpu":
        return _shared_on_gpu(x, image)
    out = x.new_empty(*x.shape[:3], image.shape[-1])  # matmul would copy the image for every prompt
    for one, into in zip(x, out, strict=True):
        torch.bmm(one, image, out=into)
    return out


def _shared_on_gpu(x: Tensor, image: Tensor) -> Tensor:
    """One large product in place of many small ones and of a copy of the image for every prompt: each head meets the
    channels of all, and what is not its own is zero or thrown away."""
    b, heads, t, m = x.shape
    if m > image.shape[-1]:
        found = (x.flatten(0, 2) @ image.transpose(0, 1).flatten(1)).view(b, heads, t, heads, -1)
        return found.diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2)
    apart = x.new_zeros(b, heads, t, heads, m)
    apart.diagonal(dim1=1, dim2=3).copy_(x.permute(0, 2, 3, 1))
    return (apart.view(b * heads * t, heads * m) @ image.flatten(0, 1)).view(b, heads, t, -1)


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
    return add_product(products.view(b, heads * t, -1), small.flatten(1, 2), keys.columns).view_as(products)


def add_product(into: Tensor, left: Tensor, columns: Tensor) -> Tensor:
    """``into`` (b, m, N), plus ``left`` (b, m, K) times ``columns`` (b, K, N) in the columns' precision."""
    if columns.dtype == into.dtype:
        return into.baddbmm_(left, columns)
    return into.add_(torch.bmm(left.to(columns.dtype), columns))


def read(
    attention: Any, queries: Tensor, stage: Stage, key: Projection, value: Projection, keys: Keys | None
) -> Tensor:
    """Tokens attend to the image: (b, t, c) for ``queries`` (b, t, c), through the output projection."""
    heads = attention.num_heads
    q = _heads(attention.q_proj(queries), heads)
    weights = _products(q * q.shape[-1] ** -0.5, stage.key, key, keys).softmax(-1)
    if keys is None:
        found = _shared(weights, stage.value.mT)
    else:
        in_columns = weights.flatten(1, 2).to(keys.columns.dtype) @ keys.columns.mT  # (b, H T, K)
        in_columns = in_columns.to(weights.dtype)
        basis = (keys.basis @ value.weight.T).unflatten(-1, (heads, -1)).transpose(1, 2)
        found = in_columns.view(*weights.shape[:3], -1) @ basis
        found += _shared(weights.mul_(keys.rho[:, None]), stage.value.mT)
    found = found.transpose(1, 2).flatten(2) + value.fixed[:, 0]
    return attention.out_proj(found)


def write(
    attention: Any,
    with_pe: Tensor,
    tokens: Tensor,
    layer: Layer,
    stage: Stage,
    keys: Keys | None,
    precision: torch.dtype = torch.float32,
) -> Keys:
    """The image attends to the tokens, then its layer norm; the columns are kept in ``precision``."""
    assert stage.query is not None and stage.energy is not None
    heads = layer.heads
    k, v = _heads(attention.k_proj(with_pe), heads), _heads(attention.v_proj(tokens), heads)
    weights = _products(k, stage.query, layer.query, keys).softmax(2)
    values = torch.cat([v, torch.ones_like(v[..., :1])], dim=-1)
    basis = (values @ layer.lift).flatten(1, 2)
    columns, lifted = weights.flatten(1, 2).to(precision), [values]
    if keys is not None:
        basis = torch.cat([keys.basis, basis], dim=1)
        columns = torch.cat([keys.columns, columns], dim=1)
        lifted = [*keys.values, values]
    basis = centre(basis, -1)
    cross = [_shared(x, y).flatten(1, 2) for x, y in zip(lifted, stage.lifted, strict=True)]
    sums = torch.cat(cross, dim=1).mul_(2)
    energy = stage.energy
    if keys is not None:
        sums.mul_(keys.rho)
        energy = keys.rho.square() * energy
    add_product(sums, basis @ basis.mT, columns).mul_(columns)
    variance = (sums.sum(1, keepdim=True) + energy) / basis.shape[-1]
    r = (variance.clamp_(min=0) + layer.norm.eps).rsqrt_()
    rho = r if keys is None else r * keys.rho
    return Keys(rho, columns * r.to(precision), basis * layer.norm.weight, tuple(lifted))
