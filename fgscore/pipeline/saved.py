"""A fitted probe as one safetensors file: weights, class names, and all that it takes to make features for new photos.

Tensors: ``weight`` (K, D), ``intercept`` (K,), ``classes`` (K,) int64 into the class names, ``text`` (C, d),
``logit_scale`` (1,). Strings: ``class_names`` (C,) and ``made_of``, JSON of the specs of regions, encoder, prompt,
scorer, target, pooling and head, and of what identifies the weights of both models. No path and no host.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgscore.errors import DataError, UsageError, quoted
from fgscore.pipeline.probe import ProbeRun, fit
from fgscore.probe import Linear
from fgscore.store import arrays
from fgscore.store.match import RegionBundle

SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class SavedProbe:
    """A probe read back. ``made_of`` holds the specs, as the module says."""

    linear: Linear
    text: np.ndarray
    logit_scale: float
    class_names: tuple[str, ...]
    made_of: Mapping[str, Any]


def check(run: ProbeRun, path: Path) -> None:
    """Raises :class:`UsageError` for a probe that could not be used on new photos, before it is fitted."""
    if path.suffix != SUFFIX:
        raise UsageError(f"--save-probe: expected a file {SUFFIX}, found {path.name!r}")
    labels = run.labels()
    if labels["target"] == "oracle":
        raise UsageError("--save-probe: target oracle reads the label of each photo, which a new one lacks; use global")
    if run.is_own:
        raise UsageError(
            f"--save-probe: {labels['scorer']} is a file of yours, which a saved probe cannot hold; take a built-in one"
        )
    if labels["head"] == "zeroshot(vote='probability')":
        raise UsageError("--save-probe: a vote by probability has no weights to keep; use --head zeroshot")


def save(run: ProbeRun, path: Path) -> None:
    """Fit ``run`` and publish its classifier at ``path``."""
    check(run, path)
    result, _ = fit(run)
    linear, bank = result.linear, run.bundle.text_bank
    assert linear is not None
    content = {
        "weight": linear.weight,
        "intercept": linear.intercept,
        "classes": linear.classes,
        "text": bank.text,
        "logit_scale": np.array([bank.logit_scale]),
        "class_names": np.array(run.bundle.index.class_names, np.str_),
        "made_of": np.array(json.dumps(made_of(run), sort_keys=True)),
    }
    arrays.write(path, content, ())


def made_of(run: ProbeRun) -> dict[str, Any]:
    """The specs that make features of a photo, and what was measured."""
    bundle, labels = run.bundle, run.labels()
    pooled = isinstance(bundle, RegionBundle) and run.features.pooling.name != "none"
    embedded = bundle.region_embeddings if pooled else bundle.globals  # type: ignore[attr-defined]
    return {
        **{k: v for k, v in labels.items() if k not in ("seed", "shots")},
        "encoder_weights": embedded.recipe.weights,
        "regions_weights": bundle.regions.recipe.weights if pooled else None,  # type: ignore[attr-defined]
        "shots": run.shots or 0,
        "digest": run.digest(),
    }


def load(path: Path) -> SavedProbe:
    """The probe at ``path``. Raises :class:`DataError` where it is no probe of ours."""
    if path.suffix != SUFFIX:
        raise UsageError(
            f"--probe: expected a file {SUFFIX} as `fgscore probe --save-probe probe{SUFFIX}` writes, found {path.name!r}"
        )
    content = arrays.read(path)
    try:
        made = json.loads(str(content["made_of"]))
        weight, intercept, classes = (content[k] for k in ("weight", "intercept", "classes"))
        names, text = tuple(content["class_names"].tolist()), content["text"]
        fits = len(weight) == len(intercept) == len(classes) and len(text) == len(names)
        fits &= bool((classes >= 0).all() and (classes < len(names)).all())
        if not fits or not {"encoder", "regions", "pool", "scorer", "target", "features"} <= set(made):
            raise ValueError("its arrays disagree")
        return SavedProbe(Linear(weight, intercept, classes), text, float(content["logit_scale"][0]), names, made)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise DataError(
            f"{path}: not a saved probe ({error}); write it with `fgscore probe --save-probe {quoted(str(path))}`"
        ) from error
