"""What the fault runs share: a data set, a clean store, the command as a process, and the comparison of stores."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fgscore.demo.write import write_dataset

WORKER = Path(__file__).with_name("worker.py")


@dataclass
class Count:
    """One line of the closing table."""

    what: str
    tried: int = 0
    survived: int = 0
    lost: list[str] = field(default_factory=list)

    def note(self, fine: bool, where: str = "") -> None:
        """Count one trial."""
        self.tried += 1
        self.survived += fine
        if not fine:
            self.lost.append(where)


@dataclass
class Bench:
    """A folder with photos, and a clean store of them to compare with."""

    folder: Path
    command: tuple[str, ...]
    digests: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def make(cls, folder: Path, images_a_kind: int = 4) -> Bench:
        """Draw ``24 * images_a_kind`` photos and extract them once, undisturbed."""
        photos = folder / "photos"
        write_dataset(photos, train=images_a_kind - 1, test=1)
        shutil.rmtree(photos / "parts")
        command = ("extract", "folder", "--root", str(photos), "--encoder", "fake", "--regions", "random_crop(n=8)")
        bench = cls(folder, command)
        start = time.perf_counter()
        ended = bench.run(folder / "clean")
        bench.seconds = time.perf_counter() - start
        if ended.returncode:
            raise RuntimeError(f"the clean run failed: {ended.stderr}")
        bench.digests = contents(folder / "clean")
        return bench

    def start(self, data: Path, **environment: str) -> subprocess.Popen[str]:
        """The command on the store under ``data``, as a process."""
        return subprocess.Popen(
            [sys.executable, str(WORKER), *self.command, "--data", str(data)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def run(self, data: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """The command, to its end."""
        process = self.start(data, **environment)
        _, stderr = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, "", stderr)

    def same(self, data: Path) -> bool:
        """Whether the store under ``data`` has the content of the clean one, every artefact complete."""
        return contents(data) == self.digests


def contents(data: Path) -> dict[str, str]:
    """Artefact to content digest, from the manifests."""
    manifests = sorted((data / "cache").glob("*/*/*/manifest.json"))
    return {m.parent.relative_to(data).as_posix(): json.loads(m.read_text())["content_digest"] for m in manifests}


def killed(bench: Bench, trials: int, seed: int = 0) -> Count:
    """SIGKILL at a random moment, the same command again, compare."""
    count, rng = Count("killed (SIGKILL) and resumed"), random.Random(seed)
    for trial in range(trials):
        data = bench.folder / f"killed-{trial}"
        process = bench.start(data)
        time.sleep(rng.uniform(0.1, 1.0) * bench.seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        ended = bench.run(data)
        count.note(ended.returncode == 0 and bench.same(data), f"trial {trial}: {ended.stderr[-200:]}")
        shutil.rmtree(data)
    return count


def interrupted(bench: Bench, trials: int, seed: int = 1) -> Count:
    """Ctrl-C at a random moment: ends within five seconds, and can be resumed."""
    count, rng = Count("interrupted (SIGINT) and resumed"), random.Random(seed)
    for trial in range(trials):
        data = bench.folder / f"interrupted-{trial}"
        process = bench.start(data)
        time.sleep(rng.uniform(0.5, 1.0) * bench.seconds)
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=5)
            quick = True
        except subprocess.TimeoutExpired:
            process.kill()
            quick = False
        ended = bench.run(data)
        count.note(quick and ended.returncode == 0 and bench.same(data), f"trial {trial}: {ended.stderr[-200:]}")
        shutil.rmtree(data)
    return count


def racing(bench: Bench, workers: int, trials: int) -> Count:
    """Several processes on one store at once."""
    count = Count(f"{workers} workers racing")
    for trial in range(trials):
        data = bench.folder / f"racing-{workers}-{trial}"
        processes = [bench.start(data) for _ in range(workers)]
        errors = [p.communicate(timeout=300)[1] for p in processes]
        fine = all(p.returncode == 0 for p in processes) and bench.same(data)
        count.note(fine, f"trial {trial}: {[e[-200:] for e in errors]}")
        shutil.rmtree(data)
    return count


def shares(whole: int, parts: Sequence[float]) -> list[int]:
    """Those parts of ``whole``."""
    return [int(part * whole) for part in parts]


def full_disk(bench: Bench, limits: Sequence[int]) -> Count:
    """Every file above a limit fails to be written: one clear line, exit 1, nothing half-written; then resumed."""
    count = Count("disk full (file-size limit) and resumed")
    for limit in limits:
        data = bench.folder / f"full-{limit}"
        ended = bench.run(data, FAULTS_FILE_LIMIT=str(limit))
        lines = [line for line in ended.stderr.splitlines() if "error" in line.lower()]
        clear = ended.returncode == 1 and len(lines) == 1 and "Traceback" not in ended.stderr
        tidy = not list(data.glob("cache/**/.tmp-*"))
        again = bench.run(data)
        count.note(clear and tidy and again.returncode == 0 and bench.same(data), f"limit {limit}: {ended.stderr}")
        shutil.rmtree(data)
    return count


def small_disk(bench: Bench, sizes: Sequence[int]) -> Count:
    """A tmpfs that fills up in the middle of the run; then, grown, the run goes on. Needs the right to mount."""
    count = Count("small tmpfs filled up and resumed")
    for kilobytes in sizes:
        data = bench.folder / f"tmpfs-{kilobytes}"
        data.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(data)]
        if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
            count.what += " (skipped: no right to mount)"
            return count
        try:
            ended = bench.run(data)
            subprocess.run(["mount", "-o", "remount,size=100m", str(data)], check=True)
            again = bench.run(data)
            clear = ended.returncode == 1 and "Traceback" not in ended.stderr and "No space left" in ended.stderr
            count.note(clear and again.returncode == 0 and bench.same(data), f"{kilobytes} kB: {ended.stderr}")
        finally:
            subprocess.run(["umount", str(data)], check=False)
    return count
