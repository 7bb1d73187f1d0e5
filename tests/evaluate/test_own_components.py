"""Targets, poolings and heads of one's own: in a file, in an installed distribution, as Python objects."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from fgscore import api
from fgscore.evaluate.features import FeatureRun, matrix
from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.match import bundles

Run = Callable[..., Any]

MINE = '''"""Components of my own."""
import numpy as np


def forest(*, trees=9):
    """A random forest."""
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=trees)


def searched():
    from sklearn.model_selection import GridSearchCV
    from sklearn.neighbors import KNeighborsClassifier

    return GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1, 3]}, cv=2)


def second(inputs, /):
    """The class that comes second for the region."""
    return np.argsort(-inputs.region_text, axis=1)[:, 1] if len(inputs.regions) else np.zeros(0, int)


def sharp(regions, scores, offsets, /, *, power=2.0):
    """Regions weighted by a power of the rank of their scores."""
    rows = []
    for a, b in zip(offsets, offsets[1:]):
        weights = (1.0 + np.argsort(np.argsort(scores[a:b]))) ** power
        rows.append((weights[:, None] * regions[a:b]).sum(axis=0) / max(weights.sum(), 1e-9))
    return np.stack(rows)


def constant(inputs, target, /, *, value=1.0):
    return inputs.region_global * value
'''


@pytest.fixture
def mine(tmp_path: Path) -> Callable[[str], str]:
    """``mine("forest")``: the component of that name in the file above."""
    (tmp_path / "mine.py").write_text(MINE)
    return lambda name: f"{tmp_path}/mine.py:{name}"


@pytest.fixture
def bundle(study: Store) -> RegionBundle:
    (found,) = (b for b in bundles(study, "cub", "random_crop") if isinstance(b, RegionBundle))
    return found


def predictions(data: Path, digest: str) -> dict[str, int]:
    import pyarrow.parquet as pq

    table = pq.read_table(data / "results" / "cub" / "predictions" / f"{digest[:16]}.parquet")
    return dict(zip(table["image_id"].to_pylist(), table["prediction"].to_pylist(), strict=True))


@pytest.mark.parametrize("seed", [0, 3])
def test_a_forest_is_scikit_learns_own(
    seed: int, bundle: RegionBundle, run: Run, mine: Callable[[str], str], data: Path
) -> None:
    done = run("probe", "cub", "--pool", "none", "--head", f"{mine('forest')}(trees=7)", "--seed", seed, "--json")
    (row,) = done.json["results"]
    features, rows, _ = matrix(FeatureRun(bundle, Pooling.bind("none")))
    index = bundle.index
    train, test = (np.isin(index.split[rows], splits) for splits in (("train", "val"), ("test",)))
    wanted = RandomForestClassifier(n_estimators=7, random_state=seed).fit(features[train], index.labels[rows][train])
    found = wanted.predict(features[test])
    assert predictions(data, row["digest"]) == dict(zip(index.image_ids[rows][test], found.tolist(), strict=True))
    assert row["head"] == "mine.py:forest(trees=7" + (f", seed={seed})" if seed else ")")
    details = json.loads(row["details"])
    assert details["parameters"]["n_estimators"] == "7" and details["scikit-learn"]


def test_a_head_that_needs_text_is_given_the_global_embedding_beside_a_pooling_of_ones_own(
    study: Store, run: Run, tmp_path: Path, data: Path
) -> None:
    """Columns in another order change nothing for a regression, and all for a product with the text."""
    (tmp_path / "turned.py").write_text(
        "from fgscore.pooling import Pooling\n@Pooling.declares(needs_regions=False, needs_scores=False)\n"
        "def turned(globals_, /): return globals_[:, ::-1]\n"
    )
    poolings = ("--pool", "none", "--pool", f"{tmp_path}/turned.py:turned")
    done = run("probe", "cub", *poolings, "--head", "anchored(a=1, C=10)", "--json")
    assert done.code == 0, done.err
    one, other = (predictions(data, row["digest"]) for row in done.json["results"])
    assert one == other and done.json["results"][0]["digest"] != done.json["results"][1]["digest"]


def test_a_search_says_what_it_chose(study: Store, run: Run, mine: Callable[[str], str]) -> None:
    done = run("probe", "cub", "--pool", "none", "--head", mine("searched"), "--json")
    assert json.loads(done.json["results"][0]["details"])["best"]["n_neighbors"] in ("1", "3")


def test_every_command_takes_a_target_and_a_pooling_of_ones_own(
    study: Store, run: Run, mine: Callable[[str], str], tmp_path: Path
) -> None:
    ours = ("--target", mine("second"), "--dataset", "cub", "--regions", "random_crop")
    assert run("score", *ours).code == 0
    probed = run("probe", *ours, "--pool", f"{mine('sharp')}(power=3)", "--json")
    assert [(r["target"], r["pool"]) for r in probed.json["results"]] == [("mine.py:second", "mine.py:sharp(power=3)")]
    assert run("aggregate", *ours, "--pool", mine("sharp")).code == 0
    assert run("sweep", *ours, "--pool", mine("sharp"), "--head", mine("forest")).code == 0
    reported = run("report", "--dataset", "cub", "--out", tmp_path / "out", "--no-plots")
    assert reported.code == 0, reported.err
    assert "mine.py:sharp(power=3)" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_a_pooling_pools_what_a_loop_does(bundle: RegionBundle, run: Run, mine: Callable[[str], str]) -> None:
    from fgscore.evaluate.score import runs_for, score
    from fgscore.targets import Target

    runs = runs_for(bundle, [Scorer.bind("entropy")], [Target.bind("global")])
    score(runs)
    pooled = FeatureRun(bundle, Pooling.bind(f"{mine('sharp')}(power=1)"), runs[0])
    features, rows, _ = matrix(pooled)
    at = list(rows).index(int(rows[3]))
    shard = bundle.store.read(bundle.region_embeddings, 0)
    scored = runs[0].shard(0)
    own = slice(shard.offsets[3], shard.offsets[4])
    ranks = np.argsort(np.argsort(scored.scores[own])) + 1.0
    wanted = (ranks[:, None] * shard.regions[own].astype(float)).sum(axis=0) / ranks.sum()
    np.testing.assert_allclose(features[at, features.shape[1] // 2 :], wanted, atol=2e-3)


@pytest.mark.parametrize(
    ("body", "option", "says"),
    [
        ("def f(inputs, /): return inputs.top_class + 99", "--target", "must return classes from 0 to 4"),
        ("def f(inputs, /): return inputs.top_class[1:]", "--target", "must return"),
        ("def f(inputs, labels, /): return labels", "--target", "must take"),
        ("def f(regions, scores, offsets, /): return regions", "--pool", "finite numbers, found ("),
        ("def f(regions, scores, offsets, /): return 1 / 0", "--pool", "ZeroDivisionError"),
        ("def f(regions, /): return regions", "--pool", "must take (regions, scores, offsets, /"),
        ("def f(): return 3", "--head", "must return a scikit-learn classifier, found int"),
        ("def f(): import nowhere_to_be_found", "--head", "pip install nowhere_to_be_found"),
        ("def f(data, test, /): return test", "--head", "must return an Outcome"),
        ("def f(a, b, c, d, /): return a", "--head", "must take"),
    ],
)
def test_what_goes_wrong_is_one_line_with_the_place(
    body: str, option: str, says: str, study: Store, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "wrong.py").write_text(f"{body}\n")
    more = ["--pool", "none"] if option == "--head" else []
    done = run("probe", "cub", "--regions", "random_crop", option, f"{tmp_path}/wrong.py:f", *more)
    assert (done.code, done.out) == (2, "")
    assert says in done.message and "wrong.py" in done.message and "\n" not in done.message


def test_a_python_object_is_what_a_file_says_and_is_never_kept(
    bundle: RegionBundle, mine: Callable[[str], str], data: Path
) -> None:
    space: dict[str, Any] = {}
    exec(MINE, space)
    of_file = api.probe(bundle, pool=mine("sharp"), target=mine("second"), head=mine("forest"))
    before = {p for p in data.rglob("*") if p.is_file()}
    of_object = api.probe(bundle, pool=space["sharp"], target=space["second"], head=RandomForestClassifier(9))
    assert of_object["accuracy"] == of_file["accuracy"]
    scored = api.scores(bundle, scorer=space["constant"])
    np.testing.assert_array_equal(scored.scores, api.scores(bundle, mine("constant")).scores)
    after = {p for p in data.rglob("*") if p.is_file()}
    assert not [p for p in after - before if "constant" not in str(p)]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution `toys`, installed, that declares what the file above has."""
    site = tmp_path / "site"
    (site / "toys").mkdir(parents=True)
    (site / "toys" / "__init__.py").write_text(MINE)
    info = site / "toys-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    groups = {"heads": "forest", "targets": "second", "poolings": "sharp"}
    points = "".join(f"[fgscore.{group}]\n{name} = toys:{name}\n" for group, name in groups.items())
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(site))
    yield info
    sys.modules.pop("toys", None)


