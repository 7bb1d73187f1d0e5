"""Scores from the cache, against the paper's formulas in float64."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore.errors import StaleParent, StoreError
from fgscore.evaluate import score as scoring
from fgscore.scorers import Scorer
from fgscore.store import index as index_store
from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.targets import Target

TARGETS = ("global", "local", "oracle")

PAPERS = ("region_global", "region_text", "hard_margin", "soft_margin", "entropy")
GLOBAL, LOCAL, ORACLE = map(Target.bind, ("global", "local", "oracle"))


@pytest.fixture
def bundle(store: Store, photos: Path, extract: Any) -> RegionBundle:
    """With two more classes, of which there is no photo: with two in all, both margins would be the same."""
    names = photos.parent / "names.txt"
    names.write_text("aardvark\nblue jay\ncrow\nwren\n")
    extract("--classes", names)
    (found,) = match.bundles(Store(store.layout))
    assert isinstance(found, RegionBundle)
    assert found.index.class_names == ("aardvark", "blue jay", "crow", "wren")
    return found


def expected(bundle: RegionBundle, scorer: str, target: str) -> dict[str, np.ndarray]:
    """Image id to scores, from the stored embeddings by the formulas of section 3.4, a region at a time."""
    store, index = bundle.store, bundle.index
    text = bundle.text_bank.text.astype(np.float64)
    label_of = dict(zip(index.image_ids.tolist(), index.labels.tolist(), strict=True))
    scores = {}
    for number in bundle.region_embeddings.shard_sizes:
        rows, whole = store.read(bundle.region_embeddings, number), store.read(bundle.globals, number)
        for i, image_id in enumerate(rows.image_ids.tolist()):
            g = whole.globals[whole.image_ids.tolist().index(image_id)].astype(np.float64)
            mine = []
            for f in rows.regions[rows.offsets[i] : rows.offsets[i + 1]].astype(np.float64):
                s = text @ f
                y = {"global": np.argmax(text @ g), "local": np.argmax(s), "oracle": label_of[image_id]}[target]
                others = np.delete(s, y)
                p = np.exp(100 * s) / np.exp(100 * s).sum()
                w = np.exp(100 * others) / np.exp(100 * others).sum()
                mine.append(
                    {
                        "region_global": f @ g,
                        "region_text": s[y],
                        "hard_margin": s[y] - others.max(),
                        "soft_margin": s[y] - w @ others,
                        "entropy": p[y] + 0.1 * (p * np.log(np.maximum(p, 1e-300))).sum(),
                    }[scorer]
                )
            scores[image_id] = np.array(mine)
    return scores


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("scorer", PAPERS)
def test_stored_scores_are_those_of_the_paper(scorer: str, target: str, bundle: RegionBundle) -> None:
    (run,) = scoring.runs_for(bundle, [Scorer.bind(scorer)], [Target.bind(target)])
    scoring.score([run])
    reference = expected(bundle, scorer, target)
    seen = []
    for number in (0, 1, 2):
        record = bundle.store.read(run.artefact, number)
        for i, image_id in enumerate(record.image_ids.tolist()):
            got = record.scores[record.offsets[i] : record.offsets[i + 1]]
            np.testing.assert_allclose(got, reference[image_id], atol=1e-4)
            seen.append(image_id)
    assert seen == bundle.index.image_ids.tolist()


def test_scores_of_different_scorers_differ(bundle: RegionBundle) -> None:
    """Else the test above could not fail."""
    columns = [np.concatenate(list(expected(bundle, scorer, "global").values())) for scorer in PAPERS]
    columns.append(np.concatenate(list(expected(bundle, "region_text", "oracle").values())))
    for i, a in enumerate(columns):
        for b in columns[:i]:
            assert np.abs(a - b).max() > 1e-3


def test_a_scorer_without_a_target_runs_once(bundle: RegionBundle) -> None:
    runs = scoring.runs_for(bundle, [Scorer.bind("region_global"), Scorer.bind("entropy")], [GLOBAL, LOCAL])
    assert [(r.scorer.name, r.target and r.target.name) for r in runs] == [
        ("region_global", None),
        ("entropy", "global"),
        ("entropy", "local"),
    ]


def test_scoring_again_computes_nothing(bundle: RegionBundle) -> None:
    for computed, reused in ((3, 0), (0, 3)):
        (summary,) = scoring.score(scoring.runs_for(bundle, [Scorer.bind("entropy")], [GLOBAL]))
        assert (summary.computed, summary.reused) == (computed, reused)


def test_another_parameter_is_another_artefact(bundle: RegionBundle) -> None:
    texts = ("entropy", "entropy(tau=50)", "entropy(lam=0)", "entropy(tau=100)")
    runs = scoring.runs_for(bundle, [Scorer.bind(t) for t in texts], [GLOBAL, LOCAL])
    assert len({run.artefact.path for run in runs}) == 8


def test_a_default_that_is_written_out_is_the_same_artefact(bundle: RegionBundle) -> None:
    a, b = scoring.runs_for(bundle, [Scorer.bind("entropy"), Scorer.bind("entropy(lam=0.1, tau=None)")], [GLOBAL])
    assert a.artefact.path == b.artefact.path


def test_a_new_photo_is_scored_alone(
    bundle: RegionBundle, run: Callable[..., Any], extract: Any, photos: Path, draw: Any
) -> None:
    run("score", "--scorer", "entropy")
    draw(photos / "train" / "blue_jay" / "00.png", seed=99)
    extract()
    (row,) = run("score", "--scorer", "entropy", "--json").json["scores"]
    assert (row["computed"], row["reused"], row["images"]) == (1, 3, 1)


def test_new_labels_cost_oracle_scores_only(bundle: RegionBundle, run: Callable[..., Any], relabel: Any) -> None:
    assert run("score", "--target", "oracle", "--target", "global").code == 0
    relabel(bundle)
    rows = run("score", "--target", "oracle", "--target", "global", "--json").json["scores"]
    assert {r["target"]: (r["computed"], r["reused"]) for r in rows} == {"oracle": (3, 0), "global": (0, 3)}


def test_stale_regions_are_refused_until_extract_has_run(
    bundle: RegionBundle, run: Callable[..., Any], extract: Any, photos: Path, draw: Any
) -> None:
    draw(photos / bundle.index.image_ids[0], seed=99)
    assert run("index", "folder", "--root", photos).code == 0
    stale = run("score")
    assert stale.code == 1
    assert "made from other images than the cache holds now; run the same extract again" in stale.message
    extract()
    assert run("score").code == 0


def test_a_stale_shard_is_refused_by_the_library(bundle: RegionBundle) -> None:
    recipe = bundle.regions.recipe
    bundle.regions.publish(1, bundle.regions.read(0), dict.fromkeys(recipe.parents, "0" * 64))
    with pytest.raises(StaleParent, match="from other images than"):
        bundle.store.read(bundle.regions, 1)
    with pytest.raises(StaleParent, match="from other regions than"):
        bundle.store.read(bundle.region_embeddings, 1)


def test_an_unfinished_extraction_is_refused_with_the_count(bundle: RegionBundle) -> None:
    (bundle.region_embeddings.path / "shard-00002.json").unlink()
    with pytest.raises(StoreError, match=r"region_embeddings/fake-\w+: 1 of 3 shards are missing"):
        scoring.score(scoring.runs_for(bundle, [Scorer.bind("entropy")], [GLOBAL]))


def test_a_damaged_shard_is_refused_by_its_file(bundle: RegionBundle, run: Callable[..., Any]) -> None:
    path = bundle.region_embeddings.path / "shard-00001.h5"
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 2, len(content), 101):
        content[place] ^= 0xFF
    path.write_bytes(content)
    result = run("score")
    assert result.code == 1
    assert f"{path.name}" in result.message and "repair" in result.message


def test_scorers_see_geometry_and_no_labels(bundle: RegionBundle) -> None:
    block = scoring.read_block(bundle, 1)
    batch = bundle.store.read(bundle.regions, 1)
    np.testing.assert_array_equal(block.inputs.boxes_xyxy, batch.boxes_xyxy)
    np.testing.assert_array_equal(block.inputs.area, batch.area)
    assert not any("label" in name for name in dir(block.inputs))


@pytest.mark.parametrize("part", [1, 9, 10**6])
def test_parts_are_whole_images_and_make_up_the_block(
    part: int, bundle: RegionBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "PART", part)
    block = scoring.read_block(bundle, 0)
    parts = list(block.parts())
    assert len(parts) == {1: 4, 9: 4, 10**6: 1}[part]  # four images of four regions, two classes
    assert [i for images, _ in parts for i in range(images.start, images.stop)] == [0, 1, 2, 3]
    for name in ("regions", "region_text", "area", "boxes_xyxy", "globals"):
        joined = np.concatenate([getattr(inputs, name) for _, inputs in parts])
        np.testing.assert_allclose(joined, getattr(block.inputs, name), rtol=0, atol=1e-6)


def test_scores_are_the_same_on_any_number_of_threads_and_however_many_scorers_share_a_pass(
    bundle: RegionBundle,
) -> None:
    runs = scoring.runs_for(
        bundle,
        [Scorer.bind(name) for name in Scorer.ours_named()],
        [GLOBAL, LOCAL, ORACLE],
    )

    def digests() -> list[str | None]:
        found = [run.artefact.content(n) for run in runs for n in bundle.region_embeddings.shard_sizes]
        for run in runs:
            shutil.rmtree(run.artefact.path)
        return found

    scoring.score(runs, threads=1)
    together = digests()
    scoring.score(runs, threads=3)
    assert digests() == together
    for run in runs:
        scoring.score([run])
    assert digests() == together


def test_an_error_in_one_shard_ends_the_run_and_keeps_what_is_done(
    bundle: RegionBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = scoring.read_block

    def fail(bundle: RegionBundle, number: int) -> scoring.Block:
        if number == 2:
            raise OSError(5, "Input/output error")
        return real(bundle, number)

    (run,) = scoring.runs_for(bundle, [Scorer.bind("entropy")], [GLOBAL])
    monkeypatch.setattr(scoring, "read_block", fail)
    with pytest.raises(OSError, match="Input/output"):
        scoring.score([run], threads=2)
    monkeypatch.setattr(scoring, "read_block", real)
    (summary,) = scoring.score([run])
    assert (summary.computed, summary.reused) == (1, 2)


def test_a_photo_that_one_parent_lacks_is_left_out(bundle: RegionBundle) -> None:
    """Region embeddings of four images, globals of three of them: scores of these three, each its own."""
    whole = bundle.globals.read(1)
    keep = np.array([0, 1, 3])
    fewer = type(whole)(whole.image_ids[keep], whole.globals[keep], whole.norms[keep])
    bundle.globals.publish(1, fewer, bundle.store.parents_now(bundle.globals, 1))
    block = scoring.read_block(bundle, 1)
    all_rows = bundle.region_embeddings.read(1)
    assert block.image_ids.tolist() == whole.image_ids[keep].tolist()
    assert bundle.index.image_ids[block.rows].tolist() == block.image_ids.tolist()
    assert block.inputs.offsets.tolist() == [0, 4, 8, 12]
    np.testing.assert_array_equal(block.inputs.regions[8:], all_rows.regions[12:].astype(np.float32))
    np.testing.assert_array_equal(block.norms[8:], all_rows.norms[12:])
    np.testing.assert_array_equal(block.inputs.area, bundle.regions.read(1).area[[*range(8), *range(12, 16)]])


# ---- a scorer of the user's own

MINE = """
from pathlib import Path

