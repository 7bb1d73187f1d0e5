"""Models of the Hugging Face hub: found in its local cache, or fetched, and never waited for in silence.

The cache keeps a snapshot under its commit, which identifies the weights. A snapshot that another tool filled in part
is completed, or said to be incomplete.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, TypeVar

from fgscore import specs
from fgscore.errors import MissingWeights, UsageError, missing_extra
from fgscore.pretrained import checkpoint

T = TypeVar("T")
Progress = Callable[[str, int, int], None]
TIMEOUT = 20.0  # seconds: for an answer in all; of a transfer, without a byte
CHUNK = 1 << 16
FOLDER = "--encoder \"clip(model='DIR')\""
log = logging.getLogger(__name__)


def timeout() -> float:
    """Seconds after which the hub is given up: FGSCORE_HUB_TIMEOUT, or :data:`TIMEOUT`."""
    given = os.environ.get("FGSCORE_HUB_TIMEOUT", "")
    try:
        seconds = float(given or TIMEOUT)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise UsageError(f"expected seconds above 0 in FGSCORE_HUB_TIMEOUT, found {given!r}")
    return seconds


def snapshot(model: str, revision: str | None) -> Path | None:
    """The folder of ``model`` in the local cache, whole or not; None where the cache does not know it."""
    constants = _client().constants
    repository = Path(constants.HF_HUB_CACHE).expanduser() / f"models--{model.replace('/', '--')}"
    reference = repository / "refs" / (revision or "main")
    commit = reference.read_text().strip() if reference.is_file() else revision
    folder = repository / "snapshots" / commit if commit else None
    return folder if folder and folder.is_dir() else None


def _client() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils.logging
    except ImportError as error:
        raise missing_extra("huggingface_hub", "the encoder 'clip'") from error
    return huggingface_hub


def whole(folder: Path) -> bool:
    """Whether a snapshot lacks nothing."""
    return not _lacks(folder)


def _lacks(folder: Path) -> list[str]:
    return checkpoint.lacking(checkpoint.names_in(folder), lambda name: (folder / name).read_bytes())


def found(model: str, revision: str | None, offline: bool) -> Path:
    """The whole snapshot of ``model`` in the local cache; nothing is asked of the network.

    Raises :class:`MissingWeights` that says what lacks and how it is fetched.
    """
    folder = snapshot(model, revision)
    if folder and whole(folder):
        return folder
    off = ", and HF_HUB_OFFLINE forbids asking the hub" if offline else ""
    raise MissingWeights(f"{_state(model, revision)}{off}; {way_out(model, revision)}")


def _state(model: str, revision: str | None) -> str:
    folder = snapshot(model, revision)
    if folder is None:
        return f"model {model!r} is not in the local hub cache"
    return f"model {model!r} is in the local hub cache in part: it lacks {_and(_lacks(folder))}"


def way_out(model: str, revision: str | None) -> str:
    """What to do for want of the hub, or of an answer."""
    named = {k: v for k, v in (("model", model), ("revision", revision)) if v is not None}
    return (
        f'where there is a network, run `fgscore download "{specs.text("clip", named)}"` (HF_HOME names a cache that '
        f"machines share, HF_HUB_OFFLINE=1 spares the question), or name a folder: {FOLDER}"
    )


def _and(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def fetch(model: str, revision: str | None, progress: Progress) -> Path:
    """Bring what lacks of ``model`` into the local cache, and return its snapshot.

    Its list of files is asked for first, then one container of weights is fetched with the settings. Raises
    :class:`MissingWeights` where the hub does not answer within :func:`timeout` seconds, sends no byte for as long, or
    has no such model.
    """
    client = _client()
    seconds = timeout()
    log.info("asking %s for %s (given up after %g s)", client.constants.ENDPOINT, model, seconds)

    def listing(_: Any) -> Any:
        return client.HfApi().model_info(model, revision=revision, timeout=seconds, files_metadata=True)

    speech = client.utils.logging
    before = speech.get_verbosity()
    speech.set_verbosity_error()  # its retries, told with addresses of half a screen
    try:
        listed = _within(seconds, listing)
        names = [sibling.rfilename for sibling in listed.siblings or () if "/" not in sibling.rfilename]
        sizes = {sibling.rfilename: sibling.size for sibling in listed.siblings or ()}
        get = _Getter(client, model, revision, seconds, progress, sizes)
        files = checkpoint.container(names, get.content)
        lacks = checkpoint.lacking([*names, *files], get.content)
        if lacks:
            raise MissingWeights(
                f"model {model!r} is on the hub, but not in transformers' layout: it lacks {_and(lacks)}"
                f"{checkpoint.elsewhere(names)}; name another, or a folder: {FOLDER}"
            )
        settings = [n for n in names if any(fnmatch(n, p) for p in checkpoint.SETTINGS) and ".index." not in n]
        for name in dict.fromkeys([*settings, *files]):
            get(name)
    except (MissingWeights, UsageError):
        raise
    except Exception as error:  # the hub's client has no common base for what can go wrong
        raise MissingWeights(f"{_state(model, revision)}, and {_reason(client, model, revision, error)}") from error
    finally:
        speech.set_verbosity(before)
    return found(model, revision, offline=False)


class _Getter:
    """Files of one repository, one after another, into the local cache."""

    def __init__(
        self,
        client: Any,
        model: str,
        revision: str | None,
        seconds: float,
        progress: Progress,
        sizes: Mapping[str, int | None],
    ) -> None:
        self._client, self._model, self._revision = client, model, revision
        self._seconds, self._progress, self._sizes = seconds, progress, sizes
        # the client reports a file's bytes by the chunk; 10 MB of them may take longer than we wait
        client.constants.DOWNLOAD_CHUNK_SIZE = CHUNK

    def __call__(self, name: str) -> Path:
        """The file ``name``, fetched unless it is there, and whole."""
        cached, size = snapshot(self._model, self._revision), self._sizes.get(name)
        there = cached / name if cached else None
        cut = bool(there and there.is_file() and size is not None and there.stat().st_size != size)
        label = f"{self._model}: {name}"

        def transfer(alive: Callable[[], None]) -> str:
            def ticked(done: float, total: float | None) -> None:
                alive()
                self._progress(label, int(done), int(max(total or 0, done)))

            bars = _bars(self._client, ticked)
            return self._client.hf_hub_download(
                self._model, name, revision=self._revision, tqdm_class=bars, force_download=cut
            )

        return Path(_within(self._seconds, transfer))

    def content(self, name: str) -> bytes:
        """What the file holds."""
        return self(name).read_bytes()


def _bars(client: Any, ticked: Callable[[float, float | None], None]) -> Any:
    """A progress bar as the hub's client wants one, that shows nothing itself."""

    class Bar(client.utils.tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            ticked(self.n, self.total)

    return Bar


def _within(seconds: float, work: Callable[[Callable[[], None]], T]) -> T:
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


def _reason(client: Any, model: str, revision: str | None, error: Exception) -> str:
    """Why the hub gave none, for the person at the terminal, and what to do."""
    errors, hub = client.errors, client.constants.ENDPOINT
    if isinstance(error, errors.GatedRepoError):
        return f"{hub} keeps it behind a gate: accept its licence at {hub}/{model}, then `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{hub} has no revision {revision!r} of it; name one that is there, or a folder: {FOLDER}"
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{hub} has none of that name, or none for you; check the spelling, log in by `hf auth login`, or name a "
            f"folder: {FOLDER}"
        )
    what = str(error).partition("\n")[0][:160] or type(error).__name__
    if isinstance(error, OSError) and error.filename:
        return f"the cache cannot be used ({what}); name another by HF_HOME"
    return f"{hub} gave none ({what}); {way_out(model, revision)}"
