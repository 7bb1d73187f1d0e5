"""Generators and encoders of a run; what comes from them is checked here, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from fgscore import encoders, regions
from fgscore.encoders import Batches, Encoder, EncoderMaker, ImageRegions, PromptSet
from fgscore.errors import DataError, UsageError
from fgscore.extract import trial
from fgscore.extract.part import Fault, Part, fault_of, stop_at
from fgscore.machine import timing
from fgscore.machine.macs import Macs
from fgscore.machine.packages import check_installed
from fgscore.machine.progress import Progress, silent
from fgscore.models import Maker
from fgscore.regions import Generator, GeneratorMaker, Known, Proposals
from fgscore.runtime import Runtime
from fgscore.types import NOT_TOLD_APART, Descriptions, TextBank, pairs

__all__ = ["EncoderPart", "Fault", "GeneratorPart", "Parts", "equal_text", "fault_of", "stop_at"]


class GeneratorPart(Part[Generator]):
    """A region generator of a run."""

    makers: ClassVar[type[Maker]] = GeneratorMaker

    @cached_property
    def macs(self) -> Macs | None:
        """Multiply-accumulates of the regions of an image; none of a generator of ours that has no model."""
        made = self.made
        if self.maker.is_ours and type(made).macs is Generator.macs:
            return Macs(0)
        count = self._counted(made.macs)
        return None if count is None else Macs(count)

    notes: Mapping[str, Sequence[str]] = {}  # what it had to say of the images it was told of

    def meet(self, known: Known) -> None:
        """Tell it what is ``known``, where it asks for that; see :meth:`Generator.meet`, which ``notes`` are from."""
        made = self.made
        if made.asks or made.parent is not None:
            with self.blamed(made.meet):
                self.notes = {about: [str(name) for name in names] for about, names in (made.meet(known) or {}).items()}

    def propose(self, image: np.ndarray, image_id: str) -> Proposals:
        """The regions of ``image`` (H, W, 3) uint8, checked, within the area range and at most ``n``. Raises
        :class:`UsageError`, with the image and the box, for what a generator that is not ours does wrong."""
        made = self.loaded
        with self.blamed(made.propose, image_id):
            found = made.propose(image, image_id)
            with timing.spent("select"):
                proposals = regions.checked(found, image.shape[:2], made.masks, made.mirrors)
                return regions.select(proposals, made.n, made.area_min, made.area_max)


class EncoderPart(Part[Encoder]):
    """An encoder of a run."""

    makers: ClassVar[type[Maker]] = EncoderMaker

    def _keys(self, kind: str) -> tuple[str, ...]:
        assert isinstance(self.maker, EncoderMaker)
        return self.maker.keys(self.made, kind)

    def _begin(self) -> None:
        self.made.batches = Batches(self.runtime.batch_size, str(self.made.device))
        if not self.maker.is_ours:
            trial.check(self)

    @cached_property
    def macs(self) -> Macs | None:
        """Multiply-accumulates of an image's regions beside those of the whole image: as :meth:`Encoder.macs` has them
        of one region and of two."""
        whole, one, two = (self._counted(self.made.macs, regions) for regions in (0, 1, 2))
        if whole is None or one is None or two is None:
            return None
        return Macs(max(0, 2 * one - two - whole), max(0, two - one))

    @cached_property
    def macs_of_whole(self) -> Macs | None:
        """Multiply-accumulates of an image without regions."""
        count = self._counted(self.made.macs, 0)
        return None if count is None else Macs(count)

    def images(self, images: Iterable[np.ndarray]) -> np.ndarray:
        """(N, d) float32 raw embeddings of whole images (H, W, 3) uint8, in batches that the device can hold."""
        made = self.loaded

        def embed(block: list[np.ndarray]) -> np.ndarray:
            with self.blamed(made.embed_images):
                return encoders.rows_of(made.embed_images(block), len(block), made.dim)

        return _joined(made.batches.embed(embed, images), made.dim)

    def regions(self, images: Iterable[ImageRegions]) -> np.ndarray:
        """(R, d) float32 raw embeddings of all regions of ``images``, each of which is read once."""
        made, feed = self.loaded, _Feed(images)
        try:
            with self.blamed(made.embed_regions):
                found = made.embed_regions(feed)
                blocks = [found] if isinstance(found, np.ndarray) else found
                rows = _joined((encoders.rows_of(block, len(block), made.dim) for block in blocks), made.dim)
                feed.check(len(rows))
                return rows
        except Exception:
            if feed.error:  # of ours, which only passed through it
                raise feed.error from None
            raise

    def regions_and_whole(self, images: Iterable[ImageRegions]) -> tuple[np.ndarray, np.ndarray]:
        """(R, d) as :meth:`regions`, and (N, d) of the whole images, by an encoder that embeds all at once."""
        counts: list[int] = []

        def with_whole() -> Iterator[ImageRegions]:
            for one in images:
                counts.append(len(one))
                yield one.and_whole()

        found = self.regions(with_whole())
        last = np.cumsum(np.array(counts, np.int64) + 1) - 1
        return np.delete(found, last, axis=0), found[last]

    def sentences(self, class_names: Sequence[str], prompts: PromptSet) -> tuple[TextBank, Callable[[], Descriptions]]:
        """Embeddings of the classes and what gives those of every text; see
        :func:`fgscore.encoders.embed_sentences`."""
        made = self.loaded
        with self.blamed(made.embed_texts):
            bank, describe = encoders.embed_sentences(made, class_names, prompts, self.who)

        def described() -> Descriptions:
            with self.blamed(made.embed_texts):
                return describe()

        return bank, described

    def unit(self, raw: np.ndarray, what: Sequence[str] | str) -> tuple[np.ndarray, np.ndarray]:
        """Unit rows of ``raw`` (R, d) and their norms; see :func:`fgscore.encoders.unit`."""
        return encoders.unit(raw, what, self.who)

    def token_ids(self, texts: Sequence[str]) -> list[tuple[int, ...]] | None:
        """What it reads of each text, where that is known without loading it."""
        with self.blamed(self.made.token_ids):
            return self.made.token_ids(texts)


class _Feed:
    """Images with their regions on their way to an encoder: counted, and what goes wrong in reading them is kept."""

    def __init__(self, images: Iterable[ImageRegions]) -> None:
        self._images, self._count, self._regions, self._is_through = iter(images), 0, 0, False
        self.error: Exception | None = None

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> ImageRegions:
        try:
            one = next(self._images)
        except StopIteration:
            self._is_through = True
            raise
        except Exception as error:
            self.error = error
            raise
        self._count += 1
        self._regions += len(one)
        return one

    def check(self, rows: int) -> None:
        """Raises :class:`UsageError` unless all images were asked for and there is one of ``rows`` for each region."""
        if not self._is_through:
            raise UsageError(f"it stopped after {self._count} images, before the last")
        if rows != self._regions:
            raise UsageError(f"found {rows} rows in place of {self._regions}, one for each region")


def _joined(blocks: Iterable[np.ndarray], dim: int) -> np.ndarray:
    return np.concatenate([np.zeros((0, dim), np.float32), *blocks])


def _generator(text: str, runtime: Runtime, is_cached: Callable[[str], bool]) -> GeneratorPart | None:
    """The generator that ``text`` names; None where it cannot be made here and its regions are in the cache."""
    try:
        part = GeneratorPart(text, runtime)
        return None if is_cached(text) and part.unmade() else part
    except (UsageError, DataError):
        if is_cached(text):
            return None
        raise


def equal_text(encoder: EncoderPart, prompt: str, equal: Sequence[tuple[str, str]]) -> DataError:
    """The error for classes of which ``encoder`` says the same by ``prompt``."""
    return DataError(
        f"{encoder.text} says the same of {pairs(equal)} by the prompt {prompt!r}; {NOT_TOLD_APART}: mend the names "
        "or the prompt, or go on with --allow-equal-text"
    )


@dataclass(frozen=True)
class Parts:
    """Generators and encoders of a run; ``cached`` names regions that are in the cache and can not be made here."""

    generators: list[GeneratorPart]
    encoders: list[EncoderPart]
    prompts: list[str]
    cached: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        generators: Sequence[str],
        encoders_: Sequence[str],
        prompts: Sequence[str],
        runtime: Runtime,
        noun: str | None = None,
        is_cached: Callable[[str], bool] = lambda regions: False,
    ) -> Parts:
        """Parse and bind every component; nothing is loaded. ``noun`` is what the classes are kinds of; regions that no
        generator makes here may be such as ``is_cached``. Raises :class:`UsageError` or :class:`DataError` for one that
        does not exist."""
        texts = list(dict.fromkeys(generators))
        found = {text: _generator(text, runtime, is_cached) for text in texts}
        made = cls(
            [part for part in found.values() if part],
            [EncoderPart(text, runtime) for text in dict.fromkeys(encoders_)],
            list(dict.fromkeys(prompts)),
            tuple(text for text in texts if found[text] is None),
        )
        for prompt in made.prompts:
            encoders.prompt_set(prompt, noun)
        return made

    @property
    def every(self) -> tuple[Part[Any], ...]:
        """All of them, encoders first."""
        return (*self.encoders, *self.generators)

    @property
    def sources(self) -> tuple[str | None, ...]:
        """The digest of the file or distribution of each, None for ours."""
        return tuple(part.maker.source.sha256 for part in self.every)

    @property
    def notes(self) -> dict[str, list[str]]:
        """What generators have to say of the images they were told of: names by what is said of them."""
        return {about: list(names) for part in self.generators for about, names in part.notes.items()}

    def faults(self, progress: Progress = silent, fetch: bool = True) -> list[Fault]:
        """What of them would stop a run, see :meth:`Part.faults`; packages that lack are told together."""
        found = [fault for part in self.every for fault in part.faults(progress, fetch) if fault[0] != "packages"]
        lacking = sorted({package for part in self.every if not part.unmade() for package in part.lacking()})
        return [*fault_of("packages", lambda: check_installed(lacking)), *found]