with open(Path(__file__).with_name("loaded.txt"), "a") as file:
    file.write("loaded\\n")


def mine(inputs, target, /, *, weight=1.0):
    return weight * inputs.region_text[:, 0] + {constant}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE.format(constant=0))
    return path


def scores(store: Store, component: str) -> list[np.ndarray]:
    return [a.read(0).scores for a in store.artefacts("scores") if a.recipe.component == component]


def test_a_scorer_of_ones_own_scores_from_the_cache(store: Store, run: Callable[..., Any], mine: Path) -> None:
    assert run("score", "--scorer", f"{mine}:mine(weight=2)").code == 0
    (bundle,) = match.bundles(store)
    assert isinstance(bundle, RegionBundle)
    reference = 2 * bundle.region_embeddings.read(0).regions.astype(np.float64) @ bundle.text_bank.text[0]
    (got,) = scores(store, "mine.py:mine(weight=2)")
    np.testing.assert_allclose(got, reference, atol=1e-5)


def test_an_edited_scorer_gives_another_result(store: Store, run: Callable[..., Any], mine: Path) -> None:
    run("score", "--scorer", f"{mine}:mine")
    mine.write_text(MINE.format(constant=10))
    run("score", "--scorer", f"{mine}:mine")
    before, after = sorted(scores(store, "mine.py:mine"), key=np.mean)
    np.testing.assert_allclose(after, before + 10, atol=1e-5)


