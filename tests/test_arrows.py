"""What may import what, read from the source: nothing here runs the modules."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TORCHS = {"torch", "torchvision", "transformers", "segment_anything", "numba"}
HEAVY = TORCHS | {"PIL", "sklearn", "matplotlib", "selenium"}
FILES = sorted(p for folder in ("fgscore", "stages") for p in (ROOT / folder).rglob("*.py"))
DOORSTEP = ROOT / "fgscore" / "__main__.py"  # python -m fgscore: imports the command line, and nobody imports it
LIBRARY = [p for p in FILES if p.is_relative_to(ROOT / "fgscore") and p != DOORSTEP]
DEMO = ROOT / "fgscore" / "demo"
# helpers that may import Pillow or torch at the top, and therefore nobody else may import them at theirs
HELPERS = [
    "fgscore.datasets._images",
    "fgscore.encoders._pixels",
    "fgscore.machine.float32",
    "fgscore.encoders._crops",
    "fgscore.encoders._one_pass.copies",
    "fgscore.encoders._one_pass.layers",
    "fgscore.encoders._one_pass.regions",
    "fgscore.regions.sam.decoder",
    "fgscore.regions.sam.encoder",
    "fgscore.regions.sam.exact",
    "fgscore.regions.sam.fast",
    "fgscore.regions.sam.frame",
    "fgscore.regions.sam.keys",
    "fgscore.regions.sam.masks",
    "fgscore.regions.sam.points",
    "fgscore.regions.sam.kernels.cpu",
    "fgscore.regions.sam.kernels.loops",
    "fgscore.regions.sam.kernels.measure",
    "fgscore.regions.sam.kernels.native",
    "fgscore.regions.sam.kernels.numbers",
]
HEAVY_FILES = [ROOT / f"{module.replace('.', '/')}.py" for module in HELPERS]


def name(path):
    return path.relative_to(ROOT).as_posix()


def imported(nodes, package=""):
    """Dotted names of all that ``nodes`` of a module in ``package`` import; ``from a import b`` may mean a.b."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imports_of(path, only_on_import=False):
    tree = parsed(path)
    package = ".".join(path.parent.relative_to(ROOT).parts)
    return set(imported(on_import(tree) if only_on_import else ast.walk(tree), package))


def on_import(tree):
    """The nodes that run when the module is imported: no function bodies, nothing for type checkers only."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def within(module, *packages):
    return any(module == p or module.startswith(f"{p}.") for p in packages)


def test_the_reader_of_imports_sees_what_it_should():
    source = """
import os, torch.nn
from PIL import Image
from . import sibling
from ..other.module import thing
if TYPE_CHECKING:
    import typed
try:
    import sklearn
except ImportError:
    pass
class A:
    import inside_class
    def f(self):
        import late
def g():
    from pickle import load
"""
    tree = ast.parse(source)
    top = set(imported(on_import(tree), "a.b"))
    siblings = {"a.b", "a.b.sibling", "a.other.module", "a.other.module.thing"}
    assert top == {"os", "torch.nn", "PIL", "PIL.Image", "sklearn", "inside_class"} | siblings
    assert set(imported(ast.walk(tree), "a.b")) - top == {"typed", "late", "pickle", "pickle.load"}


def test_there_are_modules_to_read():
    assert len(LIBRARY) > 20
    assert len(FILES) > len(LIBRARY) > len([p for p in LIBRARY if p.is_relative_to(DEMO)]) > 0


@pytest.mark.parametrize("path", [p for p in FILES if not p.is_relative_to(DEMO) and p not in HEAVY_FILES], ids=name)
def test_nothing_heavy_is_imported_at_the_top_of_what_a_laptop_imports(path):
    heavy = *HEAVY, "fgscore.demo", *HELPERS
    assert not {module for module in imports_of(path, only_on_import=True) if within(module, *heavy)}


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_the_library_knows_no_command_line(path):
    assert not {module for module in imports_of(path) if within(module, "stages", "fgscore_stages", "typer", "click")}


def test_the_doorstep_opens_when_it_is_run_alone():
    assert not imports_of(DOORSTEP, only_on_import=True) - {"fgscore_stages.cli", "fgscore_stages.cli.app"}
    assert not [path for path in FILES if "fgscore.__main__" in imports_of(path)]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_no_pickle_is_ever_loaded(path):
    loaders = "pickle", "joblib", "dill", "cloudpickle", "torch.load"
    assert not {module for module in imports_of(path) if within(module, *loaders)}
    for call in (node for node in ast.walk(parsed(path)) if isinstance(node, ast.Call)):
        given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if ast.unparse(call.func) == "torch.load":
            assert given.get("weights_only") == "True", f"line {call.lineno}"
        assert given.get("allow_pickle", "False") == "False", f"line {call.lineno}"


def test_packages_lie_where_they_are_imported_from():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {p.parent.relative_to(ROOT).as_posix() for p in FILES}
    assert setuptools["package-dir"] == {"fgscore": "fgscore", "fgscore_stages": "stages"}
    assert not [folder for folder in folders if not (ROOT / folder / "__init__.py").is_file()]
