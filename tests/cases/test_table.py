"""Tables of photos whose cells were taken for something else, or refused for no reason; each after a public report."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fgscore.datasets import DataSet, Listing, _images
from fgscore.datasets._rows import read
from fgscore.errors import DataError
from fgscore.extract.index import make_index
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

PHOTOS = ["train/robin/0.png", "train/robin/1.png", "train/jay/0.png", "train/jay/1.png", "test/robin/0.png",
          "test/jay/0.png"]  # fmt: skip
LABELS = [path.split("/")[1] for path in PHOTOS]
SPLITS = [path.split("/")[0] for path in PHOTOS]


def picture(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (number * 37 % 256, number * 91 % 256, number % 256)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Six photos, each of another content."""
    for number, path in enumerate(PHOTOS):
        (tmp_path / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / path).write_bytes(picture(number))
    return tmp_path / "photos"


def text(root: Path, lines: list[str], name: str = "table.csv") -> None:
    (root / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def csv(root: Path, name: str = "table.csv", separator: str = ",", **columns: list[Any]) -> None:
    """A table with the ``columns``; path, label and split where they are left out."""
    content = {"path": PHOTOS, "label": LABELS, "split": SPLITS} | columns
    rows = [content.keys(), *zip(*content.values(), strict=True)]
    text(root, [separator.join(map(str, row)) for row in rows], name)


def parquet(root: Path, **columns: Any) -> None:
    content = {"path": PHOTOS, "label": LABELS, "split": SPLITS} | columns
    pq.write_table(pa.table(content), root / "t.parquet")


def listing(root: Path, written: str = "table") -> Listing:
    return DataSet.bind(written).listing(root)


def labels(found: Listing) -> list[str | None]:
    return [found.class_named(photo.label) for photo in found.photos]


# --- which column is which


def test_columns_of_any_names_are_mapped(root: Path) -> None:
    text(root, ["bird,where,part", *map(",".join, zip(LABELS, PHOTOS, SPLITS, strict=True))], "list.csv")
    found = listing(root, "table(file=list.csv, path=where, label=bird, split=part)")
    assert (labels(found), [p.path for p in found.photos], [p.split for p in found.photos]) == (LABELS, PHOTOS, SPLITS)


@pytest.mark.parametrize(
    "header", ["filename,species,fold", "image,class,subset", "file_name,category,set", "Image Path,Label,Split"]
)
def test_usual_names_are_understood_and_said(root: Path, header: str) -> None:
    text(root, [header, *map(",".join, zip(PHOTOS, LABELS, SPLITS, strict=True))])
    found = listing(root)
    path, label, split = header.split(",")
    assert labels(found) == LABELS and [p.split for p in found.photos] == SPLITS
    assert f"columns: path={path}, label={label}, split={split}" in found.remarks


@pytest.mark.parametrize(
    ("header", "said"), [("path,species,class", "species and class"), ("img,photo,label", "img and")]
)
def test_of_two_that_could_be_meant_none_is_taken(root: Path, header: str, said: str) -> None:
    text(root, [header, *(f"{path},a,b" for path in PHOTOS)])
    with pytest.raises(DataError, match=rf"expected one column of .*, found {said}.*; say which, as `table\("):
        listing(root)


def test_a_column_that_is_not_there_is_named_with_the_nearest(root: Path) -> None:
    csv(root)
    with pytest.raises(DataError, match=r"expected a column 'labl' in .*; did you mean 'label'\?"):
        listing(root, "table(label=labl)")


def test_a_fold_of_numbers_is_no_split(root: Path) -> None:
    text(root, ["path,label,fold", *(f"{p},{label},{i % 5}" for i, (p, label) in enumerate(zip(PHOTOS, LABELS)))])  # noqa: B905
    found = listing(root)
    assert [p.split for p in found.photos] == SPLITS and "splits: by the first folder of each path" in found.remarks


@pytest.mark.parametrize("header", ["path,label,label,split", "path,label, label,split", "path,path,label,split"])
def test_a_column_that_is_there_twice_is_named(root: Path, header: str) -> None:
    text(root, [header, *(f"{path},a,b,train" for path in PHOTOS)])
    with pytest.raises(DataError, match=r"expected one column '(label|path)' in .*table.csv, found 2"):
        listing(root)


def test_a_column_of_no_interest_may_be_there_twice_and_is_named(root: Path) -> None:
    text(root, ["path,label,split,note,note", *(f"{p},{label},train,x,y" for p, label in zip(PHOTOS, LABELS))])  # noqa: B905
    assert "columns of no use here: note" in listing(root).remarks


def test_doubled_columns_of_parquet_are_named(root: Path) -> None:
    columns = [pa.array(PHOTOS), pa.array(LABELS), pa.array(LABELS), pa.array(SPLITS)]
    pq.write_table(pa.Table.from_arrays(columns, names=["path", "label", "label", "split"]), root / "t.parquet")
    with pytest.raises(DataError, match="expected one column 'label' in .*t.parquet, found 2"):
        listing(root, "table(file=t.parquet)")


def test_a_name_that_is_twice_in_a_line_of_json_is_named(root: Path) -> None:
    text(root, ['{"path": "train/jay/0.png", "label": "jay", "label": "robin"}'], "t.jsonl")
    with pytest.raises(DataError, match="line 1: 'label' is there twice"):
        listing(root, "table(file=t.jsonl)")


# --- which form it has


@pytest.mark.parametrize(("name", "separator"), [("t.tsv", "\t"), ("t.csv", ";"), ("t.txt", "\t")])
def test_tabs_and_semicolons_separate(root: Path, name: str, separator: str) -> None:
    csv(root, name, separator)
    assert labels(listing(root, f"table(file={name})")) == LABELS


def test_json_lines_are_read(root: Path) -> None:
    rows = [{"file_name": path, "label": label, "n": i} for i, (path, label) in enumerate(zip(PHOTOS, LABELS))]  # noqa: B905
    text(root, [json.dumps(row) for row in rows], "metadata.jsonl")
    found = listing(root, "table(file=metadata.jsonl)")
    assert labels(found) == LABELS and [p.split for p in found.photos] == SPLITS


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
def test_the_metadata_of_each_split_is_read_as_hugging_face_does(root: Path, name: str) -> None:
    for split in ("train", "test"):
        rows = [(p.partition("/")[2], label) for p, label in zip(PHOTOS, LABELS, strict=True) if p.startswith(split)]
        as_csv = ["file_name,label", *(f"{path},{label}" for path, label in rows)]
        as_json = [json.dumps({"file_name": path, "label": label}) for path, label in rows]
        text(root / split, as_csv if name.endswith("csv") else as_json, name)
    found = listing(root, f"table(file={name})")
    assert {(p.path, found.class_named(p.label), p.split) for p in found.photos} == set(zip(PHOTOS, LABELS, SPLITS))  # noqa: B905


def test_a_table_of_another_name_is_named(root: Path) -> None:
    csv(root, "metadata.csv")
    with pytest.raises(DataError, match=r"expected a table at .*table.csv, found none \(there is metadata.csv\)"):
        listing(root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04rest of a spreadsheet", "a spreadsheet or archive; save or unpack it"),
        (b"\x1f\x8b\x08packed", "a packed file"),
        ("path,label\na.png,x\n".encode("utf-16"), "UTF-16; save it as UTF-8"),
        ("path,label,split\na.png,caf\u00e9,train\n".encode("latin-1"), "something else"),
        (b"path,label,split\na.png,x,train\nb.png,x\n", "something else .*Expected 3 columns, got 2"),
        (b"", "expected a table in .*, found an empty file"),
        (b"path,label,split\n", "expected a row for each photo in .*, found none"),
    ],
)
def test_what_is_no_table_is_refused_as_what_it_is(root: Path, content: bytes, said: str) -> None:
    (root / "table.csv").write_bytes(content)
    with pytest.raises(DataError, match=said):
        listing(root)


