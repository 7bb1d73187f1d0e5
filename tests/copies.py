"""Copies of the official layouts, of any size, whose photos are hard links of one tiny file a size."""

import os
from itertools import cycle, islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat


class Photographs:
    """Writes photos under ``root``: each a hard link of one file."""

    def __init__(self, root, size=(4, 3), color=(90, 120, 150)):
        self.root, self._folders = root, set()
        self._original = root / ".original.jpg"
        root.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, color).save(self._original)

    def __call__(self, relative):
        path = os.path.join(self.root, relative)
        folder = os.path.dirname(path)
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        os.link(self._original, path)


def lines(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def spread(counts, classes):
    """(class from 0, split) of every photo, classes taking turns within each split."""
    return [(c, split) for split, n in counts.items() for c in islice(cycle(range(classes)), n)]


def cub(root, counts, classes=200, size=(4, 3)):
    folder, write = root / "CUB_200_2011", Photographs(root / "CUB_200_2011", size)
    names = [f"{c + 1:03d}.Kind_{c + 1}" for c in range(classes)]
    photos = [(i, c, split) for i, (c, split) in enumerate(spread(counts, classes), 1)]
    paths = {i: f"{names[c]}/Photo_{i:04d}.jpg" for i, c, _ in photos}
    for path in paths.values():
        write(f"images/{path}")
    lines(folder / "classes.txt", [f"{c + 1} {name}" for c, name in enumerate(names)])
    lines(folder / "images.txt", [f"{i} {paths[i]}" for i, _, _ in photos])
    lines(folder / "image_class_labels.txt", [f"{i} {c + 1}" for i, c, _ in photos])
    lines(folder / "train_test_split.txt", [f"{i} {int(split == 'train')}" for i, _, split in photos])
    lines(folder / "bounding_boxes.txt", [f"{i} 1.0 0.0 2.0 3.0" for i, _, _ in photos])
    return folder


CAR = [("bbox_x1", "O"), ("bbox_y1", "O"), ("bbox_x2", "O"), ("bbox_y2", "O"), ("class", "O")]


def car_names(classes):
    names = [f"Maker Model{c} Sedan {1990 + c % 20}" for c in range(classes)]
    names[min(2, classes - 1)] = "Ram C/V Cargo Van Minivan 2012"
    return names


def cars(root, counts, classes=196, doubled=False, labels_in="beside", size=(4, 3)):
    """The packaging of two folders. ``labels_in`` is where the test labels lie: 'beside' the devkit or in 'devkit'."""
    folder, write = root / "stanford_cars", Photographs(root / "stanford_cars", size)
    (folder / "devkit").mkdir()
    (folder / "cars_test").mkdir()
    at = {
        "train": folder / "devkit" / "cars_train_annos.mat",
        "test": folder / ("devkit" if labels_in == "devkit" else "") / "cars_test_annos_withlabels.mat",
    }
    for split in ("train", "test"):
        images = f"cars_{split}/cars_{split}" if doubled else f"cars_{split}"
        rows = [
            (1, 1, 3, 2, c + 1, f"{i:05d}.jpg") for i, (c, _) in enumerate(spread({split: counts[split]}, classes), 1)
        ]
        for row in rows:
            write(f"{images}/{row[-1]}")
        savemat(at[split], {"annotations": np.array(rows, [*CAR, ("fname", "O")])})
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": np.array(car_names(classes), object)})
    return folder


def cars_one_folder(root, counts, classes=196, size=(4, 3)):
    """The packaging of one folder, with a flag for test photos."""
    write = Photographs(root, size)
    rows = [
        (f"car_ims/{i:06d}.jpg", 1, 1, 3, 2, c + 1, int(split == "test"))
        for i, (c, split) in enumerate(spread(counts, classes), 1)
    ]
    for row in rows:
        write(row[0])
    annotations = np.array(rows, [("relative_im_path", "O"), *CAR, ("test", "O")])
    savemat(
        root / "cars_annos.mat",
        {"annotations": annotations, "class_names": np.array(car_names(classes), object)},
    )
    return root


def flowers(root, counts, classes=102, size=(4, 3)):
    write = Photographs(root, size)
    photos = spread(counts, classes)
    for i in range(1, len(photos) + 1):
        write(f"jpg/image_{i:05d}.jpg")
    keys = {"train": "trnid", "val": "valid", "test": "tstid"}
    sets = {k: [i for i, (_, split) in enumerate(photos, 1) if split == s] for s, k in keys.items()}
    savemat(root / "setid.mat", {k: np.array([v], np.uint16) for k, v in sets.items()})
    savemat(root / "imagelabels.mat", {"labels": np.array([[c + 1 for c, _ in photos]], np.uint8)})
    return root


def pets(root, counts, classes=37, size=(4, 3)):
    write = Photographs(root, size)
    names = [f"{'Abyssinian' if c == 0 else 'breed'}_kind_{c}" if c else "Abyssinian" for c in range(classes)]
    photos = [(f"{names[c]}_{i}", c, split) for i, (c, split) in enumerate(spread(counts, classes), 1)]
    for stem, _, _ in photos:
        write(f"images/{stem}.jpg")
    write("images/Abyssinian_100.mat")  # a stray file, and a photo that no list has, as in the official archive
    write("images/Abyssinian_99999.jpg")
    for split, file in (("train", "trainval"), ("test", "test")):
        rows = [f"{stem} {c + 1} {1 + (c > 0)} {c + 1}" for stem, c, s in photos if s == split]
        lines(root / "annotations" / f"{file}.txt", rows)
    box = "<annotation><object><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>4</xmax><ymax>3</ymax></bndbox></object>"
    lines(root / "annotations" / "xmls" / f"{photos[0][0]}.xml", [box])
    return root


VARIANTS = ("707-320", "Cessna 172", "F-16A/B", "F/A-18")


def aircraft(root, counts, classes=100, size=(1, 24)):
    folder, write = root / "fgvc-aircraft-2013b" / "data", Photographs(root / "fgvc-aircraft-2013b" / "data", size)
    photos = [(f"{i:07d}", c, split) for i, (c, split) in enumerate(spread(counts, classes), 1)]
    for number, _, _ in photos:
        write(f"images/{number}.jpg")
    names = {
        "variant": [VARIANTS[c] if c < len(VARIANTS) else f"Variant {c}" for c in range(classes)],
        "family": [f"Family {c % max(1, int(classes * 0.7))}" for c in range(classes)],
        "manufacturer": [f"Maker {c % max(1, int(classes * 0.3))}" for c in range(classes)],
    }
    for level, plural in (("variant", "variants"), ("family", "families"), ("manufacturer", "manufacturers")):
        lines(folder / f"{plural}.txt", sorted(set(names[level]), key=names[level].index))
        for split in counts:
            rows = [f"{number} {names[level][c]}" for number, c, s in photos if s == split]
            lines(folder / f"images_{level}_{split}.txt", rows)
    lines(folder / "images_box.txt", [f"{number} 1 1 1 9" for number, _, _ in photos])
    return folder


@pytest.fixture(scope="session")
def layouts():
    """Writers of the official layouts, by name."""
    return SimpleNamespace(
        cub=cub,
        cars=cars,
        cars_one_folder=cars_one_folder,
        flowers=flowers,
        pets=pets,
        aircraft=aircraft,
        lines=lines,
        Photographs=Photographs,
    )


@pytest.fixture(scope="session")
def real():
    """The folder of real photos and lists; tests that want it skip, by name, where it is absent."""
    folder = os.environ.get("FGSCORE_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FGSCORE_REAL_DATA names no folder of real data")
    return Path(folder)
