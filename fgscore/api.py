"""The store from Python: open it, walk through images and their regions, get arrays, score, probe.

Example::

    from fgscore import api

    store = api.open_store("data")
    bundle = api.bundles(store, regions="random_crop")[0]

    for image in api.images(bundle):
        best = image.regions[(image.regions @ image.globals).argmax()]
        print(image.image_id, image.class_name, image.boxes_xyxy.shape, best.shape)

    scores = api.scores(bundle, "entropy(tau=50)", target="global")
    print(scores.scores.max(), scores.offsets[-1])

    row = api.probe(bundle, pool="topk(k=3)", scorer="entropy(tau=50)", head="zeroshot")
    print(row["accuracy"], row["n_test"])

Nothing here loads torch. What is computed is cached, as by the commands of the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fgscore import ragged
from fgscore.errors import UsageError
from fgscore.evaluate.probe import probe as _run_probes
from fgscore.evaluate.runs import probe_runs
from fgscore.evaluate.score import ScoreRun, runs_for
from fgscore.evaluate.score import score as _run_scores
from fgscore.exchange.export import collect as arrays
from fgscore.heads import Head
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.store import records
from fgscore.store.bundle import Bundle, RegionBundle
from fgscore.store.cache import Store
from fgscore.store.match import bundles
from fgscore.store.paths import Layout
from fgscore.targets import Target
from fgscore.types import ScoreShard

__all__ = ["Image", "arrays", "bundles", "images", "open_store", "probe", "scores"]


@dataclass(frozen=True, eq=False)
class Image:
    """One image of a bundle; ``label`` is -1 and ``class_name`` None where it has none.

    ``globals`` (d,) and ``regions`` (M, d) are float16 unit rows, ``boxes_xyxy`` (M, 4) int32 pixels, ``area`` (M,)
    float32; ``masks`` M bool arrays (H, W), empty where the regions have none.
    """

    image_id: str
    path: str
    label: int
    class_name: str | None
    split: str
    globals: np.ndarray
    regions: np.ndarray
    boxes_xyxy: np.ndarray
    area: np.ndarray
    masks: tuple[np.ndarray, ...]


def open_store(data: str | Path = "data") -> Store:
    """The store under a data folder, the one that holds ``cache/``. Nothing is read yet."""
    return Store(Layout(Path(data)))


def images(bundle: Bundle) -> Iterator[Image]:
    """Every image that has all its embeddings, in the order of the index, one shard in memory at a time.

    A bundle without regions gives M = 0. Raises :class:`StoreError` for a shard that is damaged or stale.
    """
    index = bundle.index
    artefacts = [bundle.globals]
    if isinstance(bundle, RegionBundle):
        artefacts += [bundle.region_embeddings, bundle.regions]
    for number in index.shards:
        whole, *of_regions, _ = records.align(*(bundle.store.read(artefact, number) for artefact in artefacts))
        for i, row in enumerate(records.rows(index, number, whole.image_ids).tolist()):
            yield Image(
                str(index.image_ids[row]),
                str(index.paths[row]),
                int(index.labels[row]),
                index.class_of(row),
                str(index.split[row]),
                whole.globals[i],
                *_regions(of_regions, i, whole.globals.shape[1]),
            )


def _regions(of_regions: Sequence[Any], i: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple]:
    """Embeddings, boxes, areas and masks of image ``i`` of the two records, aligned; of no regions without them."""
    if not of_regions:
        return np.zeros((0, d), np.float16), np.zeros((0, 4), np.int32), np.zeros(0, np.float32), ()
    embedded, batch = of_regions
    (cut, _), (own, _) = (ragged.span(record.offsets, slice(i, i + 1)) for record in of_regions)
    masks = () if batch.masks is None else tuple(batch.masks.decode(r, i) for r in range(own.start, own.stop))
    return embedded.regions[cut], batch.boxes_xyxy[own], batch.area[own], masks


def scores(
    bundle: Bundle, scorer: str | Callable[..., Any] = "soft_margin", target: str | Callable[..., Any] = "global"
) -> ScoreShard:
    """Scores of every region of a bundle, computed where the cache lacks them: ``scores`` (R,) float32, ``target``
    (R,) int32, ``offsets`` (N+1,) and ``image_ids`` (N,), all shards joined. Those of a function are not kept."""
    run = _score_run(bundle, scorer, target)
    if run.is_kept:
        _run_scores([run])
    return records.concat([run.shard(number) for number in run.bundle.region_embeddings.shard_sizes])


def probe(
    bundle: Bundle,
    *,
    pool: str | Callable[..., Any] = "topk",
    scorer: str | Callable[..., Any] = "soft_margin",
    target: str | Callable[..., Any] = "global",
    head: Any = "logreg",
) -> dict[str, Any]:
    """One result, as `fgscore probe --json` gives it: ``accuracy``, ``per_class``, ``n_test`` and what was compared.

    Each component is a text, as on the command line, or a Python object: a function of the same form, for ``head`` also
    a scikit-learn classifier. A result that an object took part in is not kept.
    """
    runs = probe_runs([bundle], [Scorer.of(scorer)], [Target.of(target)], [Pooling.of(pool)], [Head.of(head)])
    if not runs:
        raise _without_regions(bundle, f"pool={pool!r} needs")
    (result,) = _run_probes(runs)
    return result.to_json()


def _score_run(bundle: Bundle, scorer: Any, target: Any) -> ScoreRun:
    if not isinstance(bundle, RegionBundle):
        raise _without_regions(bundle, "scores need")
    (run,) = runs_for(bundle, [Scorer.of(scorer)], [Target.of(target)])
    return run


def _without_regions(bundle: Bundle, what: str) -> UsageError:
    return UsageError(f"{what} regions, found whole images alone of {bundle.dataset}; pool='none' does without")