def test_a_byte_order_mark_is_no_part_of_a_name(root: Path) -> None:
    csv(root)
    (root / "table.csv").write_bytes(b"\xef\xbb\xbf" + (root / "table.csv").read_bytes())
    assert labels(listing(root)) == LABELS


@pytest.mark.parametrize("size", [10, 400_000])
def test_quoted_line_breaks_are_read_whatever_the_size(root: Path, size: int) -> None:
    caption = f'"{"word " * (size // 5)}\n{"word " * (size // 5)}"'
    csv(root, caption=[caption] * len(PHOTOS))
    assert labels(listing(root)) == LABELS


# --- what stands in a cell


@pytest.mark.parametrize("kind", [pa.int64(), pa.int8(), pa.float64(), pa.string()])
def test_ids_from_0_on_stay_what_they_are(root: Path, data: Path, kind: pa.DataType) -> None:
    parquet(root, image_id=pa.array(range(6)).cast(kind))
    made = make_index(Store(Layout(data)), "table(file=t.parquet)", root=root).index
    assert sorted(made.image_ids.tolist()) == list("012345")


def test_ids_of_text_keep_their_zeros_and_duplicates_are_refused(root: Path, data: Path) -> None:
    csv(root, image_id=["007", "7", "0", "00", "n/a", "NULL"])
    assert [p.image_id for p in listing(root).photos] == ["007", "7", "0", "00", "n/a", "NULL"]
    csv(root, image_id=["0", "0", "1", "2", "3", "4"])
    with pytest.raises(DataError, match="0 listed more than once"):
        make_index(Store(Layout(data)), "table", root=root)


