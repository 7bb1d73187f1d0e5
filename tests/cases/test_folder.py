"""Folders of photos that were read in part, or wrongly, and called sound; each after a public report."""

from __future__ import annotations

import io
import json
import os
import socket
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fgscore.acquire.check import check
from fgscore.datasets import DataSet, Listing, Photo, _below, _images
from fgscore.datasets._splits import set_aside
from fgscore.errors import BadImage, DataError
from fgscore.extract.index import Indexed, make_index
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Put = Callable[..., Path]
SOUND = ["train/jay/0.png", "train/robin/0.png", "test/jay/1.png", "test/robin/1.png"]


def picture(number: int, form: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (9, 7), (number * 37 % 256, number * 91 % 256, number % 256)).save(buffer, form)
    return buffer.getvalue()


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """``put("train/jay/0.png", ...)`` writes pictures, each of another content, and returns their root."""
    root, written = tmp_path / "photos", Counter[str]()

    def write(*paths: str, content: bytes | None = None) -> Path:
        for path in paths:
            written["files"] += 1
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(picture(written["files"]) if content is None else content)
        return root

    return write


def listing(root: Path, written: str = "folder") -> Listing:
    return DataSet.bind(written).listing(root)


def index(root: Path, data: Path, written: str = "folder", **options: Any) -> Indexed:
    return make_index(Store(Layout(data)), written, root=root, **options)


def reasons(found: Listing) -> dict[str, str]:
    return {file.path: file.reason for file in found.account}


def splits(found: Listing) -> dict[str, str]:
    return {photo.path: photo.split for photo in found.photos}


def classes(found: Listing) -> dict[str, str | None]:
    return {photo.path: found.class_named(photo.label) for photo in found.photos}


# --- which files are photos


@pytest.mark.parametrize(
    ("name", "form"),
    [("a.jfif", "JPEG"), ("d.JPE", "JPEG"), ("b.avif", "AVIF"), ("c.jp2", "JPEG2000"), ("e.tga", "TGA"),
     ("f.WebP", "WEBP"), ("g.qoi", "QOI")],
)  # fmt: skip
def test_whatever_pillow_opens_is_a_photo(put: Put, data: Path, name: str, form: str) -> None:
    put(*SOUND)
    root = put(f"train/jay/{name}", content=picture(99, form))
    made = index(root, data)
    assert f"train/jay/{name}" in made.index.image_ids
    assert not made.summary.failures and not made.account


