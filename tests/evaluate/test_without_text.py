"""Embeddings of an encoder of images alone, as a user has them: what works, and what is refused by its name."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore import api
from fgscore.encoders import Encoder, fake
from fgscore.encoders.fake import Fake
from fgscore.errors import NoText
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Run = Callable[..., Any]
CLASSES, TRAIN, TEST, REGIONS, WIDTH = 3, 12, 12, 4, 8
MINE = """
def closeness(inputs, target, /, *, power=1.0):
    assert (target == -1).all()
    return inputs.region_global.clip(0) ** power

def likeness(inputs, target, /):
    return inputs.region_global + inputs.global_text.max(axis=1)[inputs.image_of_region]

def scaled(inputs, target, /):
    return inputs.region_global * inputs.logit_scale
"""


def unit(rows: np.ndarray) -> np.ndarray:
    made: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)
    return made


def arrays() -> dict[str, np.ndarray]:
    """What a vision researcher has of DINO: regions that tell more than the whole image."""
    rng = np.random.default_rng(1)
    n = TRAIN + TEST
    labels = np.arange(n) % CLASSES
    centres = rng.standard_normal((CLASSES, WIDTH))
    return {
        "labels": labels,
        "split": np.where(np.arange(n) < TRAIN, "train", "test"),
        "class_names": np.array(["crow", "jay", "rook"]),
        "globals": unit(centres[labels] + 1.5 * rng.standard_normal((n, WIDTH))),
        "regions": unit(np.repeat(centres[labels], REGIONS, axis=0) + rng.standard_normal((n * REGIONS, WIDTH))),
        "offsets": np.arange(n + 1) * REGIONS,
        "boxes_xyxy": np.tile([0, 0, 8, 8], (n * REGIONS, 1)),
        "area": np.linspace(0.1, 0.4, n * REGIONS),
    }


@pytest.fixture(scope="module")
def _imported(tmp_path_factory: pytest.TempPathFactory, call: Run) -> Path:
    folder = tmp_path_factory.mktemp("dino")
    np.savez(folder / "dino.npz", **arrays())
    done = call("import", "dino", folder / "dino.npz", "--encoder", "dinov2", data=folder / "data")
    assert done.code == 0, done.err
    assert "Next: fgscore score dino --scorer region_global" in done.out
    return folder


@pytest.fixture
def dino(_imported: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to be in, with the embeddings imported as ``dino`` and a file of scorers."""
    shutil.copytree(_imported / "data", data)
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bundle_of(data: Path) -> RegionBundle:
    (bundle,) = api.bundles(api.open_store(data), "dino")
    assert isinstance(bundle, RegionBundle)
    return bundle


def told(output: str) -> list[str]:
    return re.findall(r"^Next: fgscore (.*)$", output, re.M)


def test_whole_images_alone_are_probed_as_import_says(run: Run, tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **{k: v for k, v in arrays().items() if k in ("labels", "split", "globals")})
    (following,) = told(run("import", "dino", tmp_path / "a.npz", "--encoder", "dinov2").out)
    assert following.split() == ["probe", "dino", "--pool", "none"]
    assert told(run("status", "dino").out) == [following]
    (row,) = run(*shlex.split(following), "--json").json["results"]
    assert row["n_test"] == TEST and row["encoder"] == "dinov2" and row["prompt"] == ""
    widths = run("sweep", "dino", "--pool", "self", "--json").json["results"]
    assert [r["pool"] for r in widths] == ["none", "self"]


def test_what_status_says_leads_to_a_report(dino: Path, run: Run) -> None:
    commands = []
    for _ in range(3):
        (following,) = told(run("status", "dino").out)
        commands.append(following)
        done = run(*shlex.split(following), *(["--no-plots"] if following.startswith("report") else []))
        assert done.code == 0, done.err
    assert commands == ["score dino --scorer region_global", "probe dino --scorer region_global", "report dino"]