def test_spaces_around_a_label_are_taken_off_with_a_word(root: Path) -> None:
    csv(root, label=["robin", "robin ", " jay", "jay\u00a0", "robin", "jay"])
    found = listing(root)
    assert labels(found) == LABELS and found.class_names == ("jay", "robin")
    assert "labels: spaces are taken off in 3 rows, as around 'robin '" in found.remarks


def test_labels_that_differ_in_inner_spaces_are_a_fault(root: Path, data: Path) -> None:
    csv(root, label=["blue jay", "blue  jay", "robin", "robin", "blue jay", "robin"])
    with pytest.raises(DataError, match="the labels 'blue  jay' and 'blue jay' both read 'blue jay'"):
        make_index(Store(Layout(data)), "table", root=root)


def test_nan_is_no_class_and_whole_floats_are_numbers(root: Path, data: Path) -> None:
    parquet(root, label=[0.0, float("nan"), 1.0, None, 0.0, 1.0])
    found = listing(root, "table(file=t.parquet)")
    assert labels(found) == ["0", None, "1", None, "0", "1"] and found.class_names == ("0", "1")
    made = make_index(Store(Layout(data)), "table(file=t.parquet)", root=root).index
    assert made.is_labelled.sum() == 4 and found.without().startswith("2 of 6 photos have no label: train/robin/1.png")


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_so_it_is_in_other_forms(root: Path, form: str) -> None:
    values = ["0.0", "nan", "1.0", "", "0.0", "1.0"]
    if form == "csv":
        csv(root, label=values)
    else:
        numbers = [float(v) if v else None for v in values]
        rows = zip(PHOTOS, numbers, SPLITS, strict=True)
        text(root, [json.dumps(dict(zip(("path", "label", "split"), row, strict=True))) for row in rows], "t.jsonl")
    assert labels(listing(root, f"table(file={'table' if form == 'csv' else 't'}.{form})")) == [
        "0",
        None,
        "1",
        None,
        "0",
        "1",
    ]


@pytest.mark.parametrize("mapped", [True, False])
def test_na_null_and_none_are_names_and_only_nothing_is_missing(root: Path, mapped: bool) -> None:
    csv(root, label=["NA", "null", "None", "", '""', '"nan"'])
    found = listing(root, "table(label=label)" if mapped else "table")
    assert labels(found) == ["NA", "null", "None", None, None, "nan"]
    assert mapped or any("is read as the name of a class" in line for line in found.remarks)


def test_a_bare_nan_is_missing_unless_the_column_was_named(root: Path) -> None:
    csv(root, label=["nan", "robin", "jay", "NaN", "robin", "jay"])
    assert labels(listing(root)) == [None, "robin", "jay", None, "robin", "jay"]
    assert labels(listing(root, "table(label=label)")) == ["nan", "robin", "jay", "NaN", "robin", "jay"]


