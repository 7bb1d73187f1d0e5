"""Any dual encoder of transformers with image and text features: CLIP, SigLIP and their kin.

Weights are believed only where all that the embeddings depend on is in the file and fits; no code that a folder brings
is ever run. Pictures come to the model's size by ``_pixels.py``, within 2/255 of its image processor, or by that
processor itself: which of the two is provenance, no part of a spec.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from fgscore import specs
from fgscore.encoders import Encoder, ImageRegions, _render, _text, _transformers, _trial
from fgscore.errors import MissingWeights
from fgscore.machine import timing
from fgscore.pretrained import checkpoint, hub
from fgscore.regular import file_sha256
from fgscore.runtime import Runtime
from fgscore.types import Runs
from fgscore.weights import stand_ins

if TYPE_CHECKING:
    import torch

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
DEMO = "demo"


def _is_local(model: str) -> bool:
    """A hub id has at most one slash and no folder of that name beside us."""
    return model == DEMO or Path(model).is_dir() or model.startswith((".", "/", "~")) or model.count("/") > 1


def stored_name(model: str) -> str:
    """What the store keeps of ``model``: of a local folder its own name, as the weights' digest says the rest."""
    return Path(model).expanduser().resolve().name if _is_local(model) else model


def clip(
    runtime: Runtime,
    /,
    *,
    model: Annotated[str, specs.StoredAs(stored_name)] = "openai/clip-vit-base-patch32",
    revision: str | None = None,
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32",
) -> Clip:
    """Any dual encoder of transformers with image and text features: CLIP, SigLIP and their kin, frozen.

    ``model`` is a hub id, a local folder in transformers' format, or 'demo', the small model that ships with fgscore.
    """
    return Clip(runtime, model, revision, dtype)


