"""A fitted probe as one safetensors file: weights, class names, and all that it takes to make features for new photos.

Tensors: ``weight`` (K, D), ``intercept`` (K,), ``classes`` (K,) int64 into the class names; ``text`` (C, d) and
``logit_scale`` (1,), both absent where the encoder reads no text. Strings: ``class_names`` (C,) and ``made_of``, JSON
of the specs of regions, encoder, prompt, scorer, target, pooling and head, and of what identifies the weights of both
models. No path and no host.

A probe may come from anyone: :func:`load` believes nothing that it has not checked, and imports and fetches nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import specs
from fgscore.errors import DataError, UsageError, quoted
from fgscore.evaluate.probe import ProbeRun, fit
from fgscore.heads import Linear
from fgscore.labels import class_named
from fgscore.pooling import Pooling
from fgscore.store import arrays
from fgscore.store.bundle import RegionBundle

SUFFIX = ".safetensors"
MAX_BYTES = 1 << 30
TEXTS = ("encoder", "regions", "pool", "scorer", "target", "features")
IDENTITIES = ("encoder_weights", "regions_weights", "encoder_source", "regions_source")
MAX_TEXT = 1000
WEIGHTS = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # a hub's commit, or a digest
# what one photo may be asked to take: larger numbers would keep a machine busy for hours, or fill its memory
LARGEST = {"n": 10_000, "points_per_side": 256, "crop_n_layers": 4, "dim": 1 << 16}
LARGEST_OTHER = 1_000_000
SEEDS = ("seed", "k")  # cost nothing, however large


@dataclass(frozen=True, eq=False)
class SavedProbe:
    """A probe read back. ``made_of`` holds the specs, as the module says."""

    linear: Linear
    text: np.ndarray | None
    logit_scale: float | None
    class_names: tuple[str, ...]
    made_of: Mapping[str, Any]

    def class_named(self, label: int) -> str | None:
        """The name of class ``label``."""
        return class_named(self.class_names, label)

    @property
    def width(self) -> int:
        """d: of the encoder's embeddings."""
        return self.linear.weight.shape[1] // _parts(self.made_of)


def _parts(made_of: Mapping[str, Any]) -> int:
    """How many embeddings stand side by side in one row of features."""
    pooling = Pooling.built_in(str(made_of["pool"]))
    whole = np.ones((1, 1), np.float32)
    return int(pooling(whole, np.array([0, 1]), whole, np.ones(1, np.float32))[0].shape[1])


def check(run: ProbeRun, path: Path) -> None:
    """Raises :class:`UsageError` for a probe that could not be used on new photos, before it is fitted."""
    if path.suffix != SUFFIX:
        raise UsageError(f"--save-probe: expected a file {SUFFIX}, found {path.name!r}")
    labels = run.labels()
    scores = run.features.scores
    if scores and scores.target and scores.target.reads_labels:
        raise UsageError("--save-probe: target oracle reads the label of each photo, which a new one lacks; use global")
    if run.is_own:
        raise UsageError(
            f"--save-probe: {_foreign(run)} is of your own, which a saved probe cannot hold; take a built-in one"
        )
    pooled = isinstance(run.bundle, RegionBundle) and run.features.pooling.needs_regions
    if pooled and set(run.bundle.regions.recipe.parents) - {"images"}:  # type: ignore[attr-defined]
        raise UsageError(
            f"--save-probe: regions by {labels['regions']} are made of more than the photo, which a new one lacks; "
            "take others"
        )
    if labels["head"] == "zeroshot(vote='probability')":
        raise UsageError("--save-probe: a vote by probability has no weights to keep; use --head zeroshot")


def _foreign(run: ProbeRun) -> str:
    """What takes part and is not ours."""
    scores = run.features.scores
    parts = (run.head, run.features.pooling, scores and scores.scorer, scores and scores.target)
    return ", ".join(f"{part.kind} {part.canonical}" for part in parts if part and not part.is_ours)


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
        **({} if bank is None else {"text": bank.text, "logit_scale": np.array([bank.logit_scale])}),
        "class_names": np.array(run.bundle.index.class_names, np.str_),
        "made_of": np.array(json.dumps(made_of(run), sort_keys=True)),
    }
    arrays.write(path, content, ())


def made_of(run: ProbeRun) -> dict[str, Any]:
    """The specs that make features of a photo, and what was measured."""
    bundle, labels = run.bundle, run.labels()
    pooled = isinstance(bundle, RegionBundle) and run.features.pooling.needs_regions
    embedded = bundle.region_embeddings if pooled else bundle.globals  # type: ignore[attr-defined]
    made = {"encoder": embedded.recipe, **({"regions": bundle.regions.recipe} if pooled else {})}  # type: ignore[attr-defined]
    return {
        **{k: v for k, v in labels.items() if k not in ("seed", "shots")},
        **{f"{key}_source": recipe.source for key, recipe in made.items() if recipe.source},
        "encoder_weights": embedded.recipe.weights,
        "regions_weights": bundle.regions.recipe.weights if pooled else None,  # type: ignore[attr-defined]
        "shots": run.shots or 0,
        "digest": run.digest,
    }


