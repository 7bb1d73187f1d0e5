"""Any dual encoder of transformers with image and text features: CLIP, SigLIP and their kin.

``model`` is a hub id, a local folder in transformers' format, or 'demo', the small model that ships with fgscore.
Weights are believed only where all that the embeddings depend on is in the file and fits; no code that a folder brings
is ever run. Pictures come to the model's size by ``_pixels.py``, within 2/255 of its image processor, or by that
processor itself: which of the two is provenance, no part of a spec.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fgscore import specs
from fgscore.encoders import _checkpoint, _hub, _render, _text, _transformers
from fgscore.errors import BadParameter, MissingWeights
from fgscore.machine import timing
from fgscore.types import Runs, Runtime, file_sha256
from fgscore.weights import stand_ins

if TYPE_CHECKING:
    import torch

VERSION = 1
NEEDS = ("torch", "torchvision", "transformers", "PIL")
PARAMETERS = {"text": ("model", "revision", "dtype"), "globals": ("model", "revision", "dtype", "fit")}
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def load(
    runtime: Runtime,
    /,
    *,
    model: str = "openai/clip-vit-base-patch32",
    revision: str | None = None,
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32",
    fit: _render.Fit = "crop",
    outside: _render.Outside = "black",
    margin: float = 0.0,
) -> ClipEncoder:
    """An encoder of transformers, frozen.

    ``fit`` is how an image comes to the model's square: centre crop, padding or squashing. Regions only: ``outside``
    is what becomes of pixels outside a mask, ``margin`` the context around a box, in box sides.
    Raises :class:`MissingWeights` where the model is not to be had or is not what it says, :class:`MissingExtra`
    without the packages.
    """
    if margin < 0:
        raise BadParameter(f"expected a margin of at least 0, found {margin}")
    return ClipEncoder(runtime, model, revision, dtype, fit, outside, margin)


def resolve(params: dict[str, Any]) -> dict[str, Any]:
    """A local folder is stored under its own name: the weights' hash says the rest."""
    model = str(params["model"])
    return {**params, "model": Path(model).expanduser().resolve().name if _is_local(model) else model}


def weights(runtime: Runtime, params: dict[str, Any]) -> str:
    """What identifies the weights: the digest of a local model's files, or the commit that a hub id resolves to."""
    folder = _folder(runtime, str(params["model"]), params["revision"])
    if not _is_local(str(params["model"])):
        return folder.name  # the hub cache keeps a snapshot under its commit
    return specs.digest({path.name: file_sha256(path) for path in _checkpoint.files_of(folder)})


def version(runtime: Runtime, params: dict[str, Any], kind: str) -> int:
    """Of what an artefact of ``kind`` holds."""
    return _text.version(_folder(runtime, str(params["model"]), params["revision"])) if kind == "text" else VERSION


def fetch(runtime: Runtime, params: Mapping[str, Any], progress: _hub.Progress, again: bool = False) -> bool:
    """Bring a hub id that the local hub cache lacks, or holds in part, into it; with ``again`` also one that looks
    whole. Returns whether the hub was asked. Raises :class:`MissingWeights`."""
    model, revision = str(params["model"]), params["revision"]
    if _is_local(model) or runtime.offline:
        return False
    cached = _hub.snapshot(model, revision)
    if cached and _hub.whole(cached) and not again:
        return False
    _hub.fetch(model, revision, progress)
    return True


def files(params: Mapping[str, Any]) -> list[Path]:
    """The files of the model that are on this machine: of a hub id, those in the local hub cache."""
    model = str(params["model"])
    folder = Path(model).expanduser() if _is_local(model) else _hub.snapshot(model, params["revision"])
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder and folder.is_dir() else []


def check(runtime: Runtime, params: Mapping[str, Any]) -> None:
    """Whether weights and tokenizer are there and fit, by their headers: nothing is computed.

    Raises :class:`MissingWeights` or :class:`MissingExtra`.
    """
    folder = _folder(runtime, str(params["model"]), params["revision"])
    with _transformers.quiet():
        config = _transformers.config(folder)
        _transformers.model(folder, config, "float32", stand_ins)
        _transformers.image_processor(folder, config)
        _text.Words(_transformers.tokenizer(folder), config, folder).check()


