"""Whether this machine can do what is asked of it, before hours are spent on it."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import subprocess
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from fgscore import tables
from fgscore.errors import FgscoreError
from fgscore.execute import slurm
from fgscore.execute.estimate import free_bytes
from fgscore.extract.parts import EncoderPart, Parts
from fgscore.runtime import Runtime
from fgscore.store import files
from fgscore.store.paths import Layout

OK, WARNING, FAULT = "ok", "warning", "fault"
SPEED_BYTES = 64 << 20
SLOW = 20e6  # bytes a second


@dataclass(frozen=True)
class Check:
    """One thing looked at: its ``state`` is 'ok', 'warning' or 'fault'."""

    what: str
    state: str
    found: str


def machine(layout: Layout, device: str) -> Iterator[Check]:
    """The device, the disk under the store, the cluster."""
    yield _device(device)
    yield _disk(layout)
    yield _slurm()


def components(parts: Parts, at_fault: Collection[str] = ()) -> Iterator[Check]:
    """Weights of every generator and encoder with what identifies them, then a batch through each encoder; none of
    what is ``at_fault``, or of anything where packages are missing."""
    for part in parts.every:
        what = f"weights of {part.text}"
        if "packages" in at_fault or what in at_fault:
            continue
        yield Check(what, OK, part.weights or "none needed")
        if isinstance(part, EncoderPart):
            yield _batch(part)


def space(layout: Layout, needed: float) -> Check:
    """Whether ``needed`` bytes fit where the store is."""
    free = free_bytes(layout)
    found = f"{tables.text(needed, 'bytes')} needed, {tables.text(free, 'bytes')} free"
    return Check("space", FAULT if needed > free else WARNING if needed > 0.8 * free else OK, found)


def _device(device: str) -> Check:
    if importlib.util.find_spec("torch") is None:
        return Check("device", WARNING, "no torch: only encoders that need none; pip install 'fgscore[extract]'")
    import torch

    try:
        name = Runtime(device=device).torch_device()
    except FgscoreError as error:
        return Check("device", FAULT, str(error))
    if not name.startswith("cuda"):
        return Check("device", OK if device != "auto" else WARNING, f"{name}: no GPU is used")
    free, total = torch.cuda.mem_get_info(name)
    found = f"{torch.cuda.get_device_name(name)}, {tables.text(free, 'bytes')} of {tables.text(total, 'bytes')} free"
    return Check("device", OK, f"{name}: {found}; {torch.cuda.device_count()} in all")


def _batch(encoder: EncoderPart) -> Check:
    """A batch of grey images in one forward pass, and how much memory that takes on a GPU."""
    size = encoder.runtime.batch_size
    what = f"a batch of {size or 'any size'} through {encoder.text}"
    try:
        device, size = str(encoder.loaded.device), encoder.loaded.batches.size
        what = f"a batch of {size} through {encoder.text}"
        with encoder.blamed(encoder.loaded.embed_images):
            encoder.loaded.embed_images([np.full((64, 64, 3), 127, np.uint8) for _ in range(size)])
    except FgscoreError as error:
        return Check(what, FAULT, str(error))
    except (RuntimeError, MemoryError) as error:
        reason = str(error).partition("\n")[0]
        return Check(what, FAULT, f"does not fit ({reason}); try --batch-size {max(1, size // 2)}")
    if not device.startswith("cuda"):
        return Check(what, OK, f"fits on {device}")
    import torch

    peak, (_, total) = torch.cuda.max_memory_allocated(device), torch.cuda.mem_get_info(device)
    state = WARNING if peak > 0.9 * total else OK
    return Check(what, state, f"{tables.text(peak, 'bytes')} of {tables.text(total, 'bytes')} on {device}")


def _disk(layout: Layout) -> Check:
    """Seconds to write and flush a file of :data:`SPEED_BYTES` into the store, which is removed again."""
    path = layout.cache / f"speed-{secrets.token_hex(4)}"
    if free_bytes(layout) < 2 * SPEED_BYTES:
        return Check("writing", FAULT, f"{tables.text(free_bytes(layout), 'bytes')} free at {layout.cache}")
    start = time.perf_counter()
    try:
        files.publish(path, bytes(SPEED_BYTES))
    except OSError as error:
        return Check("writing", FAULT, f"{error.strerror} at {layout.cache}")
    finally:
        path.unlink(missing_ok=True)
    speed = SPEED_BYTES / (time.perf_counter() - start)
    return Check("writing", OK if speed > SLOW else WARNING, f"{tables.text(speed, 'bytes')}/s")


def _slurm() -> Check:
    if shutil.which("sbatch") is None:
        return Check("Slurm", OK, "not on this machine")
    if slurm.queue() is None:
        return Check("Slurm", WARNING, "sbatch is there, but the cluster does not answer: see `squeue`")
    if importlib.util.find_spec("submitit") is None:
        return Check("Slurm", WARNING, "reachable, but submitit is missing: pip install 'fgscore[slurm]'")
    command = ["sinfo", "--noheader", "--format=%P"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.split()
    except (OSError, subprocess.SubprocessError):
        said = []
    return Check("Slurm", OK, f"reachable; partitions: {', '.join(said) or 'not told'}")
