"""How a model looks at a picture: what its own image processor or transform makes of one that is cut and shaped.

``looks(pictures)`` are the model's inputs, (B, ...) tensors by name, for (h, w, 3) uint8; ``size`` is the side in
pixels of its square, ``mean_rgb`` the colour that it counts as none. ``plain`` is the processor where ``_pixels.py``
and ``_crops.py`` do the same by themselves.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fgscore.errors import BadParameter, MissingWeights
from fgscore.pretrained import loading

if TYPE_CHECKING:
    import torch

RGB = tuple[int, int, int]
Box = tuple[float, float, float, float]
Inputs = Mapping[str, "torch.Tensor"]


class Looks(Protocol):
    """See the module."""

    size: int
    mean_rgb: RGB
    plain: Any

    def __call__(self, pictures: Sequence[np.ndarray]) -> Inputs: ...

    def seen(self, height: int, width: int) -> Box:
        """The part of a picture that becomes the model's square, (x0, y0, x1, y1) in the picture's pixels. Raises
        :class:`BadParameter` where that is not known."""
        ...


class Processed:
    """By an image processor of transformers, to squares of one size; or of NaFlex, to as many patches as a square of
    that size has, in the picture's own aspect."""

    def __init__(self, processor: Any) -> None:
        from fgscore.encoders import _pixels

        self.processor = processor
        self.size, self.mean_rgb = input_size(processor), rgb(processor.image_mean)
        self.plain = processor if _pixels.supports(processor) else None

    def __call__(self, pictures: Sequence[np.ndarray]) -> Inputs:
        """What the processor returns for them."""
        own = [one if one.flags.writeable else one.copy() for one in pictures]  # torch warns of what is not
        return dict(self.processor(images=own, return_tensors="pt", input_data_format="channels_last"))

    def seen(self, height: int, width: int) -> Box:
        """As of any :class:`Looks`."""
        if is_naflex(self.processor):
            raise BadParameter("it sees no square of a picture, but patches of all of it")
        if not crops(self.processor):
            return 0, 0, width, height
        given, cut = self.processor.size, self.processor.crop_size
        edge = given.get("shortest_edge")
        to = _shortest(height, width, edge) if edge else (given["height"], given["width"])
        return _centre((height, width), to, (cut["height"], cut["width"]), lambda n: n // 2)


class Transformed:
    """By a transform of torchvision's kind, from one picture of Pillow's to one tensor (3, s, s)."""

    plain = None

    def __init__(self, transform: Callable[[Any], torch.Tensor], size: int, mean: Sequence[float]) -> None:
        self._transform, self.size, self.mean_rgb = transform, size, rgb(mean)

    def __call__(self, pictures: Sequence[np.ndarray]) -> Inputs:
        """The pictures, each through the transform."""
        import torch
        from PIL import Image

        made = [self._transform(Image.fromarray(np.ascontiguousarray(picture))) for picture in pictures]
        return {"pixel_values": torch.stack(made)}

    def seen(self, height: int, width: int) -> Box:
        """As of any :class:`Looks`: of transforms that resize, then cut the centre or fill up around it."""
        to = cut = (height, width)
        for step in vars(self._transform).get("transforms", [self._transform]):
            kind, size = type(step).__name__, vars(step).get("size")
            if kind == "Resize":
                edge = size if isinstance(size, int) else size[0] if len(size) == 1 else None
                to = cut = _shortest(height, width, edge) if edge else (size[0], size[1])
            elif kind == "ResizeKeepRatio":
                by_height, by_width = height / size[0], width / size[1]
                share = step.longest
                ratio = max(by_height, by_width) * share + min(by_height, by_width) * (1 - share)
                to = cut = (round(height / ratio), round(width / ratio))
            elif kind in ("CenterCrop", "CenterCropOrPad"):
                cut = (size, size) if isinstance(size, int) else (size[0], size[-1])
            elif kind not in ("MaybeToTensor", "ToTensor", "Normalize", "MaybeConvertMode"):
                raise BadParameter(f"what its transform {kind} leaves of a picture is not known")
        return _centre((height, width), to, cut, lambda n: round(n / 2) if n > 0 else -(-n // 2))


def _shortest(height: int, width: int, edge: int) -> tuple[int, int]:
    """Height and width of a picture once its shorter edge is ``edge``."""
    short = min(height, width)
    return edge * height // short, edge * width // short


def _centre(picture: tuple[int, int], to: tuple[int, int], cut: tuple[int, int], half: Callable[[int], int]) -> Box:
    """The centre of ``cut`` (height, width) of a ``picture`` that is resized ``to``, in the picture's pixels; ``half``
    of what is left out lies before it."""
    (y0, y1), (x0, x1) = (
        (half(big - small) * length / big, (half(big - small) + small) * length / big)
        for length, big, small in zip(picture, to, cut, strict=True)
    )
    return x0, y0, x1, y1


def rgb(mean: Sequence[float] | None) -> RGB:
    """The colour of a ``mean`` in shares of 1; the middle grey where the model subtracts none."""
    red, green, blue = (round(255 * float(share)) for share in ((0.5, 0.5, 0.5) if mean is None else mean))
    return red, green, blue


def is_naflex(processor: Any) -> bool:
    """Whether it cuts a picture into patches, in place of bringing it to a square."""
    return hasattr(processor, "max_num_patches")


def crops(processor: Any) -> bool:
    """Whether it cuts the centre of a picture, in place of squashing all of it."""
    return bool(getattr(processor, "do_center_crop", False))


def input_size(processor: Any) -> int:
    """Side in pixels of the square that the model sees; of NaFlex, of one with as many patches as it may have."""
    if is_naflex(processor):
        return int(processor.patch_size) * math.isqrt(int(processor.max_num_patches))
    size = processor.crop_size if crops(processor) else processor.size
    return int(size["height"] if size.get("height") is not None else size["shortest_edge"])


def resized(processor: Any, size: int, patch: int) -> Any:
    """``processor`` for a model of patches of ``patch`` pixels that is to see squares of ``size``. Raises
    :class:`BadParameter` where those are no whole patches."""
    if size % patch:
        near = max(1, size // patch) * patch
        raise BadParameter(f"size={size} is no multiple of the model's patches of {patch} pixels; "
                           f"try {near} or {near + patch}")  # fmt: skip
    made, square = copy.deepcopy(processor), {"height": size, "width": size}
    if is_naflex(made):
        made.max_num_patches = (size // patch) ** 2
    elif crops(made):  # what is left out at the edges stays the same share
        shortest = made.size.get("shortest_edge")
        own = input_size(made)
        made.size = type(made.size)(**({"shortest_edge": size * shortest // own} if shortest else square))
        made.crop_size = type(made.crop_size)(**square)
    else:
        made.size = type(made.size)(**square)
    return made


def image_processor(folder: Path, code: bool = False) -> Any:
    """The image processor in ``folder``, by Pillow where it can; raises as :func:`loading.loaded`, or where it does
    not say what pictures it makes."""
    from transformers import AutoImageProcessor

    processor = loading.loaded(AutoImageProcessor, "an image processor", folder, code, backend="pil")
    try:
        input_size(processor)
        rgb(processor.image_mean)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise MissingWeights(
            f"{folder}: preprocessor_config.json does not say the size and mean of pictures; fetch it again"
        ) from error
    return processor
