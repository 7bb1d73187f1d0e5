"""Among photos, what is no file at all: left out by name and reason, and nobody waits for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and devices are POSIX")
THINGS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pipe": (getattr(os, "mkfifo", Path.touch), "is a pipe, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is a device, not a file"),
    "folder": (Path.mkdir, "is a folder, not a file"),
    "link": (lambda path: path.symlink_to("nowhere"), "is a link that leads nowhere"),
    "huge": (lambda path: (path.touch(), os.truncate(path, 1 << 40)), "is larger than 2147483648 bytes"),
}
WRONG = "train/crow/1.png"


@pytest.fixture(params=THINGS)
def wrong(request: pytest.FixtureRequest, photos: Path) -> str:
    """The reason why one of the photos cannot be read."""
    make, reason = THINGS[request.param]
    (photos / WRONG).unlink()
    make(photos / WRONG)
    return reason


def test_it_is_left_out_by_its_reason_and_the_rest_goes_on(
    wrong: str, photos: Path, extract: Callable[..., Any], run: Callable[..., Any], draw: Callable[..., None]
) -> None:
    made = extract(code=3)
    for kind in ("thumbnails", "regions", "region_embeddings", "globals"):
        assert made[kind]["images"] == 9
        assert made[kind]["failures"][0] == {"image_id": WRONG, "reason": wrong}
    assert run("verify").code == 0
    if (photos / WRONG).is_dir():
        (photos / WRONG).rmdir()
    else:
        (photos / WRONG).unlink()
    draw(photos / WRONG, seed=12)
    made = extract()
    assert (made["globals"]["computed"], made["globals"]["images"]) == (1, 10), "once mended it costs its own shard"


def test_check_names_it(wrong: str, photos: Path, run: Callable[..., Any]) -> None:
    report = run("check", "folder", "--root", photos, "--json").json
    assert report["unreadable"] == {WRONG: wrong}


def test_two_that_cannot_be_read_are_not_the_same_photo(photos: Path, run: Callable[..., Any]) -> None:
    for split in ("train", "test"):
        os.mkfifo(photos / split / "crow" / "pipe.png")
    assert run("index", "folder", "--root", photos).code == 3
    assert run("check", "folder", "--root", photos, "--json").json["findings"] == []


def test_a_photo_that_has_become_a_pipe_has_changed(photos: Path, data: Path, extract: Callable[..., Any]) -> None:
    from fgscore.errors import DataError
    from fgscore.extract.photos import Photos
    from fgscore.store.cache import Store
    from fgscore.store.paths import Layout

    extract()
    store = Store(Layout(data))
    (index,) = store.artefacts("index")
    (photos / WRONG).unlink()
    os.mkfifo(photos / WRONG)
    found = Photos(store.index(index), photos)
    with pytest.raises(DataError, match="a pipe, not a file"):
        found.read(store.index(index).paths.tolist().index(WRONG))
