"""Models of pictures alone of transformers: DINOv2, DINOv3, ViT and their kin."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from fgscore import specs
from fgscore.encoders import _looks, _one_pass, _tokens, _trial
from fgscore.encoders._dry import check_size, on_meta
from fgscore.encoders._frozen import Frozen
from fgscore.encoders._looks import Inputs, Processed
from fgscore.encoders._one_pass import Member, Regions, Start, Tiles, Together
from fgscore.pretrained import checkpoint, loading
from fgscore.pretrained.published import stored_name
from fgscore.runtime import Runtime
from fgscore.weights import stand_ins

LAYOUT = checkpoint.Layout("vision", "transformers' layout", (checkpoint.CONFIG, checkpoint.PIXELS))


def vision(
    runtime: Runtime,
    /,
    *,
    model: Annotated[str, specs.StoredAs(stored_name)] = "facebook/dinov2-base",
    revision: str | None = None,
    pool: Literal["cls", "mean"] = "cls",
    dtype: Literal["fp32", "fp16", "bf16"] = "fp32",
    size: Annotated[int, Ge(1)] | None = None,
    regions: Regions = "crops",
    start: Start = 0,
    member: Member = "soft",
    tiles: Tiles = 1,
) -> Vision:
    """A model of pictures alone of transformers, frozen: DINOv2, DINOv3, ViT and their kin. It reads no text.

    ``model`` is a hub id or a local folder in transformers' format. ``pool`` takes the class token after the last
    layer, or the mean of the patches' tokens, without those of registers. ``size`` in pixels is another than the
    model's own, with its positions interpolated.
    """
    return Vision(runtime, model, revision, pool, dtype, size, _one_pass.asked(regions, start, member, tiles))


class Vision(Frozen):
    """See :func:`vision`. Raises as :class:`Frozen`, and :meth:`check` and :meth:`load` raise :class:`BadParameter` for
    a pooling or a size that the model does not have."""

    needs = ("torch", "torchvision", "transformers", "PIL")
    drives = "an encoder of pictures"
    logit_scale = 1.0  # it reads no text

    def __init__(
        self,
        runtime: Runtime,
        model: str,
        revision: str | None,
        pool: str,
        dtype: str,
        size: int | None,
        together: Together | None = None,
    ) -> None:
        named = {k: v for k, v in (("model", model), ("revision", revision)) if v is not None}
        super().__init__(runtime, model, revision, LAYOUT, specs.text("vision", named), dtype, together)
        self._pool, self._asked_size = pool, size
        self.depends = {"globals": ("model", "revision", "pool", "dtype", "size", "fit")}

    def check(self) -> None:
        """Whether weights are there and fit, by their headers: nothing is computed."""
        folder = self.place
        with loading.quiet():
            looks, model = self._parts(folder, "float32", stand_ins)
            self._at_once(model)
            if self._asked_size:
                inputs = on_meta(looks([np.zeros((8, 8, 3), np.uint8)]))
                check_size(partial(_tokens.pooled, model.to("meta"), pool=self._pool), inputs, self._text)

    def _outline(self) -> tuple[Callable[[Inputs], Any], Inputs]:
        with loading.quiet():
            looks, model = self._parts(self.place, "float32", stand_ins)
            inputs = on_meta(looks([np.zeros((8, 8, 3), np.uint8)]))
        return partial(_tokens.pooled, model.to("meta"), pool=self._pool), inputs

    def _parts(self, folder: Path, precision: str, weigh: loading.Weigh) -> tuple[Processed, Any]:
        """How the model looks at pictures, and itself."""
        config, kind = loading.config(folder)
        _tokens.check_kind(kind, config, folder)
        looks = _tokens.looks(_looks.image_processor(folder), config, self._asked_size, folder)
        sample = looks([np.zeros((8, 8, 3), np.uint8)])
        model = loading.model(
            folder, config, kind, precision, lambda made: _tokens.outputs(made, sample, self._pool), LAYOUT, weigh
        )
        _tokens.check_pool(model, self._pool, folder)
        return looks, model

    def _open(self, folder: Path) -> tuple[Any, Processed]:
        with loading.quiet():
            looks, model = self._parts(folder, self._precision, dict)
        return model, looks

    def _features(self, inputs: Inputs) -> Any:
        return _tokens.pooled(self._model, inputs, self._pool)

    def _try(self, folder: Path) -> int:
        return _trial.of_pictures(self.embed_images, folder)
