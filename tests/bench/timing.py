"""What the benchmarks share: stopwatches, the allocator as it is or warm, peak memory, the closing table."""

from __future__ import annotations

import ctypes
import gc
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


@dataclass
class Row:
    """One line of the table: a ratio of the reference to ours, with its target."""

    what: str
    reference: str
    target: str
    measured: float
    unit: str = "x"
    equal: bool = True
    detail: dict[str, Any] = field(default_factory=dict)

    def cells(self) -> tuple[str, str, str, str]:
        shown = f"{self.measured:.1f}{self.unit}" if self.equal else "not equal: no figure"
        return self.what, self.reference, self.target, shown


def table(rows: list[Row]) -> str:
    """The rows in columns."""
    cells = [("what", "against", "target", "measured"), *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells)


def geometric_means(rows: list[Row], targets: dict[str, str]) -> list[Row]:
    """Over the photos, a line for each variant in ``targets`` and each reference; ``what`` of a row ends in its
    variant."""
    made = []
    for variant, target in targets.items():
        for against in dict.fromkeys(row.reference for row in rows):
            some = [row for row in rows if row.what.endswith(f", {variant}") and row.reference == against]
            mean = math.exp(sum(math.log(row.measured) for row in some) / len(some))
            equal = all(row.equal for row in some)
            made.append(Row(f"geometric mean, {variant}", against, target, mean, equal=equal))
    return made


class Stages:
    """Seconds by ``clock`` spent in methods that are named, each apart from what else is timed inside it."""

    def __init__(self, clock: Callable[[], float] = time.process_time) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock
        self._inner = [0.0]

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Time ``owner.method`` from now on under ``name``."""
        real = getattr(owner, method)

        def timed(*args: Any, **more: Any) -> Any:
            start = self._clock()
            self._inner.append(0.0)
            try:
                return real(*args, **more)
            finally:
                spent = self._clock() - start
                self.seconds[name] = self.seconds.get(name, 0.0) + spent - self._inner.pop()
                self._inner[-1] += spent

        setattr(owner, method, timed)


def real_photos() -> list[str]:
    """Paths of the photos under FGSCORE_REAL_DATA, where it is set."""
    folder = os.environ.get("FGSCORE_REAL_DATA")
    return sorted(str(path) for path in (Path(folder) / "photos").glob("*.jpg"))[:4] if folder else []


def photos(names: list[str]) -> dict[str, np.ndarray]:
    """The photos at these paths; a drawn bird, enlarged, where there are none."""
    found = {Path(n).stem: np.array(Image.open(n).convert("RGB")) for n in names}
    if found:
        return found
    from fgscore.demo.draw import draw, image_rng
    from fgscore.demo.kinds import KINDS

    bird = Image.fromarray(draw(KINDS[0], image_rng(0, "test", KINDS[0], 0)).image)
    return {"drawn": np.array(bird.resize((1200, 800)))}


def warm_allocator() -> None:
    """Have freed memory kept, as fgscore does where SAM runs on the CPU."""
    from fgscore.machine.memory import keep_freed

    keep_freed()


@contextmanager
def peak_memory() -> Iterator[Callable[[], int]]:
    """A function that says by how many bytes this process has grown at most since the context began (Linux).

    What was freed before is handed back first, or it would be used again without growing.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    yield lambda: _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def best_cpu_ms(run: Callable[[], Any], times: int) -> float:
    """The least CPU time of ``times`` calls, in milliseconds."""
    spent = []
    for _ in range(times):
        start = time.process_time()
        run()
        spent.append(time.process_time() - start)
    return 1000 * min(spent)
