"""What is no regular file is named as what it is, before anybody waits for it."""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fgscore import regular
from fgscore.errors import Exhausted, FgscoreError
from fgscore.regular import file_sha256

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and devices are POSIX")


def bound(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


THINGS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pipe": (getattr(os, "mkfifo", Path.touch), "a pipe, not a file"),
    "folder": (Path.mkdir, "a folder, not a file"),
    "socket": (bound, "a socket, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device, not a file"),
    "linked pipe": (lambda path: (os.mkfifo(f"{path}2"), path.symlink_to(f"{path}2")), "a pipe, not a file"),
    "dangling": (lambda path: path.symlink_to("nowhere"), "a link that leads nowhere"),
    "loop": (lambda path: path.symlink_to(path.name), "a link that leads nowhere"),
}


@pytest.mark.parametrize("thing", THINGS)
@pytest.mark.parametrize("use", [regular.check, regular.opened, regular.read, file_sha256])
def test_what_is_no_file_is_refused_by_what_it_is(
    use: Callable[[Path], Any], thing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket may be short only
    make, said = THINGS[thing]
    make(tmp_path / "x")
    with pytest.raises(regular.Irregular) as caught:
        use(tmp_path / "x")
    assert str(caught.value) == said, "and not by its name, which a store must not hold"


@pytest.mark.parametrize("use", [regular.check, regular.opened, regular.read])
def test_what_is_missing_is_missing(use: Callable[[Path], Any], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        use(tmp_path / "x")


def test_a_file_or_a_link_to_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("x")
    for path in (tmp_path / "x", tmp_path / "link"):
        with regular.opened(path) as file:
            assert regular.read(path) == file.read() == b"abc"
        assert regular.check(path, 3) == 3
        assert regular.read(path, 3) == b"abc"


def test_a_size_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(1 << 40)
    for use in (regular.check, regular.read):
        with pytest.raises(regular.Irregular, match="^larger than 1024 bytes$"):
            use(tmp_path / "sparse", 1024)
    with pytest.raises(regular.Irregular):
        regular.read(tmp_path / "sparse")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        pa.lib.ArrowMemoryError("malloc of size 64 failed"),
        pa.lib.ArrowException("Unknown error: Failed to launch worker thread: Resource temporarily unavailable"),
        OSError(errno.EMFILE, os.strerror(errno.EMFILE), "x"),
        RuntimeError("Unable to open file (errno = 12, error message = 'Cannot allocate memory')"),
    ],
    ids=repr,
)
def test_what_the_machine_lacks_is_no_fault_of_the_file(error: Exception) -> None:
    with pytest.raises(Exhausted, match=r"^a\.h5: .*for want of memory, threads or open files"):
        regular.check_exhausted("a.h5", error)


@pytest.mark.parametrize("error", [OSError(errno.EIO, os.strerror(errno.EIO)), ValueError("bad"), FileNotFoundError()])
def test_other_errors_are_the_files_own(error: Exception) -> None:
    regular.check_exhausted("a.h5", error)


def _import(path: Path) -> Any:
    from fgscore.store import arrays

    return arrays.read(path)


def _saved_probe(path: Path) -> Any:
    from fgscore.evaluate import saved

    return saved.load(path)


def _prompts(path: Path) -> Any:
    from fgscore.encoders import prompt_set

    return prompt_set(str(path))


def _table(path: Path) -> Any:
    from fgscore.datasets import table

    return table.table(path.parent, file=path.name)


def _list(path: Path) -> Any:
    from fgscore.datasets import read_lines

    return read_lines(path)


def _mat(path: Path) -> Any:
    from fgscore.datasets import _mat

    return _mat.read_mat(path, ("labels",), "get it again")


def _split(path: Path) -> Any:
    from fgscore.datasets import _coop

    return _coop.resplit([], path.parent, path.name)


def _photo(path: Path) -> Any:
    from fgscore.datasets import _images

    return _images.read_rgb(path)


def _shard(path: Path) -> Any:
    from fgscore.store import shards

    return shards.read(path, "globals")


def _sealed(path: Path) -> Any:
    from fgscore.store import files

    return files.read_sealed(path)


def _row(path: Path) -> Any:
    from fgscore.evaluate import results

    return results.read(results.Place(path.parents[2], path.parents[1].name, path.stem))


READERS = {
    "a.npz": _import,
    "a.parquet": _import,
    "a.safetensors": _import,
    "b.safetensors": _saved_probe,
    "prompts.txt": _prompts,
    "prompts.json": _prompts,
    "table.csv": _table,
    "images.txt": _list,
    "labels.mat": _mat,
    "split.json": _split,
    "photo.jpg": _photo,
    "shard-00000.h5": _shard,
    "plan.json": _sealed,
    "probes/row.parquet": _row,
}


@pytest.fixture
def at_most_five_seconds() -> Any:
    """A reader that waits is ended, and fails."""

    def end(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(5)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("thing", ["pipe", "device", "folder"])
@pytest.mark.parametrize("name", READERS)
def test_every_reader_names_it_and_waits_for_nothing(
    name: str, thing: str, tmp_path: Path, at_most_five_seconds: None
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    THINGS[thing][0](path)
    with pytest.raises(FgscoreError, match=f"a {thing}, not a file") as caught:
        READERS[name](path)
    assert "\n" not in str(caught.value)
