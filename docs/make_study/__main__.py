"""``make study``: the controlled study on the drawn set, from drawing to the page. See settings.py for what it is.
With --one-pass, ``make study-one-pass``: crops beside all regions in one pass, as passes.py says."""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import page
import passes
import passes_page
import steps
from settings import NUMBERS, Settings, option

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def main(words: list[str]) -> int:
    """Run a study; the exit code of the command that failed, or 0."""
    settings, of_one_pass = _settings(words)
    try:
        if of_one_pass:
            readme = ROOT / "README.md" if settings.out == DOCS else None
            print(passes_page.write(settings, passes.study(settings), commit(), readme))
        else:
            print(page.write(settings, steps.study(settings), commit()))
    except steps.Failed as error:
        return error.code
    return 0


def _settings(words: list[str]) -> tuple[Settings, bool]:
    """The run that is asked for, and whether it is that of one pass."""
    parser = argparse.ArgumentParser(prog="make_study", description=__doc__)
    parser.add_argument("--one-pass", action="store_true", help="crops beside all regions in one pass")
    parser.add_argument("--seed", type=int, default=0, help="of the run: no two share a draw of crops or a seed")
    parser.add_argument("--data", type=Path, default=Path("data/study"), help="folder of its stores")
    parser.add_argument("--out", type=Path, help="folder of the page; docs for seed 0, else that of the run's store")
    for name in NUMBERS:
        parser.add_argument(option(name), type=int, default=vars(Settings)[name], help="as settings.py says")
    given = vars(parser.parse_args(words))
    of_one_pass = given.pop("one_pass")
    if min(given[name] for name in NUMBERS) < 1 or given["seed"] < 0:
        parser.error("expected numbers of at least 1, and a seed of at least 0")
    settings = Settings(**{**given, "out": Path()})
    store = passes.store(settings) if of_one_pass else settings.store
    return replace(settings, out=given["out"] or (store if given["seed"] else DOCS)), of_one_pass


def commit() -> str:
    """The commit that is checked out, marked where files differ from it; 'unknown' outside a repository."""
    ended = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty"],
        capture_output=True, text=True,
    )  # fmt: skip
    return ended.stdout.strip() if ended.returncode == 0 else "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
