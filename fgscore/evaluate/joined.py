"""Scores of a whole data set side by side, with what is needed to ask where the best regions lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fgscore import ragged
from fgscore.evaluate.score import ScoreRun, read_block, score
from fgscore.machine.progress import Progress, silent
from fgscore.store.bundle import RegionBundle


@dataclass(frozen=True, eq=False)
class Joined:
    """All images of a bundle that have regions embedded. ``rows`` (N,) of the index, ``offsets`` (N+1,), ``area`` (R,),
    ``local`` (R,) and ``pseudo`` (N,) the zero-shot classes of regions and images, None without text; ``scores`` the
    name of a run to its (R,)."""

    rows: np.ndarray
    offsets: np.ndarray
    area: np.ndarray
    local: np.ndarray | None
    pseudo: np.ndarray | None
    scores: Mapping[str, np.ndarray]

    def kept(self, name: str, k: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best regions of each image by the run ``name``: elements and offsets, best first."""
        return ragged.topk(self.scores[name], self.offsets, k)


def join(bundle: RegionBundle, runs: Sequence[ScoreRun], progress: Progress = silent) -> Joined:
    """Scores of ``runs``, which share ``bundle``, computed where the cache lacks them."""
    if runs:
        score(runs, progress)
    names = ("rows", "sizes", "area", *(("local", "pseudo") if bundle.text else ()))
    columns: dict[str, list[np.ndarray]] = {name: [] for name in names}
    scores: dict[str, list[np.ndarray]] = {run.label: [] for run in runs}
    for number in bundle.region_embeddings.shard_sizes:
        block = read_block(bundle, number)
        inputs = block.inputs
        columns["rows"].append(block.rows)
        columns["sizes"].append(ragged.lengths(inputs.offsets))
        columns["area"].append(inputs.area)
        if inputs.has_text:
            columns["local"].append(inputs.region_text.argmax(axis=1))
            columns["pseudo"].append(inputs.global_text.argmax(axis=1))
        for run in runs:
            scores[run.label].append(bundle.store.read(run.artefact, number).scores)
    joined = {name: np.concatenate(parts) for name, parts in columns.items()}
    return Joined(
        joined["rows"],
        ragged.from_lengths(joined["sizes"]),
        joined["area"],
        joined.get("local"),
        joined.get("pseudo"),
        {name: np.concatenate(parts) for name, parts in scores.items()},
    )
