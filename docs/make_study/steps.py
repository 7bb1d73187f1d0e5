"""The steps of the study: commands of fgscore, each run as a user would run it, its seconds kept."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from settings import ENCODER, HEADS, MASKS, PROMPT, TEN_CROP, Settings, repeated

ROUNDS = 4  # of what the claims ask for: regions first, then the results that they allow
TIMES = "times.json"
MADE_BY = ("extract", "sweep")  # the commands that a claim may ask for


class Failed(RuntimeError):
    """A command that ended with an error, which it has said itself; ``code`` is its exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


@dataclass
class Found:
    """What the study found: rows of `sweep` and of `claims`, as their ``--json`` has them, and seconds by step."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


class Steps:
    """Runs commands on the ``store``, a data folder, and remembers how long they took, over several calls of the
    study."""

    def __init__(self, store: Path) -> None:
        self._store, self._file = store, store / TIMES
        self.seconds: dict[str, float] = json.loads(self._file.read_text()) if self._file.is_file() else {}

    def run(self, step: str, *words: str, data: Path | None = None) -> dict[str, Any]:
        """What ``fgscore *words --json`` says. Its seconds are added to the step's where it computed anything; raises
        :class:`Failed` where it ended with an error."""
        command = ["fgscore", *words, "--data", str(data or self._store)]
        print(shlex.join(command), file=sys.stderr, flush=True)
        begun = time.monotonic()
        ended = subprocess.run([sys.executable, "-m", *command, "--json"], stdout=subprocess.PIPE, text=True)
        if ended.returncode:
            raise Failed(ended.returncode)
        said = json.loads(ended.stdout)
        if _computed(said) or step not in self.seconds:
            self.seconds[step] = self.seconds.get(step, 0.0) + time.monotonic() - begun
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(self.seconds, indent=1) + "\n")
        return said


def _computed(said: dict[str, Any]) -> bool:
    """Whether a command made anything that was not there."""
    return bool(said.get("computed")) or any(row.get("computed") for row in said.get("results", []))


def study(settings: Settings) -> Found:
    """Everything from drawing to verdicts; what is in the stores is not made again."""
    steps, name = Steps(settings.store), settings.dataset
    photos = ["--root", str(settings.photos), "--encoder", ENCODER, "--prompt", PROMPT]
    shared = repeated("--regions", [MASKS, TEN_CROP])
    steps.run("drawing, masks, ten crops", "extract", name, *shared, *photos, data=settings.drawn)
    take_over(settings.drawn / "cache", settings.store / "cache")
    steps.run("crops", "extract", name, *repeated("--regions", [*settings.crops, *settings.elsewhere]), *photos)
    heads = [*repeated("--head", HEADS), *settings.repeats]
    sweep = ["sweep", name, "--encoder", ENCODER]
    tables = steps.run("the paper's tables", *sweep, "--table", "all", *heads)["results"]
    by_area = repeated("--regions", [*settings.crops, MASKS])
    area = steps.run("ranked by area", *sweep, *by_area, "--scorer", "area", "--k", "5", *heads)["results"]
    claims = decided(steps, settings)
    return Found([*tables, *area], claims, steps.seconds)


def decided(steps: Steps, settings: Settings) -> list[dict[str, Any]]:
    """The verdicts, after all that the claims lack has been made: regions, encoders, results."""
    asked: set[str] = set()
    for _ in range(ROUNDS):
        claims = steps.run("verdicts", "claims", settings.dataset, *repeated("--head", HEADS))["claims"]
        wanted = [command for row in claims for command in wanted_of(row["next"], settings) if command not in asked]
        if not wanted:
            break
        for command in dict.fromkeys(wanted):
            asked.add(command)
            steps.run("what the claims ask for", *shlex.split(command))
    return [row for row in claims if row["verdict"] != "missing" or _is_ours(row)]


def _is_ours(row: dict[str, Any]) -> bool:
    """Whether a row is of the encoder of the study: others are there for what is compared with it."""
    from fgscore.encoders import EncoderMaker

    return row["encoder"] == EncoderMaker.bind(ENCODER).canonical


def wanted_of(said: str, settings: Settings) -> list[str]:
    """The commands, without the program, that a claim's ``next`` names, on this run's photos, draws and seeds; nothing
    but what makes regions and results is run."""
    found = []
    for part in said.split("; "):
        words = shlex.split(part)
        place = next((i for i, word in enumerate(words) if word in MADE_BY), None)
        if place is None:
            continue
        command = words[place:]
        if "--data" in command:
            at = command.index("--data")
            del command[at : at + 2]
        if command[0] == "extract":
            command += ["--root", str(settings.photos)] if "--root" not in command else []
        else:
            command = [*_without(command, ("--draws", "--head-seeds", "--seed")), *settings.repeats]
        found.append(shlex.join(command))
    return found


def _without(words: list[str], options: tuple[str, ...]) -> list[str]:
    """``words`` but for options and their values."""
    dropped = {i + j for i, word in enumerate(words) if word in options for j in (0, 1)}
    return [word for i, word in enumerate(words) if i not in dropped]


def take_over(source: Path, to: Path) -> None:
    """Every file below ``source`` that is not below ``to`` yet, linked where the system can: files of a store are never
    written to again."""
    for path in (path for path in source.rglob("*") if path.is_file()):
        place = to / path.relative_to(source)
        if place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, place)
        except OSError:
            shutil.copy2(path, place)
