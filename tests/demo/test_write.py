"""The data set on disk."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fgscore.demo import write
from fgscore.demo.draw import draw, image_rng
from fgscore.demo.kinds import KINDS
from fgscore.demo.write import write_dataset


def snapshot(root: Path) -> dict[str, tuple[int, bytes]]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_layout_and_content(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    root = tmp_path / "made" / "demo"
    write_dataset(root, train=1, test=2, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 72) for done in range(1, 73)]
    classes = json.loads((root / "classes.json").read_text())
    assert {slug: entry["name"] for slug, entry in classes.items()} == {k.slug: k.name for k in KINDS}
    for split, count in (("train", 1), ("test", 2)):
        assert sorted(path.name for path in (root / split).iterdir()) == sorted(classes)
        for slug in classes:
            assert len(list((root / split / slug).glob("*.jpg"))) == count
    kind = KINDS[5]
    drawing = draw(kind, image_rng(0, "test", kind, 1))
    parts = np.asarray(Image.open(root / "parts" / "test" / kind.slug / "001.png"))
    np.testing.assert_array_equal(parts, drawing.parts)
    image = np.asarray(Image.open(root / "test" / kind.slug / "001.jpg"), int)
    assert np.abs(image - drawing.image).mean() < 6
    assert [path.name for path in root.parent.iterdir()] == ["demo"]


def test_a_finished_folder_is_left_alone(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    write_dataset(root, train=1, test=0)
    before = snapshot(root)
    write_dataset(root, train=1, test=0)
    assert snapshot(root) == before


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(tmp_path / "demo", train=1, test=1, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_at_once_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "demo"
    fill = write._fill

    def overtaken(*arguments) -> None:  # type: ignore[no-untyped-def]
        monkeypatch.setattr(write, "_fill", fill)
        fill(*arguments)
        write_dataset(root, train=1, test=0)

    monkeypatch.setattr(write, "_fill", overtaken)
    write_dataset(root, train=1, test=0)
    assert (root / "classes.json").is_file()
    assert list(tmp_path.iterdir()) == [root]


def test_an_empty_folder_is_used_and_a_foreign_one_refused(tmp_path: Path) -> None:
    root = tmp_path / "demo"
    root.mkdir()
    write_dataset(root, train=1, test=0)
    with pytest.raises(FileExistsError, match="found"):
        write_dataset(root, train=2, test=0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="mine"):
        write_dataset(tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"
