"""An extraction as plain values, so that other processes can carry out their share of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fgscore.extract.parts import Components, stop_at
from fgscore.extract.extraction import extract
from fgscore.extract.fill import Share
from fgscore.extract.index import Indexed
from fgscore.machine.progress import Progress, Summary, silent
from fgscore.store import manifest
from fgscore.store.match import Store
from fgscore.store.paths import Layout
from fgscore.types import Runtime


@dataclass(frozen=True)
class Job:
    """Everything for one data set, whose index is there: components as text, folders, and how it is carried out."""

    data: Path
    index: Path
    root: Path
    generators: tuple[str, ...]
    encoders: tuple[str, ...]
    prompts: tuple[str, ...]
    noun: str | None
    runtime: Runtime
    retry_failed: bool = False
    thumbnail_size: int | None = None
    allow_equal_text: bool = False

    @classmethod
    def of(
        cls,
        store: Store,
        indexed: Indexed,
        components: Components,
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
            tuple(c.text for c in components.generators),
            tuple(c.text for c in components.encoders),
            tuple(components.prompts),
            indexed.noun,
            runtime,
            retry_failed,
            thumbnail_size,
            allow_equal_text,
        )

    def on(self, device: str) -> Job:
        """The same on another device."""
        return replace(self, runtime=replace(self.runtime, device=device))

    def run(self, share: Share = Share(), progress: Progress = silent) -> list[Summary]:  # noqa: B008 (frozen)
        """Carry out a share of it, in this process."""
        store = Store(Layout(self.data))
        artefact = manifest.load(self.index)
        index = store.index(artefact)
        indexed = Indexed(artefact, index, self.root, Summary(artefact.label, "index", reused=1, images=len(index)))
        parts = Components.of(list(self.generators), list(self.encoders), list(self.prompts), self.runtime, self.noun)
        stop_at(parts.faults(progress))
        size = self.thumbnail_size
        how = (progress, self.retry_failed, size, share, self.allow_equal_text)
        return extract(store, indexed, parts, self.runtime, *how)