@pytest.mark.parametrize("value", ["1.5", "inf"])
def test_a_number_that_is_not_whole_is_no_label(root: Path, value: str) -> None:
    csv(root, label=["0", "1", value, "0", "1", "0"])
    with pytest.raises(DataError, match=rf"expected a whole number or a name as label in row 3 of .*, found {value}"):
        listing(root)


def test_numbers_that_are_names_keep_their_zeros(root: Path) -> None:
    csv(root, label=["007", "7", "10", "9", "007", "7"])
    assert listing(root).class_names == ("007", "7", "9", "10")


def test_photos_may_have_no_label_at_all(root: Path) -> None:
    text(root, ["path", *PHOTOS])
    found = listing(root)
    assert labels(found) == [None] * 6 and found.class_names == () and [p.split for p in found.photos] == SPLITS
    text(root, ["path,note", *(f"{path},x" for path in PHOTOS)])
    assert labels(listing(root, "table(label='')")) == [None] * 6


@pytest.mark.parametrize("names", [("Train", "testing"), ("TRAINING", " test "), ("dev", "validation")])
def test_a_split_goes_by_any_of_its_names(root: Path, names: tuple[str, str]) -> None:
    csv(root, split=[names[0]] * 4 + [names[1]] * 2)
    assert {p.split for p in listing(root).photos} <= {"train", "val", "test"}


def test_a_share_is_set_aside_where_no_column_says(root: Path) -> None:
    text(root, ["path,label", *(f"{p.replace('/', '-')},{label}" for p, label in zip(PHOTOS, LABELS))])  # noqa: B905
    assert {p.split for p in listing(root).photos} == {"train"}
    found = listing(root, "table(split=0.34)")
    assert Counter((found.class_named(p.label), p.split) for p in found.photos) == {
        ("jay", "train"): 2, ("jay", "test"): 1, ("robin", "train"): 2, ("robin", "test"): 1,
    }  # fmt: skip


# --- boxes


@pytest.mark.parametrize("cell", ['"1,2,3,4"', '"[1.0, 2, 3, 4]"', "1 2 3 4", '"(1, 2, 3, 4)"'])
def test_a_box_may_be_one_cell_of_text(root: Path, cell: str) -> None:
    csv(root, bbox=[cell, "", *[cell] * 4])
    boxes = [p.box_xyxy for p in listing(root, "table(box=bbox)").photos]
    assert boxes == [(1, 2, 3, 4), None, *[(1, 2, 3, 4)] * 4]


@pytest.mark.parametrize("cell", ['"1,2,3"', "here", '"1,2,x,4"', '"3,4,1,2"', '"1,2,,4"'])
def test_a_box_that_is_none_is_named_by_row(root: Path, cell: str) -> None:
    csv(root, bbox=['"1,2,3,4"', cell, *[""] * 4])
    with pytest.raises(DataError, match=r"in row 2 of .*table.csv"):
        listing(root, "table(box=bbox)")


@pytest.mark.parametrize("corner", ["wide", "", "0"])
def test_corners_in_columns_are_numbers_and_all_there(root: Path, corner: str) -> None:
    csv(root, x0=[1, ""] * 3, y0=[1, ""] * 3, x1=[4, ""] * 3, y1=[5, ""] * 3)
    assert [p.box_xyxy for p in listing(root).photos] == [(1, 1, 4, 5), None] * 3
    csv(root, x0=[1, ""] * 3, y0=[1, ""] * 3, x1=[corner, ""] * 3, y1=[5, ""] * 3)
    with pytest.raises(DataError, match="in row 1 of .*table.csv"):
        listing(root)


def test_lists_of_parquet_are_boxes(root: Path) -> None:
    parquet(root, box_xyxy=[[1, 2, 3, 4], None, *[[0, 0, 5, 5]] * 4])
    found = listing(root, "table(file=t.parquet, box=box_xyxy)")
    assert [p.box_xyxy for p in found.photos] == [(1, 2, 3, 4), None, *[(0, 0, 5, 5)] * 4]


