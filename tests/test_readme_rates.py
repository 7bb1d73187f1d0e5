"""The README's rates are those that were measured."""

import json
import re
import statistics
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "tests" / "bench" / "results").glob("*.json"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda p: p.stem)
def test_the_table_is_made_of_the_results(path):
    content = json.loads(path.read_text())
    readme = (ROOT / "README.md").read_text()
    table = readme[readme.index(f"| {content['device']} |") :].split("\n\n")[0].splitlines()[2:]
    rates = [float(line.split("|")[2]) for line in table]
    against = [float(re.search(r"[\d.]+", line.split("|")[3])[0]) for line in table]
    embed = next(row for row in content["rows"] if row["what"].startswith("embed"))
    exact, fast = (
        next(row for row in content["rows"] if row["what"].endswith(f", {v}") and row["reference"] == "upstream")
        for v in ("exact", "fast")
    )
    seconds = exact["detail"]["seconds"]
    crops = embed["detail"]["crops"] / statistics.median(embed["detail"]["stage_s"])
    assert rates == [round(1 / seconds["exact"], 1), round(1 / seconds["fast"], 1), round(crops / 32)]
    assert against == [round(exact["measured"]), round(fast["measured"]), round(embed["measured"], 2)]
    assert all(row["equal"] for row in content["rows"])


def test_there_is_a_result():
    assert RESULTS
