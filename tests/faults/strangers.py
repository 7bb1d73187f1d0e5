"""From somebody else: scorers that write where they must not, saved probes that name what they must not."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
from bench import Count  # type: ignore[import-not-found]
from typer.testing import CliRunner

from fgscore.errors import FgscoreError
from fgscore.evaluate.score import runs_for, score
from fgscore.scorers import Scorer
from fgscore.store import arrays
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.match import bundles
from fgscore.store.paths import Layout
from fgscore.targets import Target
from fgscore_stages.cli import app

SCORER = """
import numpy as np

NAMES = ["offsets", "regions", "globals", "text", "image_of_region", "region_text", "top_class", "top_text",
         "region_global", "global_text", "boxes_xyxy", "area", "predicted_iou"]
KEPT = []


def given(inputs, target):
    arrays = [getattr(inputs, name) for name in NAMES]
    return [*arrays, *inputs.softmax(inputs.logit_scale), inputs.read_regions().area, target]


def spoil(array):
    while isinstance(array, np.ndarray):
        try:
            array.setflags(write=True)
            array[...] = 3
        except ValueError:
            pass
        array = array.base


def forgets_a_copy(inputs, target, /):
    others = inputs.region_text
    others[np.arange(len(target)), target] = -1
    return others.max(axis=1)


def changes_its_target(inputs, target, /):
    target[:] = 0
    return inputs.area


def unlocks(inputs, target, /):
    for array in given(inputs, target):
        spoil(array)
    return np.zeros(len(target))


def keeps(inputs, target, /):
    KEPT.extend(given(inputs, target))
    for array in KEPT:
        spoil(array)
    return np.zeros(len(target))


def replaces(inputs, target, /):
    inputs.__dict__.update({name: getattr(inputs, name) * 0 for name in NAMES})
    object.__setattr__(inputs, "logit_scale", 1.0)
    inputs._softmaxes.clear()
    return np.zeros(len(target))


def leaves(inputs, target, /):
    raise SystemExit(0)
"""
WHAT = ("forgets_a_copy", "changes_its_target", "unlocks", "keeps", "replaces", "leaves")
TARGETS = ["global", "local"]


def beside_others(data: Path, folder: Path, trials: int, seed: int = 5) -> Count:
    """A user's scorer, or two, among the built-in ones in any order: these give the same to the last bit as alone."""
    count, rng = Count("built-in scores beside a scorer that writes in place"), random.Random(seed)
    folder.mkdir()
    (folder / "theirs.py").write_text(SCORER)
    alone = _scored(data, folder / "alone", list(Scorer.ours_named()))
    for trial in range(trials):
        own = rng.sample(WHAT, rng.choice([1, 2])) if trial >= len(WHAT) else [WHAT[trial]]
        names = [*Scorer.ours_named(), *(f"{folder / 'theirs.py'}:{name}" for name in own)]
        rng.shuffle(names)
        found = _scored(data, folder / f"trial-{trial}", names)
        count.note(found == alone, f"{own} in {[name.rpartition(':')[2] for name in names]}")
    return count


def _scored(data: Path, copy: Path, names: list[str]) -> dict[str, list[str | None]]:
    """What the built-in scorers among ``names`` leave in a copy of the store: content digests by recipe."""
    shutil.copytree(data, copy)
    store = Store(Layout(copy))
    (bundle,) = bundles(store)
    assert isinstance(bundle, RegionBundle)
    try:
        score(runs_for(bundle, [Scorer.bind(name) for name in names], [Target.bind(name) for name in TARGETS]))
    except FgscoreError as error:
        if "theirs.py:" not in str(error):
            raise
    kept = (a for a in store.artefacts("scores") if ".py:" not in a.recipe.component)
    found = {f"{a.recipe.component} {a.recipe.extra}": [a.content(n) for n in a.shard_sizes] for a in kept}
    shutil.rmtree(copy)
    return found


NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
COMMIT, DIGEST = "5" * 40, "5" * 64
FILE = "{folder}/theirs.py:f"
PROBES: dict[str, dict[str, Any]] = {
    "a file as scorer": {"scorer": FILE},
    "a file beside it": {"scorer": "./theirs.py:f"},
    "a file as encoder": {"encoder": FILE},
    "a file as generator": {"regions": FILE},
    "a file as pooling": {"pool": FILE},
    "a module": {"encoder": "theirs"},
    "a hub id": {"encoder": "clip(model='evil/evil')", "encoder_weights": COMMIT},
    "a hub id, no weights": {"encoder": "clip(model='evil/evil')"},
    "a hub id, a digest": {"encoder": "clip(model='evil/evil')", "encoder_weights": DIGEST},
    "a folder": {"encoder": "clip(model='{folder}')", "encoder_weights": DIGEST},
    "a checkpoint": {"regions": "sam(checkpoint='{folder}/sam.pth')", "regions_weights": DIGEST},
    "regions without end": {"regions": "random_crop(n=100000000)"},
    "an encoder without end": {"encoder": "fake(dim=1000000000)"},
    "crops of words": {"crops": "a:b"},
    "the label as target": {"target": "oracle"},
    "a list": {"scorer": ["entropy"]},
    "nesting": {"made_of": "[" * 100_000},
    "weights that are NaN": {"weight": np.full((2, 64), np.nan)},
    "weights of another width": {"weight": np.zeros((2, 7))},
    "text of another width": {"text": np.zeros((2, 7))},
    "a class without a name": {"classes": np.array([0, 9])},
}


class Ears:
    """What this process asks of the network and what it runs of a folder, while there is one; by Python's own audit."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.heard: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if self.folder is None:
            return
        ran = event == "exec" and str(getattr(args[0], "co_filename", "")).startswith(str(self.folder))
        if ran or event in NETWORK:
            self.heard.append(event)


def probes(folder: Path, photo: Path) -> Count:
    """Saved probes that name a file, a hub id or more than a photo can take: one line, nothing run, nothing asked."""
    count, ears = Count("saved probes of somebody else: nothing run, nothing asked"), Ears()
    folder.mkdir()
    (folder / "theirs.py").write_text(f"open({str(folder / 'RAN')!r}, 'w')\n\ndef f(*_, **__): return None\n")
    before, path = os.getcwd(), list(sys.path)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        sound = CliRunner().invoke(app, ["predict", "--probe", str(_probe(folder, {})), str(photo)])
        count.note(sound.exit_code == 0, f"a sound probe: {sound.output}")
        for what, changed in PROBES.items():
            ears.folder, ears.heard = folder, []
            done = CliRunner().invoke(
                app, ["predict", "--probe", str(_probe(folder, changed)), str(photo)], env={"HF_HUB_OFFLINE": ""}
            )
            ears.folder = None
            lines = done.stderr.splitlines()
            clear = done.exit_code in (1, 2) and len(lines) == 1 and lines[0].startswith("error: ") and not done.stdout
            quiet = not ears.heard and not (folder / "RAN").exists()
            count.note(clear and quiet and "--debug" not in done.stderr, f"{what}: {done.output} {ears.heard}")
    finally:
        os.chdir(before)
        sys.path[:] = path
    return count


def _probe(folder: Path, changed: dict[str, Any]) -> Path:
    """A sound probe of the fake encoder, with some of its arrays or of what it was made of replaced."""
    rng = np.random.default_rng(0)
    made = {"encoder": "fake", "regions": "random_crop(n=4)", "pool": "topk(k=2)", "scorer": "entropy",
            "target": "global", "features": "unit", "encoder_weights": None, "regions_weights": None}  # fmt: skip
    content: dict[str, Any] = {
        "weight": rng.standard_normal((2, 64)), "intercept": np.zeros(2), "classes": np.arange(2),
        "text": rng.standard_normal((2, 32)), "logit_scale": np.array([100.0]),
        "class_names": np.array(["jay", "crow"]),
    }  # fmt: skip
    for key, value in changed.items():
        at = content if key in content or key == "made_of" else made
        at[key] = value.replace("{folder}", str(folder)) if isinstance(value, str) else value
    content["made_of"] = np.array(content.get("made_of", json.dumps(made)))
    arrays.write(folder / "p.safetensors", content, ())
    return folder / "p.safetensors"
