"""Dual encoders of the library open_clip, with its own tokenizers and transforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from fgscore import specs
from fgscore.encoders import _one_pass, _open_clip, _text, _trial
from fgscore.encoders._dry import check_size, shapes_only, silent, square
from fgscore.encoders._frozen import Frozen, to_numpy
from fgscore.encoders._looks import Inputs, Transformed
from fgscore.encoders._one_pass import Member, Regions, Start, Tiles, Together
from fgscore.errors import BadParameter, MissingWeights
from fgscore.machine.progress import Progress
from fgscore.pretrained import checkpoint, fit, published
from fgscore.pretrained.hub import Repository
from fgscore.runtime import Runtime
from fgscore.weights import read

HUB = "hf-hub:"  # as open_clip itself writes an id of the hub


def open_clip(
    runtime: Runtime,
    /,
    *,
    model: Annotated[str, specs.StoredAs(published.stored_name)] = "ViT-B-16-SigLIP2",
    pretrained: Annotated[str, specs.StoredAs(published.stored_file)] = "",
    revision: str | None = None,
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32",
    size: Annotated[int, Ge(1)] | None = None,
    regions: Regions = "crops",
    start: Start = 0,
    member: Member = "soft",
    tiles: Tiles = 1,
) -> OpenClip:
    """A dual encoder of the library open_clip, frozen, with its tokenizers and transforms: PE-Core, MobileCLIP2, EVA.

    ``model`` is open_clip's name of an architecture, an id of the hub, or a local folder in open_clip's layout.
    ``pretrained`` goes with a name: the tag of published weights, such as 'webli', or a file of weights; '' is the only
    tag, where there is one. ``size`` in pixels is another than the model's own, with its positions interpolated.
    """
    return OpenClip(runtime, model, pretrained, revision, dtype, size, _one_pass.asked(regions, start, member, tiles))


class OpenClip(Frozen):
    """See :func:`open_clip`. Raises as :class:`Frozen`, and :class:`BadParameter` for a name that open_clip does not
    know."""

    needs = ("torch", "torchvision", "open_clip", "PIL")
    depends = {
        "text": ("model", "pretrained", "revision", "dtype"),
        "globals": ("model", "pretrained", "revision", "dtype", "size", "fit"),
    }

    def __init__(
        self,
        runtime: Runtime,
        model: str,
        pretrained: str,
        revision: str | None,
        dtype: str,
        size: int | None,
        together: Together | None = None,
    ) -> None:
        named = {k: v for k, v in (("model", model), ("pretrained", pretrained), ("revision", revision)) if v}
        text = specs.text("open_clip", named)
        super().__init__(runtime, model.removeprefix(HUB), revision, _open_clip.LAYOUT, text, dtype, together)
        self._pretrained, self._asked_size = pretrained, size
        self._file = Path(pretrained).expanduser() if pretrained and published.is_file(pretrained) else None
        if pretrained and not self._is_architecture:
            raise BadParameter(f"{model} has its own weights, and no pretrained={pretrained!r}; leave that out")

    @property
    def _is_architecture(self) -> bool:
        return not published.is_local(self._name) and _open_clip.is_architecture(self._name)

    @cached_property
    def _repository(self) -> Repository | None:
        if self._file or published.is_local(self._name):
            return None
        return _open_clip.repository(self._name, self._pretrained, self._revision, self._text)

    @cached_property
    def _words_of(self) -> Repository | None:
        """Where the hub has the tokenizer of an architecture."""
        return _open_clip.words(self._name, self._text) if self._is_architecture else None

    def fetch(self, progress: Progress, again: bool = False) -> bool:
        """Also the tokenizer, where that is of another repository."""
        asked = super().fetch(progress, again)
        return self._fetched(self._words_of, progress, again and not asked) or asked

    def weights(self) -> str | None:
        """As of any published model, and of the tokenizer where that is of another repository."""
        found = super().weights()
        if not self._words_of or (self._repository and self._words_of.model == self._repository.model):
            return found
        words = self._words_of.found(self._runtime.offline)
        return specs.digest({"weights": found, "words": words.name})

    def check(self) -> None:
        """Whether weights and tokenizer are there and fit, by their headers: nothing is computed."""
        with shapes_only():
            model = self._made(self.place, device="meta")
        self._at_once(model)
        if self._asked_size:
            check_size(lambda inputs: model.encode_image(inputs["pixel_values"]), square(self._asked_size), self._text)
        self._tokenizer()

    def _outline(self) -> tuple[Callable[[Inputs], Any], Inputs]:
        with shapes_only():
            model = self._made(self.place, device="meta").eval()
        height, width = model.visual.image_size if isinstance(model.visual.image_size, tuple) else (None, None)
        return (lambda inputs: model.encode_image(inputs["pixel_values"])), square(self._asked_size or height)

    def token_ids(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """What the model reads of each text."""
        return [tuple(row) for row in self._tokenizer()(list(texts)).tolist()]

    def _config(self, place: Path) -> tuple[str, Mapping[str, Any]]:
        """The model by the name that open_clip takes, and its configuration."""
        if self._is_architecture:
            name, config = _open_clip.architecture(self._name)
        else:
            name, config = f"local-dir:{place}", _open_clip.of_folder(place)
        _open_clip.check(config, self._name)
        return name, config

    def _tokenizer(self) -> Any:
        place = self.place
        name, config = self._config(place)
        folder = self._words_of.found(self._runtime.offline) if self._words_of else place if place.is_dir() else None
        with silent():
            return _open_clip.tokenizer(config, name, folder)

    def _made(self, place: Path, **how: Any) -> Any:
        """The model with its weights, float32."""
        library, file = _open_clip.library(), self.weight_file
        name, config = self._config(place)
        by_timm = "timm_model_name" in config["vision_cfg"]  # whose positions fit after they are loaded, not before
        checkpoint.check_there(file)
        read(file)  # says what is wrong with it
        looks = {} if self._file or not self._is_architecture else _open_clip.tag(self._name, self._pretrained)[1]
        if self._asked_size and not by_timm:
            how["force_image_size"] = self._asked_size
        try:
            model = library.create_model(
                name, load_weights=False, pretrained_text=False, force_preprocess_cfg=dict(looks), **how
            )
            library.load_checkpoint(model, str(file), strict=True, weights_only=True)
            if self._asked_size and by_timm:
                model.visual.set_input_size(self._asked_size)
        except Exception as error:  # whatever a configuration or a size may lead to
            way_out = "; leave size out" if self._asked_size else "; name another file or model"
            raise MissingWeights(f"expected weights of {self._name} in {file}: {fit.said(error)}{way_out}") from error
        return model

    def _open(self, place: Path) -> tuple[Any, Transformed]:
        library = _open_clip.library()
        with silent():
            model = self._made(place)
            settings = library.transform.PreprocessCfg(**model.visual.preprocess_cfg)
            settings.size = self._asked_size or settings.size
            transform = library.transform.image_transform_v2(settings, is_train=False)
        self._words = self._tokenizer()
        self.logit_scale = float(model.logit_scale.detach().float().exp())
        size = settings.size if isinstance(settings.size, int) else settings.size[-1]
        return model.to(self._dtype), Transformed(transform, size, settings.mean)

    def _features(self, inputs: Inputs) -> Any:
        return self._model.encode_image(inputs["pixel_values"])

    def _try(self, folder: Path) -> int:
        images, rows = self.embed_images(_trial.PICTURES), self.embed_texts(_text.PROBES)
        return _trial.width(images, rows, self._words(list(_text.PROBES)).tolist(), self.logit_scale, folder)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(T, d); texts beyond the model's context are cut."""
        with self._torch.inference_mode():
            return to_numpy(self._model.encode_text(self._words(list(texts)).to(self.device)))

    def beyond_context(self, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` that :meth:`embed_texts` cuts."""
        longer = self._words(list(texts), context_length=self._words.context_length + 1)
        return [text for text, ids in zip(texts, longer, strict=True) if _open_clip.is_cut(self._words, ids)]
