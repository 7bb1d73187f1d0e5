"""A data set that the store knows is known by its name to every command; a limited copy of it is where it is meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgscore.store.bundle import taken_apart

Run = Callable[..., Any]
MADE = ("--encoder", "fake(dim=16)", "--regions", "random_crop(n=2)", "--no-thumbnails")
PLAIN = ("--pool", "mean", "--head", "zeroshot")


@pytest.fixture
def named(photos: Path, run: Run, small_shards: int) -> None:
    """A cache of photos that are called mine."""
    made = run("extract", "folder(name='mine')", "--root", photos, *MADE)
    assert made.code == 0, made.err


@pytest.mark.parametrize("command", ["index", "check", "extract", "regions", "doctor"])
def test_every_command_that_needs_photos_knows_the_name(named: None, photos: Path, run: Run, command: str) -> None:
    more = {"extract": MADE, "regions": MADE[2:4], "doctor": MADE[:4]}.get(command, ())
    found = run(command, "mine", "--root", photos, *more)
    assert "no data set named" not in found.err
    assert found.code == 0, found.err


def test_what_is_there_is_found_again(named: None, photos: Path, run: Run) -> None:
    assert run("extract", "mine", "--root", photos, *MADE, "--json").json["computed"] == 0


def test_a_name_that_nobody_knows_is_refused(named: None, photos: Path, run: Run) -> None:
    found = run("extract", "minne", "--root", photos, *MADE)
    assert found.code == 2 and "no data set named 'minne'" in found.err


@pytest.mark.parametrize("name", ["mine(limit=1)", "cub(limit=1)"])
def test_a_limited_copy_is_no_name_for_its_photos_and_says_the_option(
    named: None, photos: Path, run: Run, name: str
) -> None:
    found = run("index", name, "--root", photos)
    assert found.code == 2 and f"takes {name.partition('(')[0]} --limit 1" in found.err


@pytest.mark.parametrize("name", ["mine (limit many)", "mine (limit 0)", " (limit 3)", "mine (limit 3) again"])
def test_a_name_that_only_looks_like_a_copy_is_its_own(name: str) -> None:
    assert taken_apart(name) == (name, None)
    assert taken_apart("mine (limit 12)") == ("mine", 12)


def test_a_file_of_the_users_is_not_run_because_the_store_names_it(
    photos: Path, run: Run, tmp_path: Path, small_shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(
        "from fgscore.datasets import Listing, Photo\n"
        "def birds(root, /):\n"
        "    files = sorted(p.relative_to(root).as_posix() for p in root.glob('*/*/*.*'))\n"
        "    return Listing(root, ('a', 'b'), [Photo(f, f, i % 2, f.partition('/')[0]) for i, f in enumerate(files)])\n"
    )
    made = run("extract", "./own.py:birds", "--root", photos, *MADE, "--force")
    assert made.code == 0, made.err
    found = run("extract", "birds", "--root", photos, *MADE)
    assert found.code == 2 and "./own.py:birds" in found.err


def test_rows_of_a_limited_copy_leave_where_the_whole_set_has_the_same(named: None, photos: Path, run: Run) -> None:
    run("extract", "mine", "--root", photos, *MADE, "--limit", "1")
    rows = run("probe", *PLAIN, "--json").json["results"]
    assert [row["dataset"] for row in rows] == ["mine"]
    rows = run("probe", "mine(limit=1)", *PLAIN, "--json").json["results"]
    assert [row["dataset"] for row in rows] == ["mine (limit 1)"]
    assert "mine (limit 1)" not in report_of(run)
    assert "mine (limit 1)" in report_of(run, "mine(limit=1)")


def report_of(run: Run, *args: str) -> str:
    made = run("report", *args, "--no-plots", "--json")
    assert made.code == 0, made.err
    (table,) = [f["file"] for f in made.json["files"] if f["file"].endswith("results.md")]
    return Path(table).read_text()


def test_a_limited_copy_alone_is_in_every_table(photos: Path, run: Run, small_shards: int) -> None:
    run("extract", "folder(name='mine')", "--root", photos, *MADE, "--limit", "1")
    assert [row["dataset"] for row in run("probe", *PLAIN, "--json").json["results"]] == ["mine (limit 1)"]


def test_a_copy_with_rows_of_its_own_stays(named: None, photos: Path, run: Run) -> None:
    other = ("--encoder", "fake(dim=16)", "--regions", "random_crop(n=3)", "--no-thumbnails")
    run("extract", "mine", "--root", photos, *other, "--limit", "1")
    rows = run("probe", *PLAIN, "--json").json["results"]
    both = {("mine", "random_crop(n=2)"), ("mine (limit 1)", "random_crop(n=3)")}
    assert {(row["dataset"], row["regions"]) for row in rows} == both
    assert run("prune", "--json").json["unused"] == []


def test_a_limit_that_was_not_made_names_the_line(named: None, run: Run) -> None:
    assert "--limit 7" in run("probe", "mine(limit=7)", *PLAIN).err


def test_prune_lists_the_copy_and_takes_nothing_else(named: None, photos: Path, run: Run) -> None:
    assert run("prune", "--json").json["unused"] == []
    run("extract", "mine", "--root", photos, *MADE, "--limit", "1")
    found = run("prune", "--json").json["unused"]
    assert {Path(one["path"]).parent.name for one in found} == {
        "index",
        "regions",
        "region_embeddings",
        "globals",
        "text",
    }
    assert run("prune", "--yes").code == 0
    assert run("extract", "mine", "--root", photos, *MADE, "--json").json["computed"] == 0
    assert run("verify").code == 0
