"""Any dual encoder of transformers with image and text features: CLIP, SigLIP and their kin.

Weights are believed only where all that the embeddings depend on is in the file and fits; code that a folder brings is
run only where the user wrote so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from fgscore import specs
from fgscore.encoders import _looks, _one_pass, _text, _towers, _trial
from fgscore.encoders._dry import check_size, on_meta
from fgscore.encoders._frozen import Frozen, to_numpy
from fgscore.encoders._looks import Inputs, Processed, is_naflex
from fgscore.encoders._one_pass import Member, Regions, Start, Tiles, Together
from fgscore.pretrained import checkpoint, loading
from fgscore.pretrained.published import stored_name
from fgscore.runtime import Runtime
from fgscore.weights import stand_ins

DEMO = "demo"


def clip(
    runtime: Runtime,
    /,
    *,
    model: Annotated[str, specs.StoredAs(stored_name)] = "openai/clip-vit-base-patch32",
    revision: str | None = None,
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32",
    size: Annotated[int, Ge(1)] | None = None,
    trust_remote_code: bool = False,
    regions: Regions = "crops",
    start: Start = 0,
    member: Member = "soft",
    tiles: Tiles = 1,
) -> Clip:
    """Any dual encoder of transformers with image and text features: CLIP, SigLIP and their kin, frozen.

    ``model`` is a hub id, a local folder in transformers' format, or 'demo', the small model that ships with fgscore.
    ``size`` in pixels is another than the model's own, with its positions interpolated; of a NaFlex model, the square
    that has as many patches as a picture may have. ``trust_remote_code`` runs the Python files that the model brings,
    such as FG-CLIP's.

    ``regions`` are crops, a forward pass each, or all those of an image in 'one_pass': a copy of the class token for
    each sees its patches alone, from layer ``start`` on. A patch belongs to a region by the share of its area within,
    whose logarithm is added to what it is attended by ('soft'), or where that share is at least ``member``. ``tiles``
    of an image a side, such as 2, are passes of their own for the regions that lie within one.
    """
    return Clip(
        runtime, model, revision, dtype, size, trust_remote_code, _one_pass.asked(regions, start, member, tiles)
    )


class Clip(Frozen):
    """See :func:`clip`. Raises as :class:`Frozen`, and :meth:`check` and :meth:`load` raise :class:`BadParameter` for a
    size that the model cannot see."""

    needs = ("torch", "torchvision", "transformers", "PIL")
    depends = {
        "text": ("model", "revision", "dtype", "trust_remote_code"),
        "globals": ("model", "revision", "dtype", "size", "trust_remote_code", "fit"),
    }

    def __init__(
        self,
        runtime: Runtime,
        model: str,
        revision: str | None,
        dtype: str,
        size: int | None,
        code: bool,
        together: Together | None = None,
    ) -> None:
        layout = checkpoint.DUAL
        if code:
            layout = replace(layout, settings=(*layout.settings, "*.py"))
        named = {k: v for k, v in (("model", model), ("revision", revision)) if v is not None}
        text = specs.text("clip", named | ({"trust_remote_code": True} if code else {}))
        super().__init__(runtime, self._folder_of_demo(model), revision, layout, text, dtype, together)
        self._is_demo, self._asked_size, self._code = model == DEMO, size, code

    @staticmethod
    def _folder_of_demo(model: str) -> str:
        if model != DEMO:
            return model
        from fgscore import demo

        return str(demo.clip_folder())

    @property
    def is_known(self) -> bool:
        """Whether it is the model that ships with fgscore."""
        return self._is_demo

    @property
    def runs_code(self) -> bool:
        """Whether the user wrote that it may."""
        return self._code

    def version_of(self, kind: str) -> int:
        """Of what an artefact of ``kind`` holds: texts depend on how they are read."""
        return _text.version(self.place) if kind == "text" else self.version

    def check(self) -> None:
        """Whether weights and tokenizer are there and fit, by their headers: nothing is computed."""
        folder = self.place
        with loading.quiet():
            looks, model, words = self._parts(folder, "float32", stand_ins)
            words.check()
            self._at_once(model)
            if self._asked_size and not is_naflex(looks.processor):
                inputs = on_meta(looks([np.zeros((8, 8, 3), np.uint8)]))
                check_size(partial(_towers.images, model.to("meta")), inputs, self._text)

    def _outline(self) -> tuple[Callable[[Inputs], Any], Inputs]:
        with loading.quiet():
            looks, model, _ = self._parts(self.place, "float32", stand_ins)
            inputs = on_meta(looks([np.zeros((8, 8, 3), np.uint8)]))
        masks: dict[str, Any] = dict.fromkeys(inputs.keys() & {"pixel_attention_mask"})  # padding is multiplied too
        return partial(_towers.images, model.to("meta"), **masks), {k: v for k, v in inputs.items() if k not in masks}

    def token_ids(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """What the model reads of each text."""
        folder = self.place
        with loading.quiet():
            config, kind = loading.config(folder, self._code)
            words = self._reader(folder, config, kind)
        return [tuple(ids) for ids in words.read(texts)]

    def _parts(self, folder: Path, precision: str, weigh: loading.Weigh) -> tuple[Processed, Any, _text.Words]:
        """How the model looks at pictures, itself, and how it reads words."""
        config, kind = loading.config(folder, self._code)
        _towers.check_kind(kind, config, folder)
        processor = _looks.image_processor(folder, self._code)
        looks = _towers.looks(processor, config, self._asked_size, folder)
        sample = looks([np.zeros((8, 8, 3), np.uint8)])
        model = loading.model(
            folder, config, kind, precision, lambda made: _towers.outputs(made, sample), self._layout, weigh
        )
        return looks, model, self._reader(folder, config, kind)

    def _reader(self, folder: Path, config: Any, kind: Any) -> _text.Words:
        """How the model reads words."""
        return _text.Words(_text.tokenizer(folder, self._code), config, folder, _towers.room(kind))

    def _open(self, folder: Path) -> tuple[Any, Processed]:
        with loading.quiet():
            looks, model, self._words = self._parts(folder, self._precision, dict)
        self._words.check()
        self.logit_scale = _towers.scale(model)
        return model, looks

    def _features(self, inputs: Inputs) -> Any:
        return _towers.images(self._model, inputs)

    def _try(self, folder: Path) -> int:
        images, rows = self.embed_images(_trial.PICTURES), self.embed_texts(_text.PROBES)
        return _trial.width(images, rows, self._words.ids(_text.PROBES), self.logit_scale, folder)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """(T, d); texts beyond the model's context are cut."""
        inputs = {name: tokens.to(self.device) for name, tokens in self._words(texts).items()}
        with self._torch.inference_mode():
            return to_numpy(_towers.texts(self._model, inputs))

    def beyond_context(self, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` that :meth:`embed_texts` cuts."""
        return self._words.beyond(texts)
