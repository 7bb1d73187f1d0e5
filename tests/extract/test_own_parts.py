"""An encoder, generators and a data set of one's own, in a file and in an installed distribution, all the way."""

from __future__ import annotations

import csv
import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fgscore import foreign
from fgscore.store import match
from fgscore.store.bundle import RegionBundle
from fgscore.store.cache import Store
from fgscore.store.paths import Layout

Run = Callable[..., Any]
ENCODER = '''"""Of images alone, by means of cells, as a model of patch tokens has them."""
import numpy as np


class Dino:
    dim = 12

    def __init__(self, cells, seed):
        self.cells, self.seed = cells, seed

    def load(self):
        self.projection = np.random.default_rng(self.seed).standard_normal((6, self.dim)).astype(np.float32)

    def tokens(self, image):
        parts = [part for row in np.array_split(image, self.cells) for part in np.array_split(row, self.cells, axis=1)]
        facts = [[*part.mean((0, 1)) / 255, *part.std((0, 1)) / 255] for part in parts if part.size]
        return np.array(facts, np.float32) @ self.projection

    def embed_images(self, images):
        return np.stack([self.tokens(image).mean(axis=0) for image in images])


def dino(*, cells: int = 4, seed: int = 0):
    """Means of cells, projected."""
    return Dino(cells, seed)
'''
GENERATORS = '''"""Regions without chance, and regions from a table."""
import csv
from pathlib import Path
import numpy as np


def tiles(image, image_id, /, *, rows: int = 2):
    """Equal parts of the image."""
    y, x = (np.linspace(0, side, rows + 1).astype(int) for side in image.shape[:2])
    return [(x[i], y[j], x[i + 1], y[j + 1]) for j in range(rows) for i in range(rows)]


def detected(*, table: Path):
    """Boxes that a detector left in a table."""
    boxes = {}
    for row in csv.DictReader(table.open()):
        boxes.setdefault(row["image_id"], []).append([int(row[key]) for key in ("x0", "y0", "x1", "y1")])
    return lambda image, image_id: boxes.get(image_id, [])
'''
BIRDS = '''"""Birds as a list says."""
from fgscore.datasets import DataSet, Listing, Photo


@DataSet.declares(noun="bird")
def birds(root, /, *, few: bool = False):
    """Birds as list.txt says."""
    rows = [line.split() for line in (root / "list.txt").read_text().splitlines()]
    photos = [Photo(path.removesuffix(".png"), path, int(label), split) for path, label, split in rows]
    return Listing(root, ("blue jay", "crow"), photos[::2] if few else photos)
'''
REGIONS = ("--regions", "./regions.py:tiles(rows=3)", "--regions", "./regions.py:detected(table=boxes.csv)")


