"""An encoder's regions in one pass: pictures and what belongs to whom to the model, rows back in their order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from fgscore.encoders import ImageRegions, _render, _trial
from fgscore.encoders._batches import Batches
from fgscore.encoders._looks import Looks
from fgscore.encoders._one_pass import Together, views
from fgscore.encoders._one_pass.copies import Unreachable
from fgscore.encoders._one_pass.layers import OnePass
from fgscore.encoders._one_pass.views import Grid, View
from fgscore.errors import BadParameter
from fgscore.machine.macs import macs_of
from fgscore.pretrained.fit import first_line

COPIES = 32  # for each picture of a batch; more of them, and it has fewer pictures
ALIKE = {"float32": 0.9999, "float16": 0.999, "bfloat16": 0.99}  # cosine of an image and a region that is all of it
Restrict = Callable[[Callable[[], Any]], Any]
Embed = Callable[[Sequence[np.ndarray], Restrict], np.ndarray]


class AtOnce:
    """The regions of images by one pass each of ``model``, as ``how`` says. ``embed(pictures, restrict)`` are rows of a
    forward pass ``features`` of the model on these pictures, of which ``restrict(features)`` is made in its place.

    Raises :class:`BadParameter` where the model is none of which this can be had; ``who`` is what the message calls it.
    """

    def __init__(self, model: Any, how: Together, who: str) -> None:
        self._how, self._who, self._local = how, who, threading.local()
        try:
            self._pass = OnePass(model, how.start)
        except Unreachable as error:
            raise self._refused(error) from error

    @property
    def unseen(self) -> int:
        """How many regions of this thread's last images lie outside of what the model sees of them."""
        return int(vars(self._local).get("unseen", 0))

    def begin(self, embed: Embed, looks: Looks, fit: _render.Fit, dtype: str) -> None:
        """Find out how patches lie, and whether a region that is all of its picture is that picture."""
        self._embed, pictures = embed, _trial.PICTURES
        whole = [ImageRegions(one, np.array([[0, 0, *one.shape[1::-1]]], np.int32)) for one in pictures]
        try:
            with self._pass.looking():
                wanted = embed(pictures, lambda features: features())
            self._dim = wanted.shape[1]
            looks.seen(*pictures[0].shape[:2])
            self._grid = Grid(
                *self._pass.grid,
                self._pass.span,
                lambda height, width: _render.placed(height, width, fit, looks.size, looks.seen),
            )
            self._settle(lambda: _least_cosine(self._block(whole, len(whole)), wanted) >= ALIKE[dtype])
        except Unreachable as error:
            raise self._refused(error) from error
        except BadParameter as error:
            raise self._refused(Unreachable(str(error))) from error
        except Exception as error:  # whatever a model may do with one token in place of many
            raise self._refused(Unreachable(f"{type(error).__name__}: {first_line(error)}")) from error

    def _settle(self, is_alike: Callable[[], bool]) -> None:
        """By the class token or a pool, or else by the mean, whichever the model ends in."""
        for takes_mean in self._pass.ends:
            self._pass.takes_mean = takes_mean
            if is_alike():
                break
        else:
            raise Unreachable("a region that is all of a picture is not that picture: it ends in something else than "
                              "its class token, a pool of attention or a mean")  # fmt: skip
        if self._pass.takes_mean and self._how.start:
            why = f"start={self._how.start} says when a class token is copied, and it ends in a mean of its patches"
            raise Unreachable(why, "leave start out")

    def _refused(self, error: Unreachable) -> BadParameter:
        return BadParameter(f"{self._who} has no regions='one_pass': {error}; {error.instead}")

    @cached_property
    def macs_of_copy(self) -> int:
        """Multiply-accumulates that one more region takes."""

        def of(copies: int) -> int:
            bias = torch.zeros(copies, self._grid.rows * self._grid.columns)
            picture = _trial.PICTURES[:1]
            return macs_of(lambda: self._embed(picture, lambda features: self._pass.embed(features, [copies], bias)))

        return of(2) - of(1)

    def embed(self, images: Iterable[ImageRegions], batches: Batches) -> Iterator[np.ndarray]:
        """Arrays (m, d): the regions of all ``images``."""
        self._local.unseen = 0
        return batches.embed(lambda block: self._block(block, batches.size), images)

    def _block(self, images: Sequence[ImageRegions], size: int) -> np.ndarray:
        """(R, d): the regions of ``images``, by passes of at most ``size`` pictures."""
        seen = [self.views(one) for one in images]
        first = np.cumsum([0, *map(len, images)])
        if not first[-1]:
            return np.zeros((0, self._dim), np.float32)
        every = [view for of_image in seen for view in of_image]
        found = np.concatenate([self._rows(some) for some in _parts(every, size)])
        at = np.concatenate([start + view.rows for start, some in zip(first, seen, strict=False) for view in some])
        rows = np.empty_like(found)
        rows[at] = found
        self._local.unseen = self.unseen + sum(view.unseen for view in every)
        return rows

    def views(self, one: ImageRegions) -> list[View]:
        """The pictures in which the regions of ``one`` are looked for."""
        return views.views(one, self._grid, self._how)

    def restrict(self, some: Sequence[View]) -> Restrict:
        """What makes of ``features``, a forward pass of the pictures of ``some``, that of their regions (S, d)."""
        bias = torch.from_numpy(np.concatenate([view.belongs for view in some])).log()
        counts = [len(view.rows) for view in some]
        return lambda features: self._pass.embed(features, counts, bias)

    def _rows(self, some: Sequence[View]) -> np.ndarray:
        """(S, d): the regions of some pictures, one after another, by one pass of them."""
        return self._embed([view.picture for view in some], self.restrict(some))


def _parts(every: Sequence[View], size: int) -> Iterator[list[View]]:
    """``every`` in order, at most ``size`` at a time, and fewer where they have many regions."""
    some: list[View] = []
    for view in every:
        if some and (len(some) == size or sum(len(one.rows) for one in (*some, view)) > COPIES * size):
            yield some
            some = []
        some.append(view)
    if some:
        yield some


def _least_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The lowest cosine of two rows at one place; NaN where one is not finite."""
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())
