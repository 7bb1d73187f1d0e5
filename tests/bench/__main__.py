"""How fast extraction is against what it replaces: ratios, all measured in this run, and none without equality.

By default few prompts are run and the time of what depends on their number is extrapolated to 1,024; ``--side 32`` runs
them all. ``--quick`` prints every ratio in a few minutes, from one photo and one round. Photos are given by path;
FGSCORE_REAL_DATA names a folder whose photos/ is taken otherwise.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import timing

TARGETS = {"exact": "4x", "fast": "6x", "exact, torch alone": ""}


def main() -> int:
    """Run the benchmarks, print the table, write the JSON; 1 where something was not equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", nargs="*")
    parser.add_argument("--side", type=int, default=8, help="points per side; 32 is upstream's default")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="vit_b", choices=("demo", "vit_b", "vit_l", "vit_h"))
    parser.add_argument("--count", type=int, default=8, help="photos for the embed stage")
    parser.add_argument("--quick", action="store_true", help="one photo, 16 points, one round, four photos to embed")
    parser.add_argument("--only", choices=("masks", "threads", "memory", "crops", "embed", "one_pass"))
    parser.add_argument("--json", type=Path, default=Path(__file__).with_name("results.json"))
    parser.add_argument("--task", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.task:
        import masks

        task = json.loads(options.task)
        run = masks.memory if "variant" in task else masks.worker if "variants" in task else masks.wall
        print(json.dumps(run(task)))
        return 0
    names = options.photos or timing.real_photos()
    if options.quick:
        names, options.side, options.rounds, options.count = names[:1], 4, 1, 4
    rows: list[timing.Row] = []
    if options.only in (None, "masks"):
        rows += _masks(names, options)
    if options.only in (None, "threads"):
        rows += _on_all_processors(names, options)
    if options.only in (None, "memory") and sys.platform == "linux":
        rows += _memory(names, options)
    if options.only in (None, "crops"):
        import crops

        rows += crops.rows(names)
    if options.only in (None, "embed"):
        import embed

        sources = list(timing.photos(names).values())
        rows += embed.rows(sources, options.count, "cpu", "fp32", "0.9x")
    if options.only in (None, "one_pass"):
        import one_pass

        rows += one_pass.rows(list(timing.photos(names).values()), 8 * options.count)
    print("\n" + timing.table(rows))
    options.json.write_text(json.dumps([vars(row) for row in rows], indent=1))
    return 0 if all(row.equal for row in rows) else 1


def _masks(names: list[str], options: argparse.Namespace) -> list[timing.Row]:
    import equality
    import masks

    task = {"photos": names, "side": options.side, "rounds": options.rounds, "model": options.model}
    n = options.side**2
    weights = "the demo's weights" if options.model == "demo" else "random weights"
    print(f"{options.model}, {weights}, {n} prompts an image" + ("" if n == 1024 else ", extrapolated to 1,024"))
    cold = masks.in_process({**task, "warm": False, "variants": ["upstream"]})
    warm = masks.in_process({**task, "warm": True, "variants": list(masks.VARIANTS)})
    rows = []
    for name, result in warm.items():
        kinds = {variant: equality.Nearness if variant == "fast" else equality.Report for variant in TARGETS}
        reports = {variant: kind(**result["equality"][variant]) for variant, kind in kinds.items()}
        for variant, report in reports.items():
            print(f"\n{name} {result['size'][1]}x{result['size'][0]}, {variant}: {report.line()}")
        times = {"upstream, allocator as it is": cold[name]["seconds"]["upstream"], **result["seconds"]}
        _print_stages(times)
        for variant, report in reports.items():
            own = sum(times[variant].values())
            for reference in [r for r in times if r.startswith("upstream")]:
                against = reference if "as it is" in reference else f"{reference}, warm allocator"
                what = f"masks of {name}, {variant}"
                ratio = sum(times[reference].values()) / own
                detail = {**result, "cold": cold[name], "seconds": times}
                rows.append(timing.Row(what, against, TARGETS[variant], ratio, equal=report.passed, detail=detail))
    return rows + timing.geometric_means(rows, TARGETS)


def _on_all_processors(names: list[str], options: argparse.Namespace) -> list[timing.Row]:
    import masks

    task = {"photos": names[:1], "side": options.side, "rounds": options.rounds, "model": options.model}
    found = masks.in_process(task)
    seconds = found["seconds"]
    print(f"\n{found['threads']} threads: " + ", ".join(f"{v} {s:.1f} s" for v, s in seconds.items()))
    against = "upstream, oneDNN, warm allocator"
    return [
        timing.Row(
            f"masks on {found['threads']} threads, seconds on the clock, {variant}",
            against,
            "",
            seconds["upstream, oneDNN"] / seconds[variant],
            equal=found["equal"],
            detail=found,
        )
        for variant in ("exact", "fast")
    ]


def _print_stages(times: dict[str, dict[str, float]]) -> None:
    for variant, stages in times.items():
        parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in stages.items())
        print(f"  {variant}: {sum(stages.values()):.1f} s ({parts})")


def _memory(names: list[str], options: argparse.Namespace) -> list[timing.Row]:
    import masks

    results: dict[str, Any] = {}
    for variant in ("upstream", "exact", "full size"):
        results[variant] = masks.in_process({"variant": variant, "photos": names[:1], "model": options.model})
    peaks = {variant: result["peak"] / 2**30 for variant, result in results.items()}
    more = {"equal": results["exact"]["equal"], "detail": peaks}
    return [
        timing.Row("peak memory, 64 prompts", "upstream", "5x", peaks["upstream"] / peaks["exact"], **more),
        timing.Row("peak memory, 4000 x 3000 photo", "", "4 GiB", peaks["full size"], " GiB", **more),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
