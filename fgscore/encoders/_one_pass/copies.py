"""Attention of the copies, in the place of torch's own: the algebra of ``__init__.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

LOGITS = 1 << 22  # of copies to tokens, at one time on a CPU; a GPU takes 64 times as many


class Unreachable(Exception):
    """Why the attention of a model cannot be restricted, and what to do ``instead``."""

    def __init__(self, why: str, instead: str = "") -> None:
        super().__init__(why)
        self.instead = instead or "leave regions out, or name a model of patches with a class token, such as clip's"


@dataclass(eq=False)
class Pass:
    """One forward pass of B images with ``counts`` (B,) regions, S in all: ``bias`` (S, P) is the logarithm of how much
    of each patch belongs to each. ``copies`` (1, S, d) are as far as the model has come; ``heard`` are the keys and
    values of the attention that was called last, (B, H, T, h) each."""

    counts: Sequence[int]
    bias: Tensor
    copies: Tensor | None = None
    heard: tuple[Tensor, Tensor] | None = None
    of_copies: bool = False  # whether a layer is run on them
    own: bool = True  # whether each attends to itself as well

    @contextmanager
    def run_on_copies(self, own: bool = True) -> Iterator[None]:
        """Attention is that of copies within; ``own`` as they have a key of their own."""
        if self.heard is None:
            raise Unreachable("its layers do not call torch's own attention")
        self.of_copies, self.own = True, own
        try:
            yield
        finally:
            self.of_copies, self.heard = False, None

    def means(self, tokens: Tensor) -> Tensor:
        """(S, T, d): for each region T times the mean of its patches, of ``tokens`` (B, T, d)."""
        patches = self.bias.shape[1]
        if tokens.ndim != 3 or tokens.shape[1] < patches:
            raise Unreachable("it does not end in tokens of all its patches")
        weights = self.bias.exp().split(list(self.counts))
        made = [w @ x / w.sum(1, keepdim=True) for w, x in zip(weights, tokens[:, -patches:], strict=True)]
        return torch.cat(made)[:, None].expand(-1, tokens.shape[1], -1)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        """Attention of the copies, whose queries, keys and values are (A, H, L, h), A L = S: of the same shape."""
        assert self.heard is not None
        keys, values = self.heard
        registers = keys.shape[2] - self.own - self.bias.shape[1]
        if registers < 0 or keys.shape[:2] != (len(self.counts), q.shape[1]):
            raise Unreachable("its layers attend to other things than all patches of an image")
        keys, values = keys[:, :, self.own :], values[:, :, self.own :]
        flat = [x.movedim(1, 0).flatten(1, 2) for x in (q, k, v)]  # (H, S, h)
        bias, found = functional.pad(self.bias, (registers, 0)), torch.empty_like(flat[0])
        images = _together(self.counts, keys.shape[1] * keys.shape[2], keys.device)
        for first, last in images:
            before, counts = sum(self.counts[:first]), self.counts[first:last]
            some = slice(before, before + sum(counts))
            part = [x[:, some] for x in flat]
            found[:, some] = self._attend(part, keys[first:last], values[first:last], bias[some], counts, scale)
        return found.unflatten(1, (q.shape[0], q.shape[2])).movedim(0, 1)

    def _attend(
        self, copies: Sequence[Tensor], keys: Tensor, values: Tensor, bias: Tensor, counts: Sequence[int], scale: float
    ) -> Tensor:
        """(H, S, h) for the copies of a few images, filled up to as many an image."""
        most = max(counts)
        at = torch.cat([torch.arange(n, device=keys.device) + i * most for i, n in enumerate(counts)])

        def spread(x: Tensor) -> Tensor:  # (H or 1, S, n) -> (B, H or 1, M, n)
            if len(at) == len(counts) * most:
                return x.unflatten(1, (len(counts), most)).movedim(1, 0)
            made = x.new_zeros(x.shape[0], len(counts) * most, x.shape[2])
            made[:, at] = x
            return made.unflatten(1, (len(counts), most)).movedim(1, 0)

        q, k, v = (spread(x) for x in copies)
        logits = (q @ keys.mT) * scale + spread(bias[None])
        if self.own:
            logits = torch.cat([(q * k).sum(-1, keepdim=True) * scale, logits], dim=-1)
        weights = logits.softmax(-1, dtype=torch.float32).to(q.dtype)
        found = weights[..., int(self.own) :] @ values
        if self.own:
            found = found + weights[..., :1] * v
        return found.movedim(1, 0).flatten(1, 2)[:, at]


def _together(counts: Sequence[int], numbers: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """First and last + 1 of images whose copies attend at one time, ``numbers`` logits a copy."""
    most = (LOGITS if device.type == "cpu" else 64 * LOGITS) // numbers
    first = 0
    while first < len(counts):
        last = first + 1
        while last < len(counts) and (last + 1 - first) * max(counts[first : last + 1]) <= most:
            last += 1
        yield first, last
        first = last


class Attention(TorchFunctionMode):
    """Stands where torch's attention is called, in this thread."""

    def __init__(self, run: Pass) -> None:
        super().__init__()
        self._run = run

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """``func`` as it is, or attention of the copies."""
        named = dict(kwargs or {})
        if func is functional.scaled_dot_product_attention:
            return self._dot_product(*args, **named)
        if func is functional.multi_head_attention_forward:
            return self._multi_head(*args, **named)
        return func(*args, **named)

    def _dot_product(
        self, query: Tensor, key: Tensor, value: Tensor, attn_mask: Any = None, scale: float | None = None, **more: Any
    ) -> Tensor:
        if attn_mask is not None or more.get("is_causal"):
            raise Unreachable("its attention is masked already")
        if self._run.of_copies:
            return self._run.attend(query, key, value, query.shape[-1] ** -0.5 if scale is None else scale)
        self._run.heard = key, value
        return functional.scaled_dot_product_attention(query, key, value, scale=scale, **more)

    def _multi_head(
        self, query: Tensor, key: Tensor, value: Tensor, width: int, heads: int, weight: Tensor | None,
        bias: Tensor | None, bias_k: Any, bias_v: Any, add_zero: bool, dropout: float, out_weight: Tensor,
        out_bias: Tensor | None, **more: Any,
    ) -> tuple[Tensor, None]:  # fmt: skip
        """As torch's own, of (L, B, width)."""
        if weight is None or bias_k is not None or add_zero or more.get("key_padding_mask") is not None:
            raise Unreachable("its attention has more keys than its tokens")
        biases = (None,) * 3 if bias is None else bias.chunk(3)
        q, k, v = (
            functional.linear(x, w, b).unflatten(2, (heads, -1)).permute(1, 2, 0, 3)
            for x, w, b in zip((query, key, value), weight.chunk(3), biases, strict=True)
        )
        found = self._dot_product(q, k, v, more.get("attn_mask"))
        return functional.linear(found.permute(2, 0, 1, 3).flatten(2), out_weight, out_bias), None
