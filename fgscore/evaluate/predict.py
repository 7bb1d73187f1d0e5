"""A saved probe on new photos: the whole chain for a few images, nothing cached.

A photo goes through what the training photos went through: regions by the recorded generator, embeddings by the
recorded encoder (rounded to float16, as the store does), scores, pooling, classifier. Random crops depend on the id of
the image, which for a new photo is its file's name. A banner that a data set cuts off (aircraft) is left on it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from fgscore import regions, specs
from fgscore.encoders import ImageRegions
from fgscore.errors import BadImage, DataError, UsageError
from fgscore.evaluate.recorded import on_its_own
from fgscore.evaluate.saved import SavedProbe
from fgscore.evaluate.zeroshot import ranked
from fgscore.extract.part import Part
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.inputs import ScoreInputs, image_keys, unnamed
from fgscore.machine.packages import check_package
from fgscore.machine.progress import Progress, silent
from fgscore.pooling import Pooling
from fgscore.runtime import Runtime
from fgscore.scorers import Scorer
from fgscore.targets import Target
from fgscore.types import RegionBatch

P = TypeVar("P", bound=Part[Any])
SOURCES = (
    "model",
    "revision",
    "pretrained",
    "checkpoint",
)  # where weights are; which they are, what identifies them says


@dataclass(frozen=True)
class Predictor:
    """A saved probe with its encoder, generator and scorer, found when first needed.

    What the probe names is bound where it is built in. Its weights are taken where they ship with fgscore, are a
    checkpoint that fgscore knows, or lie in the local hub cache under the very commit: no file is imported, no folder
    opened and no hub asked because a probe says so. ``encoder``, ``generator`` and ``scorer`` are what the user names
    instead: what the probe was made with, from wherever; with ``force`` something else, too, which is a warning.
    """

    probe: SavedProbe
    runtime: Runtime
    encoder: str | None = None
    generator: str | None = None
    scorer: str | None = None
    force: bool = False
    progress: Progress = silent

    @cached_property
    def _encoder(self) -> EncoderPart:
        return self._part(EncoderPart, "encoder", self.encoder)

    @cached_property
    def _generator(self) -> GeneratorPart:
        part = self._part(GeneratorPart, "regions", self.generator)
        if part.made.asks or part.made.parent is not None:
            raise self._knows_its_photos(part.maker.canonical)
        return part

    def _knows_its_photos(self, regions_: str) -> UsageError:
        return UsageError(f"regions by {regions_} are made of more than the photo, which a new one lacks; train "
                          "a probe on others")  # fmt: skip

    def _part(self, parts: type[P], key: str, given: str | None) -> P:
        text, weights = str(self.probe.made_of[key]), self.probe.made_of[f"{key}_weights"]
        if specs.parse(text).name not in parts.makers.ours_named():
            return self._own(parts, key, given)
        recorded = parts(parts.makers.built_in(text), replace(self.runtime, offline=True))
        if any(isinstance(value, Path) for value in recorded.maker.params.values()):
            raise self._knows_its_photos(text)  # and no file is read because a probe names it
        part = on_its_own(recorded, key, weights) if given is None else parts(given, self.runtime)
        if _settings(part) != _settings(recorded):
            self._differs(key, text, part.maker.canonical)
        if given is not None:
            part.check(self.progress)  # what the user names may be fetched
        if part.weights != weights:
            wanted, found = (str(identity)[:12] for identity in (weights, part.weights))
            self._differs(key, f"{text} of weights {wanted}", f"{part.maker.canonical} of weights {found}")
        if given is None:
            part.check()
        return part

    def _own(self, parts: type[P], key: str, given: str | None) -> P:
        """What is of the user's own, and named by the user alone."""
        made_of = self.probe.made_of
        text = str(made_of[key])
        if given is None:
            raise UsageError(f"the probe was trained with {key} {text}, which is not built in, and no code is run "
                             f"because a probe names it; name yours with --{key}")  # fmt: skip
        part = parts(given, self.runtime)
        part.check(self.progress)
        recorded = (text, made_of[f"{key}_source"], made_of[f"{key}_weights"])
        if (part.maker.canonical, part.maker.source.sha256, part.weights) != recorded:
            same = part.maker.canonical == text
            self._differs(key, text, f"{part.maker.canonical}{' of another content' if same else ''}")
        return part

    @cached_property
    def _scorer(self) -> Scorer:
        text = str(self.probe.made_of["scorer"])
        spec = specs.parse(text)
        if self.scorer is not None:
            scorer = Scorer.bind(self.scorer)
            if scorer.canonical != specs.text(specs.stored_name(spec.name), spec.params):
                self._differs("scorer", text, scorer.canonical)
        elif spec.name in Scorer.ours_named():
            scorer = Scorer.built_in(text)
        else:
            raise UsageError(
                f"the probe was trained with scorer {text}, which is not built in, and no file is run because a probe "
                "names it; name yours with --scorer"
            )
        if scorer.needs_target and not self.probe.made_of["target"]:
            raise DataError(f"the probe names scorer {text} and no target, which that needs; train it again")
        return scorer

    def _differs(self, key: str, recorded: str, found: str) -> None:
        said = f"the probe was trained with {key} {recorded}, found {found}"
        if not self.force:
            raise UsageError(f"{said}; name the right one with --{key}, or use this one with --force")
        warnings.warn(said, stacklevel=2)

    def check(self) -> None:
        """What would stop a run, before it starts: packages, weights."""
        check_package("PIL", "reading photos")
        if self._pooling.needs_scores:
            _ = self._scorer
        _ = self._encoder
        if self._pooling.needs_regions:
            _ = self._generator
        wanted, found = self.probe.width, int(self._encoder.loaded.dim)
        if found != wanted:
            raise DataError(f"expected an encoder of width {wanted}, as the probe's, found {found}")

    @property
    def _pooling(self) -> Pooling:
        return Pooling.built_in(str(self.probe.made_of["pool"]))

    def probabilities(self, image_id: str, image: np.ndarray) -> np.ndarray:
        """(C,) float32: probability of each class for ``image`` (H, W, 3) uint8; zero for classes that the probe was
        not trained on."""
        whole, whole_norm = _stored(self._encoder, self._encoder.images([image.copy()]), image_id)
        batch, rows, norms = self._regions(image_id, image, whole.shape[1])
        inputs = ScoreInputs(
            batch.offsets,
            rows,
            whole,
            self.probe.text,
            self.probe.logit_scale,
            read_regions=lambda: unnamed(batch),
            image_keys=image_keys(batch.image_ids),
        )
        rows, instead = inputs.regions, inputs.globals
        if self.probe.made_of["features"] == "raw":
            rows, instead = rows * norms[:, None], instead * whole_norm[:, None]
        features, _ = self._pooling(rows, inputs.offsets, inputs.globals, self._scores(inputs), instead)
        logits = self.probe.linear.logits(features)[0].astype(np.float64)
        if not np.isfinite(logits).all():
            raise DataError(f"the probe gives {image_id} no finite numbers; train it again")
        e = np.exp(logits - logits.max())
        found = np.zeros(len(self.probe.class_names), np.float32)
        found[self.probe.linear.classes] = e / e.sum()
        return found

    def _regions(self, image_id: str, image: np.ndarray, d: int) -> tuple[RegionBatch, np.ndarray, np.ndarray]:
        """The regions of one image, their unit rows (M, d) and norms (M,)."""
        if not self._pooling.needs_regions:
            nothing = np.zeros(0, np.float32)
            empty = RegionBatch(
                np.array([image_id]), np.zeros(2, np.int64), np.zeros((0, 4)), nothing, nothing, nothing
            )
            return empty, np.zeros((0, d), np.float16), nothing
        proposals = self._generator.propose(image.copy(), image_id)
        if crops := self.probe.made_of.get("crops"):
            start, stop = (int(v) for v in str(crops).split(":"))
            proposals = proposals.keep(np.arange(len(proposals.area))[start:stop])
        made = self._generator.made
        batch = regions.batch([image_id], [proposals], made.masks, made.mirrors)
        masks = batch.masks
        runs = None if masks is None else [masks.runs(region, 0) for region in range(len(proposals.area))]
        raw = self._encoder.regions([ImageRegions(image, batch.boxes_xyxy, runs, batch.mirrored)])
        return (batch, *_stored(self._encoder, raw, image_id))

    def _scores(self, inputs: ScoreInputs) -> np.ndarray | None:
        if not self._pooling.needs_scores:
            return None
        made_of = self.probe.made_of
        target = np.full(len(inputs.regions), -1)
        if made_of["target"]:
            target = Target.built_in(str(made_of["target"]))(inputs)
        return self._scorer(inputs, target)


def _settings(part: Part[Any]) -> tuple[str, dict[str, specs.Value]]:
    """What decides the result beside the weights."""
    return part.maker.name, {k: v for k, v in part.maker.params.items() if k not in SOURCES}


def _stored(encoder: EncoderPart, raw: np.ndarray, image_id: str) -> tuple[np.ndarray, np.ndarray]:
    rows, norms = encoder.unit(raw, f"a region of {image_id}")
    return rows.astype(np.float16), norms


def predict(predictor: Predictor, paths: Iterable[Path], top: int = 5) -> Iterator[dict[str, Any]]:
    """For each photo its ``top`` classes and their probabilities, or the reason why it cannot be read."""
    predictor.check()
    from fgscore.datasets import _images

    for path in paths:
        try:
            found = predictor.probabilities(path.name, _images.read_rgb(path))
        except BadImage as error:
            yield {"image": str(path), "error": str(error)}
            continue
        yield {"image": str(path), **ranked(found, predictor.probe.class_named, top)}
