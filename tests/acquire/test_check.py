"""`fgscore check`: what is there, what is missing, what cannot be read, and the next command."""

import json

import pytest
from typer.testing import CliRunner

from fgscore.acquire.check import check
from fgscore.datasets import cars, pets
from fgscore.store.paths import Layout
from fgscore_stages.cli import app

TINY = {"train": 6, "test": 4}


@pytest.fixture
def copy(tmp_path, layouts, monkeypatch):
    """A whole small copy of Pets."""
    monkeypatch.setitem(pets.EXPECTED, "official", TINY)
    return layouts.pets(tmp_path / "raw" / "pets", TINY, 3)


def test_a_whole_copy_is_sound(copy, tmp_path):
    report = check("pets", Layout(tmp_path))
    assert report.sound and report.found == TINY and report.classes == 3 and report.layout == copy
    assert report.next == "fgscore extract pets"


def test_missing_and_unreadable_files_are_named(copy, tmp_path):
    first, second = sorted((copy / "images").glob("breed*.jpg"))[:2]
    first.unlink()
    second.unlink()
    second.write_bytes(b"not an image")
    report = check("pets", Layout(tmp_path))
    assert not report.sound
    assert report.missing == [f"images/{first.name}"]
    assert report.unreadable == {f"images/{second.name}": "not an image: unknown format"}
    assert report.next == "fgscore download pets"
    assert report.otherwise == "fgscore index pets --partial"


def test_cut_lists_are_noticed(copy, tmp_path, layouts):
    lines = (copy / "annotations" / "test.txt").read_text().splitlines()[:-1]
    layouts.lines(copy / "annotations" / "test.txt", lines)
    report = check("pets", Layout(tmp_path))
    assert report.findings == ["the lists name fewer photos than were published"] and not report.sound


def test_nothing_there(tmp_path):
    report = check("flowers", Layout(tmp_path))
    assert report.layout is None and report.next == "fgscore download flowers"
    assert "expected setid.mat in" in report.findings[0]


def test_own_photos_are_validated(tmp_path, layouts):
    write = layouts.Photographs(tmp_path / "raw" / "mine")
    write("train/robin/a.jpg")
    write("test/robin/b.jpg")
    report = check("folder(name='mine')", Layout(tmp_path))
    assert report.findings == ["the same file in test and train: test/robin/b.jpg = train/robin/a.jpg"]
    assert report.next == "fgscore check \"folder(name='mine')\"" and "Mend this" in report.advice
    assert report.otherwise == "fgscore index \"folder(name='mine')\" --force"


def test_only_what_was_found_is_forced(tmp_path, layouts):
    write = layouts.Photographs(tmp_path / "raw" / "mine")
    write("robin/a.jpg")
    (tmp_path / "raw" / "mine" / "table.csv").write_text("path,label\nrobin/a.jpg,robin\nrobin/gone.jpg,robin\n")
    report = check("table(name='mine')", Layout(tmp_path))
    assert report.missing == ["robin/gone.jpg"] and not report.findings
    assert report.otherwise == "fgscore index \"table(name='mine')\" --partial"


class TestCommandLine:
    def run(self, *args):
        return CliRunner().invoke(app, ["check", *args])

    def test_sound(self, copy, tmp_path):
        result = self.run("pets", "--data", str(tmp_path))
        assert result.exit_code == 0
        assert "photos: 10 of 10 (6 of 6 train, 4 of 4 test), 3 classes" in result.stdout
        assert result.stdout.endswith(f"sound\nNext: fgscore extract pets --data {tmp_path}\n")

    def test_not_sound(self, tmp_path, layouts):
        layouts.cars(tmp_path, TINY, 4)
        result = self.run("cars", "--root", str(tmp_path), "--json")
        report = json.loads(result.stdout)
        assert result.exit_code == 1 and report["expected"] == cars.EXPECTED["official"] and not report["sound"]
        assert report["next"] == f"fgscore download cars --root {tmp_path}"
        assert report["otherwise"] == f"fgscore index cars --root {tmp_path} --partial"

    def test_nothing(self, tmp_path):
        result = self.run("cub", "--data", str(tmp_path))
        assert (
            result.exit_code == 1 and "not found in" in result.stdout and "Next: fgscore download cub" in result.stdout
        )
