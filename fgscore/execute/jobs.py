"""An extraction as plain values, so that other processes can carry out their share of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fgscore.errors import UsageError
from fgscore.extract.extraction import extract
from fgscore.extract.fill import Share
from fgscore.extract.index import Indexed
from fgscore.extract.part import stop_at
from fgscore.extract.parts import Parts
from fgscore.machine.progress import Progress, Summary, silent
from fgscore.runtime import Runtime
from fgscore.store import manifest
from fgscore.store.cache import Store
from fgscore.store.paths import Layout


@dataclass(frozen=True)
class Job:
    """Everything for one data set, whose index is there: components as text, folders, and how it is carried out.
    ``sources`` are the digests of the files or distributions that the components stood in, None for ours; ``cached``
    names regions that are in the cache."""

    data: Path
    index: Path
    root: Path
    generators: tuple[str, ...]
    encoders: tuple[str, ...]
    prompts: tuple[str, ...]
    noun: str | None
    runtime: Runtime
    sources: tuple[str | None, ...] = ()
    retry_failed: bool = False
    thumbnail_size: int | None = None
    allow_equal_text: bool = False
    cached: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        store: Store,
        indexed: Indexed,
        parts: Parts,
        runtime: Runtime,
        retry_failed: bool = False,
        thumbnail_size: int | None = None,
        allow_equal_text: bool = False,
    ) -> Job:
        """What :func:`extract` would do with the same arguments."""
        return cls(
            store.layout.root,
            indexed.artefact.path,
            indexed.root,
            tuple(part.text for part in parts.generators),
            tuple(part.text for part in parts.encoders),
            tuple(parts.prompts),
            indexed.noun,
            runtime,
            parts.sources,
            retry_failed,
            thumbnail_size,
            allow_equal_text,
            parts.cached,
        )

    def on(self, device: str) -> Job:
        """The same on another device."""
        return replace(self, runtime=replace(self.runtime, device=device))

    def run(self, share: Share = Share(), progress: Progress = silent) -> list[Summary]:  # noqa: B008 (frozen)
        """Carry out a share of it, in this process. Raises :class:`UsageError` where a user's file that the components
        stand in has changed since."""
        store = Store(Layout(self.data))
        artefact = manifest.load(self.index)
        index = store.index(artefact)
        summary = Summary(artefact.label, "index", reused=1, images=len(index))
        indexed = Indexed(artefact, index, self.root, summary, self.noun)
        parts = Parts.of(self.generators, self.encoders, self.prompts, self.runtime, self.noun)
        parts = replace(parts, cached=self.cached)
        for part, before in zip(parts.every, self.sources, strict=True):
            if part.maker.source.sha256 != before:
                raise UsageError(f"{part.text} has changed since this run was begun; run the same command again")
        stop_at(parts.faults(progress))
        how = (progress, self.retry_failed, self.thumbnail_size, share, self.allow_equal_text)
        return extract(store, indexed, parts, self.runtime, *how)