def load(path: Path) -> SavedProbe:
    """The probe at ``path``. Raises :class:`DataError` where it is no probe of ours, is damaged, or asks for more than
    any of ours does."""
    if path.suffix != SUFFIX:
        wanted = f"a file {SUFFIX}, as `fgscore probe --save-probe probe{SUFFIX}` writes one"
        raise UsageError(f"--probe: expected {wanted}, found {path.name!r}")
    if path.is_file() and (size := path.stat().st_size) > MAX_BYTES:
        raise DataError(f"--probe: expected at most {MAX_BYTES} bytes in {path}, found {size}; that is no probe")
    try:
        content = arrays.read(path)
        made = _made_of(json.loads(str(content["made_of"])))
        linear = Linear(_floats(content, "weight", 2), _floats(content, "intercept", 1), content["classes"])
        names = content["class_names"]
        text, scale = _of_text(content)
        if text is None and made["target"]:
            raise ValueError(f"text: expected for target {made['target']}, found none")
        _agree(linear, text, names, _parts(made))
    except (KeyError, ValueError, TypeError, IndexError, RecursionError, UsageError) as error:
        again = f"`fgscore probe --save-probe {quoted(str(path))}`"
        raise DataError(f"{path}: not a saved probe ({error}); make it again with {again}") from error
    return SavedProbe(linear, text, scale, tuple(names.tolist()), made)


def _floats(content: Mapping[str, np.ndarray], name: str, ndim: int, dtype: Any = np.float32) -> np.ndarray:
    """The array of that name; raises ValueError unless it has ``ndim`` dimensions of floats, all finite."""
    array = content[name]
    if array.ndim != ndim or array.dtype.kind != "f" or not array.size:
        raise ValueError(f"{name}: expected {ndim} dimensions of floats, found {array.dtype} of shape {array.shape}")
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    if wrong := int((~np.isfinite(array)).sum()):
        raise ValueError(f"{name}: {wrong} of its numbers are not finite")
    return array


def _of_text(content: Mapping[str, np.ndarray]) -> tuple[np.ndarray, float] | tuple[None, None]:
    """Text (C, d) and logit scale of a probe, or neither. Raises KeyError where one is there alone, ValueError where
    they are not such."""
    if not {"text", "logit_scale"} & set(content):
        return None, None
    text, scale = _floats(content, "text", 2), _floats(content, "logit_scale", 1, np.float64)
    if scale.shape != (1,) or not 0 < scale[0] <= LARGEST_OTHER:
        raise ValueError(f"logit_scale: expected one number above 0, found {scale[:3].tolist()}")
    return text, float(scale[0])


def _agree(linear: Linear, text: np.ndarray | None, names: np.ndarray, parts: int) -> None:
    """Raises ValueError where the arrays of a probe, whose features are ``parts`` embeddings side by side, disagree."""
    k, width = linear.weight.shape
    n, d = (names.size, width // parts) if text is None else text.shape
    if width != parts * d:
        raise ValueError(f"weight: expected {parts * d} columns for embeddings of width {d}, found {width}")
    if names.dtype.kind != "U" or names.shape != (n,):
        raise ValueError(f"class_names: expected {n} strings, found {names.dtype} of shape {names.shape}")
    classes = linear.classes
    if classes.dtype.kind not in "iu" or classes.shape != (k,) or linear.intercept.shape != (k,):
        raise ValueError(f"classes and intercept: expected {k}, found {classes.shape} and {linear.intercept.shape}")
    if len(set(classes.tolist())) != k or classes.min() < 0 or classes.max() >= n:
        raise ValueError(f"classes: expected {k} different ones from 0 to {n - 1}")


def _made_of(made: Any) -> dict[str, Any]:
    """``made`` itself, what is left out added. Raises ValueError or :class:`UsageError` where it is no description of
    a probe, or asks for more work than a photo can take. Which components there are is looked at by who binds them."""
    if not isinstance(made, dict):
        raise ValueError(f"made_of: expected an object, found {type(made).__name__}")
    made = {"crops": "", **dict.fromkeys(IDENTITIES), **made}
    for key in (*TEXTS, "crops"):
        if not isinstance(made[key], str) or len(made[key]) > MAX_TEXT:
            raise ValueError(f"{key}: expected a text of at most {MAX_TEXT} letters, found {str(made[key])[:50]!r}")
    for key in IDENTITIES:
        if made[key] is not None and not WEIGHTS.fullmatch(str(made[key])):
            raise ValueError(f"{key}: expected a digest or a commit, found {str(made[key])[:50]!r}")
    for key, known in {"features": ("unit", "raw"), "target": ("", "global", "local")}.items():
        if made[key] not in known:
            raise ValueError(f"{key}: expected one of {known}, found {made[key][:50]!r}")
    crops = re.fullmatch(r"(\d{1,6}):(\d{1,6})", made["crops"], re.ASCII)
    if made["crops"] and not (crops and int(crops[1]) < int(crops[2])):
        raise ValueError(f"crops: expected START:STOP, found {made['crops'][:50]!r}")
    pooling = Pooling.built_in(made["pool"])
    needed = {"encoder": True, "pool": True, "regions": pooling.needs_regions, "scorer": pooling.needs_scores}
    for key in (key for key, is_needed in needed.items() if is_needed):
        _check_numbers(specs.parse(made[key]))
    return made


def _check_numbers(spec: specs.Spec) -> None:
    """Raises ValueError for a parameter that asks for more than one photo can take."""
    for key, value in spec.params.items():
        most = LARGEST.get(key, LARGEST_OTHER)
        if isinstance(value, int | float) and key not in SEEDS and abs(value) > most:
            raise ValueError(f"{spec.name}: expected {key} of at most {most}, found {value}")