@pytest.mark.parametrize("name", ["e.heic", "e.HEIF", "e.cr2", "e.dng", "e.svg", "e.jxl"])
def test_a_picture_of_another_kind_is_named_and_missed(
    put: Put, run: Callable[..., Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_below, "photo_suffixes", lambda: frozenset(_images.suffixes() - {".heic", ".heif"}))
    put(*SOUND)
    root = put(f"train/jay/{name}", content=b"something that Pillow does not know")
    checked = run("check", "folder", "--root", root)
    assert checked.code == 3 and "\nnot sound\n" in checked.out
    assert f"(train/jay/{name})" in checked.out and "passed over 1: ." in checked.out
    assert ("`pip install pillow-heif`" in checked.out) == (name.lower()[-4:] in ("heic", "heif"))
    assert run("index", "folder", "--root", root).code == 3
    assert run("index", "folder", "--root", root, "--allow-failures").code == 0


def test_a_picture_of_a_phone_that_is_called_otherwise_says_what_opens_it(
    put: Put, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(*SOUND)
    root = put("train/jay/IMG_1.jpg", content=b"\0\0\0\x24ftypheic\0\0\0\0mif1heic")
    monkeypatch.setattr(Image, "OPEN", {name: how for name, how in Image.OPEN.items() if name != "HEIF"})
    (failure,) = index(root, data).summary.failures
    assert failure["image_id"] == "train/jay/IMG_1.jpg" and "`pip install pillow-heif`" in failure["reason"]


@pytest.mark.parametrize(("name", "form"), [("IMG_0001", "JPEG"), ("a.jpg.1", "JPEG"), ("b.png~", "PNG")])
def test_a_picture_whose_name_does_not_say_so_is_missed(put: Put, name: str, form: str) -> None:
    put(*SOUND)
    found = listing(put(f"train/jay/{name}", content=picture(9, form)))
    assert found.account.lost == 1 and "a picture by its content" in reasons(found)[f"train/jay/{name}"]


def test_what_nobody_takes_for_a_photo_is_said_and_no_fault(put: Put, run: Callable[..., Any]) -> None:
    put(*SOUND)
    root = put("README.txt", "train/labels.csv", "train/jay/.DS_Store", "train/jay/._0.png", content=b"words")
    checked = run("check", "folder", "--root", root)
    assert checked.code == 0 and "\nsound\n" in checked.out
    assert "passed over 2: hidden (train/jay/.DS_Store and 1 more)" in checked.out
    assert "passed over 2: no photo by its name (README.txt and 1 more)" in checked.out
    said = run("index", "folder", "--root", root, "--json").json["passed_over"]
    assert [file["path"] for file in said] == ["README.txt", "train/jay/.DS_Store", "train/jay/._0.png",
                                               "train/labels.csv"]  # fmt: skip


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", ".ipynb_checkpoints", ".git", "$RECYCLE.BIN", "#recycle"])
def test_a_system_folder_is_no_class(put: Put, name: str) -> None:
    put(*SOUND)
    found = listing(put(f"train/{name}/0.png", f"train/jay/{name}/1.png"))
    assert found.class_names == ("jay", "robin") and len(found.photos) == 4
    assert set(reasons(found).values()) == {"in a hidden or system folder"} and not found.account.lost


def test_a_folder_without_photos_is_no_class(put: Put) -> None:
    put(*SOUND)
    root = put("train/notes/read.txt", content=b"words")
    (root / "train" / "empty").mkdir()
    assert listing(root).class_names == ("jay", "robin")


# --- where they lie


@pytest.mark.parametrize("name", ["valid", "validation", "dev", "Val", "VALID"])
def test_a_split_goes_by_any_of_its_names(put: Put, name: str) -> None:
    found = listing(put(*SOUND, f"{name}/jay/2.png"))
    assert splits(found)[f"{name}/jay/2.png"] == "val" and not found.account


def test_training_and_testing_are_splits(put: Put) -> None:
    found = listing(put("training/jay/0.png", "testing/jay/1.png"))
    assert splits(found) == {"training/jay/0.png": "train", "testing/jay/1.png": "test"}


@pytest.mark.parametrize("below", ["2021", "2021/may", "test"])
def test_photos_of_a_class_may_lie_deeper(put: Put, below: str) -> None:
    found = listing(put(*SOUND, f"train/robin/{below}/0.png"))
    assert classes(found)[f"train/robin/{below}/0.png"] == "robin" and not found.account and not found.faults


def test_folders_of_classes_need_no_split(put: Put) -> None:
    found = listing(put("jay/0.png", "blue_robin/0.png", "blue_robin/old/1.png"))
    assert classes(found) == {
        "jay/0.png": "jay",
        "blue_robin/0.png": "blue robin",
        "blue_robin/old/1.png": "blue robin",
    }
    assert set(splits(found).values()) == {"train"}


@pytest.mark.parametrize("name", ["train", "test", "dev"])
def test_a_class_may_be_called_as_a_split_is(put: Put, name: str) -> None:
    found = listing(put("bus/0.png", f"{name}/0.png"))
    assert found.class_names == tuple(sorted(["bus", name])) and not found.account
    assert any("read as a class" in line for line in found.remarks)


def test_folders_beside_the_splits_are_named(put: Put, run: Callable[..., Any]) -> None:
    root = put(*SOUND, "owl/0.png", "owl/1.png", "loose.png", "train/loose.png")
    found = listing(root)
    assert found.class_names == ("jay", "robin") and len(found.photos) == 4 and found.account.lost == 4
    assert reasons(found)["owl/0.png"] == "a photo in a folder that is none of train, val and test"
    assert reasons(found)["train/loose.png"] == reasons(found)["loose.png"] == "a photo in no folder of a class"
    assert run("check", "folder", "--root", root).code == 3


@pytest.mark.parametrize("paths", [["0.png", "1.png"], ["train/0.png", "test/1.png"], ["test/0.png"]])
def test_photos_in_no_folder_of_a_class_have_no_label(put: Put, data: Path, paths: list[str]) -> None:
    made = index(put(*paths), data).index
    assert made.paths.tolist() == sorted(paths, key=lambda p: p.startswith("test")) and not made.is_labelled.any()


def test_a_test_split_may_be_without_labels(put: Put) -> None:
    found = listing(put("train/jay/0.png", "train/robin/1.png", "test/2.png"))
    assert classes(found) == {"train/jay/0.png": "jay", "train/robin/1.png": "robin", "test/2.png": None}


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["photos/jay/0.png", "photos/robin/0.png"], r"folders jay, robin look like the classes \(name it with --root"),
        (["photos/train/jay/0.png", "photos/test/jay/0.png"], "folders test, train look like the splits"),
        (["jay/train/0.png", "owl/train/1.png"], "jay/train/, owl/train/ would be read as photos of the class"),
    ],
)
def test_a_root_that_is_one_too_high_or_turned_round_is_a_fault(
    put: Put, data: Path, paths: list[str], said: str
) -> None:
    root = put(*paths)
    with pytest.raises(DataError, match=said):
        index(root, data)
    assert len(index(root, data, force=True).index) == 2


