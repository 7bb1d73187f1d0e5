"""Models of the Hugging Face hub: found in its local cache, or fetched, and never waited for in silence.

The cache keeps a snapshot under its commit, which identifies the weights. A snapshot that another tool filled in part
is completed, or said to be incomplete.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from fgscore.errors import MissingWeights, UsageError, missing_extra
from fgscore.pretrained import checkpoint
from fgscore.pretrained.checkpoint import Layout
from fgscore.pretrained.transfer import Getter, Progress, within

TIMEOUT = 20.0  # seconds: for an answer in all; of a transfer, without a byte
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


@dataclass(frozen=True)
class Repository:
    """A model of the hub, ``model`` at ``revision``, in the ``layout`` that a component reads. ``text`` is that
    component as the user names it, from which the model follows."""

    model: str
    revision: str | None
    layout: Layout
    text: str

    @property
    def snapshot(self) -> Path | None:
        """Its folder in the local cache, whole or not; None where the cache does not know it."""
        constants = client().constants
        repository = Path(constants.HF_HUB_CACHE).expanduser() / f"models--{self.model.replace('/', '--')}"
        reference = repository / "refs" / (self.revision or "main")
        commit = reference.read_text().strip() if reference.is_file() else self.revision
        folder = repository / "snapshots" / commit if commit else None
        return folder if folder and folder.is_dir() else None

    @property
    def is_whole(self) -> bool:
        """Whether it is in the local cache and lacks nothing."""
        return self.snapshot is not None and not self._lacks(self.snapshot)

    def _lacks(self, folder: Path) -> list[str]:
        return checkpoint.lacking(checkpoint.names_in(folder), lambda name: (folder / name).read_bytes(), self.layout)

    def found(self, offline: bool) -> Path:
        """The whole snapshot in the local cache; nothing is asked of the network.

        Raises :class:`MissingWeights` that says what lacks and how it is fetched.
        """
        folder = self.snapshot
        if folder and not self._lacks(folder):
            return folder
        off = ", and HF_HUB_OFFLINE forbids asking the hub" if offline else ""
        raise MissingWeights(f"{self._state}{off}; {self.way_out}")

    @property
    def _state(self) -> str:
        folder = self.snapshot
        if folder is None:
            return f"model {self.model!r} is not in the local hub cache"
        return f"model {self.model!r} is in the local hub cache in part: it lacks {_and(self._lacks(folder))}"

    @property
    def way_out(self) -> str:
        """What to do for want of the hub, or of an answer."""
        return (
            f'where there is a network, run `fgscore download "{self.text}"` (HF_HOME names a cache that machines '
            f"share, HF_HUB_OFFLINE=1 spares the question), or name a folder: {self._by_folder}"
        )

    @property
    def _by_folder(self) -> str:
        return f"{self.layout.option} \"{self.layout.component}(model='DIR')\""

    def fetch(self, progress: Progress) -> Path:
        """Bring what lacks into the local cache, and return its snapshot.

        Its list of files is asked for first, then one container of weights is fetched with the settings. Raises
        :class:`MissingWeights` where the hub does not answer within :func:`timeout` seconds, sends no byte for as long,
        or has no such model.
        """
        hub, seconds = client(), timeout()
        log.info("asking %s for %s (given up after %g s)", hub.constants.ENDPOINT, self.model, seconds)
        speech = hub.utils.logging
        before = speech.get_verbosity()
        speech.set_verbosity_error()  # its retries, told with addresses of half a screen
        try:
            self._fetch(hub, seconds, progress)
        except (MissingWeights, UsageError):
            raise
        except Exception as error:  # the hub's client has no common base for what can go wrong
            raise MissingWeights(f"{self._state}, and {self._reason(hub, error)}") from error
        finally:
            speech.set_verbosity(before)
        return self.found(offline=False)

    def _fetch(self, hub: Any, seconds: float, progress: Progress) -> None:
        def listing(_: Any) -> Any:
            return hub.HfApi().model_info(self.model, revision=self.revision, timeout=seconds, files_metadata=True)

        listed = within(seconds, listing)
        names = [sibling.rfilename for sibling in listed.siblings or () if "/" not in sibling.rfilename]
        sizes = {sibling.rfilename: sibling.size for sibling in listed.siblings or ()}
        get = Getter(hub, self, seconds, progress, sizes)
        files = checkpoint.container(names, get.content, self.layout)
        lacks = checkpoint.lacking([*names, *files], get.content, self.layout)
        if lacks:
            raise MissingWeights(
                f"model {self.model!r} is on the hub, but not in {self.layout.called}: it lacks {_and(lacks)}"
                f"{checkpoint.elsewhere(names, self.layout)}; name another, or a folder: {self._by_folder}"
            )
        settings = [n for n in names if any(fnmatch(n, p) for p in self.layout.settings) and ".index." not in n]
        for name in dict.fromkeys([*settings, *files]):
            get(name)

    def _reason(self, hub: Any, error: Exception) -> str:
        """Why the hub gave none, for the person at the terminal, and what to do."""
        errors, place = hub.errors, hub.constants.ENDPOINT
        if isinstance(error, errors.GatedRepoError):
            return f"{place} keeps it behind a gate: accept its licence at {place}/{self.model}, then `hf auth login`"
        if isinstance(error, errors.RevisionNotFoundError):
            return (
                f"{place} has no revision {self.revision!r} of it; name one that is there, or a folder: "
                f"{self._by_folder}"
            )
        if isinstance(error, errors.RepositoryNotFoundError):
            return (
                f"{place} has none of that name, or none for you; check the spelling, log in by `hf auth login`, or "
                f"name a folder: {self._by_folder}"
            )
        what = str(error).partition("\n")[0][:160] or type(error).__name__
        if isinstance(error, OSError) and error.filename:
            return f"the cache cannot be used ({what}); name another by HF_HOME"
        return f"{place} gave none ({what}); {self.way_out}"


def client() -> Any:
    """The hub's client; raises :class:`MissingExtra` without it."""
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
        import huggingface_hub.utils.logging
    except ImportError as error:
        raise missing_extra("huggingface_hub", "a model of the hub") from error
    return huggingface_hub


def _and(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
