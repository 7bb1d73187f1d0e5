"""Photos without a label, from a folder to the page, as a user types it; and what needs labels says so."""

from __future__ import annotations

import json
import re
import shlex
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

SOME = (["crow", "crow", "owl", "owl", "", ""], ["train", "test", "train", "test", "train", "test"])


def commands(text):
    """What a message tells to run, as words."""
    return [shlex.split(found)[shlex.split(found).index("fgscore") + 1 :] for found in re.findall(r"`([^`]*)`", text)]


def shown(data):
    """The images in the gallery of the report's page."""
    page = (data / "results" / "report" / "report.html").read_text(encoding="utf-8")
    (content,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    (one,) = json.loads(content)["sets"]
    return one["images"]


def next_step(out):
    (line,) = [line for line in out.splitlines() if line.startswith("Next: ")]
    words = shlex.split(line.removeprefix("Next: "))
    return words[words.index("fgscore") + 1 :]


class TestWithNames:
    """An unlabelled folder with --classes: extract, score, export, show, report, predict."""

    @pytest.fixture(autouse=True)
    def _extracted(self, birds):
        self.done = birds.extract("--classes", birds.names)
        assert self.done.code == 0, self.done.err

    def test_every_command_that_is_told_next_works(self, run):
        assert "birds: none of 6 photos has a label" in self.done.err
        step, seen = next_step(self.done.out), []
        while step[0] not in seen:
            seen.append(step[0])
            done = run(*step)
            assert done.code == 0, done.err
            step = next_step(done.out) if "Next: " in done.out else step
        assert seen == ["score", "predict"]
        assert next_step(run("status").out)[:3] == ["predict", "--dataset", "birds"]

    def test_score_and_predict_agree_on_the_class(self, run):
        scored = run("score", "birds")
        assert scored.code == 0
        rows = run("predict", "--dataset", "birds", "--json").json["predictions"]
        names = [row["class_name"] for row in rows]
        assert len(names) == 6 and set(names) <= {"crow", "blue jay", "owl"}
        (line,) = [line for line in scored.out.splitlines() if "by the nearest text" in line]
        counts = dict(found.rsplit(" ", 1) for found in line.partition("text: ")[2].split(", "))
        assert counts == {name: str(names.count(name)) for name in set(names)}
        for row in rows:
            assert sum(one["probability"] for one in row["classes"]) == pytest.approx(1, abs=1e-5)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            ([], "expected --probe FILE and photos, or --dataset NAME"),
            (["a.png"], "found neither"),
            (["--dataset", "birds", "--probe", "x.safetensors"], "found both"),
            (["--probe", "x.safetensors"], "expected photos, found none"),
            (["--dataset", "birds", "--scorer", "entropy"], "--scorer is for predict --probe"),
            (["--probe", "x.safetensors", "a.png", "--prompt", "plain"], "--prompt is for predict --dataset"),
        ],
    )
    def test_predict_says_what_it_wants(self, run, words, said):
        done = run("predict", *words)
        assert done.code == 2 and said in done.message

    def test_predict_takes_ids_and_refuses_strangers(self, run):
        done = run("predict", "--dataset", "birds", "3.png", "--top", 1)
        assert done.code == 0 and "3.png" in done.out and "2.png" not in done.out
        assert run("predict", "--dataset", "birds", "stranger.png").code == 2

    def test_export_writes_null(self, run, tmp_path):
        done = run("export", "birds", "--format", "parquet", "--to", tmp_path / "out", "--json")
        assert done.code == 0
        (index,) = [row["file"] for row in done.json["files"] if row["kind"] == "index"]
        assert pq.read_table(index)["labels"].to_pylist() == [None] * 6

    def test_show_says_that_there_is_no_label(self, run, tmp_path):
        done = run("show", "1.png", "--dataset", "birds", "--out", tmp_path / "1.svg")
        assert done.code == 0 and "1.png, no label" in done.out
        drawn = run("show", "1.png", "--dataset", "birds", "--out", tmp_path / "1.svg", "--json").json
        assert drawn["label"] is None and drawn["rows"][0]["best"][0]["target"] in ("crow", "blue jay", "owl")
        assert "owl" not in (drawn["label"] or "")  # the last class, which a label of -1 would take

    def test_the_page_shows_the_class_by_text(self, run, data):
        run("score", "birds")
        assert run("report", "birds").code == 0
        named = {
            row["image"]: row["class_name"]
            for row in run("predict", "--dataset", "birds", "--json").json["predictions"]
        }
        assert {image["id"]: (image["label"], image["nearest"]) for image in shown(data)} == {
            name: (-1, of) for name, of in named.items()
        }

    @pytest.mark.parametrize(
        "words",
        [["probe"], ["probe", "--pool", "none", "--head", "zeroshot"], ["sweep", "--table", "1"], ["diagnose"],
         ["claims"], ["sweep", "--select", "val"]],
        ids=" ".join,
    )  # fmt: skip
    def test_what_measures_refuses_with_a_command_that_works(self, run, words):
        command, *options = words
        done = run(command, "birds", *options)
        assert done.code == 1 and "labels" in done.message and "birds" in done.message
        if "--select" not in options:
            assert "expected labels to measure by, found none on 6 photos in birds" in done.message
        (told,) = commands(done.message)
        assert run(*told).code == 0

    @pytest.mark.parametrize("command", ["score", "probe", "locate", "aggregate"])
    def test_the_oracle_refuses_by_name(self, run, command):
        done = run(command, "birds", "--target", "oracle", "--scorer", "entropy")
        wanted = "expected labels" if command == "probe" else "target oracle reads the label of every photo"
        assert done.code == 1 and wanted in done.err.splitlines()[-1]

    def test_locate_needs_boxes_and_no_labels(self, run):
        assert "expected object boxes" in run("locate", "birds", "--scorer", "region_global").err

    def test_from_python_there_is_no_name(self, data):
        from fgscore import api

        (bundle,) = api.bundles(api.open_store(data))
        assert {(image.label, image.class_name) for image in api.images(bundle)} == {(-1, None)}
        with pytest.raises(Exception, match="expected labels to measure by"):
            api.probe(bundle)