def test_a_scorer_of_ones_own_is_computed_every_time(store: Store, run: Callable[..., Any], mine: Path) -> None:
    for _ in range(2):
        (row,) = run("score", "--scorer", f"{mine}:mine", "--json").json["scores"]
        assert (row["computed"], row["reused"]) == (3, 0)


def test_what_a_scorer_reads_from_elsewhere_counts(store: Store, run: Callable[..., Any], tmp_path: Path) -> None:
    """The file is the same, what it imports is not: a cached score would be wrong."""
    path, aside = tmp_path / "reads.py", tmp_path / "weight.txt"
    path.write_text(
        f"def f(inputs, target, /):\n    return inputs.region_text[:, 0] * 0 + float(open({str(aside)!r}).read())\n"
    )
    for value in (1.0, 2.0):
        aside.write_text(str(value))
        run("score", "--scorer", f"{path}:f")
        (got,) = scores(store, "reads.py:f")
        assert set(got.tolist()) == {value}


def test_a_file_is_never_loaded_because_the_store_names_it(
    store: Store, run: Callable[..., Any], mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("score", "--scorer", f"{mine}:mine")
    run("probe", "--scorer", f"{mine}:mine", "--head", "zeroshot")
    run("aggregate", "--scorer", f"{mine}:mine")
    loads = mine.with_name("loaded.txt").read_text()
    monkeypatch.chdir(mine.parent)
    for command in (("status",), ("score", "--scorer", "all"), ("probe", "--head", "zeroshot"), ("verify",)):
        assert run(*command).code == 0
    assert mine.with_name("loaded.txt").read_text() == loads
    assert loads


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 1", "must return shape"),
        ("return inputs.region_text", "must return shape"),
        ("return inputs.region_text[:, 0] * float('nan')", "must return finite scores"),
    ],
)
def test_a_scorer_that_returns_nonsense_is_refused(
    body: str, message: str, store: Store, run: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / "bad.py").write_text(f"def f(inputs, target, /):\n    {body}\n")
    result = run("score", "--scorer", f"{tmp_path / 'bad.py'}:f")
    assert result.code == 2
    assert message in result.message


def test_a_scorer_that_fails_says_so_in_one_line(store: Store, run: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def f(inputs, target, /):\n    return inputs.nosuch\n")
    result = run("score", "--scorer", f"{tmp_path / 'bad.py'}:f")
    assert result.code in (1, 2)
    assert "nosuch" in result.message


@pytest.fixture
def relabel() -> Callable[[RegionBundle], None]:
    """Publish the same images with other labels."""

    def change(bundle: RegionBundle) -> None:
        import dataclasses

        flipped = dataclasses.replace(bundle.index, labels=3 - bundle.index.labels)
        index_store.write(bundle.store.layout, flipped, bundle.index_artefact.recipe)

    return change