@pytest.fixture
def place(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to be in: the three files, the photos with their list, and a table of boxes of half of them."""
    for name, text in (("encoder.py", ENCODER), ("regions.py", GENERATORS), ("sets.py", BIRDS)):
        (tmp_path / name).write_text(text)
    paths = sorted(path.relative_to(photos).as_posix() for path in photos.rglob("*.png"))
    lines = [f"{path} {int('crow' in path)} {path.partition('/')[0]}" for path in paths]
    (photos / "list.txt").write_text("\n".join(lines))
    with open(tmp_path / "boxes.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "x0", "y0", "x1", "y1"])
        for i, path in enumerate(paths):
            writer.writerows([[path.removesuffix(".png"), 5, 5, 40, 30]] * (i % 2))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def made(place: Path, run: Run, small_shards: int) -> Any:
    """What `extract` printed of all of them together."""
    done = run("extract", "./sets.py:birds", "--root", "photos", "--encoder", "./encoder.py:dino", *REGIONS)
    assert done.code == 0, done.err
    return done


def told(output: str) -> str:
    """The command that comes next."""
    (command,) = re.findall(r"^Next: fgscore (.*)$", output, re.M)
    return command


def test_every_next_line_leads_on_to_a_report(made: Any, run: Run) -> None:
    commands, output = [], made.out
    for _ in range(2):
        commands.append(told(output))
        done = run(*shlex.split(commands[-1]))
        assert done.code == 0, done.err
        output = done.out
    assert commands == ["score ./sets.py:birds --scorer region_global", "probe ./sets.py:birds --scorer region_global"]
    status = run("status", "birds")
    assert told(status.out) == "report birds" and "unfinished" not in status.out
    pools = ("--pool", "self", "--pool", "mean")
    rows = run("sweep", "birds", *pools, "--json").json["results"]
    assert {(row["pool"], row["regions"]) for row in rows} == {
        ("none", ""), ("self", ""), ("mean", "regions.py:tiles(rows=3)"),
        ("mean", "regions.py:detected(table='boxes.csv')")}  # fmt: skip
    assert run("report", "birds", "--no-plots").code == 0
    assert run("verify").code == 0


def test_what_is_stored_is_what_the_files_compute(made: Any, place: Path, data: Path) -> None:
    space: dict[str, Any] = {}
    exec(ENCODER, space)
    model = space["dino"]()
    model.load()
    store = Store(Layout(data))
    bundles = {b.labels["regions"]: b for b in match.bundles(store, "birds")}
    assert set(bundles) == {"regions.py:tiles(rows=3)", "regions.py:detected(table='boxes.csv')"}
    boxes = {"regions.py:tiles(rows=3)": 9, "regions.py:detected(table='boxes.csv')": 1}
    for name, bundle in bundles.items():
        assert isinstance(bundle, RegionBundle)
        for number in bundle.regions.shard_sizes:
            batch, rows = store.read(bundle.regions, number), store.read(bundle.region_embeddings, number)
            for i, image_id in enumerate(batch.image_ids.tolist()):
                image = np.asarray(Image.open(place / "photos" / f"{image_id}.png").convert("RGB"))
                mine = slice(batch.offsets[i], batch.offsets[i + 1])
                cut = [image[y0:y1, x0:x1] for x0, y0, x1, y1 in batch.boxes_xyxy[mine]]
                assert len(cut) in ({boxes[name]} if "tiles" in name else {0, 1})
                if cut:
                    raw = model.embed_images(cut)
                    wanted = raw / np.linalg.norm(raw, axis=1, keepdims=True)
                    np.testing.assert_allclose(rows.regions[mine], wanted, atol=1e-3)


def test_no_text_no_path_and_the_digest_of_each_file(made: Any, data: Path, place: Path) -> None:
    assert "reads no text" in made.err and not list(data.glob("cache/birds/text/*"))
    recipes = {path.parent.parent.name: json.loads(path.read_text())["recipe"] for path in data.rglob("plan.json")}
    sources = {kind: recipe["extra"].get("source") for kind, recipe in recipes.items()}
    assert sources["index"] is None and sources["thumbnails"] is None
    assert len({sources["globals"], sources["region_embeddings"]}) == 1 and sources["globals"] != sources["regions"]
    assert all(re.fullmatch("[0-9a-f]{64}", sources[kind]) for kind in ("globals", "regions"))
    for path in data.rglob("*.json"):
        assert str(place) not in path.read_text()


def test_an_edited_file_makes_its_own_and_is_not_taken_for_the_old(
    made: Any, run: Run, place: Path, data: Path
) -> None:
    (place / "encoder.py").write_text(ENCODER + "\n# edited\n")
    asked = ("probe", "birds", "--pool", "none", "--encoder", "./encoder.py:dino")
    refused = run(*asked)
    assert refused.code == 1
    again = "run `fgscore extract sets.py:birds --encoder ./encoder.py:dino`"
    assert refused.message == f"error: encoder.py has changed since it made what is cached; {again}"
    assert run("probe", "birds", "--pool", "none").code == 0, "left out, the encoder matches all that is cached"
    made_with = ("--root", "photos", "--encoder", "./encoder.py:dino", "--regions", "./regions.py:tiles(rows=3)")
    done = run("extract", "./sets.py:birds", *made_with, "--json")
    work = {a["kind"]: (a["computed"], a["reused"]) for a in done.json["artefacts"]}
    assert work["globals"] == work["region_embeddings"] == (3, 0) and work["regions"] == (0, 3)
    assert run(*asked).code == 0
    assert len(list(data.glob("cache/birds/globals/*"))) == 2
    bundles = match.bundles(Store(Layout(data)), "birds")
    assert len(bundles) == 3 and all(isinstance(b, RegionBundle) for b in bundles)
    assert all(b.globals.recipe.source == b.region_embeddings.recipe.source for b in bundles)  # type: ignore[attr-defined]


def test_an_edited_list_costs_no_image_work(made: Any, run: Run, place: Path) -> None:
    (place / "sets.py").write_text(BIRDS.replace('"crow"', '"raven"'))
    refused = run("probe", "./sets.py:birds", "--pool", "none")
    assert refused.code == 1 and "sets.py has changed since it made what is cached" in refused.message
    done = run("extract", "./sets.py:birds", "--root", "photos", "--encoder", "./encoder.py:dino", *REGIONS, "--json")
    work = {a["kind"]: a["computed"] for a in done.json["artefacts"]}
    assert work == {"index": 1, "globals": 0, "thumbnails": 0, "regions": 0, "region_embeddings": 0}
    assert run("probe", "./sets.py:birds", "--pool", "none").code == 0


def test_another_table_makes_other_regions(made: Any, run: Run, place: Path, data: Path) -> None:
    (place / "boxes.csv").write_text("image_id,x0,y0,x1,y1\ntest/crow/0,0,0,9,9\n")
    made_with = ("--root", "photos", "--encoder", "./encoder.py:dino", *REGIONS[2:])
    assert run("extract", "./sets.py:birds", *made_with).code == 0
    kept = [json.loads(p.read_text())["recipe"] for p in data.glob("cache/birds/regions/*detected*/plan.json")]
    assert len({recipe["weights"] for recipe in kept}) == 2
    assert {recipe["component"] for recipe in kept} == {"regions.py:detected(table='boxes.csv')"}


def test_an_option_of_the_shared_renderer_costs_the_regions_alone(made: Any, run: Run) -> None:
    made_with = ("--root", "photos", "--encoder", "./encoder.py:dino(margin=0.5)", *REGIONS[:2])
    done = run("extract", "./sets.py:birds", *made_with, "--json")
    assert done.code == 0, done.err
    work = {a["kind"]: a["computed"] for a in done.json["artefacts"]}
    assert work["globals"] == 0 and work["region_embeddings"] == 3
    only = run("probe", "birds", "--pool", "mean", "--encoder", "./encoder.py:dino(margin=0.5)", "--json").json
    assert [row["encoder"] for row in only["results"]] == ["encoder.py:dino(margin=0.5)"]


def test_a_probe_of_ones_own_encoder_predicts_where_the_user_names_it(made: Any, run: Run, place: Path) -> None:
    asked = ("--regions", "./regions.py:tiles", "--scorer", "region_global", "--k", "2")
    assert run("probe", "birds", *asked, "--save-probe", "p.safetensors").code == 0
    photo = ("predict", "--probe", "p.safetensors", "photos/test/crow/0.png")
    refused = run(*photo)
    assert refused.code == 2 and "no code is run because a probe names it; name yours with --encoder" in refused.message
    named = ("--encoder", "./encoder.py:dino", "--regions", "./regions.py:tiles(rows=3)", "--json")
    done = run(*photo, *named)
    assert done.code == 0, done.err
    assert {c["class_name"] for c in done.json["predictions"][0]["classes"]} == {"blue jay", "crow"}
    (place / "encoder.py").write_text(ENCODER + "\n# edited\n")
    assert "of another content; name the right one with --encoder" in run(*photo, *named).message
    assert run(*photo, *named, "--force").code == 0


def test_what_another_content_had_begun_is_left_and_said(made: Any, run: Run, place: Path, data: Path) -> None:
    next(data.glob("cache/birds/globals/*/shard-00001.json")).unlink()
    assert told(run("status", "birds").out).startswith("extract sets.py:birds --regions")
    (place / "encoder.py").write_text(ENCODER + "\n# edited\n")
    rows = run("status", "birds", "--json").json
    (row,) = [row for row in rows["artefacts"] if row["kind"] == "globals"]
    assert row["state"] == "left: encoder.py:dino has changed since it was begun" and row["next"] == ""
    assert rows["datasets"][0]["state"] == "complete"


def test_a_command_that_names_a_file_from_elsewhere_says_that_it_is_not_here(
    made: Any, run: Run, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next(data.glob("cache/birds/globals/*/shard-00001.json")).unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (row,) = run("status", "birds", "--json").json["datasets"]
    assert row["next"].startswith("fgscore extract sets.py:birds")
    for file in ("sets.py", "regions.py", "encoder.py"):
        assert f"{file} is not in this folder: name it by its path" in row["note"]


def test_two_workers_make_the_same_store(made: Any, run: Run, data: Path, tmp_path: Path) -> None:
    done = run("extract", "./sets.py:birds", "--root", "photos", "--encoder", "./encoder.py:dino", *REGIONS,
               "--devices", "cpu,cpu", data=tmp_path / "two")  # fmt: skip
    assert done.code == 0, done.err

    def contents(folder: Path) -> dict[str, str]:
        return {"/".join(path.parts[-4:]): json.loads(path.read_text())["content_digest"]
                for path in folder.rglob("shard-*.json")}  # fmt: skip

    assert contents(tmp_path / "two") == contents(data)


# -- the same from an installed distribution ---------------------------------------------------------------------------


@pytest.fixture
def installed(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution `aviary` that declares them all, and no file of theirs beside it."""
    package, info = place / "site" / "aviary", place / "site" / "aviary-2.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("")
    for name in ("encoder.py", "regions.py", "sets.py"):
        (place / name).rename(package / name)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aviary\nVersion: 2.0\n")
    points = {
        "encoders": ["encoder:dino"],
        "regions": ["regions:tiles", "regions:detected"],
        "datasets": ["sets:birds"],
    }
    lines = [line for group, ends in points.items() for line in
             (f"[fgscore.{group}]", *(f"{end.partition(':')[2]} = aviary.{end}" for end in ends))]  # fmt: skip
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(str(place / "site"))
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "aviary"]:
        del sys.modules[name]