class TestWithoutNames:
    """The same without any class names: as for an encoder of images alone."""

    @pytest.fixture(autouse=True)
    def _extracted(self, birds):
        self.done = birds.extract()
        assert self.done.code == 0, self.done.err

    def test_no_text_is_stored_and_that_is_said(self, data):
        assert "birds has no class names, so no text is stored; give some with --classes names.txt" in self.done.err
        assert not list((data / "cache").glob("*/text/*"))

    def test_every_command_that_is_told_next_works(self, run, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)  # where export writes
        scored = run(*next_step(self.done.out))
        assert scored.code == 0 and next_step(scored.out)[:2] == ["export", "birds"]
        assert run(*next_step(scored.out)).code == 0

    def test_it_is_scored_shown_pooled_and_reported(self, run, tmp_path):
        for words in (
            ["score", "birds", "--scorer", "region_global"],
            ["aggregate", "birds", "--pool", "mean"],
            ["show", "1.png", "--scorer", "region_global", "--out", tmp_path / "1.png"],
            ["report", "birds"],
        ):
            assert run(*words).code == 0, words

    def test_the_store_is_sound(self, run):
        assert run("verify").code == 0

    @pytest.mark.parametrize("words", [["score", "birds"], ["predict", "--dataset", "birds"]], ids=" ".join)
    def test_what_needs_text_says_how_to_give_names(self, run, birds, words):
        done = run(*words)
        assert done.code == 1 and "has none, as it has no class names" in done.message
        (told,) = commands(done.message)
        assert told[0] == "extract" and told[-2:] == ["--classes", "names.txt"]

    def test_one_class_name_is_too_few_for_a_margin(self, run, birds):
        birds.names.write_text("crow\n")
        birds.extract("--classes", birds.names)
        assert "a margin needs at least 2 classes" in run("score", "birds").err
        assert run("score", "birds", "--scorer", "entropy").code == 0


