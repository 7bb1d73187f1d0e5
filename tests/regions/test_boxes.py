"""Boxes and masks of files: every format gives what was written, what matches no photo is named, faults are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import box_files
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from fgscore.errors import DataError
from fgscore.extract.parts import GeneratorPart
from fgscore.regions import Known, Proposals
from fgscore.regions._files import read, rle
from fgscore.regions._matching import NONE, SEVERAL, Names
from fgscore.runtime import Runtime
from fgscore.types import Runs

Run = Callable[..., Any]
PATHS = tuple(f"{split}/{bird}/{i}.png" for split, n in (("train", 3), ("test", 2)) for bird in ("blue_jay", "crow")
              for i in range(n))  # fmt: skip
BOXES = {path: [(j, 2 * j, 20 + i, 21 + j) for j in range(1 + i % 3)] for i, path in enumerate(PATHS)}
SIZE = box_files.SIZE_WH
FORMATS = ("coco", "detections", "yolo", "voc", "table", "parquet")


def part(path: Path, **params: Any) -> GeneratorPart:
    written = "".join(f", {key}={value!r}" for key, value in params.items())
    return GeneratorPart(f"boxes(file={str(path)!r}{written})", Runtime(device="cpu"))


def met(path: Path, sized: bool = True, **params: Any) -> GeneratorPart:
    """The generator of a file, which knows the ten photos."""
    made = part(path, **params)
    sizes = np.full((len(PATHS), 2), SIZE if sized else 0, np.int32)
    made.meet(Known(np.array(PATHS), sizes, Path(), np.array(PATHS)))
    return made


def found(made: GeneratorPart, path: str) -> Proposals:
    return made.propose(np.zeros((*SIZE[::-1], 3), np.uint8), path)


@pytest.mark.parametrize("written", FORMATS)
def test_every_format_gives_the_boxes_that_were_written(written: str, tmp_path: Path) -> None:
    made = met(vars(box_files)[written](tmp_path, BOXES))
    for path, own in BOXES.items():
        assert found(made, path).boxes_xyxy.tolist() == [list(box) for box in own], path
    assert {about for about in made.notes if "labels of YOLO" not in about} == set()


def test_lvis_goes_by_the_end_of_an_address(tmp_path: Path) -> None:
    names = {path.replace("/", "_"): own for path, own in BOXES.items()}
    made = part(box_files.lvis(tmp_path, BOXES))
    ids = np.array(list(names))
    made.meet(Known(ids, np.full((len(ids), 2), SIZE, np.int32), Path(), ids))
    assert all(found(made, name).boxes_xyxy.tolist() == [list(b) for b in own] for name, own in names.items())


def test_scores_stand_in_the_place_of_predicted_iou_and_n_keeps_the_best(tmp_path: Path) -> None:
    turned = {path: own[::-1] for path, own in BOXES.items()}
    content = json.loads(box_files.detections(tmp_path, turned).read_text())[::-1]  # the best is the last
    path = box_files.written(tmp_path / "results.json", json.dumps(content))
    photo = PATHS[2]
    every, best = found(met(path), photo), found(met(path, n=2), photo)
    assert every.predicted_iou.tolist() == pytest.approx([0.7, 0.8, 0.9])
    assert best.predicted_iou.tolist() == pytest.approx([0.9, 0.8])
    assert best.boxes_xyxy.tolist() == [list(box) for box in turned[photo][:2]]


def test_the_ids_of_detections_are_explained_by_the_images_of_another_file(tmp_path: Path) -> None:
    instances = box_files.coco(tmp_path, BOXES)
    ids = {image["file_name"]: image["id"] for image in json.loads(instances.read_text())["images"]}
    rows = [{"image_id": ids[path], "bbox": box_files.xywh(own[0]), "score": 0.5} for path, own in BOXES.items()]
    results = box_files.written(tmp_path / "results.json", json.dumps(rows))
    made = met(results, images=str(instances))
    assert all(found(made, path).boxes_xyxy.tolist() == [list(own[0])] for path, own in BOXES.items())
    with pytest.raises(DataError, match="expected boxes of these photos, such as train/blue_jay/0.png"):
        met(box_files.written(tmp_path / "other.json", json.dumps([{**rows[0], "image_id": 999}])))


def masks_of(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    masks = rng.random((count, *SIZE[::-1])) < 0.3
    masks[:, 5, 5] = True
    return masks


def as_rle(mask: np.ndarray) -> dict[str, Any]:
    made = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": made["size"], "counts": made["counts"].decode()}


def as_runs(mask: np.ndarray) -> dict[str, Any]:
    counts, value = [0], False
    for cell in mask.T.ravel().tolist():
        if cell != value:
            counts.append(0)
            value = cell
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


@pytest.mark.parametrize("segmentation", [as_rle, as_runs])
def test_masks_are_those_of_pycocotools_cell_by_cell(segmentation: Any, tmp_path: Path) -> None:
    (mask,) = masks_of(1)
    path = box_files.coco(tmp_path, {PATHS[0]: [(0, 0, 1, 1)]}, lambda box: {"segmentation": segmentation(mask)})
    made = found(met(path), PATHS[0])
    assert made.runs is not None and made.area == pytest.approx([mask.mean()])
    np.testing.assert_array_equal(Runs(made.runs[0], SIZE[::-1]).decode(), mask)
    rows, columns = np.nonzero(mask)
    assert made.boxes_xyxy.tolist() == [[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]]


def test_polygons_fill_whole_pixels_and_a_box_beside_them_is_a_mask_too(tmp_path: Path) -> None:
    both = {PATHS[0]: [(3, 4, 30, 20), (5, 6, 9, 9)]}
    outline = [[3, 4, 30, 4, 30, 20, 3, 20]]
    path = box_files.coco(tmp_path, both, lambda box: {"segmentation": outline if box[0] == 3 else []})
    made = found(met(path), PATHS[0])
    assert made.boxes_xyxy.tolist() == [list(box) for box in both[PATHS[0]]]
    assert made.area == pytest.approx([27 * 16 / 2400, 4 * 3 / 2400])


def test_a_polygon_of_yolo_is_a_mask(tmp_path: Path) -> None:
    points = "0.05 0.1 0.5 0.1 0.5 0.5 0.05 0.5"
    box_files.written(tmp_path / "labels" / "train" / "crow" / "1.txt", f"0 {points}\n")
    made = found(met(tmp_path / "labels"), "train/crow/1.png")
    assert made.boxes_xyxy.tolist() == [[3, 4, 30, 20]] and made.area == pytest.approx([27 * 16 / 2400])


def test_masks_of_two_sizes_for_one_photo_are_told_apart_and_the_first_size_stays(tmp_path: Path) -> None:
    rows = [{"image_id": PATHS[0], "segmentation": as_runs(np.ones(size, bool))} for size in ((40, 60), (20, 30))]
    rows[1]["image_id"] = "./" + PATHS[0]  # another name of the same photo
    made = met(box_files.written(tmp_path / "d.json", json.dumps(rows)))
    assert len(found(made, PATHS[0]).area) == 1
    assert len(made.notes["rows of d.json with masks of another size than others of the photo"]) == 1


def test_boxes_of_a_reduced_picture_are_brought_to_the_photos_size(tmp_path: Path) -> None:
    content = json.loads(box_files.coco(tmp_path, {PATHS[0]: [(3, 4, 10, 8)], PATHS[1]: [(0, 0, 5, 5)]}).read_text())
    content["images"][0] |= {"width": 30, "height": 20}
    content["images"][1] |= {"width": 40, "height": 60}  # as it lay before it was turned upright
    made = met(box_files.written(tmp_path / "i.json", json.dumps(content)))
    assert found(made, PATHS[0]).boxes_xyxy.tolist() == [[6, 8, 20, 16]]
    assert len(found(made, PATHS[1]).area) == 0
    assert made.notes["rows of i.json whose photo has another shape"] == [f"i.json, annotation 1 ({PATHS[1]})"]


def amg(folder: Path, masks: dict[str, np.ndarray], as_json: bool) -> Path:
    """As segment_anything's scripts/amg.py writes: a folder a picture, PNG and metadata.csv, or JSON of run lengths."""
    for path, of in masks.items():
        base = folder / Path(path).stem
        rows = []
        for i, mask in enumerate(of):
            y, x = np.nonzero(mask)
            bbox = [int(x.min()), int(y.min()), int(x.max() - x.min()), int(y.max() - y.min())]
            rows.append({"area": int(mask.sum()), "bbox": bbox, "predicted_iou": 0.9 - i / 10, "point_coords": [[1, 2]],
                         "stability_score": 0.95, "crop_box": [0, 0, *SIZE]})  # fmt: skip
        if as_json:
            content = [{"segmentation": as_rle(mask), **row} for mask, row in zip(of, rows, strict=True)]
            box_files.written(base.with_suffix(".json"), json.dumps(content))
            continue
        base.mkdir(parents=True)
        lines = ["id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,stability_score,"
                 "crop_box_x0,crop_box_y0,crop_box_w,crop_box_h"]  # fmt: skip
        for i, (mask, row) in enumerate(zip(of, rows, strict=True)):
            Image.fromarray(mask.astype(np.uint8) * 255).save(base / f"{i}.png")
            values = [
                i,
                row["area"],
                *row["bbox"],
                1,
                2,
                row["predicted_iou"],
                row["stability_score"],
                *row["crop_box"],
            ]
            lines.append(",".join(map(str, values)))
        (base / "metadata.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("as_json", [False, True])
def test_what_amg_writes_is_read_with_its_scores(as_json: bool, tmp_path: Path) -> None:
    pictures = ["a/one.png", "a/two.png"]
    made = part(amg(tmp_path / "out", {name: masks_of(2, seed) for seed, name in enumerate(pictures)}, as_json))
    made.meet(Known(np.array(["1", "2"]), np.array([SIZE] * 2), Path(), np.array(pictures)))
    for seed, image_id in enumerate(("1", "2")):
        own = found(made, image_id)
        assert own.predicted_iou.tolist() == pytest.approx([0.9, 0.8]) and own.stability.tolist() == [0.95, 0.95]
        for mask, runs in zip(masks_of(2, seed), own.runs or (), strict=True):
            np.testing.assert_array_equal(Runs(runs, SIZE[::-1]).decode(), mask)


def test_a_mask_that_cannot_be_read_costs_its_photo_alone(run: Run, photos: Path, tmp_path: Path) -> None:
    folder = amg(tmp_path / "out", {"train/crow/0.png": masks_of(1)}, as_json=False)
    folder.joinpath("0").rename(folder / "x")
    (folder / "train" / "crow").mkdir(parents=True)
    (folder / "x").rename(folder / "train" / "crow" / "0")
    (folder / "train" / "crow" / "0" / "0.png").write_bytes(b"no picture")
    done = run("regions", "folder", "--root", photos, "--regions", f"boxes(file={str(folder)!r})", "--json")
    assert done.code == 3 and list(done.json["quarantined"]) == ["train/crow/0.png"], done.err


@given(st.lists(st.integers(0, 1 << 20), max_size=40))
def test_rle_strings_come_back(runs: list[int]) -> None:
    assert rle.from_string(rle.to_string(np.array(runs, np.int64))).tolist() == runs


def test_rows_and_photos_that_are_left_over_are_counted_and_named(run: Run, photos: Path, tmp_path: Path) -> None:
    given = {path: own for path, own in BOXES.items() if path != PATHS[4]}
    given |= {"gone/a.png": [(0, 0, 5, 5)], "gone/b.png": [(0, 0, 5, 5), (1, 1, 6, 6)]}
    given[PATHS[0]] = [(0, 0, 5, 5), (9, 9, 3, 3), (50, 30, 70, 50), (61, 0, 70, 10)]
    path = box_files.table(tmp_path, given)
    args = ("folder", "--root", photos, "--encoder", "fake", "--regions", f"boxes(file={str(path)!r})")
    done = run("embed", *args, "--json")
    assert done.code == 0, done.err
    told = {about: len(names) for about, names in done.json["notes"].items()}
    assert told == {
        "rows of boxes.csv that name no photo": 3,
        "rows of boxes.csv whose box is turned round or empty": 1,
        "rows of boxes.csv whose box lies outside of its photo": 1,
        "boxes of boxes.csv that reach beyond their photo and are cut to it": 1,
        "photos that boxes.csv does not name": 1,
    }
    assert done.json["notes"]["photos that boxes.csv does not name"] == [PATHS[4]]
    again = run("embed", *args)
    assert "3 rows of boxes.csv that name no photo: boxes.csv, line" in again.out and "gone/a.png" in again.out


def test_a_table_of_semicolons_has_commas_before_decimals(tmp_path: Path) -> None:
    path = box_files.written(tmp_path / "b.csv", "file_name;x;y;w;h\ntrain/crow/0.png;1,0;2;3;4,0\n")
    assert found(met(path), "train/crow/0.png").boxes_xyxy.tolist() == [[1, 2, 4, 6]]


def test_photos_that_match_and_boxes_that_do_not_do_are_told_apart_from_other_photos(tmp_path: Path) -> None:
    path = box_files.table(tmp_path, {PATHS[0]: [(100, 100, 110, 110)]})
    with pytest.raises(DataError, match="found none that can be used: 1 rows of boxes.csv whose box lies outside"):
        met(path)


def test_numbers_that_are_not_finite_are_named(tmp_path: Path) -> None:
    path = box_files.written(tmp_path / "b.csv", "image_id,x0,y0,x1,y1\ntrain/crow/0.png,0,0,nan,4\n"
                             "train/crow/0.png,0,0,inf,4\ntrain/crow/0.png,1,1,3,4\n")  # fmt: skip
    made = met(path)
    assert len(made.notes["rows of b.csv with numbers that are not finite"]) == 2
    assert found(made, "train/crow/0.png").boxes_xyxy.tolist() == [[1, 1, 3, 4]]


CSV, ROW = "image_id,x0,y0,x1,y1\n", "train/crow/0.png"
WRONG = {
    "a.csv": (f"{CSV}{ROW},0,0,five,4\n", "a.csv, line 2: expected a number as x1, found 'five'"),
    "b.csv": (f"{CSV}{ROW},0,0,4\n", "line 2: expected 5 columns, found 4"),
    "c.csv": (f"who,x0,y0,x1,y1\n{ROW},0,0,4,4\n", "expected columns with the photo's image_id or path"),
    "d.csv": (f"image_id,a,b\n{ROW},0,0\n", "expected columns with x0, y0, x1, y1 or x, y, w, h"),
    "e.csv": (f"{CSV}{ROW},0.1,0.1,0.5,0.5\n", "expected boxes in pixels, found shares"),
    "g.csv": (f"image_id,x0,y0,x1,y1,score,Score\n{ROW},0,0,4,4,1,0\n", "one column called score, found 2"),
    "f.csv": ("", "expected columns with the photo's image_id or path, x0|expected columns"),
    "a.json": ("{", "expected JSON, found none"),
    "b.json": ('{"a": 1}', "expected images and annotations as COCO has them"),
    "c.json": ('[{"image_id": "x"}]', "detection 0: expected a bbox or a segmentation, found image_id"),
    "d.json": ('[{"image_id": "x", "bbox": [1, 2, 3]}]', "expected 4 numbers as bbox, found 3 values"),
    "e.json": ('[{"image_id": "x", "bbox": [1, 2, 3, null]}]', "expected a number as bbox, found None"),
    "f.json": ('[{"image_id": "x", "segmentation": {"size": [2, 2], "counts": [1, 1]}}]', "add up to 2 x 2"),
    "g.json": ('[{"image_id": "x", "segmentation": {"size": [1e6, 1e6], "counts": [1]}}]', "a mask of 1 to"),
    "h.json": ('[{"image_id": "x", "segmentation": {"size": [2, 2], "counts": "\\u00e9"}}]', "add up to 2 x 2"),
    "i.json": ('[{"image_id": "x", "segmentation": [[1, 2, 3]]}]', "polygons of three points or more"),
    "j.json": ('{"images": [{"id": 1, "file_name": "x", "width": 0, "height": 3}], "annotations": []}', "above 0"),
    "k.json": (
        '{"images": [{"id": 1, "file_name": "x"}, {"id": 1, "file_name": "y"}], "annotations": []}',
        "image 1: exp",
    ),
    "l.json": ('[{"image_id": "x", "segmentation": {"size": [2, 2], "counts": [1.9, 2.2]}}]', "add up to 2 x 2"),
    "a.xml": ("<annotation/>", "expected a folder of Pascal VOC's XML"),
    "v/a.xml": ('<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation>&e;</annotation>', "document type"),
    "w/a.xml": ("<annotation><object><bndbox><xmin>1</xmin></bndbox></object></annotation>", "a number as ymin"),
    "x/a.txt": ("0 0.5 0.5 0.1 0.1\n0 0.5 half 0.1 0.1\n", "a.txt, line 2: expected a number"),
    "q/a.txt": ("0 0.5 0.5 0.1 0.1 0.4 0.4 2 0.6 0.6 2\n", "a polygon of shares from 0 to 1"),
    "r/a.txt": ("0 320 160 50 50\n", "a.txt, line 1: expected shares of the photo, from 0 to 1, found 320"),
    "y/a.dat": ("", "expected YOLO's .txt, Pascal VOC's .xml, or folders or JSON that amg.py writes, found 1 other"),
    "z/metadata.csv": ("id,area\n1,2\n", "expected the columns of amg.py"),
}


def test_two_columns_of_one_name_are_refused_in_parquet_too(tmp_path: Path) -> None:
    columns = [pa.array([ROW]), *(pa.array([side]) for side in (0, 0, 4, 4, 5))]
    pq.write_table(pa.table(columns, names=["image_id", "x0", "y0", "x1", "y1", "x1"]), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="expected one column called x1, found 2"):
        read(tmp_path / "a.parquet")


def test_files_of_another_format_in_the_same_folder_are_named(tmp_path: Path) -> None:
    folder = box_files.voc(tmp_path, BOXES)
    (folder / "b.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    assert met(folder).notes["files beside those of .xml, which alone are read"] == ["b.txt"]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_file_is_said_with_its_place(name: str, tmp_path: Path) -> None:
    content, says = WRONG[name]
    path = box_files.written(tmp_path / name, content)
    with pytest.raises(DataError, match=says):
        read(path.parent if "/" in name else path)


def test_a_file_of_other_photos_stops_the_run_before_a_photo_is_hashed(run: Run, photos: Path, tmp_path: Path) -> None:
    path = box_files.table(tmp_path, {"gone/a.png": [(0, 0, 5, 5)]})
    refused = run("embed", "folder", "--root", photos, "--encoder", "fake", "--regions", f"boxes(file={str(path)!r})")
    assert refused.code == 1 and "expected boxes of these photos" in refused.message and "gone/a.png" in refused.message


def test_a_file_that_has_changed_means_its_own_regions_alone(run: Run, photos: Path, tmp_path: Path) -> None:
    name = f"boxes(file={str(tmp_path / 'boxes.csv')!r})"
    for shift in (0, 1):
        box_files.table(tmp_path, {path: [(shift, 0, 20, 20)] for path in PATHS})
        assert run("embed", "folder", "--root", photos, "--encoder", "fake", "--regions", name).code == 0
    scored = ("score", "folder", "--scorer", "region_global", "--json", "--regions")
    assert len(run(*scored, name).json["scores"]) == 1
    (tmp_path / "boxes.csv").unlink()
    assert len(run(*scored, name).json["scores"]) == 2, "which of them is meant cannot be known without it"


NAMES = ("train/crow/0.png", "train/jay/0.png", "test/crow/0.png", "test/crow/000042.jpg", "x/only.jpeg")
STANDS_FOR = {
    "7": "one id", "train/crow/0.png": 0, "train/crow/0": 0, "jay/0.png": 1, "/mnt/d/train/jay/0.png": 1,
    r"C:\photos\train\jay\0.png": 1, "./test/crow/0.png": 2, "labels/test/crow/0": 2, "crow/0.png": SEVERAL,
    "0.png": SEVERAL, "0": SEVERAL, "val/crow/0.png": NONE, "42": 3, "only.jpeg": 4, "elsewhere/only.png": 4,
    "only": 4, "nobody.png": NONE, "": NONE, "43": NONE,
}  # fmt: skip


@pytest.mark.parametrize("name", STANDS_FOR)
def test_a_name_stands_for_the_photo_whose_path_it_is_or_ends(name: str) -> None:
    ids = ["3", "4", "5", "6", "7"]
    wanted = 4 if STANDS_FOR[name] == "one id" else STANDS_FOR[name]
    names = Names(ids, NAMES, [(one,) for one in (name, "val/crow/0.png", "old/crow/0.png")])
    assert names.row([name]) == wanted