def test_what_a_distribution_declares_is_there_by_name(installed: Path, study: Store, run: Run) -> None:
    assert "forest" in {row["name"] for row in run("list", "heads", "--json").json["heads"]}
    done = run("probe", "cub", "--regions", "random_crop", "--target", "second", "--pool", "sharp", "--head", "forest",
               "--json")  # fmt: skip
    (row,) = done.json["results"]
    assert (row["target"], row["pool"], row["head"]) == ("second", "sharp", "forest")
    assert "did you mean 'forest'" in run("probe", "--head", "forst").message


def test_names_of_installed_components_are_told_without_importing_them(installed: Path) -> None:
    assert "sharp" in Pooling.names()
    assert "toys" not in sys.modules


def test_a_distribution_cannot_take_a_name_of_ours(installed: Path, study: Store, run: Run) -> None:
    (installed / "entry_points.txt").write_text("[fgscore.heads]\nlogreg = toys:forest\n")
    done = run("probe", "cub", "--pool", "none", "--head", "logreg")
    assert done.code == 2 and "pip uninstall toys" in done.message
    assert run("probe", "cub", "--pool", "none", "--head", "zeroshot").code == 0


def test_another_content_of_the_same_file_is_another_result(
    study: Store, run: Run, mine: Callable[[str], str], tmp_path: Path
) -> None:
    asked = ("probe", "cub", "--pool", "none", "--head", mine("forest"), "--json")
    (before,) = run(*asked).json["results"]
    (tmp_path / "mine.py").write_text(MINE + "\n# once more\n")
    (after,) = run(*asked).json["results"]
    assert before["digest"] != after["digest"] and before["accuracy"] == after["accuracy"]


