"""Results on disk: what is written comes back, whole or not at all, and nothing else does."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fgscore.errors import StoreError
from fgscore.evaluate import results
from fgscore.evaluate.results import Place, Predictions, Result
from fgscore.stats.accuracy import one_run
from fgscore.store import files

Run = Callable[..., Any]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
SHARE = st.floats(0, 1)
SECONDS = st.floats(0, 1e6)
COUNT = st.integers(0, 1 << 40)
DIGEST = st.text("0123456789abcdef", min_size=64, max_size=64)
OF_LATER = st.dictionaries(
    st.sampled_from(["cost", "watts", "größe", "draw of"]),
    st.one_of(COUNT, SHARE, TEXT, st.booleans(), st.none(), st.lists(COUNT, max_size=3)),
)


def measured(predictions: Predictions) -> dict[str, Any]:
    """Accuracies by loops."""
    pairs = list(zip(predictions.labels.tolist(), predictions.predictions.tolist(), strict=True))
    own = [[p == c for label, p in pairs if label == c] for c in sorted({label for label, _ in pairs})]
    accuracy = sum(label == p for label, p in pairs) / len(pairs)
    interval = one_run(accuracy, len(pairs))
    return {
        "n_test": len(pairs),
        "accuracy": accuracy,
        "low": interval.low,
        "high": interval.high,
        "per_class": sum(sum(right) / len(right) for right in own) / len(own),
    }


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    ids = draw(st.lists(TEXT, min_size=1, max_size=8, unique=True))
    classes = st.lists(st.integers(0, 3), min_size=len(ids), max_size=len(ids))
    return Predictions(np.array(ids, np.str_), np.array(draw(classes)), np.array(draw(classes)))


@st.composite
def written(draw: st.DrawFn) -> tuple[Result, Predictions]:
    found = draw(predictions())
    result = Result(
        **{name: draw(TEXT) for name in ("dataset", "regions", "encoder", "prompt", "target", "details")},
        scorer=draw(st.sampled_from(["", "entropy(tau=50)", "mine.py:f(a=1)"])),
        pool=draw(st.sampled_from(["none", "mean", "topk(k='all')"])),
        features=draw(st.sampled_from(["unit", "raw"])),
        crops=draw(st.sampled_from(["", "0:32"])),
        head=draw(st.sampled_from(["zeroshot", "adamw(seed=3)"])),
        shots=draw(COUNT),
        seed=draw(st.integers(-1, 1 << 31)),
        n_train=draw(COUNT),
        without_regions=draw(COUNT),
        converged=draw(st.booleans()),
        seconds=draw(SECONDS),
        features_seconds=draw(SECONDS),
        labels_digest=draw(DIGEST),
        digest=draw(DIGEST),
        lineage=draw(st.dictionaries(TEXT, DIGEST, max_size=3)),
        more=draw(OF_LATER),
        **measured(found),
    )
    return result, found


EXAMPLE = Predictions(np.array(["a", "b", "c"]), np.array([0, 1, 1]), np.array([0, 1, 0]))


def example(**more: Any) -> Result:
    of = dict.fromkeys(("dataset", "regions", "encoder", "prompt", "scorer", "target"), "")
    fields = {"pool": "none", "features": "unit", "head": "zeroshot", "n_train": 0, "without_regions": 0}
    fields |= {"converged": True, "seconds": 1.0, "details": "{}", "digest": "ab" * 32, **measured(EXAMPLE)}
    return Result(**{**of, **fields, **more})


def place_of(root: Path, result: Result, **more: Any) -> Place:
    return Place(root, "cub", result.digest[:16], **more)


def keep(root: Path, result: Result, predictions: Predictions = EXAMPLE, **more: Any) -> Place:
    place = place_of(root, result, **more)
    results.write(place, result, predictions)
    return place


@given(written=written(), validation=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_result_comes_back_field_by_field(
    written: tuple[Result, Predictions], validation: bool, tmp_path: Path
) -> None:
    result, predicted = written
    place = keep(tmp_path, result, predicted, validation=validation)
    found, again = results.read(place), results.read_predictions(place)
    assert found is not None and again is not None
    for field in dataclasses.fields(Result):
        if field.name not in ("place", "cached"):
            assert getattr(found, field.name) == getattr(result, field.name), field.name
    assert found.place == place and not found.cached
    for name in ("image_ids", "labels", "predictions"):
        np.testing.assert_array_equal(getattr(again, name), getattr(predicted, name))
    os.remove(place.row)


def test_names_come_from_the_components() -> None:
    result = example(scorer="soft_margin(tau=50)", pool="topk(k=3)", target="oracle", regions="sam")
    assert (result.strategy, result.k, result.is_oracle) == ("Soft negative margin (tau=50)", 3, True)
    assert (example().strategy, example().k, example().is_oracle) == ("Zero-shot", None, False)


@pytest.mark.parametrize(
    ("details", "converged", "training", "loss"),
    [
        ('{"C": 10.0, "n_iter": 5}', True, "converged", None),
        ('{"C": 10.0, "n_iter": 5}', False, "not converged", None),
        ('{"loss": 1.25}', True, "fixed epochs", 1.25),
        ('{"loss": NaN}', False, "not converged", None),
        ("{", True, "converged", None),
    ],
)
def test_how_training_ended_is_said(details: str, converged: bool, training: str, loss: float | None) -> None:
    result = example(details=details, converged=converged)
    assert (result.training, result.loss) == (training, loss)
    told = result.to_json()
    assert (told["training"], told["loss"]) == (training, loss)
    assert told["converged"] is (None if training == "fixed epochs" else converged)


def test_accuracy_by_class_is_that_of_a_loop() -> None:
    found = Predictions(np.array(list("abcd")), np.array([0, 0, 2, 2]), np.array([0, 1, 2, 2]))
    np.testing.assert_array_equal(found.by_class(4), [0.5, np.nan, 1.0, np.nan])
    assert found.by_class(2) is None


def test_results_are_listed_by_data_set_and_apart_from_those_of_validation(tmp_path: Path) -> None:
    a = keep(tmp_path, example(digest="2" * 64))
    b = keep(tmp_path, example(digest="1" * 64))
    c = keep(tmp_path, example(digest="3" * 64), validation=True)
    results.write(d := Place(tmp_path, "validation", "4" * 16), example(digest="4" * 64), EXAMPLE)
    assert results.places(tmp_path) == [b, a, d]
    assert results.places(tmp_path, validation=True) == [c]
    assert results.places(tmp_path, "cub") == [b, a]
    assert [result.place for result in results.read_all(tmp_path)] == [b, a, d]


# ---- what is not a result


def strip(place: Place, *columns: str, **changed: Any) -> None:
    """Make the row at ``place`` one of before: no seal, some columns fewer."""
    (row,) = pq.read_table(place.row).to_pylist()
    row = {k: v for k, v in row.items() if k not in ("sealed", "lineage", *columns)} | changed
    pq.write_table(pa.Table.from_pylist([row]), place.row)
    for seal in place.seals():
        seal.unlink()


LATER = ("crops", "shots", "seed", "low", "high", "features_seconds", "labels_digest")


def test_a_row_of_before_reads_with_what_it_has(tmp_path: Path) -> None:
    place = keep(tmp_path, example(shots=4, lineage={"features": "x"}))
    strip(place, *LATER)
    found = results.read(place)
    assert found == example()
    assert (found.shots, found.seed, found.lineage) == (0, -1, {})


def test_an_interval_of_before_is_told_by_the_rule_of_now(tmp_path: Path) -> None:
    """It was a bootstrap's, or none."""
    found = results.read(keep(tmp_path, example(low=0.1, high=0.9)))
    assert found is not None and (found.low, found.high) == (example().low, example().high)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"accuracy": 0.7}, "its accuracy is 0.7, that of its predictions 0.666667"),
        ({"per_class": 0.5}, "its per_class is 0.5, that of its predictions 0.75"),
        ({"n_test": 4}, "its n_test is 4, that of its predictions 3"),
        ({"accuracy": float("nan")}, "not a result (its accuracy is nan)"),
        ({"low": float("inf")}, "not a result (its low is inf)"),
        ({"accuracy": None}, "not a result (its accuracy is None)"),
        ({"head": 3}, "not a result (its head is 3)"),
        ({"head": "logreg(C="}, "not a result (its head is 'logreg(C=')"),
        ({"crops": "a:b"}, "not a result (its crops is 'a:b')"),
        ({"lineage": "[1]"}, "not a result (its lineage is '[1]')"),
        ({"digest": "cd" * 32}, "the row of another result"),
        ({"sealed": True}, "its seal is missing"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_its_file(changed: dict[str, Any], said: str, tmp_path: Path) -> None:
    place = keep(tmp_path, example())
    strip(place, **changed)
    with pytest.raises(StoreError) as caught:
        results.read(place)
    assert str(caught.value) == f"{place.row}: {said}; run `fgscore repair`, then the same probe again"


def test_a_row_that_lacks_a_column_is_refused(tmp_path: Path) -> None:
    place = keep(tmp_path, example())
    strip(place, "n_train")
    with pytest.raises(StoreError, match=r"not a result \(it lacks n_train\)"):
        results.read(place)


@pytest.mark.parametrize("columns", [{"label": [0, 1, 1]}, {"label": [0, -1, 1], "prediction": [0, 1, 0]},
                                     {"label": ["a", "b", "c"], "prediction": [0, 1, 0]}])  # fmt: skip
def test_predictions_that_are_none_are_refused(columns: dict[str, Any], tmp_path: Path) -> None:
    place = keep(tmp_path, example())
    strip(place)
    pq.write_table(pa.table({"image_id": ["a", "b", "c"], **columns}), place.predictions)
    with pytest.raises(StoreError, match=f"{place.predictions}: not "):
        results.read(place)


def test_the_seal_binds_a_row_to_its_predictions(tmp_path: Path) -> None:
    """Other predictions of the same accuracy are not those that were measured."""
    one, other = keep(tmp_path, example(digest="1" * 64)), keep(tmp_path, example(digest="2" * 64))
    swapped = Predictions(EXAMPLE.image_ids[::-1], EXAMPLE.labels, EXAMPLE.predictions)
    results.write(other, example(digest="2" * 64), swapped)
    one.predictions.write_bytes(other.predictions.read_bytes())
    with pytest.raises(StoreError, match=f"{one.predictions}: not the file that was sealed"):
        results.read(one)


@pytest.mark.parametrize("file", ["row", "predictions", "seal"])
def test_every_flipped_bit_is_found_in_reading(file: str, tmp_path: Path) -> None:
    place = keep(tmp_path, example())
    path = place.seals()[0] if file == "seal" else getattr(place, file)
    whole = path.read_bytes()
    rng = np.random.default_rng(len(whole))
    for bit in rng.choice(8 * len(whole), 60, replace=False).tolist():
        spoilt = bytearray(whole)
        spoilt[bit // 8] ^= 1 << bit % 8
        path.write_bytes(spoilt)
        with pytest.raises(StoreError, match="run `fgscore repair`"):
            results.read(place)
    path.write_bytes(whole)
    assert results.read(place) == example()


# ---- writers who are killed, and two at a time


class Killed(BaseException):
    """As SIGKILL: what is caught in between cleans nothing up."""


@pytest.fixture
def killed_before(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """``killed_before(n)``: whoever removes or publishes a file for the n-th time, from 0, is killed just before."""
    unlink, replace = Path.unlink, os.replace

    def at(n: int) -> None:
        steps = iter(range(100))

        def step() -> None:
            if next(steps) >= n:
                raise Killed

        def removed(path: Path, **how: Any) -> None:
            if not path.name.startswith(files.TEMPORARY):
                step()
                unlink(path, **how)

        def moved(*args: Any) -> None:
            step()
            replace(*args)

        monkeypatch.setattr(Path, "unlink", removed)
        monkeypatch.setattr(os, "replace", moved)

    yield at
    monkeypatch.undo()


@pytest.mark.parametrize("before", [None, "unsealed", "sealed"])
@pytest.mark.parametrize("steps", range(4))
def test_a_writer_who_is_killed_leaves_a_result_whole_or_none(
    steps: int,
    before: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    killed_before: Callable[[int], None],
) -> None:
    old = Predictions(EXAMPLE.image_ids, EXAMPLE.labels, EXAMPLE.labels)
    there = example(**measured(old))
    if before:
        place = keep(tmp_path, there, old)
    if before == "unsealed":
        strip(place)
    with monkeypatch.context(), pytest.raises(Killed):
        killed_before(steps)
        keep(tmp_path, example(), EXAMPLE)
    monkeypatch.undo()
    assert any(path.name.startswith(files.TEMPORARY) for path in tmp_path.rglob("*")) == (steps > 0), "as a kill does"
    place = place_of(tmp_path, there)
    assert results.read(place) == (there if before and steps == 0 else None)
    assert results.places(tmp_path) == ([place] if before and steps == 0 else []), "no temporary file is a result"
    keep(tmp_path, example(), EXAMPLE)
    assert results.read(place) == example()


def test_two_writers_at_a_time_leave_the_result_of_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one writes between any two steps of the first; its seconds, and so its seal, are its own."""
    publish = files.publish
    for step in range(4):
        root, calls = tmp_path / str(step), iter(range(100))

        def beside(
            path: Path, content: bytes, durable: bool = True, at: int = step, root: Path = root, calls: Any = calls
        ) -> None:
            if next(calls) == at:
                monkeypatch.setattr(files, "publish", publish)
                keep(root, example(seconds=2.0))
            publish(path, content, durable)

        monkeypatch.setattr(files, "publish", beside)
        place = keep(root, example(seconds=1.0))
        monkeypatch.setattr(files, "publish", publish)
        found = results.read(place)
        assert found is not None and found.seconds == 1.0


def test_who_reads_while_a_result_is_written_anew_is_told_of_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Predictions(EXAMPLE.image_ids, EXAMPLE.labels, EXAMPLE.labels)
    place = keep(tmp_path, example())
    from fgscore.evaluate import sealed

    read, changed = sealed.content, example(**measured(other))

    def beside(path: Path) -> bytes | None:
        found = read(path)
        monkeypatch.setattr(sealed, "content", read)
        keep(tmp_path, changed, other)  # the row has been read, its predictions not yet
        return found

    monkeypatch.setattr(sealed, "content", beside)
    assert results.read(place) == changed


def test_seals_of_before_do_not_pile_up(tmp_path: Path) -> None:
    for seconds in range(5):
        place = keep(tmp_path, example(seconds=float(seconds)))
        for seal in place.seals():
            os.utime(seal, (0, 0))
    assert len(place.seals()) == 1 and results.read(place) == example(seconds=4.0)
