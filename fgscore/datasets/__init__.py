"""Data sets: the contract, and what all of them share, from a list of photos to the index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from fgscore import specs
from fgscore.components import Component, Source
from fgscore.datasets._account import Account, PassedOver
from fgscore.datasets._build import PHOTO_BYTES, build_index, unreadable
from fgscore.datasets._listing import Listing, Photo, checked, first_folder, limited, present, read_lines
from fgscore.errors import UsageError
from fgscore.models import Download
from fgscore.types import CONTENT

__all__ = ["PHOTO_BYTES", "Account", "DataSet", "Defaults", "Download", "Listing", "PassedOver", "Photo", "Progress",
           "build_index", "first_folder", "in_key", "key_of", "limited", "present", "read_lines",
           "unreadable"]  # fmt: skip

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Defaults:
    """Components that a data set asks for where the command line names none."""

    encoder: str = "clip"
    regions: tuple[str, ...] = ("random_crop", "sam")
    prompt: str = "photo"


@dataclass(frozen=True, kw_only=True)
class DataSet(Component):
    """A function ``f(root, /, *, parameters...) -> Listing``, bound: it reads the lists under ``root``, the folder of
    the photos, and looks at no pixel.

    ``noun`` is what its classes are kinds of, for prompts such as "..., a type of bird."; ``defaults`` the components
    to use where none is named; ``downloads`` the official files, or ``instructions`` what to fetch where there are
    none, with ``{root}`` for the folder; ``prepare(root, progress, /, *, ...)`` makes photos that are made rather than
    found, by those of the parameters that it has too;
    ``boxes`` is what its boxes are of; ``own`` has the photos looked at for what is wrong with a user's own, as is
    always done for a data set that is not ours. A parameter that decides labels, splits or names of the same photos is
    annotated with :data:`fgscore.specs.OF_CONTENT`: another value of it costs no image work. Example, in a file of
    one's own, used by ``fgscore extract ./mine.py:birds --root ~/birds``, and later known as ``birds``::

        from fgscore.datasets import DataSet, Listing, Photo

        @DataSet.declares(noun="bird")
        def birds(root, /, *, year: int = 2024):
            rows = [line.split() for line in (root / f"{year}.txt").open()]  # file, label, split
            photos = [Photo(file, f"photos/{file}", int(label), split) for file, label, split in rows]
            return Listing(root, ("crow", "jay"), photos)
    """

    kind: ClassVar[str] = "data set"
    home: ClassVar[str] = "fgscore.datasets"
    takes: ClassVar[tuple[str, ...]] = ("root",)

    noun: str | None = None
    defaults: Defaults = Defaults()
    downloads: tuple[Download, ...] = ()
    instructions: str = ""
    own: bool = False
    boxes: str = "object"
    prepare: Callable[..., None] | None = None

    @classmethod
    def _made(cls, spec: specs.Spec, function: Callable[..., Any], source: Source) -> Self:
        made = super()._made(spec, function, source)
        if source.file and made.key in cls.ours_named():
            raise UsageError(
                f"{made.place}data set {made.key!r} is one of ours, and yours would be kept under the same name; "
                "rename the function"
            )
        return made

    @property
    def key(self) -> str:
        """The name it is kept under: what its parameter ``name`` says, where it has one, else its function's."""
        return key_of(specs.Spec(self.name, self.params))

    @property
    def is_looked_at(self) -> bool:
        """Whether the photos are a user's own, and looked at for what is wrong with such."""
        return self.own or not self.is_ours

    @property
    def notes(self) -> dict[str, Any]:
        """What the index keeps beside its recipe: the parameters that are its content, as they were written, and of a
        data set that is not ours what the store has no other way to know."""
        content = {key: self.params[key] for key in sorted(specs.of_content(self.function))}
        written = {key: value for key, value in content.items() if value != self.tunables(self.function)[key]}
        notes: dict[str, Any] = {CONTENT: written} if written else {}
        if self.is_ours:
            return notes
        boxes = {"boxes": self.boxes} if self.boxes != DataSet.boxes else {}
        return notes | {"source": self.source.sha256} | boxes

    def make_photos(self, root: Path, progress: Progress) -> None:
        """Make the photos under ``root``, where they are made rather than found and are not there yet."""
        if self.prepare:
            own = specs.tunables(self.prepare)
            self.prepare(root, progress, **{key: value for key, value in self.params.items() if key in own})

    def listing(self, root: Path) -> Listing:
        """What the lists under ``root`` say. Raises :class:`DataError` where they are missing or disagree, and
        :class:`UsageError`, with file and line, for what a data set that is not ours does wrong."""
        if self.is_ours:
            return self.call(root)
        with self.blamed(f"mend that, or name the folder of the photos with --root DIR in place of {root}"):
            return checked(self.call(root))


def key_of(written: specs.Spec) -> str:
    """The name that a data set is kept under, as it is written: ``mine`` of ``folder(name='mine')``, ``birds`` of
    ``./mine.py:birds``, ``demo-train20`` of ``demo(train=20)``, whose photos are others than those of ``demo``."""
    name = str(written.params.get("name", specs.stored_name(written.name).rpartition(":")[2]))
    defaults = in_key(written.name)
    others = [key for key, default in defaults.items() if written.params.get(key, default) != default]
    return "-".join([name, *(f"{key}{written.params[key]}" for key in others)])


def in_key(name: str) -> dict[str, Any]:
    """The parameters of the data set of ours by that name that its key says, and their defaults; of any other none."""
    if name not in DataSet.ours_named():
        return {}
    function = DataSet.ours(name)
    return {key: value for key, value in specs.tunables(function).items() if key in specs.of_name(function)}


def ours(name: str) -> DataSet | None:
    """The data set of ours by that name, with its defaults; None for any other, whose code no store leads to."""
    return DataSet.built_in(name) if name in DataSet.ours_named() else None