def test_a_distributions_components_go_the_same_way(installed: Path, run: Run, data: Path, small_shards: int) -> None:
    named = ("--encoder", "dino", "--regions", "tiles(rows=3)", "--regions", "detected(table=boxes.csv)")
    done = run("extract", "birds", "--root", "photos", *named)
    assert done.code == 0, done.err
    assert told(done.out) == "score birds --scorer region_global"
    sidecar = json.loads(next(data.glob("cache/birds/globals/*/shard-*.json")).read_text())
    assert sidecar["provenance"]["distribution"] == "aviary 2.0"
    recipe = json.loads(next(data.glob("cache/birds/globals/*/plan.json")).read_text())["recipe"]
    assert recipe["component"] == "dino" and len(recipe["extra"]["source"]) == 64
    assert run("score", "birds", "--scorer", "region_global").code == 0
    probed = run("probe", "birds", "--pool", "self", "--encoder", "dino(cells=4)", "--json").json["results"]
    assert [(row["encoder"], row["n_test"]) for row in probed] == [("dino", 4)]
    assert run("sweep", "birds", "--regions", "tiles", "--scorer", "region_global").code == 0
    assert run("report", "birds", "--no-plots").code == 0 and run("verify").code == 0
    assert told(run("status", "birds").out) == "report birds"


