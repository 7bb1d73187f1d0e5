"""`make study`: its words follow the verdicts, its runs share no seed, and at a tiny size it writes its page."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import figures
import page
import pytest
import sceptic
import steps
import verdicts
from hypothesis import given
from hypothesis import strategies as st
from settings import Settings

from fgscore.stats.words import Word
from fgscore.store.cache import Store
from fgscore.study.draws import Seeds

Run = Callable[..., Any]
WORDS = Word.__args__


def planted(claim: str, verdict: str, head: str = "logreg", kind: str = "better", **more: Any) -> dict[str, Any]:
    """A row of `claims` with that word."""
    row = {"claim": claim, "source": "Table 1", "kind": kind, "head": head, "verdict": verdict, "difference": 0.0125,
           "low": 0.0025, "high": 0.0225, "p_holm": 0.0312, "bound": None, "visible": 0.02, "contrasts": 1,
           "contrast": "crops less masks", "family": 9, "shares": {"images": 0.6, "draws": 0.4}}  # fmt: skip
    return {**row, **more}


def section(text: str, fate: str) -> str:
    """What stands under the heading of a fate; empty where there is none."""
    found = re.search(rf"^### {re.escape(verdicts.TITLES[fate])}$(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


@pytest.mark.parametrize("word", [*WORDS, "missing"])
@pytest.mark.parametrize("kind", ["better", "equal"])
def test_a_claim_stands_under_what_its_word_says(word: str, kind: str) -> None:
    survives = word == "supported" or (word == "equivalent" and kind == "equal")
    fails = word in ("contradicted", "mixed")
    same = word == "equivalent" and kind == "better"
    wanted = "holds" if survives else "does not hold" if fails else "makes no difference" if same else "is open"
    text = "\n".join(verdicts.lists([planted("birds sing", word, head, kind) for head in ("logreg", "adamw")]))
    assert f"logreg: {word}" in section(text, wanted) and f"adamw: {word}" in section(text, wanted)
    assert text.count("birds sing") == 1


def test_heads_that_disagree_are_said_to() -> None:
    rows = [planted("birds sing", "supported"), planted("birds sing", "undecided", "adamw(epochs=3)")]
    text = "\n".join(verdicts.lists(rows))
    assert "logreg: supported" in section(text, verdicts.DEPENDS) and not section(text, verdicts.HOLDS)
    assert "adamw: undecided" in section(text, verdicts.DEPENDS)


def test_a_sentence_has_the_numbers_of_its_row() -> None:
    assert verdicts.said(planted("x", "supported")) == ("logreg: supported, +1.25 points (+0.25 to +2.25; p = 0.0312)")
    of = verdicts.said(planted("x", "equivalent", kind="equal", bound=0.0088, p_holm=None, contrasts=3))
    assert of == "logreg: equivalent, crops less masks, +1.25 points (+0.25 to +2.25), all within 0.88"
    cost = planted("x", "contradicted", difference=None, ratio=2.68, contrasts=None)
    assert verdicts.said(cost) == "logreg: contradicted, 2.680 times"
    assert verdicts.said(planted("x", "missing", difference=None)) == "logreg: missing"


def test_runs_that_say_the_opposite_are_told_from_those_where_one_is_open(tmp_path: Path) -> None:
    own = [planted("a", "supported"), planted("b", "undecided"), planted("c", "supported")]
    for seed, words in ((1, ("supported", "supported", "contradicted")), (2, ("supported", "undecided", "supported"))):
        other = [planted(claim, word) for claim, word in zip("abc", words, strict=True)]
        verdicts.write(other, tmp_path / f"seed-{seed}")
    verdicts.write(own, tmp_path / "seed-0")
    others = verdicts.other_runs(tmp_path, tmp_path / "seed-0")
    assert list(others) == ["seed 1", "seed 2"]
    apart = {row["claim"]: words for row, words in verdicts.told_apart(own, others)}
    assert apart == {"b": "undecided, supported, undecided", "c": "supported, contradicted, supported"}
    assert [verdicts.disagree(words) for words in apart.values()] == [False, True]


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 9), st.integers(1, 9))
def test_two_runs_share_neither_a_draw_nor_a_seed(one: int, other: int, draws: int, seeds: int) -> None:
    runs = [Settings(Path("d"), Path("o"), seed, draws=draws, head_seeds=seeds) for seed in (one, other)]
    crops = [{*run.crops, *run.elsewhere} for run in runs]
    heads = [{s for j in range(draws) for s in Seeds(seeds, first=run.first).of(j)} for run in runs]
    assert all(len(of) == 2 * draws for of in crops) and all(len(of) == draws * seeds for of in heads)
    assert one == other or not (crops[0] & crops[1] or heads[0] & heads[1])


def test_the_page_says_the_call_that_made_it() -> None:
    run = Settings(Path("d"), Path("o"))
    assert run.command("study") == "make study"
    assert replace(run, seed=2).command("study") == "make study SEED=2"
    odd = replace(run, seed=1, draws=1, wide_test=9).command("study-one-pass")
    assert odd == "make study-one-pass SEED=1 ARGS='--draws 1 --wide-test 9'"


def test_what_a_claim_lacks_is_made_with_the_photos_draws_and_seeds_of_the_run(tmp_path: Path) -> None:
    run = Settings(tmp_path, tmp_path, seed=2)
    said = (
        'fgscore extract "demo(train=20)" --regions sam --data /old; '
        "/usr/bin/python -m fgscore sweep demo --table 1 --head adamw --head-seeds 3 --data /old; import regions of sam"
    )
    extract, sweep = steps.wanted_of(said, run)
    assert extract == f"extract 'demo(train=20)' --regions sam --root {run.photos}"
    assert sweep == "sweep demo --table 1 --head adamw --draws 3 --seed 2000 --head-seeds 3"
    assert steps.wanted_of("", run) == []


def test_a_file_that_is_taken_over_stays_what_it_was(tmp_path: Path) -> None:
    (tmp_path / "a" / "x").mkdir(parents=True)
    (tmp_path / "a" / "x" / "1").write_text("of all")
    (tmp_path / "a" / "2").write_text("theirs")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "2").write_text("own")
    steps.take_over(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "x" / "1").read_text() == "of all"
    assert (tmp_path / "b" / "2").read_text() == "own"


def test_the_page_says_what_the_commands_said(study: Store, run: Run, tmp_path: Path) -> None:
    rows = run("sweep", "cub", "--table", "1", "--head", "logreg", "--json").json["results"]
    claims = run("claims", "cub", "--head", "logreg", "--json").json["claims"]
    settings = Settings(tmp_path / "data", tmp_path / "out")
    for claim, word in (("crops beat masks", "supported"), ("scoring adds to the mean", "contradicted")):
        next(row for row in claims if row["claim"] == claim)["verdict"] = word
    settings.out.mkdir()
    (settings.out / "one_pass.md").touch()
    place = page.write(settings, steps.Found(rows, claims, {"drawing": 150.0}), "1a2b3c")
    text = place.read_text()
    assert "commit `1a2b3c`" in text and "says nothing of birds" in text and "| drawing | 2.5 min |" in text
    assert "crops beat masks" in section(text, verdicts.HOLDS)
    assert "scoring adds to the mean" in section(text, verdicts.NOT)
    for row in claims:
        assert text.count(f"- **{row['claim']}**") == 1
    whole = next(row for row in rows if row["pool"] == "none" and row["head"] == "logreg")
    assert f"logreg {100 * whole['accuracy']:.1f} %" in text
    assert "(one_pass.md)" in text, "which is beside it"
    drawn = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert drawn and all((settings.out / name).is_file() for name in drawn)


def test_a_question_whose_numbers_are_not_there_is_not_asked() -> None:
    asked = "\n".join(sceptic.answers([], [planted("a", "undecided")]))
    assert "Could a real difference have been missed?" in asked and "2.00" in asked
    assert "Is it the class names" not in asked and "twice the width" not in asked


def test_pictures_have_a_line_for_each_claim_and_head() -> None:
    rows = [planted("birds sing", "supported", head) for head in ("logreg", "adamw")] + [planted("no", "undecided")]
    for plot in (figures.effects(rows), figures.variance(rows)):
        drawn = plot.render("svg").decode()
        assert drawn.count(">birds sing<") == 1 and drawn.count(">no<") == 1


@pytest.mark.slow
def test_the_study_runs_from_drawing_to_page_and_makes_nothing_twice(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    size = ["--train", "2", "--test", "1", "--draws", "1", "--head-seeds", "1"]
    command = [sys.executable, str(root / "docs" / "make_study"), *size, "--data", "data", "--out", "out"]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    text = (tmp_path / "out" / "study.md").read_text()
    assert "one draw" in text and "## What a sceptic would ask" in text and "one_pass.md" not in text
    stored = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("*.h5")}
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert again.returncode == 0 and stored == {p: p.stat().st_mtime_ns for p in (tmp_path / "data").rglob("*.h5")}
