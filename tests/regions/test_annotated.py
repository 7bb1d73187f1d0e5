"""What people marked, as regions: the drawn set's parts and birds, boxes of a data set; out, and in again as files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import box_files
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from fgscore.demo.parts import PART_NAMES, WHOLE_PARTS
from fgscore.demo.write import write_dataset
from fgscore.extract.parts import GeneratorPart
from fgscore.regions import Known
from fgscore.runtime import Runtime
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Run = Callable[..., Any]


@pytest.fixture(scope="session")
def _drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 drawings with their part maps."""
    root = tmp_path_factory.mktemp("drawn") / "photos"
    write_dataset(root, train=1, test=1)
    return root


@pytest.fixture
def embed(_drawings: Path, run: Run) -> Callable[..., Any]:
    """``embed("grid")`` extracts the drawings with the encoder fake and these regions; the part maps beside them are no
    photos of the set, which is said and ends with 3 unless it is allowed."""

    def call(*regions: str, code: int = 0) -> Any:
        named = [word for text in regions for word in ("--regions", text)]
        photos = ("folder(name=drawn)", "--root", _drawings, "--no-thumbnails", "--encoder", "fake", "--allow-failures")
        done = run("embed", *photos, *named, "--json")
        assert done.code == code, done.err
        return done

    return call


def arrays(data: Path, name: str) -> dict[str, np.ndarray]:
    store = Store(Layout(data))
    (made,) = (artefact for artefact in store.artefacts("regions") if artefact.recipe.component == name)
    return store.columns(made, 0)


def bird_of(drawings: Path, path: str) -> np.ndarray:
    """(H, W) bool."""
    return np.asarray(Image.open(drawings / "parts" / Path(path).with_suffix(".png"))) > 0


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    y, x = np.nonzero(mask)
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


def test_parts_and_birds_are_those_of_the_part_maps(_drawings: Path, embed: Any, data: Path) -> None:
    embed("annotated", "annotated(kind=part)")
    whole, parts = arrays(data, "annotated"), arrays(data, "annotated(kind='part')")
    ids = whole["image_ids"].tolist()
    assert len(ids) == 48
    for i, image_id in enumerate(ids):
        labels = np.asarray(Image.open(_drawings / "parts" / Path(image_id).with_suffix(".png")))
        assert whole["boxes_xyxy"][i].tolist() == list(bounds(labels > 0))
        assert whole["area"][i] == pytest.approx((labels > 0).mean())
        wanted = [np.isin(labels, [PART_NAMES.index(n) for n in names]) for part, names in WHOLE_PARTS.items()
                  if part != "bird"]  # fmt: skip
        own = slice(*parts["offsets"][i : i + 2])
        seen = [mask for mask in wanted if mask.any()]
        assert parts["boxes_xyxy"][own].tolist() == [list(bounds(mask)) for mask in seen]
        np.testing.assert_allclose(parts["area"][own], [mask.mean() for mask in seen], rtol=1e-6)


def test_what_is_exported_comes_back_equal_and_is_embedded_without_its_file(
    embed: Any, run: Run, data: Path, tmp_path: Path
) -> None:
    embed("annotated(kind=part)")
    out = ("--kind", "masks", "--kind", "regions", "--regions", "annotated", "--to", tmp_path / "out")
    assert run("export", "drawn", *out).code == 0
    theirs = arrays(data, "annotated(kind='part')")
    for path in sorted((tmp_path / "out").iterdir()):
        embed(f"boxes(file={str(path)!r})")
        ours = arrays(data, f"boxes(file={path.name!r})")
        assert set(ours) == set(theirs)
        for name, array in ours.items():
            np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    shutil.rmtree(tmp_path / "out")
    done = embed(f"boxes(file={path.name!r})").json["artefacts"]
    assert sum(a["computed"] for a in done) == 0, "it is there without its file"
    assert "name one of them in full" in embed("boxes", code=2).err


