"""Files appear whole or not at all; sealed JSON shows every change."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fgscore.errors import StoreError
from fgscore.store import files, shards


def test_a_published_file_holds_the_bytes_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    files.publish(tmp_path / "made" / "file.bin", b"abc")
    assert (tmp_path / "made" / "file.bin").read_bytes() == b"abc"
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["file.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_writer_that_fails_leaves_the_old_file_and_nothing_else(
    step: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(type(error)):
        files.publish(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file.bin"]


def test_a_reader_never_sees_the_file_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = os.replace

    def look(source: Path, target: Path) -> None:
        seen.append((Path(target).exists(), Path(source).read_bytes(), Path(source).parent == Path(target).parent))
        real(source, target)

    monkeypatch.setattr(os, "replace", look)
    files.publish(tmp_path / "file.bin", b"all of it")
    assert seen == [(False, b"all of it", True)]


def test_a_shard_that_cannot_be_moved_into_place_is_not_there(
    records: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="Input/output"):
        shards.write(tmp_path / "shard-00000.h5", records["globals"])
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_name_does_not_tell_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = []
    real = os.replace
    monkeypatch.setattr("platform.node", lambda: "secret-host")
    monkeypatch.setattr(os, "replace", lambda a, b: (names.append(Path(a).name), real(a, b)))
    files.publish(tmp_path / "file.bin", b"")
    assert names and "secret" not in names[0]


CONTENT = {"kind": "globals", "counts": {"images": 3, "regions": 0}, "ratio": 0.1, "words": ["ä", "\n", ""], "no": None}


def test_sealed_json_comes_back(tmp_path: Path) -> None:
    files.write_sealed(tmp_path / "a.json", CONTENT)
    assert files.read_sealed(tmp_path / "a.json") == CONTENT


def test_sealed_json_is_plain_json_with_one_more_key(tmp_path: Path) -> None:
    files.write_sealed(tmp_path / "a.json", CONTENT)
    plain = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert set(plain) == {*CONTENT, "seal"}


def test_any_changed_byte_of_sealed_json_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_sealed(path, CONTENT)
    good = path.read_bytes()
    for place in range(len(good)):
        for changed in {good[place] ^ 1, ord(" "), ord("0")} - {good[place]}:
            path.write_bytes(good[:place] + bytes([changed]) + good[place + 1 :])
            with pytest.raises(StoreError, match=r"a\.json: not the JSON that fgscore wrote"):
                files.read_sealed(path)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", b'{"seal": 1}', b"null", b"\xff", b"[" * 5000])
def test_json_of_another_program_is_refused_in_one_line(text: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(text)
    with pytest.raises(StoreError, match=r"a\.json") as caught:
        files.read_sealed(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"a\.json: cannot be read"):
        files.read_sealed(tmp_path / "a.json")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_cannot_hold_is_not_written(number: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        files.write_sealed(tmp_path / "a.json", {"x": number})
    assert list(tmp_path.iterdir()) == []


def left_by(folder: Path, machine: str, pid: int, age: float = 0.0) -> Path:
    """A temporary file as a writer leaves it."""
    path = folder / f".tmp-{machine}-{pid}-0a1b2c3d-file.bin"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age,) * 2)
    return path


def dead() -> int:
    """The number of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def test_what_a_dead_writer_left_goes_and_what_a_living_one_holds_stays(tmp_path: Path) -> None:
    gone = left_by(tmp_path, files._machine(), dead())
    assert files.leftovers(tmp_path) == [gone] and not files.held(tmp_path)
    own = left_by(tmp_path, files._machine(), os.getpid(), age=10 * files.DAY)
    assert files.leftovers(tmp_path) == [gone] and files.held(tmp_path)
    files.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [own]


def test_the_writers_of_other_machines_and_containers_are_left_alone_for_a_day(tmp_path: Path) -> None:
    recent = left_by(tmp_path, "ffffff", dead(), age=0.9 * files.DAY)
    assert files.leftovers(tmp_path) == [] and files.held(tmp_path)
    recent.unlink()
    old = left_by(tmp_path, "ffffff", os.getpid(), age=1.1 * files.DAY)
    assert files.leftovers(tmp_path) == [old] and not files.held(tmp_path)


def test_a_container_of_the_same_name_on_the_same_host_is_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def machine(host: str, namespace: str, boot: str) -> str:
        files._machine.cache_clear()
        monkeypatch.setattr("platform.node", lambda: host)
        monkeypatch.setattr(os, "readlink", lambda path: namespace)
        monkeypatch.setattr(Path, "read_text", lambda path: boot)
        return files._machine()

    try:
        names = [machine(*of) for of in (("a", "x", "1"), ("b", "x", "1"), ("a", "y", "1"), ("a", "x", "2"))]
        assert len(set(names)) == 4 and machine("a", "x", "1") == names[0]
    finally:
        monkeypatch.undo()
        files._machine.cache_clear()
