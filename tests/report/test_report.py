"""`fgscore report`: what it writes, from what, and what it leaves out."""

from __future__ import annotations

import base64
import csv
import dataclasses
import html.parser
import json
import os
import platform
import re
import shutil
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fgscore.evaluate import results as kept
from fgscore.evaluate.results import Place, Result
from fgscore.report import documents, gallery, views
from fgscore.report import page as page_module
from fgscore.report.build import Options, report
from fgscore.report.page import Page
from fgscore.store.cache import Store
from fgscore.store.paths import Layout
from fgscore.tables import Column, Table

pytest.importorskip("matplotlib")

Run = Callable[..., Any]
TABLES = ("comparison", "over-k", "oracle", "results")
PLOTS = ("accuracy-over-k", "class-gains", "scorer-agreement")


@pytest.fixture
def looked_at(hostile: Path, tmp_path: Path) -> Store:
    """A copy of the cache and results that can be changed."""
    shutil.copytree(hostile, tmp_path / "data")
    return Store(Layout(tmp_path / "data"))


def sets_of(path: Path) -> list[dict[str, Any]]:
    (text,) = re.findall(r'id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)
    return list(json.loads(text)["sets"])


# ---- files


def test_every_table_and_plot_is_written(written: Path) -> None:
    expected = {f"{t}.{s}" for t in TABLES for s in ("md", "csv", "tex")}
    expected |= {f"{p}.{s}" for p in PLOTS for s in ("svg", "png")} | {"report.html"}
    assert {path.name for path in written.iterdir()} == expected
    for name in PLOTS:
        assert (written / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n")
        assert ElementTree.parse(written / f"{name}.svg").getroot().tag.endswith("}svg")


def test_the_results_go_beside_the_probes_where_nothing_is_said(looked_at: Store, call: Run) -> None:
    done = call("report", "--no-plots", "--images", 3, data=looked_at.layout.root)
    assert done.code == 0, done.err
    folder = looked_at.layout.results / "report"
    assert f"Open in a browser: {folder / 'report.html'}" in done.out
    assert {p.suffix for p in folder.iterdir()} == {".md", ".csv", ".tex", ".html"}
    assert len(sets_of(folder / "report.html")[0]["images"]) == 3
    again = call("report", "--no-plots", "--json", data=looked_at.layout.root)
    assert again.code == 0 and again.json["images"] == 12, "its own folder is no result"


def test_the_same_cache_gives_the_same_files(hostile: Path, written: Path, tmp_path: Path) -> None:
    report(Store(Layout(hostile)), tmp_path, Options())
    for path in written.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name


def test_numbers_of_the_tables_are_those_of_the_results(hostile: Path, written: Path) -> None:
    rows = [pq.read_table(path).to_pylist()[0] for path in hostile.glob("results/*/probes/*.parquet")]
    listed = list(csv.DictReader((written / "results.csv").open(encoding="utf-8")))
    assert sorted(float(line["accuracy"]) for line in listed) == sorted(row["accuracy"] for row in rows)
    assert len(rows) == 18
    marked = [line["target"] for line in listed if "oracle" in line["target"]]
    assert set(marked) == {"oracle (upper bound)"} and len(marked) == 2


def test_nothing_is_computed_and_nothing_in_the_cache_changes(looked_at: Store, tmp_path: Path) -> None:
    root = looked_at.layout.root
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    report(looked_at, tmp_path / "out", Options())
    assert {p: p.read_bytes() for p in root.rglob("*") if p.is_file()} == before


# ---- the page stands alone


class Links(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = ("src", "href", "srcset", "action", "data", "poster", "style")
        self.found += [(tag, name, value or "") for name, value in attrs if name in names or name.startswith("on")]


def test_the_page_refers_to_nothing_outside(page: str) -> None:
    links = Links()
    links.feed(page)
    assert {tag for tag, _, _ in links.found} == {"a", "img", "link", "source"}
    for tag, name, value in links.found:
        assert value.startswith("#" if tag == "a" else "data:"), (tag, name, value[:60])
    style = page.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style and "@import" not in style
    for asset in ("tables.js", "regions.js", "gallery.js"):
        script = documents.asset(asset)
        used = re.findall(r"\b(?:fetch|XMLHttpRequest|import|innerHTML|outerHTML|insertAdjacentHTML|eval)\b", script)
        assert not used


def test_the_policy_forbids_every_request(page: str) -> None:
    (written,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]+)">', page)
    policy = html.unescape(written)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert "unsafe" not in policy and "http" not in policy
    assert set(rules) == {"default-src", "img-src", "style-src", "script-src", "base-uri", "form-action"}


def test_names_cannot_end_the_script_that_holds_them(page: str, packed: dict[str, Any]) -> None:
    assert page.count("</script>") == 2
    data = page.partition('id="data">')[2].partition("</script>")[0]
    assert not set("<>&") & set(data)
    assert packed["classes"][0] == '</script><img src=x onerror="window.hacked=1">', "and come back whole"
    assert "{{data}}" in packed["classes"][1]


def test_places_in_values_stay_text(page: str) -> None:
    made = page_module.render(Page("{{ page.version }}", "{% raw %}", "&<v>"))
    assert "<h1>{{ page.version }}</h1>" in made and "{% raw %}" in made and "fgscore &amp;&lt;v&gt;" in made
    assert page.startswith("<!doctype html>") and page.count("<!doctype html>") == 1


def test_the_page_says_where_it_comes_from_but_not_from_which_machine(page: str, hostile: Path) -> None:
    section = page.partition('<section id="provenance"')[2].partition("</section>")[0]
    for kind in ("index", "thumbnails", "regions", "region_embeddings", "globals", "text", "scores"):
        assert f"<td>{kind}</td>" in section
        for plan in hostile.glob(f"cache/*/{kind}/*/plan.json"):
            assert json.loads(plan.read_text())["recipe_digest"][:16] in section
    assert "numpy" in section and np.__version__ in section
    said = re.sub(r'id="data">.*?</script>|base64,[^"]*', "", page, flags=re.S)
    for path in (str(hostile), str(Path.home()) + os.sep, "/tmp/"):
        assert path not in said
    assert not platform.node() or not re.search(rf"\b{re.escape(platform.node())}\b", said)


# ---- the gallery's content


def test_scores_targets_and_boxes_are_those_of_the_store(hostile: Path, packed: dict[str, Any]) -> None:
    store = Store(Layout(hostile))
    (several,) = views.sources(store).by_dataset.values()
    assert [source.label for source in several] == [one["label"] for one in packed["sources"]]
    ids = [one["id"] for one in packed["images"]]
    for source, one in zip(several, packed["sources"], strict=True):
        assert len(one["views"]) == 10  # nine label-free ones, one oracle
        batch = store.read(source.bundle.regions, 0)
        at = [batch.image_ids.tolist().index(i) for i in ids]
        regions = np.concatenate([np.arange(batch.offsets[i], batch.offsets[i + 1]) for i in at])
        assert np.diff(one["offsets"]).tolist() == np.diff(batch.offsets)[at].tolist()
        boxes = np.frombuffer(base64.b64decode(one["boxes"]), "<i4").reshape(-1, 4)
        np.testing.assert_array_equal(boxes, batch.boxes_xyxy[regions])
        for view, packed_view in zip(source.views, one["views"], strict=True):
            record = store.read(view.artefact, 0)
            assert (view.scorer, view.target) == (packed_view["scorer"], packed_view["target"])
            assert view.label.startswith(packed_view["name"]) and not view.label.startswith(view.scorer)
            scores = np.frombuffer(base64.b64decode(packed_view["scores"]), "<f4")
            np.testing.assert_array_equal(scores, record.scores[regions])
            if view.target:
                targets = np.frombuffer(base64.b64decode(one["targets"][view.target]), "<i2")
                np.testing.assert_array_equal(targets, record.target[regions])


def unpacked(runs: bytes, size_wh: list[int]) -> np.ndarray:
    """(h, w) bool from bytes of seven bits a run, one pixel at a time."""
    lengths, value, shift = [], 0, 0
    for byte in runs:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            lengths.append(value)
            value, shift = 0, 0
    flat = [i % 2 == 1 for i, n in enumerate(lengths) for _ in range(n)]
    return np.array(flat, bool).reshape(size_wh[0], size_wh[1]).T


def test_masks_are_those_of_the_store_at_the_thumbnail_s_size(hostile: Path, packed: dict[str, Any]) -> None:
    store = Store(Layout(hostile))
    (several,) = views.sources(store).by_dataset.values()
    source, one = several[1], packed["sources"][1]
    batch = store.read(source.bundle.regions, 0)
    runs, cuts = base64.b64decode(one["masks"]["runs"]), one["masks"]["offsets"]
    seen = 0
    for image, shown in enumerate(packed["images"]):
        i = batch.image_ids.tolist().index(shown["id"])
        for r, region in enumerate(range(batch.offsets[i], batch.offsets[i + 1])):
            at = one["offsets"][image] + r
            small = unpacked(runs[cuts[at] : cuts[at + 1]], shown["size"])
            whole = batch.masks.decode(region, i)
            assert small.shape == (160, 256) and whole.shape == (100, 160)
            nearest = [
                [whole[int((y + 0.5) * 100 / 160), int((x + 0.5) * 160 / 256)] for x in range(256)] for y in range(160)
            ]
            np.testing.assert_array_equal(small, nearest)
            seen += 1
    assert seen > 10
    assert packed["sources"][0]["masks"] is None


def test_predictions_are_those_of_the_results(hostile: Path, packed: dict[str, Any]) -> None:
    results = kept.read_all(hostile / "results")
    assert len(packed["results"]) == len(results) == 18
    by_accuracy = {}
    for result in results:
        table = pq.read_table(result.place.predictions).to_pydict()
        predictions = dict(zip(table["image_id"], table["prediction"], strict=True))
        own = tuple(predictions[one["id"]] for one in packed["images"])
        by_accuracy.setdefault(f"({result.accuracy:.4f})", []).append(own)
    for one in packed["results"]:
        found = tuple(np.frombuffer(base64.b64decode(one["predictions"]), "<i2").tolist())
        assert found in by_accuracy[one["label"].rpartition(" ")[2]]
    assert packed["results"][packed["chosen"]]["label"].startswith("Soft negative margin, global")


def test_thumbnails_are_passed_on_byte_for_byte(hostile: Path, packed: dict[str, Any]) -> None:
    store = Store(Layout(hostile))
    (artefact,) = store.artefacts("thumbnails")
    record = store.read(artefact, 0)
    for one in packed["images"]:
        i = record.image_ids.tolist().index(one["id"])
        assert base64.b64decode(one["jpeg"]) == record.file(i)
        assert (one["size"], one["original"]) == ([256, 160], [320, 200])


def test_a_sample_is_even_over_classes_and_the_same_for_a_seed(hostile: Path) -> None:
    store = Store(Layout(hostile))
    (artefact,) = store.artefacts("index")
    index = store.index(artefact)
    every = set(index.image_ids.tolist())
    for n in (0, 1, 3, 7, 12, 500):
        rows = gallery.sample(index, every, n, seed=3)
        assert len(rows) == min(n, 12) and rows == sorted(rows)
        counts = Counter(index.labels[rows].tolist())
        assert not counts or max(counts.values()) - min(counts.get(c, 0) for c in range(3)) <= 1
        assert set(index.split[rows].tolist()) <= {"test"}
        assert rows == gallery.sample(index, every, n, seed=3)
    assert len({tuple(gallery.sample(index, every, 6, seed)) for seed in range(20)}) > 5
    assert not gallery.sample(index, set(), 5, 0)


def test_the_gallery_can_be_left_out_and_narrowed(hostile: Path, tmp_path: Path) -> None:
    store = Store(Layout(hostile))
    made = report(store, tmp_path / "a", Options(images=0, plots=False))
    assert made["images"] == 0 and sets_of(tmp_path / "a" / "report.html") == []
    report(store, tmp_path / "b", Options(images=2, plots=False, scorers=("entropy",)))
    (one,) = sets_of(tmp_path / "b" / "report.html")
    assert {view["scorer"] for source in one["sources"] for view in source["views"]} == {"entropy"}


def test_scorers_agree_as_counted_by_hand(hostile: Path) -> None:
    store = Store(Layout(hostile))
    (several,) = views.sources(store).by_dataset.values()
    for source in several:
        names, shared, chance = views.agreement(source, 3)
        tops = []
        for view in (view for view in source.views if view.target != "oracle"):
            record = store.read(view.artefact, 0)
            spans = [record.scores[a:b] for a, b in zip(record.offsets, record.offsets[1:], strict=False)]
            tops.append([set(np.argsort(-s, kind="stable")[:3].tolist()) for s in spans])
        for i, a in enumerate(tops):
            for j, b in enumerate(tops):
                pairs = [(x, y) for x, y in zip(a, b, strict=True) if x]
                np.testing.assert_allclose(shared[i, j], np.mean([len(x & y) / len(x) for x, y in pairs]))
        sizes = [n for n in np.diff(record.offsets) if n]
        np.testing.assert_allclose(chance, np.mean([min(3, n) / n for n in sizes]))
        assert names[:2] == ["Region-global similarity", "Region-text similarity, global"] and len(names) == 9


# ---- what is stale, missing or damaged


def again(result: Result, **changed: Any) -> None:
    """Write a result of the store anew, with some fields changed; under another digest beside it."""
    changed = dataclasses.replace(result, **changed)
    place = Place(result.place.root, result.place.dataset, changed.digest[:16])
    kept.write(place, changed, kept.read_predictions(result.place))


def test_columns_that_later_versions_add_are_passed_over(looked_at: Store, tmp_path: Path) -> None:
    for result in kept.read_all(looked_at.layout.results):
        again(result, more={"novel": [1, 2]})
    report(looked_at, tmp_path / "out", Options())
    lines = list(csv.DictReader((tmp_path / "out" / "results.csv").open(encoding="utf-8")))
    assert all(float(v["accuracy_low"]) < float(v["accuracy"]) < float(v["accuracy_high"]) for v in lines)
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert re.search(r"0\.\d{4} <small>\(0\.\d{4}–\d\.\d{4}\)</small>", text)
    assert "with its interval" in text


def test_scores_made_from_what_the_cache_held_before_are_left_out_with_a_note(looked_at: Store, tmp_path: Path) -> None:
    next(looked_at.layout.cache.glob("*/scores/entropy-*/shard-00000.json")).unlink()
    made = report(looked_at, tmp_path / "out", Options(plots=False))
    (note,) = made["notes"]
    assert note.startswith("Left out ") and "entropy" in note and note.endswith(": unfinished.")
    assert "Left out hostile/scores/entropy" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    views_left = [len(source["views"]) for source in sets_of(tmp_path / "out" / "report.html")[0]["sources"]]
    assert sorted(views_left) == [9, 10]


def test_without_thumbnails_there_is_a_note_in_place_of_the_gallery(looked_at: Store, tmp_path: Path) -> None:
    shutil.rmtree(looked_at.layout.cache / "hostile" / "thumbnails")
    made = report(looked_at, tmp_path / "out", Options(plots=False))
    (note,) = made["notes"]
    assert note.startswith("No gallery of hostile: the cache holds no thumbnails; run `fgscore extract ")
    assert sets_of(tmp_path / "out" / "report.html") == []


def test_a_damaged_result_is_named(looked_at: Store, call: Run) -> None:
    path = next(looked_at.layout.results.glob("*/probes/*.parquet"))
    path.write_bytes(b"PAR1")
    done = call("report", data=looked_at.layout.root)
    assert done.code == 1 and path.name in done.message and done.message.endswith("then the same probe again")


def test_predictions_that_are_gone_cost_only_themselves(looked_at: Store, tmp_path: Path) -> None:
    for path in looked_at.layout.results.glob("*/predictions/*.parquet"):
        path.unlink()
    report(looked_at, tmp_path / "out", Options())
    (one,) = sets_of(tmp_path / "out" / "report.html")
    assert one["results"] == [] and len(one["images"]) == 12


def test_an_empty_cache_names_the_first_command(run: Run) -> None:
    done = run("report")
    assert done.code == 1 and "run `fgscore extract demo`" in done.message


def test_a_cache_without_scores_names_the_next_command(store: Store, run: Run) -> None:
    done = run("report")
    assert done.code == 1 and "run `fgscore probe`" in done.message
    assert run("report", "cub").code == 1


def test_without_jinja2_the_line_that_installs_it_is_said_before_any_work(
    looked_at: Store, call: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    documents.templates.cache_clear()
    done = call("report", "--no-plots", "--out", tmp_path / "out", data=looked_at.layout.root)
    assert done.code == 2 and "'jinja2'" in done.message and "pip install 'fgscore[report]'" in done.message
    assert not (tmp_path / "out").exists()


# ---- claims


def test_claims_are_shown_when_they_are_given() -> None:
    columns = [Column("claim", "claim"), Column("points", "points", "difference")]
    claims = Table("claims", "What <i>they</i> say", columns, [{"claim": "Crops beat masks <b>", "points": 0.0312}])
    text = page_module.render(Page("title", "", "1", claims=claims))
    section = text.partition('<section id="claims"')[2].partition("</section>")[0]
    for shown in (
        "Crops beat masks &lt;b&gt;",
        "What &lt;i&gt;they",
        '<td class="number" data-value="0.0312">+3.12</td>',
    ):
        assert shown in section
    assert '<a href="#claims">Claims</a>' in text


def test_no_claims_no_section(page: str) -> None:
    assert 'id="claims"' not in page and "#claims" not in page