def test_coco_and_voc_of_the_drawn_set_are_embedded_and_probed(
    _drawings: Path, embed: Any, run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = sorted(
        p.relative_to(_drawings).as_posix() for s in ("train", "test") for p in (_drawings / s).rglob("*.jpg")
    )
    masks = {path: bird_of(_drawings, path) for path in paths}
    boxes = {path: [bounds(mask)] for path, mask in masks.items()}
    monkeypatch.setattr(box_files, "SIZE_WH", (320, 320))
    content = json.loads(box_files.coco(tmp_path, boxes).read_text())
    for image, annotation in zip(content["images"], content["annotations"], strict=True):
        made = coco_mask.encode(np.asfortranarray(masks[image["file_name"]].astype(np.uint8)))
        annotation["segmentation"] = {"size": made["size"], "counts": made["counts"].decode()}
    coco = box_files.written(tmp_path / "birds.json", json.dumps(content))
    voc = box_files.voc(tmp_path, boxes)
    embed(f"boxes(file={str(coco)!r})", f"boxes(file={str(voc)!r})", "annotated")
    by_coco, by_voc, own = (arrays(data, name) for name in
                            ("boxes(file='birds.json')", "boxes(file='Annotations')", "annotated"))  # fmt: skip
    for name, array in own.items():
        np.testing.assert_array_equal(by_coco[name], array, err_msg=name)
    np.testing.assert_array_equal(by_voc["boxes_xyxy"], own["boxes_xyxy"])
    assert "mask_counts" not in by_voc
    probed = run("probe", "drawn", "--pool", "mean", "--json")
    assert {row["regions"]: row["n_test"] for row in probed.json["results"]} == dict.fromkeys(
        ("boxes(file='birds.json')", "boxes(file='Annotations')", "annotated"), 24
    )


def test_what_people_marked_stands_as_an_upper_bound(embed: Any, run: Run, data: Path) -> None:
    embed("annotated", "grid(rows=1)")
    shown = run("probe", "drawn", "--pool", "mean").out
    assert "annotated (upper bound)" in shown and "grid (upper bound)" not in shown
    report = run("report", "drawn", "--no-plots")
    assert report.code == 0, report.err
    page = (data / "results" / "report" / "report.html").read_text()
    assert "annotated (upper bound)" in page and "Regions that people marked" in page


def test_boxes_of_the_data_set_are_its_objects_and_photos_without_are_named() -> None:
    part = GeneratorPart("annotated", Runtime())
    boxes = np.array([[1.2, 2, 10.7, 9], [np.nan] * 4, [3, 3, 3, 8]], np.float32)
    ids = np.array(["a", "b", "c"])
    part.meet(Known(ids, np.full((3, 2), 12), Path(), ids, boxes))
    assert part.notes == {"photos without an object box": ["b"]}
    image = np.zeros((12, 12, 3), np.uint8)
    found = {image_id: part.propose(image, image_id).boxes_xyxy.tolist() for image_id in ids.tolist()}
    assert found == {"a": [[1, 2, 11, 9]], "b": [], "c": []}


def test_other_boxes_in_the_lists_make_regions_anew(layouts: Any, run: Run, tmp_path: Path) -> None:
    layouts.cub(tmp_path / "cub", {"train": 2, "test": 2}, classes=2, size=(8, 6))
    listed = tmp_path / "cub" / "CUB_200_2011" / "bounding_boxes.txt"
    args = ("regions", "cub", "--root", tmp_path / "cub", "--partial", "--regions", "annotated", "--json")
    assert run(*args).json["computed"] == 2
    assert run(*args).json["computed"] == 0
    listed.write_text(listed.read_text().replace("2.0 3.0", "3.0 3.0"))
    made = {a["kind"]: a["computed"] for a in run(*args).json["artefacts"]}
    assert made["regions"] == 1


def test_a_data_set_without_marks_is_refused_before_it_is_hashed(run: Run, photos: Path) -> None:
    refused = run("regions", "folder", "--root", photos, "--regions", "annotated")
    assert refused.code == 1 and "expected object boxes or part maps of the data set, found none" in refused.message