def test_where_there_is_no_photo_it_is_said_what_there_is(put: Put) -> None:
    root = put("a.txt", "b.txt", content=b"words")
    with pytest.raises(DataError, match=r"no photo among 2 files: 2: no photo by its name \(a.txt and 1 more\)"):
        listing(root)


# --- what they are called


@pytest.mark.parametrize(
    "name", ["2021-05-05T12:30:00.png", "back\\slash.png", "new\nline.png", " a%20'b\".png", "é.png"]
)
def test_a_name_that_the_system_allows_is_a_name(put: Put, data: Path, name: str) -> None:
    root = put(*SOUND, f"train/jay/{name}")
    assert f"train/jay/{name}" in index(root, data).index.image_ids
    assert check("folder", Layout(data), root=root).sound


def test_a_name_that_is_no_utf8_is_refused_as_that(put: Put, data: Path) -> None:
    root = put(*SOUND)
    (root / "train" / "jay" / os.fsdecode(b"caf\xe9.png")).write_bytes(picture(77))
    with pytest.raises(DataError, match=r"file names in UTF-8 .*, found train/jay/caf\\xe9.png; rename it"):
        index(root, data)


COLLIDING = [("blue_jay", "blue jay"), ("jay ", "jay"), ("caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9"))]


@pytest.mark.parametrize(("one", "other"), COLLIDING)
def test_folders_of_one_class_name_are_refused_or_merged(put: Put, data: Path, one: str, other: str) -> None:
    root = put(*(f"{split}/{name}/{split}.png" for split in ("train", "test") for name in (one, other, "robin")))
    with pytest.raises(DataError, match=r"both read .* \(merge=True makes them one class\)"):
        index(root, data)
    assert len(index(root, data, force=True).index.class_names) == 3
    merged = index(root, data, "folder(merge=True)").index
    assert len(merged.class_names) == 2 and len(merged) == 6
    assert Counter(merged.labels.tolist()) == {0: 4, 1: 2}


# --- what cannot be read


def broken(path: Path, kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        path.symlink_to(path.parent / "gone.png")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"")


