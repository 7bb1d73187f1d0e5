"""Malformed inputs from someone else: photos, shards and JSON. Each must end in one of our errors, or in sound data."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
from bench import Count  # type: ignore[import-not-found]
from PIL import Image

from fgscore.datasets import _images
from fgscore.errors import BadImage, FgscoreError
from fgscore.store import files, manifest, shards
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.upkeep.verify import verify

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def pictures(trials: int, seed: int = 4) -> Count:
    """Valid pictures of each format with bytes changed, cut, doubled or put in."""
    count, rng = Count("malformed photos: an array or a reason"), random.Random(seed)
    valid = {form: _picture(form) for form in FORMATS}
    for trial in range(trials):
        form = FORMATS[trial % len(FORMATS)]
        broken = mutated(valid[form], rng)
        try:
            pixels = _images.read_rgb(io.BytesIO(broken))
            fine = pixels.dtype == np.uint8 and pixels.ndim == 3
        except BadImage as error:
            fine = "\n" not in str(error)
        except Exception as error:  # what we are looking for
            fine = False
            form += f": {type(error).__name__}: {error}"
        count.note(fine, f"{form}, trial {trial}")
    return count


def _picture(form: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (37, 53, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def mutated(whole: bytes, rng: random.Random) -> bytes:
    """``whole`` with one to eight changes; headers are hit more often than their share."""
    changed = bytearray(whole)
    for _ in range(rng.randint(1, 8)):
        if not changed:
            break
        at = rng.randrange(min(len(changed), 64) if rng.random() < 0.5 else len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                del changed[at:]
            case 2:
                changed[at:at] = rng.randbytes(rng.randint(1, 16))
            case 3:
                changed[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
    return bytes(changed)


def hdf5(data: Path, trials: int, seed: int = 5) -> Count:
    """Shards with changed bytes, read without the SHA-256 that would have caught them."""
    count, rng = Count("malformed shards: arrays or our error"), random.Random(seed)
    paths = sorted((data / "cache").glob("*/*/*/shard-00000.h5"))
    target = data / "hostile.h5"
    for trial in range(trials):
        source = rng.choice(paths)
        target.write_bytes(mutated(source.read_bytes(), rng))
        count.note(*_ours(lambda kind=source.parent.parent.name: shards.read(target, kind), f"{source}, trial {trial}"))
    target.unlink(missing_ok=True)
    return count


def jsons(data: Path, trials: int, seed: int = 6) -> Count:
    """Plans, sidecars and manifests with changed values and a right seal: whoever can write can seal."""
    count, rng = Count("malformed JSON, rightly sealed: our error or none"), random.Random(seed)
    paths = sorted(p for p in (data / "cache").rglob("*.json"))
    for trial in range(trials):
        path = rng.choice(paths)
        whole = path.read_bytes()
        content = json.loads(whole)
        content.pop(files.SEAL)
        _spoil(content, rng)
        path.write_bytes(files.seal(content))
        where = f"{path.name}, trial {trial}: {content}"[:300]
        count.note(*_ours(lambda: _read_everything(data), where))
        path.write_bytes(whole)
    return count


STRANGE = (None, -1, 10**30, 1.5, "", "../../etc", [], {}, [[]], {"x": {}}, True, "0" * 5000)


def _spoil(content: dict, rng: random.Random) -> None:
    """Change one value somewhere in ``content``."""
    here: dict | list = content
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return
        key = rng.choice(keys)
        inner = here[key]  # type: ignore[call-overload]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.6:
            here = inner
            continue
        here[key] = rng.choice(STRANGE)  # type: ignore[call-overload, index]
        return


def _read_everything(data: Path) -> None:
    store = Store(Layout(data))
    verify(store)
    for plan in sorted((data / "cache").glob(f"*/*/*/{manifest.PLAN}")):
        artefact = manifest.load(plan.parent)
        for number in artefact.shard_sizes:
            store.read(artefact, number)


def _ours(call: Callable[[], object], where: str) -> tuple[bool, str]:
    """Whether ``call`` ends well or in one of our errors."""
    try:
        call()
    except FgscoreError:
        return True, ""
    except Exception as error:  # what we are looking for
        return False, f"{where}: {type(error).__name__}: {error}"[:400]
    return True, ""
