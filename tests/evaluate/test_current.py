"""Current, stale or alone: each by what a user does, told by digests and never by the time of a file."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import os
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgscore.components import DECLARED
from fgscore.datasets.folder import folder
from fgscore.evaluate import current
from fgscore.evaluate.current import Standing, State
from fgscore.evaluate.results import Place, Result, read_all
from fgscore.heads import Head
from fgscore.store import index as index_store
from fgscore.store import match
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Run = Callable[..., Any]
FAST = ("--head", "zeroshot", "--head", "logreg(C=1)")
POOLED = ("probe", "--scorer", "entropy", "--scorer", "region_global", "--k", 2, *FAST)
WHOLE = ("probe", "--pool", "none", *FAST)


def states(store: Store) -> dict[str, int]:
    return Counter(str(one.state) for one in current.standings(Store(store.layout)))


@pytest.fixture
def probed(store: Store, run: Run) -> Store:
    """Six results: four of pooled regions, two of whole images."""
    for command in (POOLED, WHOLE):
        assert run(*command).code == 0
    return store


def of_before(store: Store, *columns: str) -> None:
    """Make every row one of before: no seal and no lineage."""
    for path in store.layout.results.glob("*/probes/*.parquet"):
        (row,) = pq.read_table(path).to_pylist()
        row = {k: v for k, v in row.items() if k not in ("sealed", "lineage", *columns)}
        pq.write_table(pa.Table.from_pylist([row]), path)
    for seals in store.layout.results.glob("*/seals"):
        shutil.rmtree(seals)


@pytest.fixture(params=["recorded", "of before"])
def kept(request: pytest.FixtureRequest, probed: Store) -> Store:
    """The same six, by rows that record what they were made from, and by rows that do not."""
    if request.param == "of before":
        of_before(probed)
    return probed


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "results.csv").open(encoding="utf-8")))


# ---- current


def test_what_was_just_measured_is_current(kept: Store) -> None:
    assert states(kept) == {"current": 6}


def test_a_row_of_before_is_known_to_probe(kept: Store, run: Run) -> None:
    assert {r["cached"] for r in run(*POOLED, "--json").json["results"]} == {True}


def test_a_row_without_an_interval_is_given_that_of_its_predictions(probed: Store, run: Run) -> None:
    first = run(*WHOLE, "--json").json["results"]
    of_before(probed, "low", "high", "features_seconds", "seed", "labels_digest")
    again = run(*WHOLE, "--json").json["results"]
    assert [(r["low"], r["high"]) for r in again] == [(r["low"], r["high"]) for r in first]
    assert all(r["cached"] and r["low"] < r["high"] for r in again)


def test_raw_rows_shots_and_draws_of_crops_are_current_too(store: Store, run: Run) -> None:
    crops = ("--n-regions", 2, "--draws", 2, "--scorer", "entropy", "--k", 1)
    assert run("sweep", *crops, "--features", "raw", "--head", "logreg(C=1)", "--shots", 1).code == 0
    assert {r.crops for r in read_all(store.layout.results)} == {"", "0:2", "2:4"}
    assert set(states(store)) == {"current"}
    of_before(store)
    assert set(states(store)) == {"current"}


def test_what_cannot_change_a_result_leaves_it_current(kept: Store, run: Run) -> None:
    assert run("score", "--scorer", "soft_margin").code == 0
    assert run("compact").code == 0
    assert states(kept) == {"current": 6}


ARCHIVE = Path(__file__).resolve().parent.parent / "data" / "archive"


def test_results_that_an_earlier_version_kept_are_those_of_its_store(
    data: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results of the archived store, by the last version without seals: four of test images, one of validation images;
    of `probe` with entropy(tau=5) and k = 2, mean and none, and of `sweep --select val`. Never made anew."""
    monkeypatch.setattr("fgscore.evaluate.probe.VERSION", 5)  # of the heads then
    monkeypatch.setitem(vars(Head.ours("logreg"))[DECLARED]["traits"], "version", 1)
    shutil.copytree(ARCHIVE / "v1", data)
    shutil.copytree(ARCHIVE / "results", data / "results")
    store = Store(Layout(data))
    assert states(store) == {"current": 4}
    found = {(r.regions, r.strategy, r.k, r.head): (r.accuracy, r.n_test) for r in read_all(store.layout.results)}
    assert found == {
        ("", "Zero-shot", None, "zeroshot"): (1.0, 2),
        ("random_crop(n=3)", "Average local", None, "zeroshot"): (0.5, 2),
        ("random_crop(n=3)", "Entropy confidence (tau=5)", 2, "zeroshot"): (0.5, 2),
        ("by_hand", "Entropy confidence (tau=5)", 2, "logreg(C=1)"): (1.0, 2),
    }
    entropy = ("probe", "--scorer", "entropy(tau=5)", "--k", 2, "--head", "zeroshot", "--head", "logreg(C=1)")
    assert Counter(r["cached"] for r in run(*entropy, "--json").json["results"]) == {True: 2, False: 2}
    assert run("verify", "--json").json == {"problems": [], "results": 7}