def tokens(runtime: Runtime, params: Mapping[str, Any], texts: Sequence[str]) -> list[tuple[int, ...]]:
    """What the model reads of each text: two that are equal here have one embedding."""
    folder = _folder(runtime, str(params["model"]), params["revision"])
    with _transformers.quiet():
        words = _text.Words(_transformers.tokenizer(folder), _transformers.config(folder), folder)
    return [tuple(ids) for ids in words.read(texts)]


def _is_local(model: str) -> bool:
    """A hub id has at most one slash and no folder of that name beside us."""
    return model == "demo" or Path(model).is_dir() or model.startswith((".", "/", "~")) or model.count("/") > 1


def _folder(runtime: Runtime, model: str, revision: Any) -> Path:
    """The folder that holds the model, all of it."""
    if model == "demo":
        from fgscore import demo

        return demo.clip_folder()
    if not _is_local(model):
        return _hub.found(model, revision, runtime.offline)
    folder = Path(model).expanduser()
    _checkpoint.check_files(folder)
    return folder


class ClipEncoder:
    """See the module. ``embed_*`` return float32 on the CPU, not normalised. ``takes_runs``: masks may come as run
    lengths, which a GPU expands by itself."""

    thread_safe = True  # of several shards at a time

    def __init__(
        self,
        runtime: Runtime,
        model: str,
        revision: str | None,
        dtype: str,
        fit: _render.Fit,
        outside: _render.Outside,
        margin: float,
    ) -> None:
        folder = _folder(runtime, model, revision)
        with _transformers.quiet():
            import torch

            config = _transformers.config(folder)
            self._torch = torch
            self.device = runtime.torch_device()
            self._dtype = getattr(torch, DTYPES[dtype])
            self._model = _transformers.model(folder, config, DTYPES[dtype]).to(self.device).eval()
            self._processor = _transformers.image_processor(folder, config)
            self._words = _text.Words(_transformers.tokenizer(folder), config, folder)
        self._words.check()
        self._fit, self._outside, self._margin = fit, outside, margin
        from fgscore.encoders import _crops, _pixels

        ours = runtime.implementation == "exact" and _pixels.supports(self._processor)
        self.implementation = "exact" if ours else "upstream"
        self._mean_rgb = tuple(round(255 * float(m)) for m in self._processor.image_mean)
        self._size = _transformers.input_size(self._processor)
        self._exact = _pixels.Pixels(self._processor, fit == "squash", self.device) if ours else None
        self._crops: Any = None
        if ours and self.device.startswith("cuda") and outside != "blur":
            centred = getattr(self._processor, "do_center_crop", False)
            shape: _render.Fit = "squash" if fit == "crop" and not centred else fit
            self._crops = _crops.Crops(self._processor, self._size, shape, outside, margin, self.device, self._dtype)
        self.takes_runs = self._crops is not None
        self._streams = threading.local()  # one for each thread, so that one's pictures are made in another's forward
        self._profile = runtime.profile and self.device.startswith("cuda")
        self.logit_scale = float(self._model.logit_scale.detach().float().exp())
        self.dim = self._try(folder)

    def _try(self, folder: Path) -> int:
        """The width of the embeddings, of small pictures and of texts that must not be alike. Raises
        :class:`MissingWeights` where the model cannot do either."""
        pictures = [np.zeros((8, 8, 3), np.uint8), np.arange(192, dtype=np.uint8).reshape(8, 8, 3)]
        try:
            images, rows = self.embed_images(pictures), self.embed_texts(_text.PROBES)
        except MissingWeights:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {_transformers.first_line(error)}"
            kind = type(self._model).__name__
            raise MissingWeights(f"{folder}: {kind} cannot be driven as a dual encoder ({reason})") from error
        if not (np.isfinite(images).all() and np.isfinite(rows).all() and np.isfinite(self.logit_scale)):
            raise MissingWeights(f"{folder}: its embeddings are not finite; use dtype=fp32, or fetch its weights again")
        if images.shape[1] != rows.shape[1]:
            raise MissingWeights(f"{folder}: images are {images.shape[1]} wide and texts {rows.shape[1]}; name another")
        if _equal(images[0], images[1]) or not images.any(axis=1).all() or not rows.any(axis=1).all():
            raise MissingWeights(f"{folder}: every picture gets the same embedding, or none; fetch its weights again")
        ids = self._words.ids(_text.PROBES)
        for i, j in zip(*np.triu_indices(len(rows), 1), strict=True):
            if ids[i] != ids[j] and _equal(rows[i], rows[j]):
                raise MissingWeights(
                    f"{folder}: {_text.PROBES[i]!r} and {_text.PROBES[j]!r} get the same embedding: the model does not "
                    "read to the end of a text; config.json and tokenizer are not of one model"
                )
        return int(rows.shape[1])

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(B, d) for whole images (H, W, 3) uint8."""
        if self._crops:
            whole = [np.array([0, 0, image.shape[1], image.shape[0]]) for image in images]
            return self.embed_regions([(image, box, None) for image, box in zip(images, whole, strict=True)])
        with self._torch.inference_mode(), timing.spent("resize"):
            pixels = self._pixel_values(images).to(self.device, self._dtype)
        return self._forward(pixels)

    def _stream(self) -> AbstractContextManager[Any]:
        """What this thread has the GPU do is done in an order of its own."""
        if not self.device.startswith("cuda"):
            return nullcontext()
        if not hasattr(self._streams, "own"):
            self._streams.own = self._torch.cuda.Stream(self.device)
            self._streams.own.wait_stream(self._torch.cuda.default_stream(self.device))  # the weights are there
        return self._torch.cuda.stream(self._streams.own)

    def _forward(self, pixels: torch.Tensor) -> np.ndarray:
        """(B, d) for ``pixels`` (B, 3, s, s) on the device."""
        from fgscore.machine.float32 import quick_float32

        with self._torch.inference_mode(), timing.spent("forward"), quick_float32():
            return _to_numpy(self._model.get_image_features(pixel_values=pixels))

    def _pixel_values(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """(B, 3, s, s) for images (H, W, 3) uint8, by our own code or by the model's image processor."""
        if self._exact and self._fit == "squash":
            return self._exact(images)
        ready = [_render.shape_to(image, self._fit, self._size, self._mean_rgb) for image in images]
        if self._exact:
            return self._exact(ready)
        return self._processor(images=ready, return_tensors="pt", input_data_format="channels_last")["pixel_values"]

    def embed_regions(self, cuts: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray | Runs | None]]) -> np.ndarray:
        """(B, d) for (image, box_xyxy, mask or None)."""
        if self._crops:
            with self._stream():
                with self._torch.inference_mode(), timing.spent("resize"):
                    pixels = self._crops(cuts)
                    if self._profile:
                        self._torch.cuda.synchronize()
                return self._forward(pixels)
        with timing.spent("resize"):
            parts = [_render.cut(i, box, _array(mask), self._outside, self._margin, self._mean_rgb)
                     for i, box, mask in cuts]  # fmt: skip
        return self.embed_images(parts)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(T, d); texts beyond the model's context are cut."""
        inputs = {name: tokens.to(self.device) for name, tokens in self._words(texts).items()}
        with self._torch.inference_mode():
            return _to_numpy(self._model.get_text_features(**inputs))

    def beyond_context(self, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` that :meth:`embed_texts` cuts."""
        return self._words.beyond(texts)


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.linalg.norm(a - b) <= 1e-6 * np.linalg.norm(a))


def _array(mask: np.ndarray | Runs | None) -> np.ndarray | None:
    return mask.decode() if isinstance(mask, Runs) else mask


def _to_numpy(features: Any) -> np.ndarray:
    tensor: torch.Tensor = getattr(features, "pooler_output", features)
    return np.asarray(tensor.float().cpu().numpy())
