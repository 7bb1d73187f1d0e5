"""The README and CONTRIBUTING say only what is there."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fgscore import specs
from fgscore.datasets import DataSet
from fgscore.encoders import EncoderMaker
from fgscore.heads import Head
from fgscore.pooling import Pooling
from fgscore.regions import GeneratorMaker
from fgscore.scorers import Scorer
from fgscore.store.cache import Store
from fgscore_stages._commands import COMMANDS, command, function

ROOT = Path(__file__).resolve().parent.parent
DOCS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]


def pieces(text: str) -> Iterator[str]:
    """Lines of fenced blocks and inline code, comments off."""
    blocks = re.findall(r"^```(?:sh|bash|console|text)?\n(.*?)^```", text, re.M | re.S)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    for line in "\n".join(blocks).replace("\\\n", " ").splitlines():
        yield re.sub(r"\s#\s.*", "", line).strip().removeprefix("$ ")
    yield from (re.sub(r"\s+", " ", code) for code in re.findall(r"`([^`]+)`", rest))


def calls(program: str, shell_only: bool = False) -> list[tuple[str, str]]:
    """(document, call) for every call of ``program``; with ``shell_only`` those in fenced blocks."""
    found = []
    for path in DOCS:
        text = path.read_text(encoding="utf-8")
        if shell_only:
            text = "\n".join(re.findall(r"^```(?:sh|bash|console)\n.*?^```", text, re.M | re.S))
        for piece in pieces(text):
            found += [(path.name, part.strip()) for part in piece.split(";") if part.strip().startswith(program + " ")]
    return found


def test_there_is_something_to_check() -> None:
    assert len(calls("fgscore")) > 10
    assert len(calls("make")) >= 2
    assert len(calls("fgscore", shell_only=True)) >= 4


def test_every_fgscore_command_in_the_documents_exists() -> None:
    for path, call in calls("fgscore"):
        word = call.split()[1]
        assert word in COMMANDS or word.startswith("-") or word == "...", f"{path}: {call}"


def test_every_make_target_in_the_documents_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    for path, call in calls("make"):
        words = [w for w in shlex.split(call)[1:] if "=" not in w and not w.startswith("-")]
        assert words and set(words) <= targets, f"{path}: {call}"


def test_every_command_is_in_the_readme() -> None:
    text = DOCS[0].read_text(encoding="utf-8")
    missing = [name for name in COMMANDS if f"`fgscore {name}" not in text and f"\nfgscore {name}" not in text]
    assert not missing


def test_every_make_target_is_in_the_help_and_is_real() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^([a-z-]+):", text, re.M)
    documented = re.findall(r"^([a-z-]+):.*## ", text, re.M)
    assert targets == documented
    phony = re.search(r"^\.PHONY: (.*)", text, re.M)
    assert phony and set(targets) == set(phony[1].split())


def option_values(args: list[str]) -> Iterator[tuple[str, str]]:
    for i, arg in enumerate(args[:-1]):
        if arg.startswith("--"):
            yield arg, args[i + 1]


def components(args: list[str]) -> Iterator[tuple[str, str]]:
    """(kind, text) of each component in a call."""
    kinds = {"--scorer": "scorer", "--pool": "pooling", "--head": "head", "--encoder": "encoder"}
    kinds |= {"--regions": "region generator", "--dataset": "data set"}
    if args[0] == "import":  # any name for what someone else made
        return
    for option, value in option_values(args):
        if option in kinds and ".py:" not in value and value != "all":
            lists = args[0] == "sweep"  # where a list stands for one of each
            yield from ((kinds[option], one) for one in (specs.expand(value) if lists else [value]))
    with_subject = ("extract", "index", "regions", "embed", "score", "probe", "sweep", "claims", "locate", "diagnose")
    if args[0] in with_subject and len(args) > 1 and args[1][0] != "-":
        yield "data set", args[1]


def bind(kind: str, text: str) -> None:
    kinds: tuple[Any, ...] = (Scorer, Pooling, Head, DataSet, GeneratorMaker, EncoderMaker)
    {one.kind: one for one in kinds}[kind].bind(text)


@pytest.mark.parametrize("path", [path.name for path in DOCS])
def test_calls_in_shell_blocks_would_be_accepted(path: str) -> None:
    named: set[str] = set()  # data sets that the calls before made
    for where, call in calls("fgscore", shell_only=True):
        if where == path:
            _, name, *args = shlex.split(call)
            command(name).make_context(name, list(args))
            named.update(re.findall(r"\bname='?(\w+)", call))
            for kind, text in components([name, *args]):
                if not (kind == "data set" and text in named):
                    bind(kind, text)


@pytest.mark.parametrize("name", COMMANDS)
def test_calls_in_the_help_of_a_command_name_components_that_exist(name: str) -> None:
    for call in re.findall(r"Example: fgscore (.*)", inspect.getdoc(function(name)) or ""):
        for kind, text in components(shlex.split(call)):
            bind(kind, text)


def test_components_in_inline_code_exist() -> None:
    """`entropy(tau=50)`: a name of ours, with parameters it has."""
    known: dict[str, dict[str, Any]] = {
        n: specs.tunables(kind.ours(n)) for kind in (Scorer, Pooling, Head) for n in kind.ours_named()
    }
    for kind in (DataSet, GeneratorMaker, EncoderMaker):
        known |= {n: kind.tunables(kind.ours(n)) for n in kind.ours_named()}
    checked = 0
    for path in DOCS:
        for piece in pieces(path.read_text(encoding="utf-8")):
            for name, inside in re.findall(r"^([a-z_]+)\(([a-zA-Z_]+=[^()]*)\)$", piece):
                keys = re.findall(r"([A-Za-z_]+)=", inside)
                assert name in known and set(keys) <= set(known[name]), f"{path.name}: {piece}"
                checked += 1
    assert checked >= 5


def test_the_scorer_in_the_readme_scores_and_probes(store: Store, run: Callable[..., Any], tmp_path: Path) -> None:
    block = re.search(r"```python\n# mine\.py\n(.*?)```", DOCS[0].read_text(encoding="utf-8"), re.S)
    assert block, "the README shows a scorer of one's own, beginning with # mine.py"
    (tmp_path / "mine.py").write_text(block[1])
    name = re.search(r"def (\w+)", block[1])
    assert name
    result = run("probe", "--scorer", f"{tmp_path / 'mine.py'}:{name[1]}", "--k", "1", "--head", "zeroshot", "--json")
    assert result.code == 0, result.err
    assert result.json["results"][0]["scorer"] == f"mine.py:{name[1]}"


def test_the_encoder_and_the_regions_in_the_readme_are_extracted(
    photos: Path, run: Callable[..., Any], tmp_path: Path
) -> None:
    block = re.search(r"```python\n# own\.py\n(.*?)```", DOCS[0].read_text(encoding="utf-8"), re.S)
    assert block, "the README shows an encoder of one's own, beginning with # own.py"
    (tmp_path / "own.py").write_text(block[1])
    own = ("--encoder", f"{tmp_path}/own.py:colours(outside=keep)", "--regions", f"{tmp_path}/own.py:halves")
    result = run("extract", "folder", "--root", photos, *own, "--json")
    assert result.code == 0, result.err
    made = {artefact["kind"]: artefact for artefact in result.json["artefacts"]}
    assert made["region_embeddings"]["regions"] == 20


def test_files_named_in_the_documents_exist() -> None:
    for path in DOCS:
        text = path.read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)#:]+)\)", text)
        code = [
            c for c in re.findall(r"`([\w/]+\.(?:py|md)|[a-z]+/(?:[a-z_]+/)*)`", text) if c not in ("mine.py", "own.py")
        ]
        for name in [*links, *code]:
            here = [ROOT / name, ROOT / "fgscore" / name]
            if not name.startswith("data/"):
                assert any(p.exists() for p in here), f"{path.name}: {name}"


def test_every_public_function_and_class_is_described() -> None:
    """First lines only: the library's own reference is its docstrings."""
    bare = []
    for path in [*(ROOT / "fgscore").rglob("*.py"), *(ROOT / "stages").glob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not ast.get_docstring(tree) and path.stat().st_size:
            bare.append(str(path.relative_to(ROOT)))
        for node in tree.body:
            public = isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
            if public and not ast.get_docstring(node):
                bare.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not bare


def test_every_module_of_some_length_has_its_tests_or_the_table_says_where() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("| modules | tried in |")[2]
    said = dict(re.findall(r"`([\w/]+\.py)`(?=.*\| `(tests/[\w/]+\.py)` \|)", table))
    names = {path.stem.removeprefix("test_") for path in (ROOT / "tests").rglob("test_*.py")}
    library = ROOT / "fgscore"
    for path in (p for p in library.rglob("*.py") if "train" not in p.parts):
        module = path.relative_to(library).as_posix()
        stem = (path.parent.name if path.stem == "__init__" else path.stem).strip("_")
        named = any(name.startswith(stem) for name in names)
        if len(path.read_text(encoding="utf-8").splitlines()) > 60:
            assert named or (ROOT / said[module]).is_file(), module
    assert not [module for module in said if not (library / module).is_file()]