class Clip(Encoder):
    """See :func:`clip`. Embeddings are float32 on the CPU, not normalised; masks come as run lengths, which a GPU
    expands by itself.

    Where the model is not to be had or is not what it says, :meth:`weights`, :meth:`check` and :meth:`load` raise
    :class:`MissingWeights`, and :class:`MissingExtra` without the packages.
    """

    needs = ("torch", "torchvision", "transformers", "PIL")
    thread_safe = True  # of several shards at a time
    renders = True  # in its own way
    depends = {"text": ("model", "revision", "dtype"), "globals": ("model", "revision", "dtype", "fit")}

    def __init__(self, runtime: Runtime, model: str, revision: str | None, dtype: str) -> None:
        self._runtime, self._name, self._revision, self._precision = runtime, model, revision, DTYPES[dtype]
        self._streams = threading.local()  # one for each thread, so that one's pictures are made in another's forward
        self._crops: Any = None

    @property
    def folder(self) -> Path:
        """The folder that holds the model, all of it."""
        if self._name == DEMO:
            from fgscore import demo

            return demo.clip_folder()
        if not _is_local(self._name):
            return hub.found(self._name, self._revision, self._runtime.offline)
        folder = Path(self._name).expanduser()
        checkpoint.check_files(folder)
        return folder

    @property
    def is_known(self) -> bool:
        """Whether it is the model that ships with fgscore."""
        return self._name == DEMO

    def weights(self) -> str:
        """What identifies the weights: the digest of a local model's files, or the commit that a hub id resolves to."""
        folder = self.folder
        if not _is_local(self._name):
            return folder.name  # the hub cache keeps a snapshot under its commit
        return specs.digest({path.name: file_sha256(path) for path in checkpoint.files_of(folder)})

    def version_of(self, kind: str) -> int:
        """Of what an artefact of ``kind`` holds: texts depend on how they are read."""
        return _text.version(self.folder) if kind == "text" else self.version

    def fetch(self, progress: hub.Progress, again: bool = False) -> bool:
        """Bring a hub id that the local hub cache lacks, or holds in part, into it; with ``again`` also one that looks
        whole. Returns whether the hub was asked. Raises :class:`MissingWeights`."""
        if _is_local(self._name) or self._runtime.offline:
            return False
        cached = hub.snapshot(self._name, self._revision)
        if cached and hub.whole(cached) and not again:
            return False
        hub.fetch(self._name, self._revision, progress)
        return True

    def files(self) -> list[Path]:
        """The files of the model that are on this machine: of a hub id, those in the local hub cache."""
        local = _is_local(self._name)
        folder = Path(self._name).expanduser() if local else hub.snapshot(self._name, self._revision)
        return sorted(path for path in folder.iterdir() if path.is_file()) if folder and folder.is_dir() else []

    def check(self) -> None:
        """Whether weights and tokenizer are there and fit, by their headers: nothing is computed."""
        folder = self.folder
        with _transformers.quiet():
            config = _transformers.config(folder)
            _transformers.model(folder, config, "float32", stand_ins)
            _transformers.image_processor(folder, config)
            _text.Words(_transformers.tokenizer(folder), config, folder).check()

    def token_ids(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """What the model reads of each text."""
        folder = self.folder
        with _transformers.quiet():
            words = _text.Words(_transformers.tokenizer(folder), _transformers.config(folder), folder)
        return [tuple(ids) for ids in words.read(texts)]

    def load(self) -> None:
        """Load the model onto its device and try it on small pictures and texts."""
        folder = self.folder
        with _transformers.quiet():
            import torch

            config = _transformers.config(folder)
            self._torch = torch
            self.device = self._runtime.torch_device()
            self._dtype = getattr(torch, self._precision)
            self._model = _transformers.model(folder, config, self._precision).to(self.device).eval()
            self._processor = _transformers.image_processor(folder, config)
            self._words = _text.Words(_transformers.tokenizer(folder), config, folder)
        self._words.check()
        self.mean_rgb = _rgb(self._processor)
        self.size = _transformers.input_size(self._processor)
        self._choose_pixels()
        self._profile = self._runtime.profile and self.device.startswith("cuda")
        self.logit_scale = float(self._model.logit_scale.detach().float().exp())
        self.dim = self._try(folder)

    def _choose_pixels(self) -> None:
        """Whose code makes pixels, and by which way."""
        from fgscore.encoders import _crops, _pixels

        how = self.rendering
        ours = self._runtime.implementation == "exact" and _pixels.supports(self._processor)
        self.implementation = "exact" if ours else "upstream"
        self._exact = _pixels.Pixels(self._processor, how.fit == "squash", self.device) if ours else None
        if ours and self.device.startswith("cuda") and how.outside != "blur":
            squashed = how.fit == "crop" and not _transformers.crops(self._processor)
            fit: _render.Fit = "squash" if squashed else how.fit
            settings = (fit, how.outside, how.margin, self.device, self._dtype)
            self._crops = _crops.Crops(self._processor, self.size, *settings)

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
        return _trial.width(images, rows, self._words.ids(_text.PROBES), self.logit_scale, folder)

    def embed_images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """(B, d) for whole images (H, W, 3) uint8."""
        if self._crops:
            return self._embed_cuts([(image, np.array([0, 0, *image.shape[1::-1]]), None) for image in images])
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
        fit = self.rendering.fit
        if self._exact and fit == "squash":
            return self._exact(images)
        ready = [_render.shape_to(image, fit, self.size, self.mean_rgb) for image in images]
        if self._exact:
            return self._exact(ready)
        return self._processor(images=ready, return_tensors="pt", input_data_format="channels_last")["pixel_values"]

    def embed_regions(self, images: Iterable[ImageRegions]) -> Iterator[np.ndarray]:
        """Arrays (m, d): the regions of all ``images``, those of several in one batch."""
        cuts = (cut for one in images for cut in one.cuts())
        return self.batches.embed(self._embed_cuts, cuts)

    def _embed_cuts(self, cuts: Sequence[tuple[np.ndarray, np.ndarray, Runs | None]]) -> np.ndarray:
        """(B, d) for (image, box_xyxy, mask or None)."""
        if self._crops:
            with self._stream():
                with self._torch.inference_mode(), timing.spent("resize"):
                    pixels = self._crops(cuts)
                    if self._profile:
                        self._torch.cuda.synchronize()
                return self._forward(pixels)
        with timing.spent("resize"):
            parts = [self.rendering.cut(image, box, runs.decode() if runs else None, self.mean_rgb)
                     for image, box, runs in cuts]  # fmt: skip
        return self.embed_images(parts)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(T, d); texts beyond the model's context are cut."""
        inputs = {name: tokens.to(self.device) for name, tokens in self._words(texts).items()}
        with self._torch.inference_mode():
            return _to_numpy(self._model.get_text_features(**inputs))

    def beyond_context(self, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` that :meth:`embed_texts` cuts."""
        return self._words.beyond(texts)


def _rgb(processor: Any) -> tuple[int, int, int]:
    red, green, blue = (round(255 * float(mean)) for mean in processor.image_mean)
    return red, green, blue


def _to_numpy(features: Any) -> np.ndarray:
    tensor: torch.Tensor = getattr(features, "pooler_output", features)
    return np.asarray(tensor.float().cpu().numpy())
