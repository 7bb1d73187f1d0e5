"""`fgscore demo` on a smaller drawing: the real models, the real table."""

import pytest

from fgscore.components import DECLARED
from fgscore.datasets import demo
from fgscore.demo.write import write_dataset

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("segment_anything")


@pytest.fixture
def small_drawing(monkeypatch):
    """Two train images and one test image a kind in place of ten and ten."""
    traits = vars(demo.demo)[DECLARED]["traits"]
    monkeypatch.setitem(traits, "prepare", lambda root, progress: write_dataset(root, train=2, test=1))


def test_the_demo_prints_the_table_and_does_its_work_once(small_drawing, run):
    first = run("demo")
    assert first.code == 0, first.err
    for row in ("Zero-shot", "Global linear", "Average local", "Soft negative margin", "Entropy confidence"):
        assert row in first.out
    for said in ("say nothing about real birds", "random_crop", "sam: embeddings", "Next: fgscore probe"):
        assert said in first.out
    assert "nothing was recomputed" not in first.out

    again = run("demo")
    assert again.code == 0
    assert "Everything was there already: nothing was recomputed." in again.out
    tables = [done.out.partition("strategy")[2].partition("stage")[0] for done in (first, again)]
    assert tables[0] == tables[1] and "against Global linear" in tables[0]

    results = run("demo", "--json").json["results"]
    compared = {(r["regions"].partition("(")[0], r["scorer"], r["target"], r["head"]) for r in results}
    assert len(compared) == len(results) == 2 + 2 * (1 + 1 + 4 * 2)
    assert ("", "", "", "zeroshot") in compared
    assert all(0 <= r["accuracy"] <= 1 for r in results)
    assert any(r["without_regions"] == 0 for r in results)
