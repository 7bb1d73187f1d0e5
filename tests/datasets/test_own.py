"""The user's own photos: a folder or a table, and what is refused unless forced."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fgscore.datasets import folder, table
from fgscore.datasets._below import below
from fgscore.errors import DataError
from fgscore.extract.index import make_index
from fgscore.store.cache import Store
from fgscore.store.paths import Layout


@pytest.fixture
def store(tmp_path):
    return Store(Layout(tmp_path / "data"))


@pytest.fixture
def photos(tmp_path):
    """A folder with 2 classes, 2 photos of each in train and one in test, all different."""
    root = tmp_path / "photos"
    for i, (split, kind) in enumerate((s, k) for s in ("train", "test") for k in ("blue_jay", "robin")):
        for n in range(2 if split == "train" else 1):
            path = root / split / kind / f"{n}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (5, 4), (40 * i, 90 * n, 7)).save(path)
    return root


def write(root, rows, header="path,label,split"):
    (root / "table.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


ROWS = [
    "train/robin/0.png,robin,train",
    "train/blue_jay/0.png,blue jay,train",
    "test/robin/0.png,robin,test",
]


def test_folder_names_and_ids(photos):
    listing = folder.folder(photos)
    assert listing.class_names == ("blue jay", "robin") and len(listing.photos) == 6
    assert listing.photos[0].image_id == "train/blue_jay/0.png"


def test_folder_of_another_layout_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"expected .*/train/<class>"):
        folder.folder(tmp_path)


def test_table_csv(photos):
    write(photos, ROWS)
    listing = table.table(photos)
    assert listing.class_names == ("blue jay", "robin")
    assert [(p.image_id, p.label, p.split) for p in listing.photos][0] == ("train/robin/0.png", 1, "train")


def test_table_parquet_with_ids_boxes_and_other_columns(photos):
    columns = {
        "path": ["train/robin/0.png", "train/blue_jay/0.png"],
        "label": [10, 9],
        "split": ["train", "test"],
        "image_id": ["a", "b"],
        "x0": [0.0, None],
        "y0": [1.0, None],
        "x1": [3.0, None],
        "y1": [4.0, None],
        "photographer": ["x", "y"],
    }
    pq.write_table(pa.table(columns), photos / "mine.parquet")
    listing = table.table(photos, file="mine.parquet")
    assert listing.class_names == ("9", "10")  # numbers in their own order
    assert [(p.image_id, p.label, p.box_xyxy) for p in listing.photos] == [("a", 1, (0, 1, 3, 4)), ("b", 0, None)]


def test_numbers_as_labels_and_ids_stay_strings(photos):
    write(photos, ["train/robin/0.png,7,train,0012"], "path,label,split,image_id")
    listing = table.table(photos)
    assert listing.photos[0].image_id == "0012" and listing.class_names == ("7",)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["a.png,train"], "path,bird", r"expected a column of labels.*found path, bird; say which, as table\(label="),
        (["x,train"], "label,split", r"expected a column of paths.*found label, split; say which, as table\(path="),
        (["a.png,x,holdout"], "path,label,split", "split of train, val or test in row 1.*'holdout'"),
        ([",x,train"], "path,label,split", "a path in row 1"),
        (['"a.png,x,train'], "path,label", "table.csv"),
    ],
)
def test_tables_of_another_form_are_refused(photos, rows, header, message):
    write(photos, rows, header)
    with pytest.raises(DataError, match=message):
        table.table(photos)


def test_no_table_names_the_option(tmp_path):
    with pytest.raises(DataError, match=r"table\(file='mine.csv'"):
        table.table(tmp_path)


def test_a_table_elsewhere_is_stored_under_its_name_only(photos, store, tmp_path):
    write(photos, ROWS)
    moved = (photos / "table.csv").rename(tmp_path / "lists.csv")
    made = make_index(store, f"table(file='{moved}', name='mine')", root=photos)
    plan = (made.artefact.path / "plan.json").read_text()
    assert "lists.csv" in plan and str(tmp_path) not in plan


def test_ids_listed_twice(photos, store):
    write(photos, [f"{row},{i}" for row, i in zip(ROWS, "aab", strict=True)], "path,label,split,image_id")
    with pytest.raises(DataError, match="a listed more than once; mend this, or go on as it is with --force"):
        make_index(store, "table", root=photos)
    index = make_index(store, "table", root=photos, force=True).index
    assert index.image_ids.tolist() == ["a", "b"] and index.paths[0] == "train/robin/0.png"
    assert index.notes["forced"][0] == "a listed more than once"


def test_a_class_without_training_images(photos, store):
    for path in (photos / "train" / "robin").iterdir():
        path.unlink()
    with pytest.raises(DataError, match="no training image of robin"):
        make_index(store, "folder", root=photos)
    assert make_index(store, "folder", root=photos, force=True).index.notes["forced"]


def test_test_images_alone_are_a_zero_shot_set(photos, store):
    write(photos, ROWS[2:])
    assert len(make_index(store, "table", root=photos).index) == 1


def test_the_same_file_in_train_and_test(photos, store):
    copy = photos / "test" / "robin" / "copy.png"
    copy.write_bytes((photos / "train" / "robin" / "0.png").read_bytes())
    with pytest.raises(DataError, match="the same file in test and train: test/robin/copy.png = train/robin/0.png"):
        make_index(store, "folder", root=photos)
    made = make_index(store, "folder", root=photos, force=True)
    assert len(made.index) == 7 and len(made.index.notes["forced"]) == 1
    again = make_index(store, "folder", root=photos, force=True)
    assert again.summary.reused == 1


def test_sound_photos_need_no_force_and_leave_no_note(photos, store):
    assert make_index(store, "folder", root=photos).index.notes == {}


def test_folders_full_of_links_to_each_other_come_to_an_end(tmp_path, draw):
    for i in range(9):
        draw(tmp_path / "photos" / f"c{i}" / "0.png", seed=i)
    for i in range(9):
        for j in range(9):
            (tmp_path / "photos" / f"c{i}" / f"to{j}").symlink_to(tmp_path / "photos" / f"c{j}")
    found = below(tmp_path / "photos")
    assert {f"c{i}/0.png" for i in range(9)} <= {one.path for one in found}
    assert len(found) < 10_000