def test_what_a_head_of_before_made_is_stale_and_can_still_be_read(
    data: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fgscore.evaluate.probe.VERSION", 5)
    shutil.copytree(ARCHIVE / "v1", data)
    shutil.copytree(ARCHIVE / "results", data / "results")
    assert states(Store(Layout(data))) == {"current": 3, "stale": 1}
    assert run("verify", "--json").json == {"problems": [], "results": 5}


# ---- stale


@pytest.fixture
def changed(kept: Store, extract: Callable[..., Any], photos: Path, draw: Callable[..., None]) -> Store:
    """Another photo under an old name, extracted again."""
    draw(photos / "train" / "crow" / "0.png", seed=99)
    extract()
    return kept


def test_new_pixels_make_results_stale(changed: Store) -> None:
    assert states(changed) == {"stale": 6}


def test_new_labels_make_results_stale(kept: Store) -> None:
    (bundle,) = match.bundles(kept)
    flipped = dataclasses.replace(bundle.index, labels=1 - bundle.index.labels)
    index_store.write(kept.layout, flipped, bundle.index_artefact.recipe)
    assert states(kept) == {"stale": 6}


def test_a_version_of_the_heads_makes_results_stale(kept: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fgscore.evaluate.probe.VERSION", 99)
    assert states(kept) == {"stale": 6}


def test_results_by_an_earlier_version_of_a_head_are_said_to_be(
    kept: Store, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache holds what they were made from: nothing has to be extracted again."""
    traits = vars(Head.ours("logreg"))[DECLARED]["traits"]
    monkeypatch.setitem(traits, "version", traits["version"] + 1)
    assert states(kept) == {"current": 3, "stale": 3}
    (line,) = current.notes(current.standings(kept))
    assert line.startswith("folder: 3 results are by an earlier version of logreg, left out; run `")
    for command in line.split("`")[1::2]:
        assert run(*shlex.split(command)[1:]).code == 0
    assert current.notes(current.standings(kept)) == []


def test_of_many_commands_a_note_names_the_first(probed: Store) -> None:
    one = read_all(probed.layout.results)[0]
    different = [dataclasses.replace(one, head=f"logreg(C={n})", shots=n, prompt=f"p{n}") for n in range(1, 6)]
    (line,) = current.notes([Standing(result, State.STALE) for result in different])
    assert line.count("`fgscore ") == 3 and line.endswith("; and 2 commands more after these")


def test_a_shard_that_was_made_anew_counts_before_the_manifest_does(kept: Store) -> None:
    """As an extraction leaves it that is interrupted: the manifest still says what was there before."""
    (bundle,) = match.bundles(kept)
    record = kept.read(bundle.region_embeddings, 1)
    bundle.region_embeddings.publish(1, dataclasses.replace(record, norms=record.norms * 2),
                                     kept.parents_now(bundle.region_embeddings, 1))  # fmt: skip
    assert states(kept) == {"stale": 4, "current": 2}, "results of whole images do not depend on it"


def test_stale_results_are_left_out_with_the_commands_that_mend_it(changed: Store, run: Run, tmp_path: Path) -> None:
    done = run("report", "--no-plots", "--images", 0, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    (line,) = [line for line in done.err.splitlines() if " results are " in line]
    assert line.startswith("note: folder: 6 results are of other content than the cache holds now, left out; run `")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "folder: 6 results are of other content" in page and not (tmp_path / "out" / "results.csv").exists()
    assert "folder: 6 results" in run("claims").err
    for command in line.split("`")[1::2]:
        assert run(*shlex.split(command)[1:]).code == 0
    assert states(changed) == {"stale": 6, "current": 6}, "exactly those"
    again = run("report", "--no-plots", "--images", 0, "--out", tmp_path / "out")
    assert " results are " not in again.err + run("claims").err and len(table(tmp_path / "out")) == 6


def test_one_stale_result_is_one(store: Store, run: Run) -> None:
    assert run("probe", "--pool", "none", "--head", "zeroshot").code == 0
    (bundle,) = match.bundles(store)
    swapped = dataclasses.replace(bundle.index, labels=1 - bundle.index.labels)
    index_store.write(store.layout, swapped, bundle.index_artefact.recipe)
    (line,) = current.notes(current.standings(Store(store.layout)))
    command = "fgscore probe folder --encoder fake --prompt photo --pool none --head zeroshot"
    assert line == f"folder: 1 result is of other content than the cache holds now, left out; run `{command}`"


# ---- alone


def test_results_without_their_cache_are_shown_and_marked(kept: Store, run: Run, tmp_path: Path) -> None:
    elsewhere = Store(Layout(tmp_path / "elsewhere"))
    shutil.copytree(kept.layout.results, elsewhere.layout.results)
    assert states(elsewhere) == {"alone": 6}
    done = run("report", "--no-plots", "--out", tmp_path / "out", data=elsewhere.layout.root)
    assert done.code == 0 and "note" not in done.err, done.err
    assert len(table(tmp_path / "out")) == 6
    for name in ("results.md", "comparison.md", "report.html"):
        assert "embeddings not in this cache" in (tmp_path / "out" / name).read_text(encoding="utf-8"), name


def test_beside_results_of_this_cache_they_are_lines_of_their_own(probed: Store, run: Run, tmp_path: Path) -> None:
    """A colleague's results of the same settings on other photos, in a folder of their own."""
    theirs = probed.layout.results / "theirs (copy)"
    shutil.copytree(probed.layout.results / "folder", theirs)
    assert states(probed) == {"current": 6, "alone": 6}
    assert run("report", "--no-plots", "--images", 0, "--out", tmp_path / "out").code == 0
    lines = table(tmp_path / "out")
    assert Counter(line["embeddings"] for line in lines) == {"": 6, "not in this cache": 6}
    comparison = list(csv.DictReader((tmp_path / "out" / "comparison.csv").open(encoding="utf-8")))
    seen = Counter((line["strategy"], line["embeddings"]) for line in comparison)
    assert seen["Zero-shot", ""] == seen["Zero-shot", "not in this cache"] == 1


def test_of_embeddings_that_are_not_all_here_results_are_alone(kept: Store) -> None:
    next(kept.layout.cache.glob("folder/region_embeddings/*/shard-00001.json")).unlink()
    assert states(kept) == {"alone": 4, "current": 2}
    shutil.rmtree(kept.layout.cache / "folder" / "globals")
    assert states(kept) == {"alone": 6}


def test_of_a_scorer_of_ones_own_a_row_of_before_is_alone_and_nothing_is_run(
    store: Store, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ran = tmp_path / "mine.py", tmp_path / "ran"
    path.write_text("def mine(inputs, target, /):\n    return inputs.region_text[:, 0]\n")
    assert run("probe", "--scorer", f"{path}:mine", "--head", "zeroshot").code == 0
    assert states(store) == {"current": 1}
    path.write_text(f"open({str(ran)!r}, 'w').close()\n" + path.read_text())
    monkeypatch.chdir(tmp_path)  # where the row's text, mine.py:mine, would find it
    assert states(store) == {"current": 1}
    of_before(store)
    assert states(store) == {"alone": 1}
    assert run("report", "--no-plots", "--out", tmp_path / "out").code == 0
    assert run("claims").code == 0
    assert not ran.exists()


def test_the_way_out_for_a_scorer_of_ones_own_names_it(store: Store, run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def mine(inputs, target, /):\n    return inputs.region_text[:, 0]\n")
    assert run("probe", "--scorer", f"{tmp_path / 'mine.py'}:mine", "--head", "zeroshot").code == 0
    (bundle,) = match.bundles(store)
    index_store.write(store.layout, dataclasses.replace(bundle.index, labels=1 - bundle.index.labels),
                      bundle.index_artefact.recipe)  # fmt: skip
    (line,) = current.notes(current.standings(Store(store.layout)))
    assert line.endswith("left out; probe again with your mine.py:mine")


# ---- two of one name, and the time of files


def test_two_indexes_of_one_name_are_told_apart(
    probed: Store, extract: Callable[..., Any], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(vars(folder)[DECLARED]["traits"], "version", 99)
    extract()
    for command in (POOLED, WHOLE):
        assert run(*command).code == 0
    assert states(probed) == {"current": 12}
    assert run("report", "--no-plots", "--images", 0, "--out", tmp_path / "out").code == 0
    named = {line["embeddings"] for line in table(tmp_path / "out")}
    folders = {path.parent.name for path in probed.layout.cache.glob("folder/*/fake-*/plan.json")}
    assert len(named) == 4 and named < folders


def test_the_time_of_files_changes_nothing(
    probed: Store, extract: Callable[..., Any], photos: Path, draw: Callable[..., None], run: Run, tmp_path: Path
) -> None:
    draw(photos / "train" / "crow" / "0.png", seed=99)
    extract()
    assert run(*WHOLE).code == 0
    seen = []
    for turn in range(3):
        for i, path in enumerate(sorted(p for p in probed.layout.root.rglob("*") if p.is_file())):
            os.utime(path, ns=((i * 7919 * (turn + 1)) % 1000 * 10**9,) * 2)
        out = tmp_path / str(turn)
        assert run("report", "--no-plots", "--images", 0, "--out", out).code == 0
        seen.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert seen[0] == seen[1] == seen[2]


# ---- the commands


SETTING = {
    "regions": st.sampled_from(["random_crop(n=4)", "sam"]),
    "encoder": st.sampled_from(["clip", "fake(dim=8)"]),
    "prompt": st.sampled_from(["plain", "a photo of a {}, 'it' is"]),
    "scorer": st.sampled_from(["entropy(tau=5)", "soft_margin", "hard_margin"]),
    "target": st.sampled_from(["global", "local"]),
    "pool": st.sampled_from(["topk(k=1)", "topk"]),
    "head": st.sampled_from(["logreg", "zeroshot"]),
    "shots": st.sampled_from([0, 4]),
    "features": st.sampled_from(["unit", "raw"]),
    "dataset": st.sampled_from(["cub", "cub (limit 5)", "aircraft(level='family')"]),
}
PLACE = Place(Path(), "cub", "")


@given(settings=st.lists(st.fixed_dictionaries(SETTING), max_size=12))
def test_the_commands_compute_exactly_what_is_stale(settings: list[dict[str, Any]]) -> None:
    rest = {"n_train": 0, "without_regions": 0, "converged": True, "seconds": 1.0, "details": "", "digest": ""}
    rest |= {"accuracy": 0.5, "per_class": 0.5, "n_test": 2, "place": PLACE}
    found: list[tuple] = []
    commands = current.again([Result(**rest, **setting) for setting in settings])
    for command in commands:
        program, name, dataset, *words = shlex.split(command)
        assert (program, name) == ("fgscore", "probe")
        given_: dict[str, list[str]] = {"shots": ["0"], "features": ["unit"]}
        options = list(zip(words[::2], words[1::2], strict=True))
        for key in dict.fromkeys(key for key, _ in options):
            given_[key.removeprefix("--")] = [value for k, value in options if k == key]
        keys = [key for key in SETTING if key != "dataset"]
        found += [(dataset, *values) for values in itertools.product(*(given_[key] for key in keys))]
    asked = [{**s, "dataset": s["dataset"].replace("cub (limit 5)", "cub(limit=5)")} for s in settings]
    wanted = {(s["dataset"], *(str(s[key]) for key in SETTING if key != "dataset")) for s in asked}
    assert set(found) == wanted
    assert len(commands) <= len(asked)


def test_a_draw_of_crops_is_computed_by_the_sweep_that_draws_it() -> None:
    rest = {"n_train": 0, "without_regions": 0, "converged": True, "seconds": 1.0, "details": "", "digest": ""}
    rest |= {"accuracy": 0.5, "per_class": 0.5, "n_test": 2, "place": PLACE, "features": "unit", "head": "logreg"}
    one = Result(dataset="cub", regions="random_crop(n=64)", encoder="clip", prompt="", scorer="entropy", pool="topk",
                 target="local", crops="32:64", **rest)  # fmt: skip
    (command,) = current.again([one])
    assert command == (
        'fgscore sweep cub --regions "random_crop(n=64)" --encoder clip --scorer entropy --target local --pool topk '
        "--head logreg --n-regions 32 --draws 2"
    )