@pytest.mark.skipif(os.name != "posix", reason="links, pipes and sockets")
@pytest.mark.parametrize("kind", ["link", "loop", "pipe", "socket", "folder", "empty"])
def test_what_is_named_as_a_photo_and_is_none_is_quarantined(
    put: Put, run: Callable[..., Any], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = put(*SOUND)
    monkeypatch.chdir(root)  # a socket's path is short
    broken(root / "train" / "jay" / "x.png", kind)
    checked = run("check", "folder", "--root", root, "--json")
    made = run("extract", "folder", "--root", root, "--encoder", "fake", "--regions", "random_crop(n=1)", "--json")
    assert (checked.code, made.code) == (3, 3)
    assert checked.json["unreadable"] == {"train/jay/x.png": made.json["quarantined"]["train/jay/x.png"]}
    assert run("index", "folder", "--root", root, "--json").json["quarantined"] == made.json["quarantined"]


def test_a_link_to_the_folder_above_is_not_followed_for_ever(put: Put) -> None:
    root = put(*SOUND)
    (root / "train" / "jay" / "again").symlink_to(root)
    assert len(listing(root).photos) == 4


def test_links_to_folders_are_followed(put: Put, tmp_path: Path) -> None:
    root = put(*SOUND)
    (root / "train").rename(tmp_path / "elsewhere")
    (root / "train").symlink_to(tmp_path / "elsewhere")
    assert len(listing(root).photos) == 4


def test_one_photo_under_two_labels_is_a_fault(put: Put, data: Path) -> None:
    root = put(*SOUND)
    put("train/robin/copy.png", content=(root / "train/jay/0.png").read_bytes())
    with pytest.raises(DataError, match="the same file under two labels: train/robin/copy.png = train/jay/0.png"):
        index(root, data)
    assert len(index(root, data, force=True).index) == 5
    assert "under two labels" in check("folder", Layout(data), root=root).findings[0]


# --- photos for testing


def test_a_share_is_set_aside_of_each_class(put: Put) -> None:
    root = put(*(f"{name}/{i}.png" for name, n in (("jay", 10), ("robin", 5), ("owl", 1)) for i in range(n)))
    found = listing(root, "folder(split=0.2)")
    assert Counter((p.path.split("/")[0], p.split) for p in found.photos) == {
        ("jay", "train"): 8, ("jay", "test"): 2, ("robin", "train"): 4, ("robin", "test"): 1, ("owl", "train"): 1,
    }  # fmt: skip
    assert splits(found) == splits(listing(root, "folder(split=0.2, seed=0)"))
    assert splits(found) != splits(listing(root, "folder(split=0.2, seed=1)"))
    assert set(splits(listing(root, "folder(split=0)")).values()) == {"train"}


def test_a_share_of_train_is_set_aside_where_there_is_no_test(put: Put) -> None:
    found = listing(put("train/jay/0.png", "train/jay/1.png", "val/jay/2.png"), "folder(split=0.5)")
    assert Counter(splits(found).values()) == {"train": 1, "test": 1, "val": 1}


def test_a_share_beside_photos_of_test_is_refused(put: Put) -> None:
    with pytest.raises(DataError, match=r"expected no photos of test .* split=0.2 .*; leave split= out"):
        listing(put(*SOUND), "folder(split=0.2)")


def test_where_nothing_is_for_testing_check_says_what_sets_it_aside(put: Put, run: Callable[..., Any]) -> None:
    checked = run("check", "folder(name=mine)", "--root", put("jay/0.png", "robin/0.png"))
    assert checked.code == 0 and "\"folder(name='mine', split=0.2)\" sets a fifth of each class aside" in checked.out


PHOTO = st.tuples(st.integers(-1, 3), st.sampled_from(["train", "val"]))


@given(st.lists(PHOTO, max_size=40), st.floats(0.01, 0.99), st.integers(0, 9), st.randoms())
def test_a_class_of_two_is_on_both_sides_whatever_the_order(
    drawn: list[tuple[int, str]], share: float, seed: int, random: Any
) -> None:
    photos = [Photo(f"{i}.png", f"{i}.png", label, split) for i, (label, split) in enumerate(drawn)]
    shuffled = random.sample(photos, len(photos))
    made = {photo.path: photo.split for photo in set_aside(photos, share, seed, Path())}
    assert made == {photo.path: photo.split for photo in set_aside(shuffled, share, seed, Path())}
    assert all(made[photo.path] == "val" for photo in photos if photo.split == "val")
    for label in range(-1, 4):
        of = [made[p.path] for p in photos if p.label == label and p.split == "train"]
        assert of.count("test") == (min(max(round(share * len(of)), 1), len(of) - 1) if len(of) > 1 else 0)


# --- the account


SIXTY = [
    *(f"train/{name}/{i}.jpg" for name in ("jay", "robin") for i in range(8)),
    *(f"test/{name}/{i}.png" for name in ("jay", "robin") for i in range(6)),
    *(f"valid/jay/{i}.JPEG" for i in range(3)),
    *(f"train/robin/2021/{i}.tif" for i in range(3)),
    *("train/jay/a.heic", "train/jay/b.HEIC", "train/jay/c.nef", "train/jay/d.jxl", "train/jay/IMG_1"),
    *("train/jay/.hidden.jpg", "train/.DS_Store", "train/@eaDir/jay/0.jpg", "__MACOSX/train/._0.jpg", ".git/HEAD"),
    *("README.txt", "labels.csv", "train/jay/notes.md", "train/jay/0.xml", "train/robin/Thumbs.db", "model.pth"),
    *("owl/0.jpg", "owl/1.jpg", "loose.jpg", "train/loose.png", "extra/deep/er/0.webp"),
    *("train/robin/x.gif", "train/robin/z.jfif", "train/robin/movie.mp4"),
]  # fmt: skip


def test_the_account_adds_up_to_sixty_files(put: Put, run: Callable[..., Any], data: Path) -> None:
    root = put(*(path for path in SIXTY if not path.endswith(("txt", "csv", "md", "xml", "db", "pth", "HEAD", "mp4"))))
    put(*(path for path in SIXTY if not (root / path).exists()), content=b"words")
    (root / "train" / "robin" / "gone.jpg").symlink_to(root / "nowhere")
    os.mkfifo(root / "train" / "robin" / "pipe")
    walked = sum(len(files) for _, _, files in os.walk(root))
    made = run("index", "folder", "--root", root, "--json")
    passed_over = made.json["passed_over"]
    (artefact,) = Store(Layout(data)).artefacts("index")
    indexed = Store(Layout(data)).index(artefact)
    assert made.code == 3 and len(indexed) + len(passed_over) == walked == len(SIXTY) + 2 == 60
    assert indexed.class_names == ("jay", "robin")
    noted = artefact.manifest()["notes"]["passed_over"]  # type: ignore[index]
    assert sum(row["files"] for row in noted) == len(passed_over)
    lost = {file["path"] for file in passed_over if file["lost"]}
    heif = {"train/jay/a.heic", "train/jay/b.HEIC"}
    assert lost | heif == heif | {"train/jay/c.nef", "train/jay/d.jxl", "train/jay/IMG_1", "owl/0.jpg", "owl/1.jpg",
                                  "loose.jpg", "train/loose.png", "extra/deep/er/0.webp"}  # fmt: skip
    checked = json.loads(run("check", "folder", "--root", root, "--json").out)
    assert checked["passed_over"] == passed_over and sum(checked["found"].values()) == len(indexed)


FOLDERS = st.lists(st.sampled_from(["train", "test", "dev", "jay", "robin", ".git", "@eaDir", "x.png"]), max_size=3)
FILES = st.sampled_from(["0.png", "1.jpg", "2.heic", "a.txt", ".b.png", "README", "c.png.d"])


@given(paths=st.lists(st.tuples(FOLDERS, FILES), min_size=1, max_size=9))
@settings(max_examples=40)
def test_every_file_is_a_photo_or_is_listed(paths: list[tuple[list[str], str]], tmp_path_factory: Any) -> None:
    root = tmp_path_factory.mktemp("any")
    for folders, name in paths:
        (root / Path(*folders)).mkdir(parents=True, exist_ok=True)
        (root / Path(*folders) / name).write_bytes(b"")
    files = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    try:
        found = listing(root)
    except DataError:
        assert not any(name in ("0.png", "1.jpg") and not {*folders} & {".git", "@eaDir"} for folders, name in paths)
        return
    photos, listed = [p.path for p in found.photos], [file.path for file in found.account]
    assert sorted([*(p for p in photos if (root / p).is_file()), *listed]) == sorted(files)


# --- what may not be looked into, and what is nearly a split


def test_a_folder_that_may_not_be_read_is_listed_and_the_others_are_used(
    put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = put(*SOUND, "train/wren/0.png")
    scandir = os.scandir

    def guarded(path: Any) -> Any:
        if os.path.basename(path) == "wren":
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(_below.os, "scandir", guarded)
    found = listing(root)
    assert reasons(found) == {"train/wren": "a folder that may not be read"}
    assert found.class_names == ("jay", "robin")
    assert found.account.lost == 1


def test_a_photo_that_may_not_be_read_is_said_without_its_path(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(*SOUND) / SOUND[0]

    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(_images.Image, "open", refused)
    with pytest.raises(BadImage, match="^cannot be read: Permission denied$"):
        _images.read_header(path)


@pytest.mark.parametrize(
    "tops", [("training_set", "test_set"), ("train-images", "val-images"), ("Train2017", "Val2017")]
)
def test_folders_that_are_nearly_splits_are_no_classes_without_a_word(put: Put, tops: tuple[str, str]) -> None:
    found = listing(put(*(f"{top}/{of}/{top}{of}.png" for top in tops for of in ("jay", "robin"))))
    assert [fault for fault in found.faults if f"{sorted(tops)[0]}/" in fault and "look like splits" in fault]


def test_classes_whose_names_have_such_a_word_stay_classes(put: Put) -> None:
    assert not listing(put("steam_train/a.png", "test_tube/b.png")).faults
    assert not listing(put("steam_train/x/a.png", "robin/x/b.png")).faults
