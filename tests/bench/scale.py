"""Time and peak memory of commands on stores of 1, 3 and 10 million regions."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from synthetic import ASIDE, Size, make_store, named, put_aside

MEASURED = """
import sys, time
from pathlib import Path
start = time.perf_counter()
from fgscore_stages.cli import app
try:
    app({args!r})
except SystemExit as end:
    assert not end.code, end.code
peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(time.perf_counter() - start, peak, file=sys.stderr)
"""


def at_scale(folder: Path, millions: tuple[int, ...] = (1, 3, 10)) -> list[dict[str, Any]]:
    """Time and peak memory (Linux) of commands in processes of their own, at several sizes, d = 256; ``score`` at all
    of them, those that write as much as they read at the smaller ones."""
    rows = []
    for n in millions:
        size = Size(images=n * 1_000_000 // 32, dim=256)
        place = folder / named(size)
        make_store(place, size)
        put_aside(place, "scores", "features")
        exported = place / f"{ASIDE}exported-{time.monotonic_ns()}"
        commands = {"score": ["--scorer", "entropy"], "aggregate": ["--scorer", "entropy"], "verify": []}
        commands |= {"export": ["--kind", "region_embeddings", "--format", "safetensors", "--to", str(exported)]}
        for command, options in list(commands.items())[: None if n < 10 else 1]:
            code = MEASURED.format(args=[command, *options, "--json", "--data", str(place)])
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            seconds, kilobytes = done.stderr.split()[-2:]
            rows.append({"command": command, "regions": f"{n} million", "seconds": round(float(seconds), 1),
                         "peak MB": int(kilobytes) // 1024})  # fmt: skip
    return sorted(rows, key=lambda row: list(commands).index(row["command"]))
