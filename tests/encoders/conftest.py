"""Models in their published layouts; see ``tests/published``."""

from __future__ import annotations

import builtins
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``published(name)``: the folder of one of ``layouts.LAYOUTS``, made once."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    import layouts

    @cache
    def get(name: str) -> Path:
        if name in layouts.NEED_SENTENCEPIECE:
            pytest.importorskip("sentencepiece")
            pytest.importorskip("google.protobuf")
        return layouts.LAYOUTS[name](tmp_path_factory.mktemp("published") / "model")

    return get


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``made(make)``: the folder that a function of ``published`` fills, made once, or ``anew`` to be spoilt."""

    def fill(make: Callable[[Path], Path]) -> Path:
        return make(tmp_path_factory.mktemp("made") / "model")

    kept = cache(fill)

    def get(make: Callable[[Path], Path], anew: bool = False) -> Path:
        return shutil.copytree(kept(make), tmp_path_factory.mktemp("made") / "model") if anew else kept(make)

    return get


@pytest.fixture
def copied(published: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """``copied(name)``: a copy of it, to be spoilt."""
    return lambda name: shutil.copytree(published(name), tmp_path / "model")


@pytest.fixture
def tiny(copied: Callable[[str], Path]) -> Path:
    """A CLIP in one safetensors file, to be spoilt."""
    import layouts

    return copied(layouts.SAFE)


@pytest.fixture(autouse=True)
def nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers asks on standard input whether it may run a folder's code."""

    def asked(*_: object) -> str:
        raise AssertionError("a question on standard input")

    monkeypatch.setattr(builtins, "input", asked)
