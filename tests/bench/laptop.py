"""How close the laptop half comes to what the machine can do: every figure a ratio of two things timed side by side.

    python tests/bench/laptop.py [--images N --regions M --classes C --dim D] [--scale] [--grid]

The store is drawn (synthetic.py), of CUB's size where nothing is said, and kept for the next run. ``--scale`` adds time
and peak memory at 1, 3 and 10 million regions (some 5 GB of disk), ``--grid`` the paper's tables against cold fits.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from grid import grid
from scale import at_scale
from synthetic import ASIDE, Size, make_store, named, put_aside

from fgscore import terminal
from fgscore.evaluate.score import runs_for
from fgscore.evaluate.score import score as run_score
from fgscore.scorers import Scorer
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.match import bundles
from fgscore.tables import Column, Kind, Table
from fgscore.targets import Target

ROOT = Path(__file__).resolve().parents[2]
ALL = Scorer.informed()
MODES = ["global", "local"]
ROUNDS = 5


def timed(work: Callable[[], Any]) -> float:
    """Seconds that ``work`` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def medians(works: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each, taken in turns so that a busy moment hits all alike; a first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for round_ in range(rounds + 1):
        for name, work in works.items():
            seconds = timed(work)
            if round_:
                times[name].append(seconds)
    return {name: statistics.median(found) for name, found in times.items()}


def opened(folder: Path) -> RegionBundle:
    """The one bundle of the store, opened as a new process would."""
    (bundle,) = bundles(Store(make_layout(folder)))
    assert isinstance(bundle, RegionBundle)
    return bundle


def make_layout(folder: Path) -> Any:
    """The folders of a data directory."""
    from fgscore.store.paths import Layout

    return Layout(folder)


def floor(folder: Path) -> None:
    """Plain h5py read of the same files, float16 to float32, one matrix product of the same shape."""
    bundle = opened(folder)
    text = np.ascontiguousarray(bundle.text_bank.text.T)
    for path in sorted(bundle.region_embeddings.path.glob("*.h5")):
        with h5py.File(path, "r") as file:
            file["regions"][()].astype(np.float32) @ text


def score(folder: Path, names: list[str], modes: list[str]) -> None:
    """``fgscore score`` from nothing: what was scored before is put aside. Not removed, as a file system that has just
    removed thousands of files (ext4) takes thirty times as long to make a new one."""
    put_aside(folder, "scores")
    bundle = opened(folder)
    run_score(runs_for(bundle, [Scorer.bind(name) for name in names], [Target.bind(mode) for mode in modes]))


class PlainScript:
    """What one would write by hand: one array in memory, each scorer with each target by itself."""

    def __init__(self, folder: Path) -> None:
        bundle = opened(folder)
        shards = [bundle.store.read(bundle.region_embeddings, n) for n in bundle.region_embeddings.shard_sizes]
        whole = [bundle.store.read(bundle.globals, n) for n in bundle.globals.shard_sizes]
        self.regions = np.concatenate([s.regions for s in shards]).astype(np.float32)
        self.globals = np.concatenate([s.globals for s in whole]).astype(np.float32)
        self.image = np.repeat(np.arange(len(self.globals)), np.concatenate([np.diff(s.offsets) for s in shards]))
        self.text, self.tau = bundle.text_bank.text, np.float32(bundle.text_bank.logit_scale)

    def __call__(self) -> None:
        """Every combination."""
        self.region_global()
        for name in ("region_text", "hard_margin", "soft_margin", "entropy"):
            for mode in MODES:
                self.combination(name, mode)

    def region_global(self) -> np.ndarray:
        """Cosine with the whole image."""
        return (self.regions * self.globals[self.image]).sum(axis=1)

    def combination(self, name: str, mode: str) -> np.ndarray:
        """One scorer against one target."""
        cosines = self.regions @ self.text.T
        whole = self.globals @ self.text.T
        target = cosines.argmax(axis=1) if mode == "local" else whole.argmax(axis=1)[self.image]
        rows = np.arange(len(cosines))
        own = cosines[rows, target]
        if name == "region_text":
            return own
        if name == "entropy":
            z = self.tau * cosines
            p = np.exp(z - z.max(axis=1, keepdims=True))
            p /= p.sum(axis=1, keepdims=True)
            return p[rows, target] + 0.1 * (p * np.log(p + 1e-12)).sum(axis=1)
        cosines[rows, target] = -np.inf
        if name == "hard_margin":
            return own - cosines.max(axis=1)
        w = np.exp(self.tau * (cosines - cosines.max(axis=1, keepdims=True)))
        w /= w.sum(axis=1, keepdims=True)
        cosines[rows, target] = 0
        return own - (w * cosines).sum(axis=1)


def read_plain(folder: Path) -> None:
    """All region embeddings by h5py alone."""
    for path in sorted(next((folder / "cache" / "synthetic" / "region_embeddings").iterdir()).glob("*.h5")):
        with h5py.File(path, "r") as file:
            for name in ("image_ids", "offsets", "regions", "norms"):
                file[name][()]


def read_store(folder: Path) -> None:
    """The same through the store: opened anew, seals, parents and sizes checked."""
    bundle = opened(folder)
    for number in bundle.region_embeddings.shard_sizes:
        bundle.store.read(bundle.region_embeddings, number)


BARE = """
import typer
app = typer.Typer(add_completion=False, rich_markup_mode=None)
for number in range({commands}):
    def command({options}): "Do something."
    app.command(f"command-{{number}}")(command)
app()
"""


def start_up() -> dict[str, float]:
    """``fgscore --help`` and a bare Typer app with as many commands, 12 options each."""
    from fgscore_stages._commands import COMMANDS

    options = ", ".join(f"o{i}: str = typer.Option('x', help='An option.')" for i in range(12))
    bare = BARE.format(commands=len(COMMANDS), options=options)
    ours = "import sys; sys.argv = ['fgscore', '--help']; from fgscore_stages.cli import app; app()"

    def run(code: str) -> Callable[[], Any]:
        return lambda: subprocess.run([sys.executable, "-c", code, "--help"], check=True, capture_output=True)

    return medians({"ours": run(ours), "bare": run(bare)}, rounds=9)


def ratio(what: str, found: float, most: float | None = None, least: float | None = None) -> dict[str, Any]:
    """One line of the table."""
    target = f"at most {most}x" if most else f"at least {least}x"
    reached = found <= most if most else found >= (least or 0)
    return {"what": what, "target": target, "measured": f"{found:.2f}x", "reached": reached}


def columns(rows: list[dict[str, Any]]) -> list[Column]:
    """One for each key of the rows."""
    kinds: dict[type, Kind] = {str: "text", bool: "flag", int: "count", float: "number"}
    return [Column(key, key, kinds[type(value)]) for key, value in rows[0].items()]


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in vars(Size()).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "bench", help="where the drawn stores are kept")
    parser.add_argument("--scale", action="store_true", help="1, 3 and 10 million regions too")
    parser.add_argument("--grid", action="store_true", help="the paper's tables too; half an hour")
    parser.add_argument("--cells", type=int, default=12, help="so many cells of these")
    parser.add_argument("--json", type=Path, default=ROOT / "data" / "results" / "bench" / "laptop.json")
    options = parser.parse_args()
    size = Size(options.images, options.regions, options.classes, options.dim)
    folder = options.data / named(size)
    print("making the store ...", file=sys.stderr)
    make_store(folder, size)

    seconds = medians(
        {
            "floor": lambda: floor(folder),
            "one": lambda: score(folder, ["entropy"], ["global"]),
            "all": lambda: score(folder, ALL, MODES),
            "script": PlainScript(folder),
        }
    )
    reading = medians({"h5py": lambda: read_plain(folder), "store": lambda: read_store(folder)})
    starting = start_up()
    rows = [
        ratio("score, one scorer, over the floor", seconds["one"] / seconds["floor"], most=1.5),
        ratio("score, all scorers x two targets, over the floor", seconds["all"] / seconds["floor"], most=2.5),
        ratio("the same, faster than a plain script by", seconds["script"] / seconds["all"], least=4),
        ratio("reading embeddings, over plain h5py", reading["store"] / reading["h5py"], most=1.3),
        ratio("fgscore --help, over a bare Typer app", starting["ours"] / starting["bare"], most=1.3),
    ]
    fits = grid(options.data / f"grid-{named(size)}", size, options.cells) if options.grid else {}
    if fits:
        what = f"grid of Tables 1, 3 and 4, {fits['cells']} of {fits['of']} cells, faster than cold fits"
        made = [ratio(f"{what} one after the other by", fits["cold"] / fits["ours"], least=5),
                ratio(f"{what} several at a time by", fits["cold, a thread each"] / fits["ours"], least=5)]  # fmt: skip
        if not fits["alike"]:
            said = f"accuracies {max(fits['apart']):.4f} apart: no figure"
            made = [{**row, "measured": said, "reached": False} for row in made]
        rows += made
    terminal.show(Table("laptop", f"{size}, {os.cpu_count()} processors", columns(rows), rows))
    print(f"floor: {seconds['floor']:.2f} s; plain h5py: {reading['h5py']:.2f} s; bare Typer: {starting['bare']:.2f} s")
    if fits:
        print(f"a cell: ours {fits['ours']:.1f} s, cold {fits['cold']:.1f} s, cold and several at a time "
              f"{fits['cold, a thread each']:.1f} s; accuracies at most {max(fits['apart']):.4f} apart; the whole grid "
              f"{fits['whole grid'] / 60:.0f} min")  # fmt: skip
    scale = at_scale(options.data) if options.scale else []
    if scale:
        terminal.show(Table("scale", "peak memory", columns(scale), scale))
    content = {"size": vars(size), "processors": os.cpu_count(), "rows": rows, "scale": scale, "grid": fits,
               "seconds": {**seconds, **reading, **starting}}  # fmt: skip
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(content, indent=1))
    print(f"written to {options.json}")
    for old in options.data.glob(f"*/{ASIDE}*"):  # last: it slows down what comes after
        shutil.rmtree(old)


if __name__ == "__main__":
    main()
