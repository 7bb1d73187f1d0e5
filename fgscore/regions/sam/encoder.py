"""SAM's image encoder without an N x N matrix a head.

Upstream's global attention holds heads x N x N scores several times over: 800 MB a copy for ViT-B. Here a block of
queries at a time meets all keys; its relative position bias is added and its softmax taken before the next block comes.
Windows are taken a few at a time, hidden layers of the MLP likewise. What upstream pads to fill the last windows is
zero before the projection, so that its queries, keys and values are the bias: they are copied, not computed.

In half precision on a GPU torch's fused attention does better still. It takes no bias of this form, but the bias is
a product itself, q . R(row of the query - row of the key) and the same for columns: queries get their products with all
R of their row and column as further channels, keys the number of their own row and column as zeros and a one.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from segment_anything.modeling.image_encoder import get_rel_pos
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from fgscore.regions.sam.kernels.native import native, threads, together

SCORES = {"cpu": 1 << 22, "cuda": 1 << 28}  # of queries times keys that are held at one time, by a thread


def supports(encoder: Any) -> bool:
    """Whether ``encoder`` is upstream's ``ImageEncoderViT``, with relative positions."""
    names = {type(block).__name__ for block in encoder.blocks} if hasattr(encoder, "blocks") else set()
    return type(encoder).__name__ == "ImageEncoderViT" and names == {"Block"} and encoder.blocks[0].attn.use_rel_pos


def encode(encoder: Any, image: Tensor) -> Tensor:
    """The embedding (1, c, h, w) of ``image`` (1, 3, S, S), preprocessed; as ``encoder(image)``.

    Attention and MLP work in the precision of their own weights, the residual stream and the norms in the image's.
    """
    x = encoder.patch_embed(image)
    if encoder.pos_embed is not None:
        x = x + encoder.pos_embed
    x = x[0]
    for block in encoder.blocks:
        precision = block.attn.qkv.weight.dtype
        qkv = block.attn.qkv(block.norm1(x).to(precision))
        x = x + block.attn.proj(_attend(block.attn, qkv, block.window_size))
        x = x + _mlp(block, x, precision)
    return encoder.neck(x.permute(2, 0, 1)[None])


def _mlp(block: Any, x: Tensor, precision: torch.dtype) -> Tensor:
    hidden = block.mlp.lin1.out_features
    tokens = x.flatten(0, 1).split(max(1, 2 * _limit(x) // hidden))
    return torch.cat([block.mlp(block.norm2(part).to(precision)) for part in tokens]).view(x.shape)


def _attend(attention: Any, qkv: Tensor, window: int) -> Tensor:
    """(h, w, C), before the output projection, of ``qkv`` (h, w, 3 C)."""
    h, w, _ = qkv.shape
    if not window:
        return _heads_together(_within(attention, *_apart(attention, qkv[None])))[0]
    high, wide = -(-h // window) * window, -(-w // window) * window
    filled = qkv.new_empty(high, wide, qkv.shape[-1])
    filled[:h, :w] = qkv
    filled[h:] = filled[:, w:] = attention.qkv.bias if attention.qkv.bias is not None else 0.0
    windows = filled.view(high // window, window, wide // window, window, -1).transpose(1, 2).flatten(0, 1)
    share = max(1, _limit(qkv) // (attention.num_heads * window**4))
    done = [_heads_together(_within(attention, *_apart(attention, some))) for some in windows.split(share)]
    out = torch.cat(done).view(high // window, wide // window, window, window, -1)
    return out.transpose(1, 2).reshape(high, wide, -1)[:h, :w]


def _apart(attention: Any, qkv: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (B, H, h, w, d) of ``qkv`` (B, h, w, 3 H d)."""
    q, k, v = qkv.unflatten(-1, (3, attention.num_heads, -1)).permute(3, 0, 4, 1, 2, 5)
    return q, k, v


def _heads_together(x: Tensor) -> Tensor:
    """(B, h, w, H d) of (B, H, h, w, d)."""
    return x.permute(0, 2, 3, 1, 4).flatten(3)


def _within(attention: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention within each of B windows, (B, H, h, w, d)."""
    fused = q.device.type == "cuda" and q.dtype != torch.float32  # torch has no quick kernel for float32
    return (_fused if fused else _rows)(attention, q, k, v)


def _fused(attention: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """By torch's own kernel, the bias among the channels."""
    b, heads, h, w, d = q.shape
    up_down, left_right = get_rel_pos(h, h, attention.rel_pos_h), get_rel_pos(w, w, attention.rel_pos_w)
    channels = -(-(d + h + w) // 8) * 8  # whole vectors, for the kernels want those
    queries, keys, values = (x.new_zeros(b, heads, h, w, channels) for x in (q, k, v))
    row, column = slice(d, d + h), slice(d + h, d + h + w)
    queries[..., :d], keys[..., :d], values[..., :d] = q * attention.scale, k, v
    queries[..., row] = q @ up_down.mT
    queries[..., column] = (q.transpose(2, 3) @ left_right.mT).transpose(2, 3)
    keys[..., row] = torch.eye(h, dtype=k.dtype, device=k.device)[:, None]
    keys[..., column] = torch.eye(w, dtype=k.dtype, device=k.device)
    queries, keys, values = (x.flatten(2, 3) for x in (queries, keys, values))
    return scaled_dot_product_attention(queries, keys, values, scale=1.0)[..., :d].unflatten(2, (h, w))


def _rows(attention: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """A few rows of queries of a few heads at a time."""
    b, heads, h, w, d = q.shape
    up_down = get_rel_pos(h, h, attention.rel_pos_h)  # (h, h, d), of a query's row and a key's
    left_right = get_rel_pos(w, w, attention.rel_pos_w)
    q, k, v = (x.reshape(b * heads, h, w, d) for x in (q, k, v))
    keys, values = k.flatten(1, 2).mT * attention.scale, v.flatten(1, 2)
    out = torch.empty_like(q)
    many = max(1, _limit(q) // (h * w) ** 2)  # heads at a time
    rows = max(1, min(h, _limit(q) // (w * h * w)))
    kernels = native(q.device)
    if kernels:
        many = min(many, -(-b * heads // threads()))

    def block(at: tuple[int, int]) -> None:
        i, y = at
        some = q[i : i + many, y : y + rows]
        by_row = some @ up_down[y : y + rows].mT  # (n, r, w, h)
        by_column = (some.transpose(1, 2) @ left_right.mT).transpose(1, 2)  # (n, r, w, w)
        scores = some.flatten(1, 2) @ keys[i : i + many]
        weights, totals = softmax(scores, by_row, by_column)
        found = weights @ values[i : i + many]
        out[i : i + many, y : y + rows] = (found if totals is None else found / totals).view(some.shape)

    softmax = kernels.over_keys if kernels else _softmax
    together(block, product(range(0, b * heads, many), range(0, h, rows)), q.device)
    return out.view(b, heads, h, w, d)


def _softmax(scores: Tensor, by_row: Tensor, by_column: Tensor) -> tuple[Tensor, None]:
    """Of ``scores`` (n, r w, h w) plus the bias by the key's row, (n, r, w, h), and column, (n, r, w, w)."""
    of_key = scores.view(*by_row.shape, by_column.shape[-1])
    of_key += by_row[..., None]
    of_key += by_column[..., None, :]
    return scores.softmax(-1), None


def _limit(where: Tensor) -> int:
    return SCORES.get(where.device.type, SCORES["cuda"])
