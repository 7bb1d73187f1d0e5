"""Libraries made to build a model without weights, or without a word."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fgscore.encoders._looks import Inputs
from fgscore.errors import BadParameter
from fgscore.pretrained import fit


@contextmanager
def silent() -> Iterator[None]:
    """What a library warns of or logs to the root logger is not said: what of it matters is an error of ours."""
    root = logging.getLogger()
    level, handler = root.level, logging.NullHandler()
    root.addHandler(handler)  # else the first word to the root logger gives it one for good
    root.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Tensors made within have a shape and no numbers; numbers copied into them are checked by their shape."""
    import torch

    with silent(), torch.device("meta"):
        yield


def on_meta(inputs: Inputs) -> Inputs:
    """The shapes of a model's inputs; whole numbers stay, by which a model may look at parts of the others."""
    return {name: tensor.to("meta") if tensor.is_floating_point() else tensor for name, tensor in inputs.items()}


def square(size: int) -> Inputs:
    """The shape of one picture of ``size`` pixels."""
    import torch

    return {"pixel_values": torch.empty(1, 3, size, size, device="meta")}


def check_size(forward: Callable[[Inputs], Any], inputs: Inputs, who: str) -> None:
    """Raises :class:`BadParameter` where ``forward``, of a model without numbers, cannot take ``inputs``: by shapes
    alone, nothing is computed. ``who`` is what the message calls the model."""
    import torch

    try:
        with torch.inference_mode(), shapes_only():
            forward(inputs)
    except Exception as error:
        raise BadParameter(f"{who} cannot see pictures of that size ({fit.said(error)}); leave size out") from error
