"""SAM 2 and SAM 3 in transformers' layout: which models are meant, found, looked at and loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fgscore import specs
from fgscore.errors import MissingWeights
from fgscore.machine.memory import keep_freed
from fgscore.pretrained import checkpoint, loading
from fgscore.pretrained.checkpoint import CONFIG, PIXELS, Layout
from fgscore.pretrained.published import Published
from fgscore.regions.sam.generator import SegmentEverything, Settings
from fgscore.runtime import Runtime
from fgscore.weights import listed, not_finite, stand_ins

if TYPE_CHECKING:
    from fgscore.regions.sam.masks import Masks

# other types of models that segment, and what to do
OTHERS = {
    "sam": "is SAM in transformers' layout: take its original file, by `fgscore download sam`, and sam(checkpoint=...)",
    "sam_hq": "is SAM-HQ, whose decoder has more to it; name another",
    "edgetam": "is EdgeTAM, which is not supported; name another",
    "edgetam_video": "is EdgeTAM, which is not supported; name another",
    "sam3": "is SAM 3's detector alone, which knows no points: name the whole model, such as facebook/sam3",
    "sam3_lite_text": "is SAM 3's detector alone, which knows no points: name the whole model, such as facebook/sam3",
}
# the component for each type of model
HOMES = {"sam2": "sam2", "sam2_video": "sam2"}
HOMES |= dict.fromkeys(("sam3_video", "sam3_tracker", "sam3_tracker_video"), "sam3")


class PublishedSam(SegmentEverything, Published):
    """A generator by transformers' model of the class ``model_class``, which is called ``called``; ``component`` is its
    name. Where the model is not to be had or is not what it says, :meth:`weights`, :meth:`check` and :meth:`load` raise
    :class:`MissingWeights`, and :class:`MissingExtra` without the packages."""

    needs = ("torch", "torchvision", "transformers", "segment_anything", "PIL")
    thread_safe = True
    component: ClassVar[str]
    called: ClassVar[str]
    model_class: ClassVar[str]

    def __init__(
        self, runtime: Runtime, model: str, revision: str | None, max_side: int | None, settings: Settings
    ) -> None:
        SegmentEverything.__init__(self, max_side)
        named = {name: value for name, value in (("model", model), ("revision", revision)) if value is not None}
        layout = Layout(self.component, "transformers' layout", (CONFIG, PIXELS), option="--regions")
        Published.__init__(self, runtime, model, revision, layout, specs.text(self.component, named))
        self._settings = settings

    def check(self) -> None:
        """Whether the weights are there and fit, by their headers: nothing is computed."""
        with loading.quiet():
            self._parts(self.place, stand_ins)

    def load(self) -> None:
        """Load the model onto its device."""
        folder = self.place
        with loading.quiet():
            model, processor = self._parts(folder, dict)
        if wrong := not_finite(dict(model.named_parameters())):
            raise MissingWeights(f"{folder}: {len(wrong)} weights are not finite: {listed(wrong)}; fetch it again")
        from fgscore.regions.sam.points import PointGenerator

        self.device = self._runtime.torch_device()
        self._points = PointGenerator(model.to(self.device).eval(), processor, self._settings)
        if self.device == "cpu":
            keep_freed()

    def _parts(self, folder: Path, weigh: loading.Weigh) -> tuple[Any, Any]:
        """The model in ``folder``, and what makes its input of a picture."""
        import transformers

        from fgscore.regions.sam.points import outputs

        self._check_type(folder)
        config, _ = loading.config(folder)
        kind = getattr(transformers, self.model_class)
        model = loading.model(folder, config, kind, "float32", outputs, self._layout, weigh)
        processor = loading.loaded(transformers.AutoImageProcessor, "image processor", folder)
        side = model.prompt_encoder.input_image_size
        made = processor(images=[np.zeros((8, 8, 3), np.uint8)], return_tensors="pt")["pixel_values"].shape[-2:]
        if tuple(made) != (side, side):
            raise MissingWeights(
                f"{folder}: its image processor makes pictures of {' x '.join(map(str, made))} pixels, the model sees "
                f"{side} x {side}; fetch it again"
            )
        return model, processor

    def _check_type(self, folder: Path) -> None:
        """Raises :class:`MissingWeights` that says what the model in ``folder`` is, unless it is one of this family."""
        kind = str(checkpoint.read_json(folder / "config.json").get("model_type", ""))
        if HOMES.get(kind) == self.component:
            return
        if kind in HOMES:
            raise MissingWeights(f"{folder}: a {kind} model is another family's: name it by {HOMES[kind]}(model=...)")
        if kind in OTHERS:
            raise MissingWeights(f"{folder}: a {kind} model {OTHERS[kind]}")
        found = f"a {kind} model" if kind else "no model_type in its config.json"
        raise MissingWeights(f"expected {self.called} in {folder}, found {found}; name another")

    def _macs_of_crop(self) -> tuple[int, int]:
        from fgscore.regions.sam.points import macs_of_crop

        with loading.quiet():
            model, _ = self._parts(self.place, stand_ins)
        return macs_of_crop(model.to("meta"))

    def _grids(self) -> list[np.ndarray]:
        return self._settings.point_grids

    def _generate(self, image: np.ndarray) -> Masks:
        return self._points.generate(image)