def test_what_another_version_of_a_distribution_made_is_not_taken_for_its_own(
    installed: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("extract", "birds", "--root", "photos", "--encoder", "dino", "--regions", "tiles").code == 0
    monkeypatch.setattr(foreign, "package_sha256", lambda point: "0" * 64)
    refused = run("probe", "birds", "--encoder", "dino", "--pool", "none")
    assert refused.code == 1 and "dino has changed since it made what is cached; run `fgscore ext" in refused.message
    assert run("probe", "birds", "--pool", "none").code == 0


def test_a_distributions_names_are_listed_and_guessed(installed: Path, run: Run) -> None:
    listed = {row["name"]: row["parameters"] for row in run("list", "encoders", "--json").json["encoders"]}
    assert listed["dino"] == "cells=4, seed=0, fit='crop', outside='black', margin=0.0"
    assert "did you mean 'dino'" in run("extract", "demo", "--encoder", "dinno").message
    assert "did you mean 'tiles'" in run("extract", "demo", "--regions", "tiless").message


def test_a_store_of_a_distribution_is_read_where_that_is_not_installed(
    installed: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("extract", "birds", "--root", "photos", "--encoder", "dino", "--regions", "tiles").code == 0
    monkeypatch.setattr(sys, "path", [path for path in sys.path if "site" not in Path(path).parts[-1:]])
    assert run("probe", "birds", "--encoder", "dino", "--regions", "tiles", "--pool", "mean").code == 0
    assert "no encoder named 'dino'" in run("extract", "demo", "--encoder", "dino").message
