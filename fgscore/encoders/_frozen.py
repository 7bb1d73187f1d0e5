"""Encoders by a model of torch: their pictures, regions and batches on whatever device.

Pictures come to the model's size by ``_pixels.py``, within 2/255 of its image processor, or by that processor itself:
which of the two is provenance, no part of a spec.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fgscore.encoders import Encoder, ImageRegions, _looks, _render
from fgscore.encoders._looks import Inputs, Looks
from fgscore.encoders._one_pass import Together
from fgscore.errors import MissingWeights
from fgscore.machine import timing
from fgscore.machine.macs import macs_of
from fgscore.pretrained import fit
from fgscore.pretrained.checkpoint import Layout
from fgscore.pretrained.published import Published
from fgscore.runtime import Runtime
from fgscore.types import Runs

if TYPE_CHECKING:
    import torch

    from fgscore.encoders._one_pass.regions import AtOnce

Cut = tuple[np.ndarray, np.ndarray, Runs | None]  # image, box_xyxy, mask
Restrict = Callable[[Callable[[], Any]], Any]
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class Frozen(Published, Encoder):
    """An encoder by a model of torch that is not trained. Embeddings are float32 on the CPU, not normalised; masks come
    as run lengths, which a GPU expands by itself. :meth:`load` raises :class:`MissingWeights` where the model is not
    what it says, and :class:`MissingExtra` without the packages."""

    thread_safe = True  # of several shards at a time
    shapes = True
    drives: ClassVar[str] = "a dual encoder"

    def __init__(
        self,
        runtime: Runtime,
        model: str,
        revision: str | None,
        layout: Layout,
        text: str,
        dtype: str,
        together: Together | None = None,
    ) -> None:
        super().__init__(runtime, model, revision, layout, text)
        self._precision, self._together = DTYPES[dtype], together
        self._streams = threading.local()  # one for each thread, so that one's pictures are made in another's forward
        self._crops: Any = None
        self._one_pass: AtOnce | None = None

    @property
    def renders(self) -> bool:
        """In its own way; in one pass there are no pictures of regions."""
        return self._together is None

    @property
    def at_once(self) -> bool:
        """In one pass."""
        return self._together is not None

    @property
    def unseen(self) -> int:
        """In one pass; crops are always seen."""
        return self._one_pass.unseen if self._one_pass else 0

    @abstractmethod
    def _open(self, folder: Path) -> tuple[Any, Looks]:
        """The model in ``folder``, in :attr:`_precision` on the CPU, and how it looks at pictures."""

    @abstractmethod
    def _outline(self) -> tuple[Callable[[Inputs], Any], Inputs]:
        """The model's forward pass on the meta device, and the shapes of one picture for it. Raises as :meth:`load`."""

    @abstractmethod
    def _features(self, inputs: Inputs) -> Any:
        """(B, d) for the model's ``inputs`` on its device, or an output of transformers that has them."""

    @abstractmethod
    def _try(self, folder: Path) -> int:
        """The width of the embeddings, of small pictures (and texts) that must not be alike. Raises
        :class:`MissingWeights` where the model cannot tell them apart."""

    def macs(self, regions: int) -> int | None:
        """Multiply-accumulates of an image and so many regions of it: each is a forward pass, or all have one, as if
        some lay in every tile, which is known once it is loaded. Raises as :meth:`load`."""
        picture = self._macs_of_picture
        if picture is None or self._together is None:
            return None if picture is None else (1 + regions) * picture
        if self._one_pass is None:
            return None
        passes = 1 + (self._together.tiles**2 if regions and self._together.tiles > 1 else 0)
        return passes * picture + regions * self._one_pass.macs_of_copy

    @cached_property
    def _macs_of_picture(self) -> int | None:
        forward, inputs = self._outline()
        try:
            return macs_of(lambda: forward(inputs))
        except (NotImplementedError, RuntimeError):  # code that a model brings may ask for numbers, which are not there
            return None

    def load(self) -> None:
        """Load the model onto its device and try it on small pictures."""
        folder = self.place
        import torch

        self._torch = torch
        self.device = self._runtime.torch_device()
        self._dtype = getattr(torch, self._precision)
        model, self._looks = self._open(folder)
        self._model = model.to(self.device).eval()
        self.mean_rgb, self.size = self._looks.mean_rgb, self._looks.size
        self._choose_pixels()
        self._profile = self._runtime.profile and self.device.startswith("cuda")
        try:
            self.dim = self._try(folder)
        except MissingWeights:
            raise
        except Exception as error:  # whatever a model may do with pictures
            reason = f"{type(error).__name__}: {fit.first_line(error)}"
            kind = type(self._model).__name__
            raise MissingWeights(f"{folder}: {kind} cannot be driven as {self.drives} ({reason})") from error
        if at_once := self._at_once(self._model):
            at_once.begin(self._restricted, self._looks, self.rendering.fit, self._precision)
            self._one_pass = at_once

    def _at_once(self, model: Any) -> AtOnce | None:
        """What embeds regions in one pass of ``model``; None for crops. Raises :class:`BadParameter` where there is
        none."""
        if self._together is None:
            return None
        from fgscore.encoders._one_pass.regions import AtOnce

        return AtOnce(model, self._together, self._text)

    def _choose_pixels(self) -> None:
        """Whose code makes pixels, and by which way."""
        from fgscore.encoders import _crops, _pixels

        how, processor = self.rendering, self._looks.plain
        ours = self._runtime.implementation == "exact" and processor is not None
        self.implementation = "exact" if ours else "upstream"
        self._exact = _pixels.Pixels(processor, how.fit == "squash", self.device) if ours else None
        if ours and self.device.startswith("cuda") and how.outside != "blur":
            squashed = how.fit == "crop" and not _looks.crops(processor)
            fit: _render.Fit = "squash" if squashed else how.fit
            settings = (fit, how.outside, how.margin, self.device, self._dtype)
            self._crops = _crops.Crops(processor, self.size, *settings)

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(B, d) for whole images (H, W, 3) uint8."""
        return self._restricted(images, lambda features: features())

    def _restricted(self, images: Sequence[np.ndarray], restrict: Restrict) -> np.ndarray:
        """Rows of what ``restrict`` makes of the model's features of whole images."""
        if self._crops:
            cuts = [(image, np.array([0, 0, *image.shape[1::-1]]), None) for image in images]
            with self._stream():
                return self._forward({"pixel_values": self._cut(cuts)}, restrict)
        with self._torch.inference_mode(), timing.spent("resize"):
            inputs = {name: self._placed(tensor) for name, tensor in self._inputs(images).items()}
        return self._forward(inputs, restrict)

    def _placed(self, tensor: torch.Tensor) -> torch.Tensor:
        """On the device, in the model's precision where it is of real numbers."""
        return tensor.to(self.device, self._dtype if tensor.is_floating_point() else None)

    def _stream(self) -> AbstractContextManager[Any]:
        """What this thread has the GPU do is done in an order of its own."""
        if not self.device.startswith("cuda"):
            return nullcontext()
        if not hasattr(self._streams, "own"):
            self._streams.own = self._torch.cuda.Stream(self.device)
            self._streams.own.wait_stream(self._torch.cuda.default_stream(self.device))  # the weights are there
        return self._torch.cuda.stream(self._streams.own)

    def _forward(self, inputs: Inputs, restrict: Restrict = lambda features: features()) -> np.ndarray:
        """(B, d) for ``inputs`` on the device, or what ``restrict`` makes of their features."""
        from fgscore.machine.float32 import quick_float32

        with self._torch.inference_mode(), timing.spent("forward"), quick_float32():
            return to_numpy(restrict(lambda: self._features(inputs)))

    def _inputs(self, images: Sequence[np.ndarray]) -> Inputs:
        """The model's inputs for images (H, W, 3) uint8, by our own code or by the model's image processor."""
        fit = self.rendering.fit
        if self._exact and fit == "squash":
            return {"pixel_values": self._exact(images)}
        ready = [_render.shape_to(image, fit, self.size, self.mean_rgb) for image in images]
        return {"pixel_values": self._exact(ready)} if self._exact else self._looks(ready)

    def embed_regions(self, images: Iterable[ImageRegions]) -> Iterator[np.ndarray]:
        """Arrays (m, d): the regions of all ``images``, those of several in one batch."""
        if self._one_pass:
            return self._one_pass.embed(images, self.batches)
        cuts = (cut for one in images for cut in one.cuts())
        return self.batches.embed(self._embed_cuts, cuts)

    def _embed_cuts(self, cuts: Sequence[Cut]) -> np.ndarray:
        """(B, d) for (image, box_xyxy, mask or None)."""
        if self._crops:
            with self._stream():
                return self._forward({"pixel_values": self._cut(cuts)})
        with timing.spent("resize"):
            parts = [self.rendering.cut(image, box, runs.decode() if runs else None, self.mean_rgb)
                     for image, box, runs in cuts]  # fmt: skip
        return self.embed_images(parts)

    def _cut(self, cuts: Sequence[Cut]) -> torch.Tensor:
        """The model's pictures of ``cuts``, by a GPU."""
        with self._torch.inference_mode(), timing.spent("resize"):
            pixels: torch.Tensor = self._crops(cuts)
            if self._profile:
                self._torch.cuda.synchronize()
        return pixels


def to_numpy(features: Any) -> np.ndarray:
    """(B, d) float32 of a tensor, or of what is pooled in an output of transformers."""
    tensor: torch.Tensor = getattr(features, "pooler_output", features)
    return np.asarray(tensor.float().cpu().numpy())
