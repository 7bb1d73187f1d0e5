"""What options mean, the same in every command; what goes to stdout and what to stderr."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fgscore.scorers import Scorer
from fgscore.store.cache import Store

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("args", "key"),
    [
        (("score",), "scores"),
        (("aggregate",), "features"),
        (("probe", "--head", "zeroshot"), "results"),
        (("status",), "artefacts"),
        (("list", "scorers"), "scorers"),
        (("list", "encoders"), "encoders"),
        (("list", "regions"), "regions"),
        (("list", "datasets"), "datasets"),
    ],
)
def test_json_is_one_object_on_stdout(args: tuple[str, ...], key: str, store: Store, run: Run) -> None:
    result = run(*args, "--json")
    assert result.code == 0
    content = json.loads(result.out)
    assert isinstance(content, dict) and content[key]


def test_json_of_extract_lists_what_was_made(extract: Callable[..., Any], run: Run, photos: Path) -> None:
    args = ("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=4)", "--json")
    first, again = run(*args).json, run(*args).json
    assert first["computed"] > 0 and again["computed"] == 0
    assert first["quarantined"] == again["quarantined"] == {}


def test_nothing_but_the_result_is_on_stdout(store: Store, run: Run) -> None:
    result = run("score")
    assert "folder: score: 10 of 10" in result.err
    assert "10 of 10" not in result.out
    assert result.out.splitlines()[-1] == "Next: fgscore probe --scorer soft_margin"


def test_the_next_command_of_score_runs(store: Store, run: Run, tmp_path: Path) -> None:
    import shlex

    (tmp_path / "mine.py").write_text("def f(inputs, target, /, *, a=1):\n    return a * inputs.region_text[:, 0]\n")
    for scorer in ("entropy", "entropy(tau=50)", f"{tmp_path / 'mine.py'}:f", f"{tmp_path / 'mine.py'}:f(a=2)"):
        said = run("score", "--scorer", scorer).out.splitlines()[-1]
        program, *args = shlex.split(said.removeprefix("Next: "))
        assert program == "fgscore"
        result = run(*args, "--head", "zeroshot", "--json")
        assert result.code == 0, (said, result.err)
        assert result.json["results"][0]["scorer"].startswith(scorer.partition("(")[0].rpartition("/")[2])


@pytest.mark.parametrize("command", ["index", "regions", "embed", "extract"])
def test_the_next_command_of_a_gpu_stage_can_be_pasted(command: str, run: Run, photos: Path) -> None:
    import shlex

    made = ("--encoder", "fake", "--regions", "random_crop(n=2)")
    own = {"index": (), "regions": made[2:]}.get(command, made)
    said = run(command, "folder(name='mine')", "--root", photos, *own).out.splitlines()[-1]
    assert said.startswith("Next: fgscore ")
    program, *args = shlex.split(said.removeprefix("Next: "))
    if args[0] != "score":
        args += ["--root", str(photos), *made]
    assert run(*args).code == 0, said


def test_extract_says_when_nothing_was_left_to_do(store: Store, run: Run, photos: Path) -> None:
    args = ("extract", "folder", "--root", photos, "--encoder", "fake", "--regions", "random_crop(n=4)")
    assert "nothing was recomputed" in run(*args).out


@pytest.mark.parametrize("command", ["score", "aggregate", "probe", "status"])
def test_a_data_set_may_stand_in_place_or_in_its_option(command: str, store: Store, run: Run) -> None:
    key = {"score": "scores", "aggregate": "features", "probe": "results", "status": "artefacts"}[command]
    more = ("--head", "zeroshot") if command == "probe" else ()
    lengths = set()
    for args in (("folder",), ("--dataset", "folder"), ("folder", "--dataset", "folder"), ()):
        result = run(command, *args, *more, "--json")
        assert result.code == 0, result.err
        lengths.add(len(result.json[key]))
    assert len(lengths) == 1
    assert run(command, "folder", "--dataset", "cub").code == 2


def test_the_data_folder_is_an_option_or_a_variable(store: Store, run: Run, data: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else"
    shutil.copytree(data, elsewhere)
    assert len(run("score", "--data", elsewhere, "--json", data=tmp_path / "nowhere").json["scores"]) == 1
    assert run("score", data=tmp_path / "nowhere").code == 1
    assert (elsewhere / "cache" / "folder" / "scores").is_dir()
    assert not (data / "cache" / "folder" / "scores").exists()


def test_photos_lie_under_raw_where_no_root_is_given(photos: Path, run: Run, data: Path) -> None:
    shutil.copytree(photos, data / "raw" / "folder")
    assert run("index", "folder").code == 0


def test_several_values_by_repeating_an_option(store: Store, run: Run) -> None:
    args = ("--scorer", "entropy", "--scorer", "hard_margin", "--target", "global", "--target", "local")
    rows = run("score", *args, "--json").json["scores"]
    assert [(r["scorer"], r["target"]) for r in rows] == [
        ("entropy", "global"),
        ("entropy", "local"),
        ("hard_margin", "global"),
        ("hard_margin", "local"),
    ]


def test_all_is_every_scorer_once(store: Store, run: Run) -> None:
    rows = run("score", "--scorer", "all", "--scorer", "entropy", "--json").json["scores"]
    listed = [row["name"] for row in run("list", "scorers", "--json").json["scorers"]]
    assert [r["scorer"] for r in rows] == [name for name in listed if not Scorer.built_in(name).is_control]
    assert len(rows) < len(listed), "controls are asked for by name"


def test_several_matches_are_each_run_and_labelled(store: Store, run: Run, extract: Callable[..., Any]) -> None:
    extract("--regions", "random_crop(n=2)", "--encoder", "fake(margin=0.5)")
    rows = run("score", "--json").json["scores"]
    assert len(rows) == len({(r["regions"], r["encoder"]) for r in rows}) == 4


def test_the_stages_one_by_one_make_what_extract_makes(
    store: Store, run: Run, data: Path, photos: Path, tmp_path: Path
) -> None:
    apart = tmp_path / "apart"
    where = ("folder", "--root", photos)
    crops, encoder = ("--regions", "random_crop(n=4)"), ("--encoder", "fake")
    for args in (("index", *where), ("regions", *where, *crops), ("embed", *where, *crops, *encoder)):
        assert run(*args, data=apart).code == 0

    def contents(folder: Path) -> dict[str, str]:
        return {
            p.relative_to(folder).as_posix(): json.loads(p.read_text())["content_digest"]
            for p in sorted(folder.glob("cache/**/shard-*.json"))
        }

    assert contents(apart) == contents(data)
    assert contents(data)


def test_a_table_is_not_cut_in_a_pipe(store: Store, run: Run) -> None:
    out = run("probe", "--head", "zeroshot").out
    for word in ("folder", "random_crop(n=4)", "soft_margin", "top-1", "per class"):
        assert word in out


def test_lists_show_parameters_with_their_defaults(run: Run) -> None:
    rows = {row["name"]: row for row in run("list", "scorers", "--json").json["scorers"]}
    assert rows["entropy"]["parameters"] == "tau=None, lam=0.1"
    assert all(row["doc"] for row in rows.values())
    (crops,) = [r for r in run("list", "regions", "--json").json["regions"] if r["name"] == "random_crop"]
    assert "n=32, area_min=0.02, area_max=0.5, aspect_min=0.5, aspect_max=2.0, seed=0" in crops["parameters"]
