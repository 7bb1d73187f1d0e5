"""fgscore contract: a tick for each law that is kept, or the first counterexample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


def test_a_component_that_keeps_to_all_gets_a_tick_each(run: Run) -> None:
    done = run("contract", "entropy", "--kind", "scorer")
    assert done.code == 0 and done.out.count("\u2713") == 5 and "keeps to all 5" in done.out
    laws = run("contract", "topk(k=2)", "--kind", "poolings", "--json").json["laws"]
    assert len(laws) == 4 and not any(law["broken"] for law in laws)


def test_what_is_broken_is_said_and_ends_the_page(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def f(inputs, target, /): return inputs.region_global - inputs.region_global.max()\n"
    )
    done = run("contract", f"{tmp_path}/mine.py:f", "--kind", "scorer")
    assert done.code == 1
    lines = done.out.splitlines()
    assert lines[1].startswith("\u2717 An image's scores") and "by themselves" in lines[-1]


def test_what_a_file_declares_needs_no_kind(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from fgscore.scorers import Scorer\n@Scorer.declares(needs_target=False)\n"
        "def f(inputs, target, /): return inputs.area\n"
    )
    assert run("contract", f"{tmp_path}/mine.py:f").code == 0


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["entropy"], "--kind"),
        (["entropy", "--kind", "scorr"], "did you mean 'scorer'"),
        (["entropi", "--kind", "scorer"], "did you mean 'entropy'"),
        (["./none.py:f", "--kind", "head"], "found none at none.py"),
    ],
)
def test_a_wrong_call_is_one_line(args: list[str], says: str, run: Run) -> None:
    done = run("contract", *args)
    assert (done.code, done.out) == (2, "") and says in done.message and "\n" not in done.message
