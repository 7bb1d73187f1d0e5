"""One effect over several data sets, each weighing the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fgscore.stats.crossed import Contrast
from fgscore.stats.effects import Effect

LEAST = 3  # data sets from which on there is a mean


@dataclass(frozen=True)
class Combined(Effect):
    """The mean of ``effects`` over data sets. Its two errors are that of a mean over data sets like these, by how the
    effects scatter, and that on ``here``, these data sets alone, by what is known of each effect."""

    effects: tuple[Contrast, ...]
    value: float
    scatter: tuple[float, float]
    here: tuple[float, float]

    @property
    def errors(self) -> tuple[tuple[float, float], ...]:
        """The scatter, where there is any, and the error on these data sets, with their degrees of freedom."""
        return (self.scatter, self.here) if self.scatter[0] > 0 else (self.here,)

    @property
    def repeats(self) -> int | None:
        """The smaller number of draws and seeds, of any data set; None where chance moves neither."""
        return min((e.repeats for e in self.effects if e.repeats is not None), default=None)

    @property
    def differ(self) -> int:  # type: ignore[override]
        """Images that differ, of all data sets."""
        return sum(e.differ for e in self.effects)

    @property
    def agree(self) -> int:
        """How many of the effects have the sign of their mean."""
        return sum(e.value * self.value > 0 for e in self.effects)


def combined(effects: Sequence[Contrast]) -> Combined:
    """``effects`` of three data sets or more as one, with equal weights. Raises ValueError for fewer: two effects are
    printed side by side."""
    k = len(effects)
    if k < LEAST:
        raise ValueError(f"effects: expected {LEAST} data sets or more, found {k}")
    values, variances = np.array([e.value for e in effects]), np.array([e.variance for e in effects])
    df = float(variances.sum() ** 2 / sum(e.variance**2 / e.df for e in effects))
    scatter = float(np.sqrt(values.var(ddof=1) / k))
    return Combined(tuple(effects), float(values.mean()), (scatter, k - 1.0), (float(np.sqrt(variances.sum())) / k, df))
