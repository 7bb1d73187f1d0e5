"""A saved probe on new photos: the whole chain for a few images, nothing cached.

A photo goes through what the training photos went through: regions by the recorded generator, embeddings by the
recorded encoder (rounded to float16, as the store does), scores, pooling, classifier. Random crops depend on the id of
the image, which for a new photo is its file's name. A banner that a data set cuts off (aircraft) is left on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import aggregate, encoders, plugins, regions, scorers, targets
from fgscore.errors import BadImage, UsageError
from fgscore.pipeline.batches import Batches
from fgscore.pipeline.components import Component
from fgscore.pipeline.saved import SavedProbe
from fgscore.types import RegionBatch, Runtime, ScoreInputs


@dataclass(frozen=True)
class Predictor:
    """A saved probe with its encoder and generator, loaded when first needed. ``encoder`` and ``generator`` name where
    the weights lie on this machine where the recorded text does not."""

    probe: SavedProbe
    runtime: Runtime
    encoder: str | None = None
    generator: str | None = None

    @cached_property
    def _encoder(self) -> Component:
        return self._component("encoder", "encoder", self.encoder)

    @cached_property
    def _generator(self) -> Component:
        return self._component("region generator", "regions", self.generator)

    def _component(self, kind: str, key: str, given: str | None) -> Component:
        recorded = str(self.probe.made_of[key])
        component = Component(kind, given or recorded, self.runtime)
        component.check()
        if component.bound.canonical != recorded or component.weights != self.probe.made_of[f"{key}_weights"]:
            raise UsageError(
                f"the probe was trained with {key} {recorded}, found {component.bound.canonical} with other weights "
                f"or settings; name the right ones with --{key}"
            )
        return component

    def check(self) -> None:
        """What would stop a run, before it starts: packages, weights."""
        plugins.check_package("PIL", "reading photos")
        _ = self._encoder
        if self._pooling.name != "none":
            _ = self._generator

    @property
    def _pooling(self) -> aggregate.Pooling:
        return aggregate.bind(str(self.probe.made_of["pool"]))

    def probabilities(self, image_id: str, image: np.ndarray) -> np.ndarray:
        """(C,) float32: probability of each class for ``image`` (H, W, 3) uint8; zero for classes that the probe was
        not trained on."""
        whole, _ = _stored(self._encoder.loaded.embed_images([image]), image_id)
        batch, rows, norms = self._regions(image_id, image, whole.shape[1])
        inputs = ScoreInputs(
            batch.offsets, rows, whole, self.probe.text, self.probe.logit_scale, read_regions=lambda: batch
        )
        features, _ = aggregate.pool(
            self._pooling,
            inputs.regions * norms[:, None] if self.probe.made_of["features"] == "raw" else inputs.regions,
            inputs.offsets,
            inputs.globals,
            self._scores(inputs),
        )
        logits = self.probe.linear.logits(features)[0].astype(np.float64)
        e = np.exp(logits - logits.max())
        found = np.zeros(len(self.probe.class_names), np.float32)
        found[self.probe.linear.classes] = e / e.sum()
        return found

    def _regions(self, image_id: str, image: np.ndarray, d: int) -> tuple[RegionBatch, np.ndarray, np.ndarray]:
        """The regions of one image, their unit rows (M, d) and norms (M,)."""
        if self._pooling.name == "none":
            nothing = np.zeros(0, np.float32)
            empty = RegionBatch(
                np.array([image_id]), np.zeros(2, np.int64), np.zeros((0, 4)), nothing, nothing, nothing
            )
            return empty, np.zeros((0, d), np.float16), nothing
        generator = self._generator
        n, area_min, area_max = (generator.params[k] for k in ("n", "area_min", "area_max"))
        proposals = regions.select(generator.loaded(image, image_id), n, area_min, area_max)  # type: ignore[arg-type]
        if crops := self.probe.made_of.get("crops"):
            start, stop = (int(v) for v in str(crops).split(":"))
            proposals = proposals.keep(np.arange(len(proposals.area))[start:stop])
        batch = regions.batch([image_id], [proposals], generator.bound.module.MASKS)
        cuts = [
            (image, box, None if batch.masks is None else batch.masks.decode(r, 0))
            for r, box in enumerate(batch.boxes_xyxy)
        ]
        encoder = self._encoder.loaded
        raw = Batches(self.runtime.batch_size, str(encoder.device)).embed(encoder.embed_regions, cuts, d)
        return (batch, *_stored(raw, image_id))

    def _scores(self, inputs: ScoreInputs) -> np.ndarray | None:
        if not self._pooling.needs_scores:
            return None
        made_of = self.probe.made_of
        target = np.full(len(inputs.regions), -1)
        if made_of["target"]:
            target = targets.resolve(inputs, str(made_of["target"]))
        return scorers.bind(str(made_of["scorer"]))(inputs, target)


def _stored(raw: np.ndarray, image_id: str) -> tuple[np.ndarray, np.ndarray]:
    rows, norms = encoders.unit(raw, f"a region of {image_id}")
    return rows.astype(np.float16), norms


def predict(predictor: Predictor, paths: Iterable[Path], top: int = 5) -> Iterator[dict[str, Any]]:
    """For each photo its ``top`` classes and their probabilities, or the reason why it cannot be read."""
    predictor.check()
    from fgscore.datasets import _images

    names = predictor.probe.class_names
    for path in paths:
        try:
            found = predictor.probabilities(path.name, _images.read_rgb(path))
        except BadImage as error:
            yield {"image": str(path), "error": str(error)}
            continue
        best = np.argsort(-found, kind="stable")[:top]
        classes = [{"class_name": names[c], "label": int(c), "probability": float(found[c])} for c in best]
        yield {"image": str(path), "class_name": classes[0]["class_name"], "classes": classes}
