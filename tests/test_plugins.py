"""Plugins are found by file name and imported one at a time."""

import json
import subprocess
import sys
import types

import pytest

from fgscore import plugins
from fgscore.errors import BadParameter, MissingExtra, UnknownName

BUILT_IN = {
    "data set": {"cars", "cub", "demo", "folder"},
    "region generator": {"random_crop", "sam"},
    "encoder": {"clip", "fake"},
}
HEAVY = ("torch", "torchvision", "transformers", "segment_anything", "sklearn", "PIL")


def in_new_interpreter(lines):
    """What ``lines`` leave in ``out``, from a Python that has imported nothing yet."""
    code = f"import json, sys\nfrom fgscore import plugins\n{lines}\nprint(json.dumps(out))"
    return json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_the_built_in_ones_are_listed(kind):
    names = plugins.available(kind)
    assert set(names) >= BUILT_IN[kind]
    assert names == sorted(names)
    assert not [name for name in names if name.startswith("_")]


def test_listing_names_imports_no_plugin():
    out = in_new_interpreter(
        "names = {k: plugins.available(k) for k in plugins.KINDS}\nout = [names, list(sys.modules)]"
    )
    names, loaded = out
    for kind, found in names.items():
        assert found
        assert not {f"fgscore.{plugins.KINDS[kind]}.{name}" for name in found} & set(loaded)


def test_using_one_imports_no_other_and_nothing_heavy():
    out = in_new_interpreter(
        "plugins.bind('encoder', 'clip'), plugins.bind('region generator', 'sam')\nout = list(sys.modules)"
    )
    assert {"fgscore.encoders.clip", "fgscore.regions.sam"} <= set(out)
    assert not {"fgscore.encoders.fake", "fgscore.regions.random_crop", *HEAVY} & set(out)


def test_describing_all_needs_no_extra():
    out = in_new_interpreter(
        "rows = [plugins.describe(k) for k in plugins.KINDS]\nout = [len(rows), list(sys.modules)]"
    )
    assert out[0] == len(plugins.KINDS)
    assert not set(HEAVY) & set(out[1])


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_plugin_says_what_it_is_and_takes(kind):
    rows = plugins.describe(kind)
    assert [row["name"] for row in rows] == plugins.available(kind)
    assert all(row["doc"].endswith(".") for row in rows)


def test_an_unknown_name_is_answered_with_the_nearest_and_the_command_that_lists():
    with pytest.raises(UnknownName, match="no encoder named 'fak'; did you mean 'fake'.*fgscore list encoders"):
        plugins.bind("encoder", "fak")
    with pytest.raises(UnknownName, match="known: .*cars, cub, .*folder.*fgscore list datasets"):
        plugins.module("data set", "zzzzzz")


@pytest.mark.parametrize("name", ["_render", "..errors", "os", "fake.py"])
def test_helpers_and_other_modules_are_no_plugins(name):
    with pytest.raises(UnknownName):
        plugins.module("encoder", name)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("random_crop", "random_crop"),
        ("random_crop(n=32, area_max=0.5)", "random_crop"),
        ("random_crop(seed=1, n=160, area_max=1)", "random_crop(n=160, area_max=1, seed=1)"),
        ("sam(checkpoint='/home/someone/mine.pth')", "sam(checkpoint='mine.pth')"),
    ],
)
def test_a_bound_plugin_has_one_canonical_text(text, canonical):
    assert plugins.bind("region generator", text).canonical == canonical


def test_a_bound_plugin_has_every_parameter_and_a_version():
    bound = plugins.bind("region generator", "sam(checkpoint='/home/someone/mine.pth', n=7)")
    assert bound.params["checkpoint"] == "/home/someone/mine.pth"
    assert (bound.params["n"], bound.params["max_side"]) == (7, 1024)
    assert bound.version >= 1


def test_a_choice_is_one_of_those_listed():
    with pytest.raises(BadParameter, match="fit must be 'crop' or 'pad' or 'squash', found 'stretch'"):
        plugins.bind("encoder", "fake(fit='stretch')")


def needing(*packages):
    return plugins.Bound("mine", {}, 1, "mine", types.SimpleNamespace(NEEDS=packages))


def check(*bound):
    plugins.check_installed([package for one in bound for package in plugins.lacking_packages(one)])


def test_a_missing_package_is_named_with_the_line_that_installs_it():
    packages = r"needs the packages 'no_such_one', 'no_such_other'.*pip install 'fgscore\[extract\]'"
    with pytest.raises(MissingExtra, match=packages):
        check(needing("numpy", "no_such_one", "no_such_other"))


def test_installed_packages_pass():
    check(needing("numpy", "h5py"))
    check(plugins.Bound("mine", {}, 1, "mine", types.SimpleNamespace()))


def test_a_package_whose_import_is_blocked_counts_as_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match="'h5py'"):
        check(needing("h5py"))


def test_a_package_put_in_place_by_hand_counts_as_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "made_by_hand", types.ModuleType("made_by_hand"))  # it has no import spec
    check(needing("made_by_hand"))