def test_a_comma_stands_before_decimals_beside_semicolons(root: Path) -> None:
    csv(root, separator=";", x0=["0,5"] * 6, y0=[1] * 6, x1=["4,5"] * 6, y1=[5] * 6)
    assert listing(root).photos[0].box_xyxy == (0.5, 1, 4.5, 5)


# --- paths


@pytest.mark.parametrize("write", [lambda root, path: path.replace("/", "\\"), lambda root, path: f" {path} ",
                                   lambda root, path: f"./{path}", lambda root, path: f"{root}/{path}",
                                   lambda root, path: f"test/../{path}"])  # fmt: skip
def test_paths_are_kept_from_the_root_on(root: Path, data: Path, write: Callable[[Path, str], str]) -> None:
    csv(root, path=[write(root, path) for path in PHOTOS])
    assert [p.path for p in listing(root).photos] == [p.image_id for p in listing(root).photos] == PHOTOS
    made = make_index(Store(Layout(data)), "table", root=root)
    assert all(str(root).encode() not in p.read_bytes() for p in made.artefact.path.iterdir())


def test_an_absolute_path_is_known_behind_a_link(root: Path, tmp_path: Path) -> None:
    csv(root, path=[str(root / path) for path in PHOTOS])
    (tmp_path / "link").symlink_to(root)
    assert [p.path for p in listing(tmp_path / "link").photos] == PHOTOS


def test_a_name_with_a_backslash_is_one_where_the_file_is_called_so(root: Path) -> None:
    (root / "a\\b.png").write_bytes(picture(9))
    csv(root, path=["a\\b.png", *PHOTOS[1:]])
    assert listing(root).photos[0].path == "a\\b.png"


@pytest.mark.parametrize(
    "path", ["/etc/0.png", "../0.png", "a/../../0.png", "C:\\photos\\0.png", "https://x.org/0.png", ""]
)
def test_a_path_that_leads_elsewhere_is_named_by_row(root: Path, path: str) -> None:
    csv(root, path=[PHOTOS[0], path, *PHOTOS[2:]])
    with pytest.raises(DataError, match=r"expected a path.* in row 2 of .*table.csv"):
        listing(root)


def test_rows_without_a_photo_and_photos_without_a_row_are_named(root: Path, data: Path) -> None:
    csv(root, path=["train/robin/9.png", *PHOTOS[1:]])
    with pytest.raises(DataError, match=r"missing 1 \(train/robin/9.png\)"):
        make_index(Store(Layout(data)), "table", root=root)
    made = make_index(Store(Layout(data)), "table", root=root, partial=True)
    assert {file.path: file.reason for file in made.account} == {
        "train/robin/0.png": "a photo that the table does not name",
        "table.csv": "the table itself",
    }
    assert not made.account.lost


def test_a_photo_that_the_table_names_needs_no_suffix(root: Path, data: Path) -> None:
    (root / PHOTOS[0]).rename(root / "IMG_1")
    csv(root, path=["IMG_1", *PHOTOS[1:]])
    made = make_index(Store(Layout(data)), "table", root=root)
    assert not made.summary.failures and len(made.account) == 1


# --- what its columns are called is content


