"""A saved probe from somebody else: nothing that it names is run, opened or asked for; nothing in it is believed."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore import demo
from fgscore.errors import DataError
from fgscore.evaluate import saved
from fgscore.store import arrays

Run = Callable[..., Any]
COMMIT, DIGEST = "0123456789" * 4, "0123456789abcdef" * 4


@pytest.fixture
def photo(tmp_path: Path, draw: Callable[..., None]) -> Path:
    """A photo to look at."""
    draw(tmp_path / "crow.png", seed=0)
    return tmp_path / "crow.png"


@pytest.fixture
def forge(tmp_path: Path) -> Callable[..., Path]:
    """``forge(made={...}, weight=...)`` is a sound probe on regions, of the fake encoder, with some of its content
    replaced, or left out where it is None; ``made=text`` replaces all of its description."""
    made_of = {
        "encoder": "fake",
        "encoder_weights": None,
        "regions": "random_crop(n=4)",
        "regions_weights": None,
        "scorer": "entropy",
        "target": "global",
        "pool": "topk(k=2)",
        "features": "unit",
        "crops": "",
    }

    def call(made: dict[str, Any] | str | None = None, **changed: Any) -> Path:
        rng = np.random.default_rng(0)
        content = {
            "weight": rng.standard_normal((2, 64)).astype(np.float32),
            "intercept": np.zeros(2, np.float32),
            "classes": np.arange(2),
            "text": rng.standard_normal((2, 32)).astype(np.float32),
            "logit_scale": np.array([100.0]),
            "class_names": np.array(["blue jay", "crow"]),
            "made_of": np.array(made if isinstance(made, str) else json.dumps({**made_of, **(made or {})})),
        }
        content |= changed
        arrays.write(tmp_path / "forged.safetensors", {k: v for k, v in content.items() if v is not None}, ())
        return tmp_path / "forged.safetensors"

    return call


def test_the_sound_probe_is_sound(forge: Callable[..., Path], run: Run, photo: Path) -> None:
    done = run("predict", "--probe", forge(), photo)
    assert done.code == 0, done.err


@pytest.mark.parametrize("pool", ["topk(k=2)", "self"])
def test_a_probe_without_text_works_on_photos(pool: str, forge: Callable[..., Path], run: Run, photo: Path) -> None:
    made = {"scorer": "region_global", "target": "", "pool": pool}
    done = run("predict", "--probe", forge(made, text=None, logit_scale=None), photo, "--json")
    assert done.code == 0, done.err
    with_text = run("predict", "--probe", forge(made), photo, "--json")
    assert done.json == with_text.json


def test_a_probe_without_text_refuses_a_scorer_that_needs_it(forge: Callable[..., Path], run: Run, photo: Path) -> None:
    made = {"scorer": "entropy", "target": ""}
    done = run("predict", "--probe", forge(made, text=None, logit_scale=None), photo)
    assert done.code == 1 and "entropy" in done.err and done.err.count("\n") == 1


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of the network, which answers nothing; the hub's client thinks that it may ask."""
    constants = pytest.importorskip("huggingface_hub.constants")
    calls: list[Any] = []

    def refuse(*args: Any, **_: Any) -> None:
        calls.append(args)
        raise OSError("no network here")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return calls


