"""Models whose weights are a folder: on this machine, or a repository of the hub in its local cache."""

from __future__ import annotations

from pathlib import Path

from fgscore import specs
from fgscore.machine.progress import Progress
from fgscore.models import Model
from fgscore.pretrained import checkpoint
from fgscore.pretrained.checkpoint import Layout
from fgscore.pretrained.hub import Repository
from fgscore.regular import file_sha256
from fgscore.runtime import Runtime


def is_local(model: str) -> bool:
    """A hub id has at most one slash and no folder or file of that name beside us."""
    return Path(model).exists() or model.startswith((".", "/", "~")) or model.count("/") > 1


def stored_name(model: str) -> str:
    """What the store keeps of ``model``: of a local folder its own name, as the weights' digest says the rest."""
    return Path(model).expanduser().resolve().name if is_local(model) else model


class Published(Model):
    """What is made of the files in :attr:`folder`; ``text`` is how the user names the component.

    Where the model is not to be had, :attr:`folder`, :meth:`weights` and :meth:`fetch` raise :class:`MissingWeights`.
    """

    def __init__(self, runtime: Runtime, model: str, revision: str | None, layout: Layout, text: str) -> None:
        self._runtime, self._name, self._layout, self._text = runtime, model, layout, text
        self._repository = None if is_local(model) else Repository(model, revision, layout, text)

    @property
    def folder(self) -> Path:
        """The folder that holds the model, all of it."""
        if self._repository:
            return self._repository.found(self._runtime.offline)
        folder = Path(self._name).expanduser()
        checkpoint.check_files(folder, self._layout)
        return folder

    @property
    def is_known(self) -> bool:
        """No model of the user's ships with fgscore."""
        return False

    def weights(self) -> str | None:
        """What identifies the weights: the digest of a local model's files, or the commit that a hub id resolves to."""
        folder = self.folder
        if self._repository:
            return folder.name  # the hub cache keeps a snapshot under its commit
        return specs.digest({path.name: file_sha256(path) for path in checkpoint.files_of(folder, self._layout)})

    def fetch(self, progress: Progress, again: bool = False) -> bool:
        """Bring a hub id that the local hub cache lacks, or holds in part, into it; with ``again`` also one that looks
        whole. Returns whether the hub was asked."""
        if not self._repository or self._runtime.offline or (self._repository.is_whole and not again):
            return False
        self._repository.fetch(progress)
        return True

    def files(self) -> list[Path]:
        """The files of the model that are on this machine: of a hub id, those in the local hub cache."""
        folder = self._repository.snapshot if self._repository else Path(self._name).expanduser()
        return sorted(path for path in folder.iterdir() if path.is_file()) if folder and folder.is_dir() else []
