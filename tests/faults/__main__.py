"""Run all faults and print a table of what was tried, what survived and what was lost; exit 1 if anything was."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import bench as b
import beside
import damage
import hostile
import strange
import strangers


def run(folder: Path, scale: float) -> list[b.Count]:
    """Every kind of fault, ``scale`` times the full number of trials (at least one each)."""

    def times(n: int) -> int:
        return max(1, round(n * scale))

    bench = b.Bench.make(folder)
    clean = folder / "clean"
    sizes = [path.stat().st_size for path in damage.store_files(clean)]
    counts = [
        b.killed(bench, times(100)),
        b.interrupted(bench, times(10)),
        b.racing(bench, 2, times(5)),
        b.racing(bench, 4, times(5)),
        beside.compact_beside_prune(bench, times(50)),
        beside.two_at_once(bench, times(10)),
        beside.readers_beside_compact(bench, times(20)),
        b.full_disk(bench, b.shares(max(sizes), [0.9, 0.6, 0.3, 0.1][: times(4)])),
        b.small_disk(bench, b.shares(sum(sizes) // 1024, [0.5, 0.7, 0.3][: times(3)])),
        damage.flips(clean, times(2000)),
        damage.cuts(clean, times(200)),
        damage.swaps(clean),
        hostile.pictures(times(600)),
        hostile.hdf5(clean, times(400)),
        hostile.jsons(clean, times(400)),
        strangers.beside_others(clean, folder / "scorers", times(60)),
        strangers.probes(folder / "probes", next((folder / "photos").rglob("*.jpg"))),
        strange.in_the_store(bench, scale / 2),
        strange.among_photos(bench, scale),
        strange.named_by_a_user(bench, scale),
    ]
    unchanged = b.Count("the store after all that, by content")
    unchanged.note(bench.same(clean))
    return [*counts, unchanged]


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python tests/faults", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of trials")
    parser.add_argument("--json", type=Path, help="write the table here, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counts = run(Path(folder), options.scale)
    print(f"{'fault':58}{'tried':>8}{'survived':>10}{'lost':>7}")
    for count in counts:
        print(f"{count.what:58}{count.tried:8}{count.survived:10}{count.tried - count.survived:7}")
        for where in count.lost[:5]:
            print(f"    lost: {where}")
    if options.json:
        options.json.write_text(json.dumps([vars(c) for c in counts], indent=1) + "\n")
    return int(any(c.lost for c in counts))


if __name__ == "__main__":
    sys.exit(main())
