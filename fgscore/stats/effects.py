"""What can be asked of any effect that has errors: its interval, its p, what it could have seen."""

from __future__ import annotations

from abc import ABC, abstractmethod

from scipy.stats import t as student

LEVEL, ALPHA, POWER = 0.95, 0.05, 0.80


class Effect(ABC):
    """An effect ``value`` in -1..1, of which ``differ`` images tell. Where there are several ``errors``, of each
    question the most careful answer is given."""

    value: float
    differ: int

    @property
    @abstractmethod
    def errors(self) -> tuple[tuple[float, float], ...]:
        """Standard errors of ``value``, all above zero, each with its degrees of freedom."""

    @property
    @abstractmethod
    def repeats(self) -> int | None:
        """The smaller number of draws and seeds; None where chance moves neither."""

    def half_width(self, level: float = LEVEL) -> float:
        """Half the width of the interval at ``level``."""
        return max(float(student.ppf((1 + level) / 2, df)) * error for error, df in self.errors)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Its ends at ``level``."""
        half = self.half_width(level)
        return self.value - half, self.value + half

    @property
    def p(self) -> float | None:
        """Two-sided, of no effect; None where crops or seeds were seen once, as what they move is not known."""
        if self.repeats == 1:
            return None
        return max(float(2 * student.sf(abs(self.value) / error, df)) for error, df in self.errors)

    def above(self, null: float = 0.0) -> float:
        """p of an effect of ``null`` or less: small where it is larger."""
        return max(float(student.sf((self.value - null) / error, df)) for error, df in self.errors)

    def below(self, null: float = 0.0) -> float:
        """p of an effect of ``null`` or more: small where it is smaller."""
        return max(float(student.cdf((self.value - null) / error, df)) for error, df in self.errors)

    def smallest_visible(self, tests: int = 1) -> float:
        """The smallest effect that would be found with a chance of 80 % as the first of ``tests`` by Holm."""
        alpha = ALPHA / max(tests, 1)
        return max(float(student.ppf(1 - alpha / 2, df) + student.ppf(POWER, df)) * error for error, df in self.errors)

    @property
    def slack(self) -> float:
        """What its error alone adds to :attr:`bound`."""
        return self.half_width(1 - 2 * ALPHA)

    @property
    def bound(self) -> float:
        """The smallest margin within which it is zero, by two one-sided tests at 0.05."""
        return abs(self.value) + self.slack

    def beyond(self, margin: float) -> float:
        """p of an effect of at most ``margin``, to either side: small where it is surely larger."""
        return self.above(margin) if self.value > 0 else self.below(-margin)

    def within(self, margin: float) -> float:
        """p of an effect of ``margin`` or more, to either side: below 0.05 where :attr:`bound` is below it."""
        return self.below(margin) if self.value > 0 else self.above(-margin)