def test_other_columns_and_splits_decode_no_photo(
    root: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    csv(root, species=["owl"] * 2 + ["tit"] * 4, part=["train", "test"] * 3)
    decoded = Counter[str]()
    decode = _images.read_rgb
    monkeypatch.setattr(_images, "read_rgb", lambda *given: (decoded.update(["photo"]), decode(*given))[1])
    options = ("--root", root, "--encoder", "fake", "--regions", "random_crop(n=2)", "--json")
    first = run("extract", "table(name=mine)", *options)
    assert decoded["photo"] >= 6 and first.code == 0
    decoded.clear()
    written = "table(name=mine, label=species, split=part)"
    again = run("extract", written, *options)
    assert again.code == 0 and decoded == Counter()
    assert {a["label"] for a in again.json["artefacts"]} == {a["label"] for a in first.json["artefacts"]}
    scored = run("score", written, "--scorer", "entropy", "--json")
    assert scored.code == 0 and run("score", "mine(label=species)", "--scorer", "entropy").code == 0


def test_what_is_told_to_run_says_the_columns_again(root: Path, run: Callable[..., Any], data: Path) -> None:
    csv(root, species=["owl"] * 2 + ["tit"] * 4)
    written = "table(name='mine', label='species')"
    made = run("extract", written, "--root", root, "--encoder", "fake", "--regions", "random_crop(n=2)")
    assert written in made.out
    for path in (data / "cache" / "mine" / "regions").rglob("shard-*"):
        path.unlink()
    told = run("status", "mine").out
    assert "label='species'" in told and "name='mine'" in told


# --- laws


WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r", exclude_categories=("Cs",)), max_size=9)


@given(
    rows=st.lists(st.tuples(WORDS, st.one_of(st.none(), WORDS)), min_size=1, max_size=6),
    separator=st.sampled_from(",;\t"),
)
def test_csv_gives_back_the_texts_that_were_written(
    rows: list[tuple[str, Any]], separator: str, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("law") / "t.csv"
    quoted = [separator.join('"' + (cell or "").replace('"', '""') + '"' for cell in row) for row in rows]
    path.write_bytes("\n".join([f"a{separator}b", *quoted]).encode())
    found = read(path)
    for column, name in enumerate(("a", "b")):
        assert found.texts(name) == [cell if (cell := row[column]) and cell.strip() else None for row in rows]


@given(numbers=st.lists(st.one_of(st.none(), st.integers(-(1 << 53) + 1, (1 << 53) - 1)), min_size=1, max_size=9))
def test_whole_numbers_read_alike_whatever_their_type(numbers: list[int | None], tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("law") / "t.parquet"
    floats = [np.nan if n is None else float(n) for n in numbers]
    pq.write_table(pa.table({"i": pa.array(numbers, pa.int64()), "f": floats}), path)
    found = read(path)
    assert found.texts("i") == found.texts("f") == [None if n is None else str(n) for n in numbers]


# --- what would change the meaning of a row is said


@pytest.mark.parametrize("other", ["holdout", "", "unlabeled"])
def test_a_column_of_splits_is_one_even_where_a_row_says_another(root: Path, other: str) -> None:
    csv(root, split=[*SPLITS[:5], other])
    table = (root / "table.csv").read_text().replace("split", "subset")
    (root / "table.csv").write_text(table)
    with pytest.raises(DataError, match="expected a split of train, val or test in row 6"):
        listing(root)


def test_paths_of_which_one_is_in_no_split_say_that_all_are_of_train(root: Path) -> None:
    (root / "loose.png").write_bytes(picture(7))
    text(
        root, ["path,label", *(f"{path},{label}" for path, label in zip(PHOTOS, LABELS, strict=True)), "loose.png,jay"]
    )
    found = listing(root)
    assert {photo.split for photo in found.photos} == {"train"}
    assert any("loose.png" in line and "all are of train" in line for line in found.remarks)


def test_one_photo_under_two_ids_is_named(root: Path) -> None:
    text(root, ["image_id,path,label", f"a,{PHOTOS[0]},robin", f"b,{PHOTOS[0]},robin", f"c,{PHOTOS[2]},jay"])
    assert [line for line in listing(root).remarks if PHOTOS[0] in line and "more than one id" in line]


def test_minus_one_is_doubted_as_the_name_of_a_class(root: Path) -> None:
    csv(root, label=["-1", "0", "1", "0", "1", "0"])
    assert any(line.startswith("labels: -1 is read as the name of a class") for line in listing(root).remarks)


def test_of_very_many_columns_the_first_are_named(root: Path) -> None:
    csv(root, **{f"column{i}": [1] * 6 for i in range(3000)})
    (said,) = [line for line in listing(root).remarks if "of no use" in line]
    assert "column0, column1" in said
    assert said.endswith("and 2,980 more")


def test_json_that_is_nested_without_end_is_no_table(root: Path) -> None:
    (root / "m.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match="found something else"):
        listing(root, "table(file='m.json')")


def test_where_no_row_finds_its_photo_a_path_is_shown(root: Path, data: Path) -> None:
    csv(root, path=[path.upper() for path in PHOTOS])
    with pytest.raises(DataError, match=r"such as TRAIN/ROBIN/0\.PNG, found none"):
        make_index(Store(Layout(data)), "table", root=root)