def test_poolings_that_need_no_text(dino: Path, run: Run, data: Path) -> None:
    pools = [word for pool in ("none", "self", "mean") for word in ("--pool", pool)]
    rows = {row["pool"]: row for row in run("probe", "dino", *pools, "--json").json["results"]}
    assert set(rows) == {"none", "self", "mean"} and rows["self"]["regions"] == rows["none"]["regions"] == ""
    assert rows["mean"]["accuracy"] > rows["none"]["accuracy"]
    assert run("aggregate", "dino", "--pool", "self").code == 0
    (made,) = api.open_store(data).artefacts("features", "dino")
    shard = made.read(0)
    whole = arrays()["globals"].astype(np.float32)
    np.testing.assert_array_equal(shard.features, np.concatenate([whole, whole], axis=1))
    assert not shard.n_pooled.any()


def test_scores_are_those_of_the_arrays_and_have_no_target(dino: Path, run: Run, data: Path) -> None:
    given = arrays()
    regions, whole = given["regions"].astype(np.float64), given["globals"].astype(np.float64)
    expected = [regions[i] @ whole[i // REGIONS] for i in range(len(regions))]
    for scorer, power in (("region_global", 1), ("./mine.py:closeness(power=2)", 2)):
        scores = api.scores(bundle_of(data), scorer)
        wanted = expected if power == 1 else np.clip(expected, 0, None) ** power
        np.testing.assert_allclose(scores.scores, wanted, atol=1e-5)
        assert (scores.target == -1).all()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("score dino --scorer entropy", "scorer entropy"),
        ("score dino", "scorer soft_margin"),
        ("score dino --scorer ./mine.py:likeness", "scorer mine.py:likeness"),
        ("score dino --scorer ./mine.py:scaled --scorer entropy", "scorer mine.py:scaled"),
        ("score dino --scorer ./mine.py:closeness --target local", "target local"),
        ("aggregate dino --scorer region_text", "scorer region_text"),
        ("sweep dino --pool topk --scorer entropy --head zeroshot", "head zeroshot"),
        ("probe dino", "scorer soft_margin"),
        ("probe dino --pool none --head zeroshot", "head zeroshot"),
        ("probe dino --pool none --head anchored", "head anchored"),
        ("probe dino --pool none --prompt plain", "--prompt 'plain'"),
        ("show 000001 --dataset dino --scorer hard_margin", "scorer hard_margin"),
    ],
)
def test_what_needs_text_says_so_in_one_line(command: str, name: str, dino: Path, run: Run) -> None:
    refused = run(*shlex.split(command))
    assert refused.code == 1 and refused.err.count("\n") == 1
    assert refused.err.startswith(f"error: {name} needs class text, and dino by dinov2 has none; use ")
    assert "import its text too" in refused.err


