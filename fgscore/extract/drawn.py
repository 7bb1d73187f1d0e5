"""Several draws of regions that are drawn at random, such as crops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fgscore import specs
from fgscore.errors import UsageError
from fgscore.regions import GeneratorMaker


def drawn(regions: Sequence[str], draws: int) -> list[str]:
    """``regions`` with each generator that has a seed ``draws`` times, by that seed and those after it; what cannot be
    bound, as it is cached alone, stays as it is."""
    return list(dict.fromkeys(one for text in regions for one in (text, *_other_seeds(text, draws))))


def _other_seeds(text: str, draws: int) -> Iterator[str]:
    written = specs.parse(text)
    try:
        first = GeneratorMaker.bind(text).params.get("seed") if draws > 1 else None
    except UsageError:
        return
    if isinstance(first, int):
        for seed in range(first + 1, first + draws):
            yield specs.text(written.name, {**written.params, "seed": seed})
