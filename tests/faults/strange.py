"""Pipes, sockets, folders, devices and links that lead nowhere, in place of files of the store, of photos and of what a
user names: every command ends within seconds, in its own words."""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import shutil
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench import Bench, Count  # type: ignore[import-not-found]

from fgscore.store import index
from fgscore_stages.cli import app

LIMIT = 20.0  # seconds; a command that takes longer hangs
FILES = ("plan.json", "manifest.json", "shard-00001.json", "shard-00001.h5", "index-*.parquet", "packs/pack-*.json",
         "packs/pack-*.tar")  # fmt: skip
COMMANDS = (("verify",), ("status",), ("score", "--scorer", "entropy"), ("probe", "--head", "zeroshot"),
            ("export", "--to", "{out}"), ("compact",), ("prune",), ("report", "--out", "{out}"),
            ("repair",))  # fmt: skip


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's name may be short only
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


THINGS: dict[str, Callable[[Path], Any]] = {
    "pipe": os.mkfifo,
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "folder": lambda path: path.mkdir(),
    "link that leads nowhere": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "socket": _socket,
}


def in_the_store(bench: Bench, share: float) -> Count:
    """Each thing in place of each kind of file, each command; ``share`` of all that."""
    count = Count("pipes, devices, folders, links for files of the store")
    whole = _probed(bench)
    jobs = [(found, thing, command) for found in _kinds(whole) for thing in THINGS for command in COMMANDS]
    for found, thing, command in _some(jobs, share):
        data = bench.folder / "strange"
        shutil.copytree(whole, data)
        _put(data / found, thing)
        code, said = run(*command, "--data", data, out=bench.folder / "out")
        fine = code in (0, 1) and _ours(said)
        if command == ("verify",):
            # in the cache as good as no file at all, which a run that goes on makes anew
            gone = thing.startswith("link") and found.parts[0] == "cache"
            fine &= (code == 1 or gone) and found.parent.name in said
        count.note(fine, f"{thing} as {found}, {command[0]}: {code} {said[-300:]}")
        shutil.rmtree(data)
    return count


def among_photos(bench: Bench, share: float) -> Count:
    """Each thing as a photo among others: the others are extracted, and the run says that it left one out."""
    count = Count("pipes, devices, folders, links for photos")
    for thing in _some(list(THINGS), share):
        photos, data = bench.folder / "strange-photos", bench.folder / "strange"
        shutil.copytree(bench.folder / "photos", photos)
        kind = next((photos / "train").iterdir())
        _put(kind / "strange.jpg", thing)
        command = ("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=2)")
        code, said = run(*command, "--data", data)
        rest = len(list(photos.rglob("*.png"))) + len(list(photos.rglob("*.jpg"))) - 1
        status, shown = run("status", "folder", "--json", "--data", data)
        left_out = f'"images": {rest}' in shown and '"failed": 1' in shown
        count.note(code == 3 and _ours(said) and status == 0 and left_out, f"{thing}: {code} {said[-300:]}")
        checked, said = run("check", "folder", "--root", photos, "--data", data)
        count.note(checked == 3 and "strange.jpg" in said and _ours(said), f"{thing}, check: {checked} {said[-300:]}")
        for folder in (photos, data):
            shutil.rmtree(folder, ignore_errors=True)
    return count


def named_by_a_user(bench: Bench, share: float) -> Count:
    """Each thing as a file to import, a table, a prompt, a probe and a photo to predict."""
    count = Count("pipes, devices, folders, links for files that a user names")
    probe = bench.folder / "birds.safetensors"
    if not probe.exists():
        run("probe", "--head", "logreg", "--save-probe", probe, "--data", _probed(bench))
    folder = bench.folder / "named"
    commands = {
        "a.npz": ("import", "mine", "{it}"),
        "a.parquet": ("import", "mine", "{it}"),
        "a.safetensors": ("import", "mine", "{it}"),
        "a.csv": ("index", "table(file='{it}')", "--root", bench.folder / "photos"),
        "b.parquet": ("index", "table(file='{it}')", "--root", bench.folder / "photos"),
        "a.txt": (*bench.command, "--prompt", "{it}"),
        "a.json": (*bench.command, "--prompt", "{it}"),
        "b.safetensors": ("predict", "--probe", "{it}", probe),
        "a.jpg": ("predict", "--probe", probe, "{it}"),
        "mine.py": ("score", "folder", "--scorer", "{it}:f"),
    }
    jobs = [(name, thing) for name in commands for thing in THINGS]
    for name, thing in _some(jobs, share):
        folder.mkdir()
        _put(folder / name, thing)
        command = [str(word).replace("{it}", str(folder / name)) for word in commands[name]]
        code, said = run(*command, "--data", _probed(bench))
        count.note(code in (1, 2, 3) and _ours(said) and name in said, f"{thing} as {name}: {code} {said[-300:]}")
        shutil.rmtree(folder)
    return count


def _some(jobs: list[Any], share: float) -> list[Any]:
    return random.Random(7).sample(jobs, max(1, round(share * len(jobs))))


def _probed(bench: Bench) -> Path:
    """A store with scores and results, half of it packed."""
    data = bench.folder / "probed"
    if not data.exists():
        shutil.copytree(bench.folder / "clean", data)
        run("compact", "--data", data)
        for command in COMMANDS[2:4]:
            code, said = run(*command, "--data", data)
            if code:
                raise RuntimeError(f"{command}: {said}")
    return data


def _kinds(data: Path) -> Iterator[Path]:
    """One of each kind of file, as paths below ``data``."""
    for name in FILES:
        yield sorted((data / "cache").glob(f"folder/*/*/{name}"))[0].relative_to(data)
    for folder in ("probes", "predictions", "seals"):
        yield sorted((data / "results").glob(f"*/{folder}/*"))[0].relative_to(data)


def _put(path: Path, thing: str) -> None:
    path.unlink(missing_ok=True)
    THINGS[thing](path)


def _ours(said: str) -> bool:
    """Whether what a command says is in our words: no traceback, and no exception that nobody expected."""
    return "Traceback" not in said and "--debug" not in said and not re.search(r"^error: .*\n.", said, re.M)


def run(*command: Any, out: Path | None = None) -> tuple[int, str]:
    """Exit code and all that a command prints, in a process of its own; code -1 for one that hangs."""
    words = [str(word).replace("{out}", str(out)) for word in command]
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(False)
    process = context.Process(target=_command, args=(words, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(LIMIT) else (-1, "hangs")
    except EOFError:
        return -2, "died"
    finally:
        process.kill()
        process.join()
        if out is not None:
            shutil.rmtree(out, ignore_errors=True)


def _command(words: Sequence[str], answer: Any) -> None:
    from typer.testing import CliRunner

    index.IMAGES_PER_SHARD = 8
    np.random.seed(0)
    done = CliRunner().invoke(app, list(words))
    code = done.exit_code if isinstance(done.exception, SystemExit | type(None)) else -3
    answer.send((code, done.stdout + done.stderr + (repr(done.exception) if code == -3 else "")))
