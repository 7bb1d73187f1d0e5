"""The paper's printed numbers as shipped: all there, and agreeing with each other where they should."""

from collections import Counter

import pytest

from fgscore.pooling import Pooling
from fgscore.scorers import Scorer
from fgscore.study import paper
from fgscore.study.paper import DATASETS, Cell
from fgscore.targets import Target


def test_all_505_numbers_are_there():
    assert len(paper.figures()) == 505
    by_table = Counter(cell.table for _, cell in paper.figures())
    assert by_table == {1: 21 * 5, 2: 8 * 3 * 5, 3: 4 * 7 * 5, 4: 4 * 7 * 5}
    assert {dataset for dataset, _ in paper.figures()} == set(DATASETS)


@pytest.mark.parametrize("dataset", DATASETS)
def test_true_and_delta_make_table_one(dataset):
    checked = 0
    for regions in ("sam", "random_crop"):
        for scorer in ("region_text", "hard_margin", "soft_margin", "entropy"):
            for target in ("global", "local"):
                true = paper.figures()[dataset, Cell(2, regions, scorer, "oracle", "5")]
                delta = paper.figures()[dataset, Cell(2, regions, scorer, f"delta_{target}", "5")]
                printed = paper.figures()[dataset, Cell(1, regions, scorer, target, "5")]
                assert true + delta == pytest.approx(printed, abs=1e-9), (regions, scorer, target)
                assert paper.accuracy(dataset, Cell(2, regions, scorer, target, "5")) == printed
                checked += 1
    assert checked == 16


def test_some_numbers_read_from_the_page():
    assert paper.accuracy("cub", Cell(1, "", "none", "", "")) == 0.4558
    assert paper.accuracy("cub", Cell(1, "random_crop", "soft_margin", "global", "5")) == 0.6559
    assert paper.accuracy("aircraft", Cell(1, "random_crop", "soft_margin", "local", "5")) == 0.5164
    assert paper.accuracy("pets", Cell(1, "sam", "mean", "", "")) == 0.8514
    assert paper.accuracy("cub", Cell(2, "sam", "soft_margin", "oracle", "5")) == 0.7002
    assert paper.accuracy("cars", Cell(3, "random_crop", "entropy", "local", "4")) == 0.8292
    assert paper.accuracy("flowers", Cell(4, "sam", "entropy", "global", "all")) == 0.8754
    assert paper.gain("cub", Cell(1, "random_crop", "soft_margin", "global", "5")) == pytest.approx(0.2001)


def test_every_number_is_an_accuracy_or_a_loss():
    for (dataset, cell), value in paper.figures().items():
        low, high = (-0.25, 0.01) if cell.target.startswith("delta") else (0.4, 0.95)
        assert low < value < high, (dataset, cell)


@pytest.mark.parametrize(("table", "n"), [(1, 21), (2, 24), (3, 28), (4, 28)])
def test_every_cell_can_be_made(table, n):
    cells = paper.cells(table)
    assert len(cells) == len(set(cells)) == n
    for cell in cells:
        pooling = Pooling.bind(cell.pool)
        if pooling.needs_scores:
            assert Scorer.bind(cell.scorer).needs_target == bool(cell.target)
        if cell.target:
            Target.bind(cell.target)
        for dataset in DATASETS:
            assert paper.accuracy(dataset, cell) is not None


def test_what_the_paper_does_not_print_is_none():
    assert paper.accuracy("demo", Cell(1, "", "none", "", "")) is None
    assert paper.accuracy("cub", Cell(1, "sam", "soft_margin", "global", "9")) is None
    assert paper.gain("demo", Cell(2, "sam", "soft_margin", "local", "5")) is None