def test_beside_embeddings_with_text_what_lacks_it_is_left_out_with_a_line(
    dino: Path, run: Run, data: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    text = unit(rng.standard_normal((CLASSES, WIDTH)))
    np.savez(tmp_path / "clip.npz", **{**arrays(), "text": text})
    assert run("import", "other", tmp_path / "clip.npz", "--encoder", "clip2", "--prompt", "plain").code == 0
    done = run("score", "--scorer", "entropy", "--json")
    assert done.code == 0 and [row["dataset"] for row in done.json["scores"]] == ["other"]
    assert "skipped: scorer entropy needs class text, and dino by dinov2 has none" in done.err
    alone = run("score", "--scorer", "./mine.py:likeness", "--scorer", "region_global", "--json").json["scores"]
    assert sorted((row["dataset"], row["scorer"]) for row in alone) == [
        ("dino", "region_global"),
        ("other", "mine.py:likeness"),
        ("other", "region_global"),
    ]
    heads = ("--head", "zeroshot", "--head", "logreg", "--pool", "none", "--json")
    both = [(row["dataset"], row["head"]) for row in run("probe", *heads).json["results"]]
    assert sorted(both) == [("dino", "logreg"), ("other", "logreg"), ("other", "zeroshot")]


def test_text_that_comes_later_is_joined(dino: Path, run: Run, tmp_path: Path) -> None:
    assert run("score", "dino", "--scorer", "region_global").code == 0
    np.savez(tmp_path / "text.npz", text=unit(np.eye(CLASSES, WIDTH)), class_names=np.array(["crow", "jay", "rook"]))
    assert run("import", "dino", tmp_path / "text.npz", "--encoder", "dinov2", "--prompt", "names").code == 0
    (row,) = run("score", "dino", "--scorer", "region_global", "--json").json["scores"]
    assert row["prompt"] == "names" and row["computed"] == 0 and row["reused"] == 1
    assert run("score", "dino", "--scorer", "entropy").code == 0


def test_export_and_import_give_the_same_again(dino: Path, run: Run, tmp_path: Path) -> None:
    assert run("score", "dino", "--scorer", "region_global").code == 0
    kinds = [w for kind in ("index", "globals", "regions", "region_embeddings") for w in ("--kind", kind)]
    written = [row["file"] for row in run("export", "dino", *kinds, "--to", tmp_path / "out", "--json").json["files"]]
    elsewhere = tmp_path / "elsewhere"
    assert run("import", "dino", *written, "--encoder", "dinov2", data=elsewhere).code == 0
    here, there = (Store(Layout(folder)) for folder in (tmp_path / "data", elsewhere))
    for kind in ("globals", "regions", "region_embeddings"):
        (a,), (b,) = here.artefacts(kind, "dino"), there.artefacts(kind, "dino")
        assert a.recipe.digest == b.recipe.digest and a.content(0) == b.content(0)


def test_diagnose_goes_as_far_as_it_can(dino: Path, run: Run) -> None:
    found = run("diagnose", "dino", "--json")
    assert found.code == 0, found.err
    assert found.json["pseudo_labels"] == [] and [row["scorer"] for row in found.json["scorers"]] == ["region_global"]
    assert len(found.json["results"]) == 2
    out = run("diagnose", "dino", "--scorer", "region_global").out
    assert "nan" not in out and "\n\n\n" not in out


@pytest.mark.parametrize("pool", ["self", "topk"])
def test_a_probe_is_kept_and_read_back_without_text(pool: str, dino: Path, run: Run) -> None:
    from fgscore.evaluate import saved

    kept = ("--pool", pool, "--scorer", "region_global", "--save-probe", dino / "p.safetensors")
    assert run("probe", "dino", *kept).code == 0
    probe = saved.load(dino / "p.safetensors")
    assert probe.text is None and probe.width == WIDTH and probe.linear.weight.shape[1] == 2 * WIDTH


def test_the_error_from_python_names_scorer_and_embeddings(dino: Path, data: Path) -> None:
    with pytest.raises(NoText, match=r"scorer entropy\(tau=5\S*\) needs class text, and dino by dinov2 has none"):
        api.scores(bundle_of(data), "entropy(tau=5)")


def files(data: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (data / "cache").rglob("shard-*.json")}


@pytest.fixture
def no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that is complete but for reading text: a class of its own, as what a class has is asked but once."""
    without = ("embed_texts", "__dict__", "__weakref__")
    images_alone = type("ImagesAlone", (Encoder,), {k: v for k, v in vars(Fake).items() if k not in without})
    monkeypatch.setattr(fake, "Fake", images_alone)


@pytest.mark.usefixtures("no_text")
def test_extract_stores_no_text_of_an_encoder_that_reads_none(extract: Run, run: Run, data: Path) -> None:
    made = extract("--prompt", "plain", "--prompt", "a {}")
    assert set(made) == {"index", "thumbnails", "globals", "regions", "region_embeddings"}
    assert not (data / "cache" / "folder" / "text").exists()
    before = files(data)
    assert all(kind["computed"] == 0 for kind in extract("--prompt", "plain", "--prompt", "a {}").values())
    assert files(data) == before
    assert run("status").code == 0
    scored = run("score", "--scorer", "all", "--json")
    assert [row["scorer"] for row in scored.json["scores"]] == ["region_global"]
    done = run("report", "--no-plots", "--out", data / "report")
    assert done.code == 0 and "note" not in done.out
    assert "region_global" in (data / "report" / "report.html").read_text()


@pytest.mark.usefixtures("no_text")
def test_extract_says_that_an_encoder_reads_no_text_and_what_follows(run: Run, photos: Path) -> None:
    made = ("--encoder", "fake", "--regions", "random_crop(n=4)", "--root", photos)
    done = run("extract", "folder", *made)
    assert done.code == 0
    assert "fake reads no text: none is stored, and no prompt applies to it" in done.err
    assert told(done.out) == ["score folder --scorer region_global"]
    assert run("score", "folder", "--scorer", "region_global").code == 0


# what a scorer of the user's is called on the command line, from where it lies and from elsewhere
NAMES = ("./mine.py:closeness", "mine.py:closeness", "../mine.py:closeness", "{dino}/mine.py:closeness")


@pytest.mark.parametrize(("name", "parameters"), list(itertools.product(NAMES, ["", "(power=2)"])))
def test_a_files_scorer_is_found_by_the_name_of_its_file(
    name: str, parameters: str, dino: Path, run: Run, monkeypatch: pytest.MonkeyPatch, _scored: Path
) -> None:
    shutil.rmtree(dino / "data")
    shutil.copytree(_scored, dino / "data")
    if name.startswith(".."):
        (dino / "below").mkdir()
        monkeypatch.chdir(dino / "below")
    written = name.format(dino=dino) + parameters
    files = run("export", "--kind", "scores", "--scorer", written, "--to", dino / "out", "--json").json["files"]
    assert len(files) == (1 if parameters else 2)
    assert all("closeness" in row["file"] for row in files)


@pytest.fixture(scope="module")
def _scored(_imported: Path, tmp_path_factory: pytest.TempPathFactory, call: Run) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    shutil.copytree(_imported / "data", folder / "data")
    (folder / "mine.py").write_text(MINE)
    own = [w for power in (1, 2) for w in ("--scorer", f"{folder}/mine.py:closeness(power={power})")]
    assert call("score", "dino", "--scorer", "region_global", *own, data=folder / "data").code == 0
    return folder / "data"


def test_a_report_shows_a_files_scorer_and_says_when_it_has_changed(dino: Path, run: Run, _scored: Path) -> None:
    shutil.rmtree(dino / "data")
    shutil.copytree(_scored, dino / "data")

    def report(name: str, code: int = 0) -> tuple[str, str]:
        done = run("report", "--scorer", name, "--no-plots", "--out", dino / "r")
        assert done.code == code, done.err
        return done.out + done.err, (dino / "r" / "report.html").read_text()

    for name in NAMES[:2]:
        said, page = report(name)
        assert "No current scores" not in said and "mine.py:closeness" in page
    (dino / "mine.py").write_text(MINE + "\n# changed\n")
    for code in (1, 0):  # with nothing else to show, and with a result
        said, page = report("./mine.py:closeness", code)
        assert "No current scores of ./mine.py:closeness" in said
        assert "fgscore score --scorer ./mine.py:closeness" in said
        assert run("probe", "dino", "--pool", "none").code == 0
    assert run("export", "--kind", "scores", "--scorer", "./mine.py:closeness", "--to", dino / "out").code == 1
    (dino / "mine.py").unlink()  # where it cannot be read, its name is all there is
    assert run("export", "--kind", "scores", "--scorer", "./mine.py:closeness", "--to", dino / "out").code == 0


def test_of_several_targets_those_that_need_text_are_left_out(dino: Path, run: Run) -> None:
    own = ("--scorer", "./mine.py:closeness", "--target", "global", "--target", "local", "--json")
    done = run("score", "dino", *own)
    assert done.code == 0 and [row["target"] for row in done.json["scores"]] == [""]
    assert "skipped: target local needs class text, and dino by dinov2 has none" in done.err
