"""Models whose weights are a folder, on this machine or a repository of the hub in its local cache, or a
file."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from fgscore import specs
from fgscore.machine.progress import Progress
from fgscore.models import Model
from fgscore.pretrained import checkpoint
from fgscore.pretrained.checkpoint import Layout
from fgscore.pretrained.hub import Repository
from fgscore.regular import file_sha256
from fgscore.runtime import Runtime

FILES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")  # of weights


def is_local(model: str) -> bool:
    """A hub id has at most one slash and no folder or file of that name beside us."""
    return Path(model).exists() or model.startswith((".", "/", "~")) or model.count("/") > 1


def stored_name(model: str) -> str:
    """What the store keeps of ``model``: of a local folder its own name, as the weights' digest says the rest."""
    return Path(model).expanduser().resolve().name if is_local(model) else model


def is_file(pretrained: str) -> bool:
    """Whether ``pretrained`` names a file of weights, rather than published ones."""
    return is_local(pretrained) or "/" in pretrained or Path(pretrained).suffix in FILES


def stored_file(pretrained: str) -> str:
    """What the store keeps of ``pretrained``: of a file its own name, as the weights' digest says the rest."""
    return Path(pretrained).name if is_file(pretrained) else pretrained


class Published(Model):
    """What is made of the files at :attr:`place`; ``text`` is how the user names the component.

    Where the model is not to be had, :attr:`place`, :meth:`weights` and :meth:`fetch` raise :class:`MissingWeights`.
    """

    def __init__(self, runtime: Runtime, model: str, revision: str | None, layout: Layout, text: str) -> None:
        self._runtime, self._name, self._revision, self._layout, self._text = runtime, model, revision, layout, text
        self._file: Path | None = None  # of the user's, with the weights alone

    @cached_property
    def _repository(self) -> Repository | None:
        """Where the hub has the model; None where it is the user's own."""
        if self._file or is_local(self._name):
            return None
        return Repository(self._name, self._revision, self._layout, self._text)

    @property
    def place(self) -> Path:
        """The folder that holds the model, all of it, or the file that holds its weights."""
        if self._file:
            return self._file
        if self._repository:
            return self._repository.found(self._runtime.offline)
        folder = Path(self._name).expanduser()
        checkpoint.check_files(folder, self._layout)
        return folder

    @property
    def weight_file(self) -> Path:
        """The file of its weights, the first of several."""
        return self._file or checkpoint.weight_files(self.place, self._layout)[0]

    @property
    def is_known(self) -> bool:
        """No model of the user's ships with fgscore."""
        return False

    def weights(self) -> str | None:
        """What identifies the weights: the digest of a local model's files, or the commit that a hub id resolves to."""
        place = self.place
        if self._file:
            checkpoint.check_there(self._file)
            return file_sha256(self._file)
        if self._repository:
            return place.name  # the hub cache keeps a snapshot under its commit
        return specs.digest({path.name: file_sha256(path) for path in checkpoint.files_of(place, self._layout)})

    def fetch(self, progress: Progress, again: bool = False) -> bool:
        """Bring a hub id that the local hub cache lacks, or holds in part, into it; with ``again`` also one that looks
        whole. Returns whether the hub was asked."""
        return self._fetched(self._repository, progress, again)

    def _fetched(self, repository: Repository | None, progress: Progress, again: bool) -> bool:
        if not repository or self._runtime.offline or (repository.is_whole and not again):
            return False
        repository.fetch(progress)
        return True

    def files(self) -> list[Path]:
        """The files of the model that are on this machine: of a hub id, those in the local hub cache."""
        if self._file:
            return [self._file]
        folder = self._repository.snapshot if self._repository else Path(self._name).expanduser()
        return sorted(path for path in folder.iterdir() if path.is_file()) if folder and folder.is_dir() else []