def test_a_head_that_writes_to_its_features_spoils_no_other(study: Store, run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "import numpy as np\nfrom fgscore.heads import Outcome\ndef f(data, test, /):\n    data.features[:] = 0\n"
        "    return Outcome(np.zeros(len(test), int), 3)\n"
    )
    alone = run("probe", "cub", "--pool", "none", "--head", "logreg(C=3)", "--json").json["results"][0]["accuracy"]
    done = run("probe", "cub", "--pool", "none", "--head", f"{tmp_path}/bad.py:f", "--head", "logreg(C=3.5)")
    assert done.code == 2 and "bad.py:4" in done.message and "read-only" in done.message
    after = run("probe", "cub", "--pool", "none", "--head", "logreg(C=3.5)", "--json").json["results"][0]["accuracy"]
    assert abs(after - alone) < 0.1


@pytest.mark.parametrize("details", ["{'a': np.float32(1)}", "{'a': object()}"])
def test_details_that_cannot_be_kept_are_blamed(details: str, study: Store, run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text(
        "import numpy as np\nfrom fgscore.heads import Outcome\n"
        f"def f(data, test, /): return Outcome(np.zeros(len(test), int), 3, True, {details})\n"
    )
    done = run("probe", "cub", "--pool", "none", "--head", f"{tmp_path}/bad.py:f")
    assert done.code == 2 and "bad.py:3" in done.message and "JSON" in done.message


def test_files_that_parameters_name_are_part_of_what_is_compared(study: Store, run: Run, tmp_path: Path) -> None:
    (tmp_path / "lists.py").write_text(
        "from pathlib import Path\n"
        "def s(inputs, target, /, *, table: Path): return inputs.region_global * len(Path(table).read_text())\n"
    )
    for folder, text in (("a", "1"), ("b", "22")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.txt").write_text(text)
    asked = [f"{tmp_path}/lists.py:s(table='{tmp_path}/{folder}/t.txt')" for folder in "ab"]
    for text in asked:
        assert run("score", "cub", "--regions", "random_crop", "--scorer", text).code == 0
    both = run("score", "cub", "--regions", "random_crop", "--scorer", asked[0], "--scorer", asked[1])
    assert both.code == 2 and "no table would tell them apart" in both.message
    made = [one for one in study.artefacts("scores", "cub") if one.recipe.component == "lists.py:s(table='t.txt')"]
    assert len(made) == 2
    assert not [one for one in made if str(tmp_path) in (one.path / "plan.json").read_text()]


def test_results_of_ones_own_are_found_where_they_are_wanted(
    study: Store, run: Run, mine: Callable[[str], str]
) -> None:
    done = run("diagnose", "cub", "--regions", "random_crop", "--target", mine("second"))
    assert done.code == 0, done.err


@pytest.mark.parametrize("what", ["a class", "a function of two", "a state"])
def test_python_objects_of_every_sort_are_heads(what: str, bundle: RegionBundle) -> None:
    from functools import partial

    from sklearn.neighbors import KNeighborsClassifier

    from fgscore.heads import Outcome

    def voting(data: Any, test: np.ndarray, /, *, label: int = 0) -> Outcome:
        return Outcome(np.full(len(test), label), 1)

    heads = {
        "a class": KNeighborsClassifier,
        "a function of two": partial(voting, label=2),
        "a state": RandomForestClassifier(5, random_state=7),
    }
    row = api.probe(bundle, pool="none", head=heads[what])
    assert row["n_test"] > 0
    if what == "a state":
        assert json.loads(row["details"])["parameters"]["random_state"] == "7"
