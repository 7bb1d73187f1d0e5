"""A model's own layers, run on its tokens and then on the copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

from fgscore.encoders._one_pass.copies import Attention, Pass, Unreachable
from fgscore.encoders._tokens import CLASS_TOKENS

# where models have their layers, and what follows on them, by the names of the modules
LAYERS = ("vision_model.encoder.layers", "vision_model.encoder.layer", "encoder.layer", "encoder.layers", "model.layer",
          "layers", "visual.transformer.resblocks", "visual.trunk.blocks", "blocks")  # fmt: skip
POOLS = ("vision_model.head", "visual.trunk.attn_pool", "attn_pool")
NORMS = ("visual.ln_post", "visual.trunk.norm", "norm", "layernorm")  # of all tokens, before what follows

_now: ContextVar[Pass | None] = ContextVar("one pass", default=None)  # of this thread


class OnePass:
    """``model`` with its regions by one pass, from layer ``start`` on. Hooks are put on it that do nothing but within
    :meth:`embed`.

    Raises :class:`Unreachable` where it has no layers of the kind, and where there is none to start from.
    """

    def __init__(self, model: Any, start: int) -> None:
        parts = dict(model.named_modules())
        layers = next((parts[name] for name in LAYERS if name in parts), None)
        patches = next((part for part in parts.values() if isinstance(part, nn.Conv2d)), None)
        if layers is None or patches is None:
            raise Unreachable("it has no layers of attention to patches")
        if patches.kernel_size != patches.stride:
            raise Unreachable("its patches overlap")
        self._layers, self._patches = list(layers.children()), patches
        self._pool = next((parts[name] for name in POOLS if name in parts), None)
        self._norm = next((parts[name] for name in NORMS if name in parts), None)
        self._has_class = any(name.rpartition(".")[2] in CLASS_TOKENS for name, _ in model.named_parameters())
        self.grid, self.span = (0, 0), (1.0, 1.0)
        if start >= len(self._layers):
            last = len(self._layers) - 1
            raise Unreachable(f"start={start} is none of its layers 0 to {last}", f"write start={last}, or less")
        if start and not self._has_class:
            raise Unreachable(f"start={start} says when a class token is copied, and it has none", "leave start out")
        self._start, self.takes_mean = start, False
        self._hook()

    @property
    def ends(self) -> tuple[bool, ...]:
        """Whether the model may end in the mean of its patches, most likely first."""
        return (False,) if self._pool is not None else (False, True) if self._has_class else (True,)

    def _hook(self) -> None:
        for layer in self._layers[self._start :]:
            layer.register_forward_hook(self._after_layer, with_kwargs=True)
        if self._norm is not None:
            self._norm.register_forward_hook(self._after_norm)
        if self._pool is not None:
            self._pool.register_forward_hook(self._after_pool)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """What is embedded within, as ever, is looked at: sets ``grid``, the rows and columns of its patches, and
        ``span``, the sides of that grid as shares of the picture's."""

        def seen(_: Any, args: tuple[Tensor], patches: Tensor) -> None:
            rows, columns = patches.shape[-2:]
            self.grid = rows, columns
            height, width = args[0].shape[-2:]
            down, across = self._patches.stride
            self.span = rows * down / height, columns * across / width

        handle = self._patches.register_forward_hook(seen)
        try:
            yield
        finally:
            handle.remove()

    def embed(self, features: Callable[[], Any], counts: Sequence[int], bias: Tensor) -> Any:
        """What ``features()``, a forward pass of B pictures, returns, but for their regions: (S, d) for S regions,
        ``counts`` (B,) of each picture. ``bias`` (S, P) is the logarithm of how much of each patch belongs to each.

        Raises :class:`Unreachable` where layers attend in another way.
        """
        run = Pass(counts, bias.to(self._patches.weight))
        token = _now.set(run)
        try:
            with Attention(run):
                return features()
        finally:
            _now.reset(token)

    def _after_layer(self, layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        """The copies by that layer; where the class token is what the model ends in, they end as the tokens."""
        run = _now.get()
        if run is None or run.of_copies or self.takes_mean or not self._has_class:
            return None
        tokens, rest = (args[0], args[1:]) if args else (kwargs["hidden_states"], ())
        if run.copies is None:
            run.copies = tokens[:, 0].repeat_interleave(torch.tensor(run.counts).to(tokens.device), dim=0)[None]
        named = {name: _of_no_place(name, value) for name, value in kwargs.items() if name != "hidden_states"}
        with run.run_on_copies():
            made = layer(run.copies, *rest, **named)
        run.copies = made[0] if isinstance(made, tuple) else made
        if layer is not self._layers[-1] or self._pool is not None:
            return None
        end = run.copies.transpose(0, 1)
        return (end, *output[1:]) if isinstance(output, tuple) else end

    def _after_norm(self, norm: Any, args: tuple[Tensor], tokens: Tensor) -> Any:
        run = _now.get()
        if run is None or run.of_copies:
            return None
        if self.takes_mean:
            return run.means(tokens)
        if self._pool is not None and run.copies is not None:
            run.of_copies = True
            run.copies, run.of_copies = norm(run.copies), False
        return None

    def _after_pool(self, pool: Any, args: tuple[Tensor], output: Tensor) -> Any:
        """(S, d): the pool of each region, to which its copy, where it has one, is the only token of its own."""
        run, tokens = _now.get(), args[0]
        if run is None or run.of_copies:
            return None
        alone, own = tokens.new_zeros(len(run.bias), 1, tokens.shape[2]), False
        if run.copies is not None and tokens.shape[1] > run.bias.shape[1]:
            alone, own = run.copies.transpose(0, 1), True
        with run.run_on_copies(own):
            return pool(alone)


def _of_no_place(name: str, value: Any) -> Any:
    """What a layer is told beside its tokens, for tokens that have no place in the picture, as the class token."""
    if name == "rope":  # timm: turned are all tokens after the first few
        return None
    if name == "position_embeddings":  # transformers: turned are as many of the last as it has rows
        return tuple(table[..., :0, :] for table in value)
    return value