class TestSomeWithout:
    """Where some photos have labels, the others take no part in training and testing, and are named."""

    @pytest.fixture(autouse=True)
    def _extracted(self, birds):
        birds.label(*SOME)
        assert birds.extract().code == 0

    def test_a_probe_leaves_them_out_and_says_so(self, run):
        done = run("probe", "birds", "--pool", "none", "--head", "logreg(C=1)", "--json")
        (row,) = done.json["results"]
        assert (row["n_train"], row["n_test"]) == (2, 2)
        assert "note: birds: 2 of 6 photos have no label: 4.png, 5.png; those take no part" in done.err

    def test_the_result_is_that_of_the_labelled_photos_alone(self, run, birds, tmp_path):
        asked = ["--pool", "none", "--pool", "mean", "--head", "logreg(C=1)", "--head", "zeroshot", "--json"]
        some = run("probe", "birds", *asked).json["results"]
        rows = (birds.root / "list.csv").read_text().splitlines()
        (birds.root / "list.csv").write_text("\n".join(rows[:4]))
        other = tmp_path / "other"
        shutil.copytree(birds.root, other / "birds")
        extract = ["extract", birds.spec, "--encoder", "fake", "--regions", "random_crop(n=3)"]
        assert run(*extract, "--root", other / "birds", data=other).code == 0
        alone = run("probe", "birds", *asked, data=other).json["results"]
        measured = ("accuracy", "per_class", "n_train", "n_test", "pool", "head")
        assert [[row[key] for key in measured] for row in some] == [[row[key] for key in measured] for row in alone]

    def test_index_and_check_count_them(self, run, birds):
        done = run("index", birds.spec, "--root", birds.root)
        assert "birds: 2 of 6 photos have no label: 4.png, 5.png" in done.err
        done = run("check", birds.spec, "--root", birds.root)
        assert done.code == 0 and "labels: 2 of 6 photos have no label: 4.png, 5.png" in done.out
        assert "for a probe" not in done.out

    def test_pseudo_labels_are_judged_on_the_labelled_alone(self, run):
        found = run("diagnose", "birds", "--scorer", "entropy", "--json")
        assert found.code == 0, found.err
        assert {row["split"]: row["images"] for row in found.json["pseudo_labels"]} == {"train": 2, "test": 2}

    def test_the_oracle_names_those_without(self, run):
        done = run("score", "birds", "--target", "oracle")
        assert done.code == 1 and "and of birds 2 of 6 photos have no label: 4.png, 5.png; use --target" in done.err
        both = run("score", "birds", "--target", "oracle", "--target", "global")
        assert both.code == 0 and "skipped: target oracle" in both.err

    def test_few_shots_and_validation_leave_them_out_too(self, run, birds):
        done = run("probe", "birds", "--head", "logreg(C=1)", "--shots", 1, "--pool", "none", "--json")
        assert done.json["results"][0]["n_train"] == 2

    def test_no_photo_is_given_the_last_class(self, run, data):
        run("score", "birds")
        assert run("report", "birds").code == 0
        labels = {image["id"]: image["label"] for image in shown(data)}
        assert labels == {"1.png": 0, "3.png": 1, "5.png": -1}


@pytest.mark.parametrize(
    ("labels", "split", "wanted"),
    [
        ([""] * 6, ["test"] * 6, ["expected labels to measure by, found none on 6 photos"]),
        (["crow", "owl"] * 3, ["train"] * 6, ["expected test images to measure on, found none"]),
        (["crow"] * 6, ["train", "test"] * 3, ["training images of at least 2 classes, found 3 images of 1"]),
        (["crow", "owl"] * 3, ["test"] * 6, ["training images of at least 2 classes, found 0 images of 0"]),
        (["crow", "owl", "", "", "", ""], ["train"] * 2 + ["test"] * 4, ["labels of test images to measure by"]),
        (["crow", "owl"] * 3, ["train", "train", "test"] * 2, []),
    ],
)
def test_check_says_what_a_probe_then_says(birds, run, labels, split, wanted):
    birds.label(labels, split)
    said = run("check", birds.spec, "--root", birds.root, "--json").json["probe"]
    assert len(said) == len(wanted) and all(part in one for part, one in zip(wanted, said, strict=True))
    assert birds.extract("--force").code == 0
    done = run("probe", "birds", "--pool", "none", "--head", "logreg(C=1)")
    assert done.code == (1 if wanted else 0)
    for one in said:
        assert one in done.err


def test_photos_without_labels_need_no_class_in_training(birds, run):
    """What is wrong with a user's own photos has nothing to do with those that have no label."""
    birds.label(["", "", "crow", "owl", "", ""], ["test", "val", "train", "train", "test", "test"])
    done = run("check", birds.spec, "--root", birds.root)
    assert done.code == 0 and "no training image" not in done.out


def test_a_limit_counts_photos_without_a_label_as_a_class_of_their_own(birds, data):
    from fgscore.store.cache import Store
    from fgscore.store.paths import Layout

    birds.label(["crow", "", "crow", "", "owl", ""])
    birds.extract("--limit", 1)
    store = Store(Layout(data))
    (artefact,) = store.artefacts("index")
    np.testing.assert_array_equal(store.index(artefact).labels, [0, -1, 1])
