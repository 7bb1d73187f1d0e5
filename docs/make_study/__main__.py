"""``make study``: the controlled study on the drawn set, from drawing to the page. See settings.py for what it is."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import page
import steps
from settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def main(words: list[str]) -> int:
    """Run the study; the exit code of the command that failed, or 0."""
    settings = _settings(words)
    try:
        found = steps.study(settings)
    except steps.Failed as error:
        return error.code
    print(page.write(settings, found, commit()))
    return 0


def _settings(words: list[str]) -> Settings:
    parser = argparse.ArgumentParser(prog="make_study", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the run: no two share a draw of crops or a seed")
    parser.add_argument("--data", type=Path, default=Path("data/study"), help="folder of its stores")
    parser.add_argument("--out", type=Path, help="folder of the page; docs for seed 0, else that of the run's store")
    for name in ("train", "test", "draws", "head_seeds"):
        option = f"--{name.replace('_', '-')}"
        parser.add_argument(option, type=int, default=vars(Settings)[name], help="as settings.py says")
    given = parser.parse_args(words)
    if min(given.train, given.test, given.draws, given.head_seeds) < 1 or given.seed < 0:
        parser.error("expected numbers of at least 1, and a seed of at least 0")
    settings = Settings(**{**vars(given), "out": Path()})
    out = given.out or (ROOT / "docs" if not given.seed else settings.store)
    return Settings(**{**vars(given), "out": out})


def commit() -> str:
    """The commit that is checked out, marked where files differ from it; 'unknown' outside a repository."""
    ended = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"],
        capture_output=True, text=True,
    )  # fmt: skip
    return ended.stdout.strip() if ended.returncode == 0 else "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