HOSTILE = {
    "a file as scorer": {"scorer": "./notes.py:f"},
    "a file as scorer, by its whole path": {"scorer": "{folder}/notes.py:f"},
    "a file as encoder": {"encoder": "{folder}/notes.py:f"},
    "a file as generator": {"regions": "{folder}/notes.py:f"},
    "a file as pooling": {"pool": "{folder}/notes.py:f"},
    "a module as encoder": {"encoder": "notes"},
    "a helper's module as generator": {"regions": "_sam_keys"},
    "a hub id": {"encoder": "clip(model='evil/evil')", "encoder_weights": COMMIT},
    "a hub id of a revision": {"encoder": "clip(model='evil/evil', revision='main')", "encoder_weights": COMMIT},
    "a hub id without a slash": {"encoder": "clip(model='evil')", "encoder_weights": COMMIT},
    "a hub id without a commit": {"encoder": "clip(model='evil/evil')"},
    "a hub id with a digest": {"encoder": "clip(model='evil/evil')", "encoder_weights": DIGEST},
    "an address": {"encoder": "clip(model='https://evil.example/x')", "encoder_weights": COMMIT},
    "a folder": {"encoder": "clip(model='{folder}/clip')", "encoder_weights": DIGEST},
    "a folder with a commit": {"encoder": "clip(model='clip')", "encoder_weights": COMMIT},
    "a folder above": {"encoder": "clip(model='../clip')", "encoder_weights": COMMIT},
    "a checkpoint": {"regions": "sam(checkpoint='{folder}/sam.pth')", "regions_weights": DIGEST},
    "the demo's name and other weights": {"encoder": "clip(model='demo')", "encoder_weights": DIGEST},
    "the demo's name and no weights": {"encoder": "clip(model='demo')"},
    "labels as target": {"target": "oracle"},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_a_probe_names_is_not_run_nor_opened_nor_fetched(
    what: str,
    forge: Callable[..., Path],
    run: Run,
    photo: Path,
    tmp_path: Path,
    asked: list[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "notes.py").write_text(f"open({str(tmp_path / 'RAN')!r}, 'w')\n\ndef f(*_, **__):\n    return None\n")
    (folder / "sam.pth").write_bytes(b"never read")
    os.symlink(demo.clip_folder(), folder / "clip")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    probe = forge({key: text.replace("{folder}", str(folder)) for key, text in HOSTILE[what].items()})
    done = run("predict", "--probe", probe, photo, env={"HF_HUB_OFFLINE": ""})
    assert done.code in (1, 2) and done.out == ""
    assert done.message.startswith("error: ") and "--debug" not in done.message
    assert not (tmp_path / "RAN").exists()
    assert asked == []


def test_a_hub_is_asked_where_the_user_names_it(
    forge: Callable[..., Path], run: Run, photo: Path, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between two attempts of the hub's client
    probe = forge({"encoder": "clip(model='some/model')", "encoder_weights": COMMIT})
    args = ("predict", "--probe", probe, photo)
    said = run(*args, env={"HF_HUB_OFFLINE": ""}).message
    (named,) = (part for part in said.split('"') if part.startswith("clip("))
    assert f'run `fgscore download "{named}"`' in said
    assert named == f"clip(model='some/model', revision='{COMMIT}')" and asked == []
    for command in (("download", named), (*args, "--encoder", named)):
        assert run(*command, env={"HF_HUB_OFFLINE": ""}).code == 1
        assert asked, "what the message proposes, and what the user names, does ask"
        asked.clear()


def test_a_scorer_that_the_user_names_is_run(forge: Callable[..., Path], run: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.py").write_text(
        "def f(inputs, target, /, *, power=1):\n    return inputs.region_global**power\n"
    )
    probe = forge({"scorer": "elsewhere/notes.py:f(power=3)"})
    own = f"{tmp_path}/notes.py:f"
    assert run("predict", "--probe", probe, photo, "--scorer", f"{own}(power=3)").code == 0
    other = run("predict", "--probe", probe, photo, "--scorer", own)
    assert (other.code, "scorer elsewhere/notes.py:f(power=3), found notes.py:f" in other.message) == (2, True)
    assert run("predict", "--probe", probe, photo, "--scorer", "entropy").code == 2
    forced = run("predict", "--probe", probe, photo, "--scorer", "entropy", "--force")
    assert forced.code == 0 and "warning: the probe was trained with scorer" in forced.message


NUMBERS: dict[str, tuple[dict[str, Any], str]] = {
    "weights that are NaN": ({"weight": np.full((2, 64), np.nan)}, "128 of its numbers are not finite"),
    "weights beyond float32": ({"weight": np.full((2, 64), 1e300)}, "not finite"),
    "an intercept that is infinite": ({"intercept": np.array([0.0, np.inf])}, "intercept: 1 of its numbers"),
    "text that is NaN": ({"text": np.full((2, 32), np.nan, np.float32)}, "text: 64 of its numbers"),
    "a scale of zero": ({"logit_scale": np.zeros(1)}, "logit_scale"),
    "a scale that is NaN": ({"logit_scale": np.array([np.nan])}, "logit_scale"),
    "no scale": ({"logit_scale": np.zeros(0)}, "logit_scale"),
    "weights of another width": ({"weight": np.zeros((2, 32))}, "expected 64 columns for embeddings of width 32"),
    "text of another width": ({"text": np.ones((2, 8), np.float32)}, "expected 16 columns"),
    "text without a scale": ({"logit_scale": None}, "logit_scale"),
    "a scale without text": ({"text": None}, "text"),
    "a target without text": ({"text": None, "logit_scale": None}, "text: expected for target global, found none"),
    "whole numbers for weights": ({"weight": np.zeros((2, 64), np.int64)}, "expected 2 dimensions of floats"),
    "one row of weights too many": ({"weight": np.zeros((3, 64))}, "classes and intercept: expected 3"),
    "no weights": ({"weight": None}, "weight"),
    "no rows": ({"weight": np.zeros((0, 64)), "classes": np.zeros(0, int)}, "weight"),
    "a class twice": ({"classes": np.zeros(2, np.int64)}, "expected 2 different ones"),
    "a class that has no name": ({"classes": np.array([0, 2])}, "from 0 to 1"),
    "classes that are no whole numbers": ({"classes": np.array([0.0, 1.0])}, "classes and intercept"),
    "a name too few": ({"class_names": np.array(["crow"])}, "expected 2 strings"),
    "names that are numbers": ({"class_names": np.arange(2)}, "expected 2 strings"),
    "regions without end": ({"made": {"regions": "random_crop(n=100000000)"}}, "n of at most 10000"),
    "points without end": ({"made": {"regions": "sam(points_per_side=100000)"}}, "points_per_side of at most 256"),
    "an encoder without end": ({"made": {"encoder": "fake(dim=1000000000)"}}, "dim of at most 65536"),
    "a margin without end": ({"made": {"encoder": "fake(margin=1e300)"}}, "margin of at most 1000000"),
    "a temperature beyond numbers": ({"made": {"scorer": "entropy(tau=1e300)"}}, "tau of at most 1000000"),
    "crops that are words": ({"made": {"crops": "a:b"}}, "crops: expected START:STOP"),
    "crops that are none": ({"made": {"crops": "3:3"}}, "crops: expected START:STOP"),
    "crops that count from the end": ({"made": {"crops": "-3:2"}}, "crops: expected START:STOP"),
    "a list for a scorer": ({"made": {"scorer": ["entropy"]}}, "scorer: expected a text"),
    "a number for an encoder": ({"made": {"encoder": 1}}, "encoder: expected a text"),
    "a long text": ({"made": {"encoder": "x" * 2000}}, "encoder: expected a text of at most 1000 letters"),
    "features that are neither": ({"made": {"features": "cooked"}}, "features: expected one of"),
    "weights that are no digest": ({"made": {"encoder_weights": "../../x"}}, "expected a digest or a commit"),
    "no description": ({"made": "[]"}, "made_of: expected an object"),
    "half a description": ({"made": "{}"}, "encoder"),
    "a description nested too deep": ({"made": "[" * 100_000}, "not a saved probe"),
    "no JSON": ({"made": "NaN or so"}, "not a saved probe"),
    "no k": ({"made": {"pool": "topk(k=0)"}}, "k must be"),
    "no target": ({"made": {"target": ""}}, "no target"),
}


@pytest.mark.parametrize("what", NUMBERS)
def test_a_probe_that_disagrees_with_itself_is_one_line(
    what: str, forge: Callable[..., Path], run: Run, photo: Path
) -> None:
    changed, says = NUMBERS[what]
    done = run("predict", "--probe", forge(**changed), photo)
    assert (done.code, done.out) == (1, ""), done
    assert says in done.message and "--debug" not in done.message


def test_an_encoder_of_another_width_is_one_line(forge: Callable[..., Path], run: Run, photo: Path) -> None:
    done = run("predict", "--probe", forge({"encoder": "fake(dim=8)"}), photo)
    assert (done.code, "expected an encoder of width 32, as the probe's, found 8" in done.message) == (1, True)


def test_what_is_no_file_is_no_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, pipe, large = (tmp_path / f"{name}.safetensors" for name in ("folder", "pipe", "large"))
    folder.mkdir()
    with pytest.raises(DataError, match="expected a file"):
        saved.load(folder)
    if hasattr(os, "mkfifo"):
        os.mkfifo(pipe)
        with pytest.raises(DataError, match="expected a file"):
            saved.load(pipe)
    large.write_bytes(b"\0" * 100)
    monkeypatch.setattr(saved, "MAX_BYTES", 99)
    with pytest.raises(DataError, match="expected at most 99 bytes .* found 100"):
        saved.load(large)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local hub cache that holds the demo's encoder as ``some/model``, at COMMIT, and whose main has moved on."""
    constants = pytest.importorskip("huggingface_hub.constants")
    folder = tmp_path / "hub" / "models--some--model"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT[::-1])
    (folder / "snapshots" / COMMIT).mkdir(parents=True)
    for path in demo.clip_folder().iterdir():
        os.symlink(path, folder / "snapshots" / COMMIT / path.name)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return folder


def test_the_weights_that_a_probe_was_trained_with_are_found_or_told_from_others(
    hub_cache: Path, tmp_path: Path, run: Run, photo: Path, asked: list[Any]
) -> None:
    from fgscore.encoders import clip
    from fgscore.runtime import Runtime

    rng, d = np.random.default_rng(0), 128
    content = {
        "weight": rng.standard_normal((2, d)),
        "intercept": np.zeros(2),
        "classes": np.arange(2),
        "text": rng.standard_normal((2, d)),
        "logit_scale": np.array([100.0]),
        "class_names": np.array(["jay", "crow"]),
    }
    made = {"regions": "", "scorer": "", "target": "", "features": "unit", "pool": "none"}
    digest = clip.clip(Runtime(), model="demo").weights()
    own = tmp_path / "copied"
    os.symlink(demo.clip_folder(), own)

    def predict(model: str, weights: str, *more: str) -> Any:
        said = {**made, "encoder": f"clip(model={model!r})", "encoder_weights": weights}
        path = tmp_path / "p.safetensors"
        arrays.write(path, {**content, "made_of": np.array(json.dumps(said))}, ())
        done = run("predict", "--probe", path, photo, "--json", *more, env={"HF_HUB_OFFLINE": ""})
        return done, json.loads(done.out)["predictions"][0]["classes"] if done.code == 0 else None

    done, wanted = predict("demo", digest)
    assert done.code == 0, done.err
    for model, weights, *more in [
        ("some/model", COMMIT),  # in the hub's cache, at the commit of the training
        ("elsewhere", digest, "--encoder", f"clip(model='{own}')"),  # a folder, known by its digest
        ("demo", digest, "--encoder", f"clip(model='{own}')"),
        ("some/model", COMMIT, "--encoder", f"clip(model='some/model', revision='{COMMIT}')"),
        ("some/model", COMMIT, "--encoder", "clip(model=demo)", "--force"),
    ]:
        done, found = predict(model, weights, *more)
        assert done.code == 0, done.err
        assert found == wanted
    assert asked == []
    for model, weights, *more in [
        ("some/model", DIGEST[:40]),  # another commit than the one that is there
        ("elsewhere", digest),
        ("elsewhere", DIGEST, "--encoder", f"clip(model='{own}')"),
        ("some/model", COMMIT, "--encoder", "clip(model=demo)"),
    ]:
        done, _ = predict(model, weights, *more)
        assert done.code in (1, 2) and "the probe was trained with encoder clip(" in done.message
    assert asked == []
