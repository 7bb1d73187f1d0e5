"""Files of a repository of the hub, one after another into its local cache, and never waited for in silence."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from fgscore.pretrained.hub import Repository

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
CHUNK = 1 << 16


class Getter:
    """Files of one repository, one after another, into the local cache."""

    def __init__(
        self,
        hub: Any,
        repository: Repository,
        seconds: float,
        progress: Progress,
        sizes: Mapping[str, int | None],
    ) -> None:
        self._hub, self._repository = hub, repository
        self._seconds, self._progress, self._sizes = seconds, progress, sizes
        # the client reports a file's bytes by the chunk; 10 MB of them may take longer than we wait
        hub.constants.DOWNLOAD_CHUNK_SIZE = CHUNK

    def __call__(self, name: str) -> Path:
        """The file ``name``, fetched unless it is there, and whole."""
        of = self._repository
        cached, size = of.snapshot, self._sizes.get(name)
        there = cached / name if cached else None
        cut = bool(there and there.is_file() and size is not None and there.stat().st_size != size)
        label = f"{of.model}: {name}"

        def transfer(alive: Callable[[], None]) -> str:
            def ticked(done: float, total: float | None) -> None:
                alive()
                self._progress(label, int(done), int(max(total or 0, done)))

            bars = _bars(self._hub, ticked)
            return self._hub.hf_hub_download(of.model, name, revision=of.revision, tqdm_class=bars, force_download=cut)

        return Path(within(self._seconds, transfer))

    def content(self, name: str) -> bytes:
        """What the file holds."""
        return self(name).read_bytes()


def _bars(hub: Any, ticked: Callable[[float, float | None], None]) -> Any:
    """A progress bar as the hub's client wants one, that shows nothing itself."""

    class Bar(hub.utils.tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            ticked(self.n, self.total)

    return Bar


def within(seconds: float, work: Callable[[Callable[[], None]], T]) -> T:
    """What ``work`` returns or raises; TimeoutError ``seconds`` after it last called what it is given.

    In a thread of its own, since a name that is looked up, or a proxy that takes a call and says nothing, obeys no
    timeout; the thread is left behind then.
    """
    said: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()  # (at an end, its result)

    def run() -> None:
        try:
            said.put((True, (work(lambda: said.put((False, None))), None)))
        except BaseException as error:  # carried over to the caller
            said.put((True, (None, error)))

    threading.Thread(target=run, daemon=True).start()
    while True:
        try:
            ended, outcome = said.get(timeout=seconds)
        except queue.Empty:
            raise TimeoutError(f"no answer within {seconds:g} s; FGSCORE_HUB_TIMEOUT sets how long") from None
        if ended:
            result, error = outcome
            if error is not None:
                raise error
            return result
