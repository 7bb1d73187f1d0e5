"""Tiny copies of the official layouts: labels, splits, names, boxes, and the traps of each data set."""

import json

import numpy as np
import pytest

from fgscore.datasets import DataSet, aircraft, build_index, cars, cub, flowers, limited, pets, present
from fgscore.errors import BadParameter, DataError
from fgscore.store.index import assign_shards

TINY = {"train": 6, "test": 4}
THREE = {"train": 6, "val": 5, "test": 4}


def splits(listing):
    return {s: sum(p.split == s for p in listing.photos) for s in ("train", "val", "test")}


def index_of(listing):
    return build_index("x", listing, {}, lambda ids: assign_shards(ids, None))


class TestCub:
    def test_reads_the_lists_from_the_folder_or_its_parent(self, tmp_path, layouts):
        layouts.cub(tmp_path, TINY, 3)
        from_parent, itself = cub.cub(tmp_path), cub.cub(tmp_path / "CUB_200_2011")
        assert from_parent == itself
        assert splits(itself) == {"train": 6, "val": 0, "test": 4}
        assert itself.photos[0].image_id == "1" and itself.photos[0].path == "images/001.Kind_1/Photo_0001.jpg"
        assert itself.photos[0].box_xyxy == (1, 0, 3, 3)

    @pytest.mark.parametrize(
        ("folder", "name"),
        [
            ("009.Brewer_Blackbird", "Brewer's Blackbird"),
            ("022.Chuck_will_Widow", "Chuck-will's-widow"),
            ("001.Black_footed_Albatross", "Black-footed Albatross"),
            ("002.Laysan_Albatross", "Laysan Albatross"),
        ],
    )
    def test_mends_the_names(self, folder, name):
        assert cub.clean(folder) == name

    def test_labels_go_by_class_id_where_ids_have_gaps(self, tmp_path, layouts):
        folder = layouts.cub(tmp_path, TINY, 3)
        layouts.lines(folder / "classes.txt", ["3 003.Kind_3", "1 001.Kind_1", "2 002.Kind_2"])
        listing = cub.cub(folder)
        for photo in listing.photos:
            number = photo.path.split("/")[1].partition(".")[0]
            assert listing.class_names[photo.label] == f"Kind {int(number)}"

    def test_says_which_list_is_missing(self, tmp_path, layouts):
        folder = layouts.cub(tmp_path, TINY, 3)
        (folder / "train_test_split.txt").unlink()
        with pytest.raises(DataError, match=r"expected the list .*train_test_split.txt"):
            cub.cub(folder)

    def test_lists_that_disagree_are_refused(self, tmp_path, layouts):
        folder = layouts.cub(tmp_path, TINY, 3)
        layouts.lines(folder / "image_class_labels.txt", ["1 1"])
        with pytest.raises(DataError, match="the lists in .* disagree"):
            cub.cub(folder)


