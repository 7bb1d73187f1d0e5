"""Encoders and generators that a file names: those that may be taken on this machine because it does."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from fgscore import specs
from fgscore.errors import MissingWeights, UsageError
from fgscore.extract.part import Part
from fgscore.models import Maker

P = TypeVar("P", bound=Part[Any])
COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


def on_its_own(recorded: P, key: str, weights: str | None) -> P:
    """``recorded`` where its text and ``weights`` are enough to find it on this machine. Raises
    :class:`MissingWeights` where they are not, with what the user can name instead."""
    if recorded.made.is_known:
        return recorded
    maker = recorded.maker
    said = f"the probe was trained with {key} {maker.canonical}"
    if recorded.made.runs_code:
        raise UsageError(f"{said}, and no code is run because a probe names it; look at that code, then name it "
                         f'yourself: --{key} "{text(maker)}"')  # fmt: skip
    pinned = at_commit(recorded, weights)
    if pinned is None:
        keys = ("pretrained",) if maker.params.get("pretrained") else ("model", "checkpoint")
        place = {k: "PATH" for k in keys if k in maker.params}
        raise MissingWeights(f'{said}, whose weights lie with its maker; name yours: --{key} "{text(maker, **place)}"')
    try:
        _ = pinned.weights
    except MissingWeights as error:
        raise MissingWeights(
            f"{said}, which is not whole in the local hub cache, and nothing is fetched because a probe names it; "
            f'run `fgscore download "{text(pinned.maker)}"`'
        ) from error
    return pinned


def at_commit(recorded: P, weights: str | None) -> P | None:
    """``recorded`` at the very commit of the hub that ``weights`` are, wherever main has moved to; None where they are
    of no hub."""
    maker = recorded.maker
    if not _is_hub_id(maker, weights):
        return None
    return type(recorded)(replace(maker, params={**maker.params, "revision": weights}), recorded.runtime)


def text(maker: Maker, **changed: specs.Value) -> str:
    """The component as it can be named on the command line, with some parameters changed."""
    return specs.canonical(maker.name, {**maker.params, **changed}, maker.tunables(maker.function))


def _is_hub_id(maker: Maker, weights: str | None) -> bool:
    """Whether the weights come from a hub, by the commit that identifies them; never where a folder has that name."""
    model = str(maker.params.get("model"))
    return bool(COMMIT.fullmatch(weights or "") and HUB_ID.fullmatch(model)) and not Path(model).exists()
