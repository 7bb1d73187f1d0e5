"""The same on a GPU: masks by upstream, exactly and fast; the embed stage against the bare forward.

    python tests/bench/gpu.py [photos] [--count 2000] [--only masks|embed]

Written to results/<device>.json. Upstream is timed as it comes, where convolutions are TF32, and in full float32, which
is also what equality is asked against.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import embed
import equality
import masks
import timing
import torch
from segment_anything import SamAutomaticMaskGenerator

from fgscore.machine.float32 import full_float32
from fgscore.regions import sam
from fgscore.regions.sam.generator import reduce

TARGETS = {"exact": "4x", "fast": "10x"}
EMBED_TARGET = "0.85x"
SIDE = 32


def seconds(work: Callable[[], Any], times: int) -> float:
    """The median of ``times`` runs, the device waited for."""
    found = []
    for _ in range(times):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def mask_rows(names: list[str], model: str) -> list[timing.Row]:
    """A row for every photo, reference and variant, then the geometric means."""
    network = masks.model(model)
    rows: list[timing.Row] = []
    for name, photo in timing.photos(names).items():
        image = reduce(photo, 1024)
        settings = masks.settings_for(network.cpu(), image, SIDE)
        upstream = SamAutomaticMaskGenerator(network.cuda(), output_mode="uncompressed_rle", **settings)
        ours = {variant: make(upstream) for variant, make in masks.OURS.items()}
        found = {variant: generator.generate(image) for variant, generator in ours.items()}
        with full_float32():
            theirs = sam.columns(upstream.generate(image))
            exact = equality.compare(theirs, found["exact"], image.shape[:2], upstream)
            near = equality.nearness(upstream, ours["fast"], image)
        times = {}
        for what, context in (("upstream", nullcontext), ("upstream, full float32", full_float32)):
            with context():
                times[what] = seconds(lambda: upstream.generate(image), 1)  # noqa: B023
        for variant, generator in ours.items():
            times[variant] = seconds(lambda: generator.generate(image), 5)  # noqa: B023
        reports = {"exact": exact, "fast": near}
        for variant, report in reports.items():
            print(f"{name} {image.shape[1]}x{image.shape[0]}, {variant}: {report.line()}", flush=True)
        print("  " + ", ".join(f"{what} {1000 * spent:.0f} ms" for what, spent in times.items()), flush=True)
        for variant, report in reports.items():
            for what in ("upstream", "upstream, full float32"):
                ratio, target = times[what] / times[variant], TARGETS[variant]
                detail = {"seconds": times, "report": report.line()}
                rows.append(
                    timing.Row(f"masks of {name}, {variant}", what, target, ratio, equal=report.passed, detail=detail)
                )
    return rows + timing.geometric_means(rows, TARGETS)


def keep(rows: list[timing.Row], options: argparse.Namespace) -> None:
    """Print the table so far and write it."""
    device = torch.cuda.get_device_name()
    print(f"\n{device}, torch {torch.__version__}, {options.model} with random weights, {SIDE**2} prompts an image")
    print(timing.table(rows), flush=True)
    slug = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    target = options.json or Path(__file__).parent / "results" / f"{slug}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    content = {"device": device, "torch": torch.__version__, "model": options.model, "rows": [vars(r) for r in rows]}
    target.write_text(json.dumps(content, indent=1) + "\n")


def main() -> int:
    """Measure, print, write; 1 where something was not equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--count", type=int, default=2000, help="photos for the embed stage")
    parser.add_argument("--model", default="vit_b", choices=("demo", "vit_b", "vit_l", "vit_h"))
    parser.add_argument("--only", choices=("masks", "embed"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("expected a GPU, found none; make bench-extract measures on the CPU", file=sys.stderr)
        return 2
    names = options.photos or timing.real_photos()
    rows: list[timing.Row] = []
    if options.only != "masks":
        sources = list(timing.photos(names).values())
        rows += embed.rows(sources, options.count, "cuda", "bf16", EMBED_TARGET)
        keep(rows, options)
    if options.only != "embed":
        rows += mask_rows(names, options.model)
        keep(rows, options)
    return 0 if all(row.equal for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