class TestCars:
    @pytest.mark.parametrize("doubled", [False, True])
    @pytest.mark.parametrize("labels_in", ["beside", "devkit"])
    def test_two_folders_in_every_arrangement(self, tmp_path, layouts, doubled, labels_in):
        layouts.cars(tmp_path, TINY, 4, doubled, labels_in)
        listing = cars.cars(tmp_path)
        assert splits(listing) == {"train": 6, "val": 0, "test": 4}
        assert present(listing, partial=True)[0].photos == listing.photos  # every file is found
        first = listing.photos[0]
        assert (first.image_id, first.label, first.box_xyxy) == ("cars_train/00001.jpg", 0, (0, 0, 3, 2))

    def test_ids_carry_the_folder_because_numbers_restart(self, tmp_path, layouts):
        layouts.cars(tmp_path, TINY, 4)
        ids = [p.image_id for p in cars.cars(tmp_path).photos]
        assert len(set(ids)) == 10 and {"cars_train/00001.jpg", "cars_test/00001.jpg"} <= set(ids)

    def test_one_folder_packaging(self, tmp_path, layouts):
        layouts.cars_one_folder(tmp_path, TINY, 4)
        listing = cars.cars(tmp_path)
        assert splits(listing) == {"train": 6, "val": 0, "test": 4}
        assert listing.photos[0].image_id == "car_ims/000001.jpg"
        assert present(listing, partial=True)[0].photos == listing.photos

    def test_both_packagings_give_the_same_names(self, tmp_path, layouts):
        layouts.cars(tmp_path / "a", TINY, 4)
        layouts.cars_one_folder(tmp_path / "b", TINY, 4)
        names = cars.cars(tmp_path / "a").class_names
        assert names == cars.cars(tmp_path / "b").class_names
        assert names[2] == "Ram CV Cargo Van Minivan 2012"

    def test_year_first(self, tmp_path, layouts):
        layouts.cars(tmp_path, TINY, 4)
        assert cars.cars(tmp_path, year_first=True).class_names[2] == "2012 Ram CV Cargo Van Minivan"

    def test_missing_test_labels_are_named(self, tmp_path, layouts):
        (layouts.cars(tmp_path, TINY, 4) / "cars_test_annos_withlabels.mat").unlink()
        with pytest.raises(DataError, match="cars_test_annos_withlabels.mat, found none.*fgscore download cars"):
            present(cars.cars(tmp_path), partial=False)

    def test_a_damaged_list_is_named(self, tmp_path, layouts):
        (layouts.cars(tmp_path, TINY, 4) / "devkit" / "cars_meta.mat").write_bytes(b"not MATLAB" * 40)
        with pytest.raises(DataError, match=r"expected a MATLAB list in .*cars_meta.mat"):
            cars.cars(tmp_path)

    def test_coop_split(self, tmp_path, layouts):
        folder = layouts.cars(tmp_path, TINY, 4)
        rows = [[f"cars_train/{i:05d}.jpg", 0, "x"] for i in range(1, 7)]
        test = [[f"cars_test/{i:05d}.jpg", 0, "x"] for i in range(1, 5)]
        split = {"train": rows[:4], "val": rows[4:], "test": test}
        (folder / "split_zhou_StanfordCars.json").write_text(json.dumps(split))
        listing = cars.cars(tmp_path, protocol="coop")
        assert splits(listing) == {"train": 4, "val": 2, "test": 4}
        assert [p.label for p in listing.photos] == [p.label for p in cars.cars(tmp_path).photos]  # official, by photo


class TestFlowers:
    def test_reads_the_official_splits(self, tmp_path, layouts):
        layouts.flowers(tmp_path, THREE, 3)
        listing = flowers.flowers(tmp_path)
        assert splits(listing) == THREE
        assert listing.photos[0].image_id == "00001" and listing.photos[0].path == "jpg/image_00001.jpg"

    def test_labels_start_at_zero_and_names_are_in_official_order(self, tmp_path, layouts):
        layouts.flowers(tmp_path, THREE, 3)
        assert {p.label for p in flowers.flowers(tmp_path).photos} == {0, 1, 2}
        names = flowers.CLASS_NAMES
        assert len(set(names)) == 102
        assert (names[0], names[15], names[59], names[92], names[101]) == (
            "pink primrose",
            "globe flower",
            "pink and yellow dahlia",
            "air plant",
            "blackberry lily",
        )

    def test_coop_split_wants_its_file(self, tmp_path, layouts):
        layouts.flowers(tmp_path, THREE, 3)
        with pytest.raises(DataError, match=r"protocol 'coop' needs .*split_zhou_OxfordFlowers.json.*CoOp repository"):
            flowers.flowers(tmp_path, protocol="coop")

    def test_coop_split(self, tmp_path, layouts):
        layouts.flowers(tmp_path, THREE, 3)
        rows = [[f"image_{i:05d}.jpg", 77, "some name"] for i in range(1, 16)]
        split = {"train": rows[5:], "val": rows[:2], "test": rows[2:5]}
        (tmp_path / "split_zhou_OxfordFlowers.json").write_text(json.dumps(split))
        listing = flowers.flowers(tmp_path, protocol="coop")
        assert splits(listing) == {"train": 10, "val": 2, "test": 3}
        assert {p.label for p in listing.photos} == {0, 1, 2}

    @pytest.mark.parametrize("content", ["[1]", "{", '{"train": [], "val": [], "test": [["image_99999.jpg", 1, "x"]]}'])
    def test_coop_split_of_another_form_is_refused(self, tmp_path, layouts, content):
        layouts.flowers(tmp_path, THREE, 3)
        (tmp_path / "split_zhou_OxfordFlowers.json").write_text(content)
        with pytest.raises(DataError, match="split_zhou_OxfordFlowers.json"):
            flowers.flowers(tmp_path, protocol="coop")

    def test_an_unknown_protocol_is_refused(self):
        with pytest.raises(BadParameter, match="'official' or 'coop'"):
            DataSet.bind("flowers(protocol='theirs')")


