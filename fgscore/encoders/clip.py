"""Any dual encoder of transformers with image and text features: CLIP, SigLIP and their kin.

``model`` is a hub id, a local folder in transformers' format, or 'demo', the small model that ships with fgscore.
Pictures come to the model's size by ``_pixels.py``, within 2/255 of its image processor, or by that processor itself:
which of the two is provenance, no part of a spec.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fgscore import specs, timing
from fgscore.encoders import _render
from fgscore.errors import BadParameter, MissingWeights, missing_extra
from fgscore.types import Runs, Runtime, file_sha256

if TYPE_CHECKING:
    import torch

VERSION = 1
NEEDS = ("torch", "torchvision", "transformers", "PIL")
PARAMETERS = {"text": ("model", "revision", "dtype"), "globals": ("model", "revision", "dtype", "fit")}
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model")


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
    Raises :class:`MissingWeights` where the model is not to be had, :class:`MissingExtra` without the packages.
    """
    if margin < 0:
        raise BadParameter(f"expected a margin of at least 0, found {margin}")
    return ClipEncoder(runtime, model, revision, dtype, fit, outside, margin)


def resolve(params: dict[str, Any]) -> dict[str, Any]:
    """A local folder is stored under its own name: the weights' hash says the rest."""
    model = str(params["model"])
    return {**params, "model": Path(model).resolve().name if _is_local(model) else model}


def weights(runtime: Runtime, params: dict[str, Any]) -> str:
    """What identifies the weights: the digest of a local model's files, or the commit that a hub id resolves to."""
    folder = _folder(runtime, str(params["model"]), params["revision"])
    if not _is_local(str(params["model"])):
        return folder.name  # the hub cache keeps a snapshot under its commit
    files = sorted({path for pattern in MODEL_FILES for path in folder.glob(pattern)})
    return specs.digest({path.name: file_sha256(path) for path in files})


def _is_local(model: str) -> bool:
    """A hub id has at most one slash and no folder of that name beside us."""
    return model == "demo" or Path(model).is_dir() or model.startswith((".", "/", "~")) or model.count("/") > 1


def _folder(runtime: Runtime, model: str, revision: Any) -> Path:
    """The folder that holds the model. A hub id is fetched only if the local hub cache lacks it."""
    if model == "demo":
        from fgscore import demo

        return demo.clip_folder()
    if _is_local(model):
        folder = Path(model).expanduser()
        if not (folder / "config.json").is_file() or not list(folder.glob("*.safetensors")):
            raise MissingWeights(
                f"expected a transformers folder with config.json and *.safetensors at {folder}, found "
                f"{'neither' if not folder.is_dir() else sorted(p.name for p in folder.iterdir())[:5]}; "
                "write one with save_pretrained, or name a hub id"
            )
        return folder
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise missing_extra("transformers", "the encoder 'clip'") from error
    for offline in (True,) if runtime.offline else (True, False):
        try:
            return Path(
                snapshot_download(model, revision=revision, local_files_only=offline, allow_patterns=list(MODEL_FILES))
            )
        except Exception as error:  # the hub client has no common base for offline, absent and unreachable
            reason = str(error).partition("\n")[0][:160]
    raise MissingWeights(
        f"model {model!r} is neither a folder nor in the local hub cache, and the hub gave none ({reason}); "
        "give a folder: --encoder \"clip(model='DIR')\""
    )


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
        try:
            import torch
            from transformers import AutoImageProcessor, AutoModel, AutoTokenizer
            from transformers.utils import logging
        except ImportError as error:
            raise missing_extra(error.name or "transformers", "the encoder 'clip'") from error
        logging.disable_progress_bar()  # one bar a model is noise beside our own
        folder = _folder(runtime, model, revision)
        self._torch = torch
        self.device = runtime.torch_device()
        self._dtype = getattr(torch, DTYPES[dtype])
        try:
            self._model = AutoModel.from_pretrained(
                folder, dtype=self._dtype, use_safetensors=True, local_files_only=True
            ).to(self.device)
            self._processor = AutoImageProcessor.from_pretrained(folder, backend="pil", local_files_only=True)
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = str(error).partition("\n")[0][:200]
            raise MissingWeights(f"expected a dual encoder that transformers can load in {folder}: {reason}") from error
        self._model.eval()
        self._check(folder)
        self._fit, self._outside, self._margin = fit, outside, margin
        from fgscore.encoders import _crops, _pixels

        ours = runtime.implementation == "exact" and _pixels.supports(self._processor)
        self.implementation = "exact" if ours else "upstream"
        self._mean_rgb = tuple(round(255 * float(m)) for m in self._processor.image_mean)
        self._size = _input_size(self._processor)
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
        self.dim = int(self.embed_texts(["a photo"]).shape[1])

    def _check(self, folder: Path) -> None:
        if not hasattr(self._model, "get_image_features") or not hasattr(self._model, "get_text_features"):
            raise MissingWeights(
                f"expected a model with image and text features in {folder}, found {type(self._model).__name__}"
            )
        # A folder without its vocabulary loads without complaint and cuts every word into single bytes.
        if len(self._tokenizer.tokenize("photo")) > 3:
            raise MissingWeights(
                f"expected a tokenizer that knows words in {folder}, found one that cuts 'photo' into "
                f"{len(self._tokenizer.tokenize('photo'))} pieces; add vocab.json and merges.txt"
            )

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
        from fgscore._float32 import quick_float32

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
        config = self._model.config
        length = config.text_config.max_position_embeddings
        siglip = config.model_type.startswith("siglip")  # trained on text padded to the full length, without a mask
        tokens = self._tokenizer(
            list(texts),
            padding="max_length" if siglip else True,
            truncation=True,
            max_length=length,
            return_tensors="pt",
        ).to(self.device)
        inputs = {"input_ids": tokens["input_ids"]}
        if not siglip:
            inputs["attention_mask"] = tokens["attention_mask"]
        with self._torch.inference_mode():
            return _to_numpy(self._model.get_text_features(**inputs))


def _array(mask: np.ndarray | Runs | None) -> np.ndarray | None:
    return mask.decode() if isinstance(mask, Runs) else mask


def _input_size(processor: Any) -> int:
    """Side in pixels of the square that the model sees."""
    size = processor.crop_size if getattr(processor, "do_center_crop", False) else processor.size
    return int(size["height"] if "height" in size else size["shortest_edge"])


def _to_numpy(features: Any) -> np.ndarray:
    tensor: torch.Tensor = getattr(features, "pooler_output", features)
    return np.asarray(tensor.float().cpu().numpy())
