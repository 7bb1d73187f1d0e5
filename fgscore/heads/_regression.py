"""What heads that are logistic regressions share: rows along their principal axes, the choice of C on images held out,
and the way from one optimum to the next.

Features are centred and turned to their principal axes first: CLIP's rows lie in one narrow cone. The intercept, which
is not penalised, takes up the mean exactly, and the penalty is the same along any axes: the same optimum is reached,
in fewer steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import numpy as np

from fgscore.heads import Linear, ProbeData, folds
from fgscore.heads._softmax import Optimum, SoftmaxRegression, onward

C_GRID = (1.0, 10.0, 100.0, 1000.0, 10000.0)  # unit rows are short: the best C lies far above scikit-learn's 1
C_UNCHOSEN = 10.0
FOLDS = 5

# Of the largest element of the gradient, at C = 1. scikit-learn's own 1e-4 stops short: on 200 classes of features like
# CLIP's a fit at C = 10,000 then loses one point against the optimum, and one image in sixty depends on where it began.
TOLERANCE = 1e-6

Path = tuple[Optimum, ...]
Finish = Callable[[Optimum, SoftmaxRegression, float, int], Optimum]


def tolerance(c: float) -> float:
    """At ``c``: the weaker the regularisation, the flatter the objective, and the smaller a gradient still matters."""
    return TOLERANCE / float(np.sqrt(c))


@dataclass(frozen=True)
class Grid:
    """What there is to choose from, ascending: ``shares`` of the offsets, and ``cs``. Where nothing can be chosen, the
    largest share and C = 10, or the one C that there is."""

    shares: tuple[float, ...]
    cs: tuple[float, ...]

    @classmethod
    def of(cls, c: float | Literal["auto"], shares: tuple[float, ...] = (0.0,)) -> Grid:
        """One C, or all of C_GRID."""
        return cls(shares, C_GRID if c == "auto" else (float(c),))

    @property
    def size(self) -> int:
        """How many pairs of a share and a C."""
        return len(self.shares) * len(self.cs)

    @property
    def names(self) -> str:
        """What is chosen, as a message says it."""
        return " and ".join(name for name, values in (("a", self.shares), ("C", self.cs)) if len(values) > 1)

    @property
    def unchosen(self) -> tuple[float, float]:
        """Share and C where images held out cannot tell."""
        return self.shares[-1], C_UNCHOSEN if len(self.cs) > 1 else self.cs[0]


@dataclass(frozen=True, eq=False)
class Optima:
    """Optima on the way to a head, along the ``axes`` (D, D): ``chosen``, for each share of a grid those over C, of the
    first images held out, none where nothing was chosen; ``final`` on all training images."""

    axes: np.ndarray
    chosen: tuple[Path, ...]
    final: Optimum


@dataclass(frozen=True, eq=False)
class Training:
    """The n training images: rows ``x`` (n, D + 1) float32 along ``axes`` (D, D) from ``mean`` (D,), that end in 1, or
    in 0 for no intercept; ``y`` (n,), ``split`` (n,), and ``offsets`` (n, C) float32 to the logits of all classes."""

    x: np.ndarray
    y: np.ndarray
    split: np.ndarray
    mean: np.ndarray
    axes: np.ndarray
    offsets: np.ndarray | None = None

    @classmethod
    def of(
        cls, data: ProbeData, rows: np.ndarray, near: Optima | None, offsets: np.ndarray | None = None,
        intercept: bool = True,
    ) -> Training:  # fmt: skip
        """From ``rows`` (n,) of ``data``; without an intercept nothing would take up a mean, and none is taken off."""
        mean = np.zeros(data.features.shape[1], np.float32)
        if intercept:
            mean = data.features[rows].mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = data.features[rows] - mean
        axes = near.axes if near else np.asarray(np.linalg.eigh(centred.T @ centred)[1])
        x = np.full((len(rows), len(mean) + 1), np.float32(intercept))
        x[:, :-1] = centred @ axes
        return cls(x, data.labels[rows], data.split[rows], mean, axes, offsets)

    def problem(self, share: float, kept: np.ndarray | slice = slice(None)) -> SoftmaxRegression:
        """The regression of the images ``kept`` with ``share`` of the offsets."""
        return SoftmaxRegression(self.x[kept], self.y[kept], self.offset(share, kept))

    def offset(self, share: float, kept: np.ndarray | slice) -> np.ndarray | None:
        """(m, C) ``share`` of the offsets of the images ``kept``; None where that is nothing."""
        return None if self.offsets is None or not share else np.float32(share) * self.offsets[kept]

    @property
    def held(self) -> list[np.ndarray]:
        """(n,) bool each: the images to choose on, once for each fit without them: official validation ones where there
        are any, else those of each of five folds; none that leave one class to fit."""
        official = self.split == "val"
        of = folds(self.y, FOLDS)
        several = [official] if official.any() else [of == fold for fold in range(FOLDS) if (of == fold).any()]
        return [held for held in several if len(np.unique(self.y[~held])) > 1]

    def linear(self, fit: Optimum) -> Linear:
        """The classifier of features as they are, not centred and along their own axes."""
        weight, intercept = fit.weight[:, :-1] @ self.axes.T, fit.weight[:, -1]
        return Linear(weight.astype(np.float32), (intercept - weight @ self.mean).astype(np.float32),
                      np.asarray(fit.classes, np.int64))  # fmt: skip


@dataclass(frozen=True, eq=False)
class Found:
    """The ``optimum`` on all training images at the ``share`` and C that were chosen; ``details`` say how; ``path`` is
    what fits on features like these can begin from, None where this began from one."""

    optimum: Optimum
    share: float
    converged: bool
    details: dict[str, Any]
    path: Optima | None


def fit(training: Training, grid: Grid, finish: Finish, max_iter: int, near: Optima | None) -> Found:
    """Choose from ``grid`` on images held out, then fit all. ``finish`` brings to the optimum what came near it."""
    choice = _Choice(*grid.unchosen)
    if grid.size > 1:
        choice = _choose(training, grid, finish, max_iter, near.chosen if near else ())
    c = choice.c
    problem = training.problem(choice.share)
    final = finish(problem.fit(c, tolerance(c), max_iter, choice.start(grid, near)), problem, c, max_iter)
    converged = final.converged and all(one.converged for path in choice.paths for one in path)
    details = {**choice.details, "C": c, "n_iter": final.n_iter}
    return Found(final, choice.share, converged, details, None if near else Optima(training.axes, choice.paths, final))


@dataclass(frozen=True, eq=False)
class _Choice:
    """A share and a C; ``paths``: for each share the solutions over C, of the first images held out."""

    share: float
    c: float
    paths: tuple[Path, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def start(self, grid: Grid, near: Optima | None) -> Optimum | None:
        """Where the fit on all training images begins: without a path nearby at the solution at the smallest C, though
        from the others, sure of the images held out and wrong, it takes about as many steps."""
        if not self.paths:
            return near.final if near else None
        i, j = grid.shares.index(self.share), grid.cs.index(self.c)
        if near and near.chosen:
            return onward(self.paths[i][j], near.final, near.chosen[i][j])
        return near.final if near else self.paths[i][0]


def _choose(training: Training, grid: Grid, finish: Finish, max_iter: int, near: tuple[Path, ...]) -> _Choice:
    """What of ``grid`` is best on the images held out, the smallest share of equals, and of that the smallest C. The
    details say where they could not tell."""
    several = training.held
    if not several:
        return _Choice(*grid.unchosen, details={"validation": "too few images"})
    any_held = np.any(several, axis=0)
    if len(np.unique(training.y[any_held])) < 2:
        return _Choice(*grid.unchosen, details={"validation": f"{_images(any_held)} of one class"})
    first: tuple[Path, ...] = ()
    right = np.zeros((len(grid.shares), len(grid.cs)))
    for held in several:
        paths = _paths(training, ~held, grid, finish, max_iter, near or first)
        for i, share in enumerate(grid.shares):
            offset = training.offset(share, held)
            right[i] += [(one.predict(training.x[held], offset) == training.y[held]).sum() for one in paths[i]]
        first = first or paths
    accuracies = (right / sum(held.sum() for held in several)).ravel().tolist()
    best = max(accuracies)
    details: dict[str, Any] = {"validation_accuracy": best, "folds": len(several)}
    if min(accuracies) == best:
        often = {0.0: "wrong", 1.0: "right"}.get(best, "as often right")
        details["validation"] = f"{_images(any_held)} {often} at every {grid.names}"
    share, c = list(product(grid.shares, grid.cs))[int(np.argmax(accuracies))]
    return _Choice(share, c, first, details)


def _paths(
    training: Training, kept: np.ndarray, grid: Grid, finish: Finish, max_iter: int, near: tuple[Path, ...]
) -> tuple[Path, ...]:
    """The solutions over C at each share, each path along that of ``near``, or along the one of the share before."""
    found: list[Path] = []
    for i, share in enumerate(grid.shares):
        beside = near[i] if near else found[-1] if found else ()
        found.append(_path(training.problem(share, kept), grid.cs, finish, max_iter, beside))
    return tuple(found)


def _path(problem: SoftmaxRegression, cs: Sequence[float], finish: Finish, max_iter: int, near: Path) -> Path:
    """The solution at each of ``cs``, each from the one before, or as far from there as the one of ``near`` is."""
    models: list[Optimum] = []
    near = near if near and np.array_equal(near[0].classes, problem.classes) else ()  # a fold may lack a class
    for i, c in enumerate(cs):  # one path: each solution starts the next, weaker-regularised one
        start = models[-1] if models else near[0] if near else None
        if near and models:
            start = onward(models[-1], near[i], near[i - 1])
        elif len(models) > 1:  # as far again as from the C before
            start = onward(models[-1], models[-1], models[-2])
        found = problem.fit(c, tolerance(c), max_iter, start)
        models.append(found if found.converged else finish(found, problem, c, max_iter))
    return tuple(models)


def _images(held: np.ndarray) -> str:
    n = int(held.sum())
    return f"all {n} images" if n > 1 else "the one image"