class TestPets:
    def test_the_lists_decide_not_the_folder(self, tmp_path, layouts):
        layouts.pets(tmp_path, TINY, 3)
        listing = pets.pets(tmp_path)
        assert splits(listing) == {"train": 6, "val": 0, "test": 4}
        assert "Abyssinian_99999" not in {p.image_id for p in listing.photos}

    def test_names_come_from_the_files_of_a_label(self, tmp_path, layouts):
        layouts.pets(tmp_path, TINY, 3)
        listing = pets.pets(tmp_path)
        assert listing.class_names == ("Abyssinian", "breed kind 1", "breed kind 2")
        for photo in listing.photos:
            assert photo.image_id.rpartition("_")[0].replace("_", " ") == listing.class_names[photo.label]

    def test_head_boxes_where_there_are_any(self, tmp_path, layouts):
        layouts.pets(tmp_path, TINY, 3)
        boxes = [p.box_xyxy for p in pets.pets(tmp_path).photos]
        assert boxes[0] == (1, 0, 4, 3) and set(boxes[1:]) == {None}

    def test_a_label_with_two_names_is_refused(self, tmp_path, layouts):
        layouts.pets(tmp_path, TINY, 3)
        layouts.lines(tmp_path / "annotations" / "test.txt", ["Bengal_1 1 1 1"])
        with pytest.raises(DataError, match="class 1 both Abyssinian and Bengal"):
            pets.pets(tmp_path)


class TestAircraft:
    def test_ids_keep_their_zeros_and_names_their_spaces(self, tmp_path, layouts):
        layouts.aircraft(tmp_path, THREE, 4)
        listing = aircraft.aircraft(tmp_path)
        assert splits(listing) == THREE
        assert listing.photos[0].image_id == "0000001"
        assert listing.class_names == ("707-320", "Cessna 172", "F-16AB", "FA-18")

    @pytest.mark.parametrize(("level", "classes"), [("variant", 10), ("family", 7), ("manufacturer", 3)])
    def test_levels(self, tmp_path, layouts, level, classes):
        layouts.aircraft(tmp_path, THREE, 10)
        assert len(aircraft.aircraft(tmp_path, level=level).class_names) == classes

    def test_the_maker_is_joined_through_the_photos(self, tmp_path, layouts):
        layouts.aircraft(tmp_path, THREE, 4)
        assert aircraft.aircraft(tmp_path, maker=True).class_names[0] == "Maker 0 707-320"
        assert aircraft.clean("Cessna 172", "Cessna") == "Cessna 172"

    def test_the_banner_is_no_part_of_the_photo(self, tmp_path, layouts):
        layouts.aircraft(tmp_path, THREE, 4)
        index = index_of(aircraft.aircraft(tmp_path))
        assert index.banner == 20 and np.all(index.sizes_wh == (1, 4))
        assert np.all(index.boxes_xyxy == (0, 0, 1, 4))  # the box reached down to row 9


def test_labels_only_change_with_the_level_not_the_images(tmp_path, layouts):
    layouts.aircraft(tmp_path, THREE, 10)
    a, b = (index_of(aircraft.aircraft(tmp_path, level=level)) for level in ("variant", "family"))
    assert a.images_digest() == b.images_digest() and a.labels_digest() != b.labels_digest()


class TestPresent:
    def test_a_partial_copy_is_refused_with_both_counts(self, tmp_path, layouts):
        layouts.pets(tmp_path, TINY, 3)
        listing = pets.pets(tmp_path)
        with pytest.raises(
            DataError, match=r"expected 7349 photos \(3680 train, 3669 test\).*found 10.*missing 7339.*--partial"
        ):
            present(listing, partial=False)
        assert present(listing, partial=True)[1] == {"partial": {"expected": 7349, "found": 10}}

    def test_no_photo_at_all_is_refused_even_so(self, tmp_path, layouts):
        folder = layouts.cub(tmp_path, TINY, 3)
        (folder / "images").rename(folder / "elsewhere")
        with pytest.raises(DataError, match="found none; run `fgscore download cub`"):
            present(cub.cub(folder), partial=True)

    @pytest.mark.parametrize("path", ["../secret.jpg", "a/../../secret.jpg", "C:/secret.jpg"])
    def test_a_list_that_points_elsewhere_is_refused(self, tmp_path, layouts, path):
        folder = layouts.cub(tmp_path, TINY, 3)
        (folder / "images.txt").write_text(f"1 {path}\n")
        with pytest.raises(DataError, match="expected paths below"):
            present(cub.cub(folder), partial=True)

    def test_limit_takes_the_first_of_each_class_and_split(self, tmp_path, layouts):
        layouts.cub(tmp_path, {"train": 9, "test": 9}, 3)
        photos = limited(cub.cub(tmp_path), 2).photos
        assert len(photos) == 12
        assert len({(p.label, p.split) for p in photos}) == 6
