"""Make the demo's two models from nothing: ``python -m fgscore.demo.train``."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fgscore.demo import weights_folder

PARTS = ("clip", "sam")
THREADS = {"clip": 1, "sam": 2}  # fixed: sums over another number of threads round differently

_ABOUT = """\
Train the demo's small CLIP and small SAM on drawn birds, one after the other; then evaluate them.
The numbers of steps and of threads are fixed: speed and load change how long it takes and nothing else.

In Python: fgscore.demo.train.clip.train_clip, fgscore.demo.train.sam.train_sam, and
fgscore.demo.train.evaluate.evaluate_clip and evaluate_sam.
"""


def train_one(part: str, folder: Path, seed: int, scale: float) -> None:
    """Train ``"clip"`` or ``"sam"`` into ``folder``, on as many threads as ``THREADS`` says, whatever the cores."""
    import torch

    torch.set_num_threads(THREADS[part])
    # gradients of masks that are right are denormal numbers, and those take ten times as long
    torch.set_flush_denormal(part == "sam")
    torch.use_deterministic_algorithms(True)
    if part == "clip":
        from fgscore.demo.train.clip import train_clip

        train_clip(folder, seed=seed, scale=scale)
    else:
        from fgscore.demo.train.sam import train_sam

        train_sam(folder, seed=seed, scale=scale)


def evaluate_one(part: str, folder: Path, seed: int) -> dict[str, Any]:
    """The figures of one trained model."""
    from fgscore.demo.train.evaluate import evaluate_clip, evaluate_sam

    return evaluate_clip(folder, seed=seed) if part == "clip" else evaluate_sam(folder, seed=seed)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(arguments)
    parts = [options.only] if options.only else list(PARTS)
    start = time.monotonic()
    if not _train_all(parts, options):
        print("training failed: see above", file=sys.stderr)
        return 1
    minutes = (time.monotonic() - start) / 60
    for part in parts:
        figures = evaluate_one(part, options.out / part, options.seed)
        print(json.dumps({part: figures}, indent=2))
        _record(options.out / "figures.json", part, {**figures, "made": _circumstances(options, minutes)})
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fgscore.demo.train",
        description=_ABOUT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=weights_folder(), help="folder for clip/, sam/ and figures.json")
    parser.add_argument("--only", choices=PARTS, help="make one model (default: both)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps-scale", type=float, default=1.0, help="times the steps and images, to try it out")
    return parser


def _train_all(parts: list[str], options: argparse.Namespace) -> bool:
    """Train each part in a process of its own; False if one failed."""
    context = multiprocessing.get_context("spawn")
    for part in parts:
        arguments = (part, options.out / part, options.seed, options.steps_scale)
        worker = context.Process(target=train_one, args=arguments)
        worker.start()
        worker.join()
        if worker.exitcode != 0:
            return False
    return True


def _circumstances(options: argparse.Namespace, minutes: float) -> dict[str, Any]:
    packages = ("torch", "transformers", "segment-anything", "numpy", "pillow")
    return {
        "seed": options.seed,
        "steps_scale": options.steps_scale,
        "minutes": round(minutes, 1),
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def _record(path: Path, part: str, figures: dict[str, Any]) -> None:
    """Put the figures of one model into the file, beside the other's."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    text = json.dumps({**known, part: figures}, indent=2, sort_keys=True) + "\n"
    path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    sys.exit(main())
