"""Whether packages are installed, without importing them."""

import sys
import types

import pytest

from fgscore.errors import MissingExtra
from fgscore.machine.packages import check_installed, check_package, is_installed


def test_all_that_lacks_is_named_with_the_line_that_installs_it():
    packages = r"needs the packages 'torch', 'no_such_one'.*pip install 'fgscore\[extract\]' no_such_one$"
    with pytest.raises(MissingExtra, match=packages):
        check_installed(["torch", "no_such_one"])


def test_what_is_no_part_of_ours_is_installed_by_itself():
    with pytest.raises(MissingExtra, match="run: pip install no_such_one no_such_other$"):
        check_installed(["no_such_one", "no_such_other"])


def test_what_is_there_passes():
    check_installed([])
    check_package("numpy", "arrays")
    assert is_installed("h5py") and "tkinter.ttk" not in sys.modules


def test_a_package_whose_import_is_blocked_counts_as_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match="'h5py'"):
        check_package("h5py", "storing")


def test_a_package_put_in_place_by_hand_counts_as_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "made_by_hand", types.ModuleType("made_by_hand"))  # it has no import spec
    assert is_installed("made_by_hand")


@pytest.mark.parametrize(
    ("lacking", "install"),
    [(["open_clip"], "'fgscore[open-clip]'"), (["torch", "timm"], "'fgscore[extract,timm]'"),
     (["timm", "mine"], "'fgscore[timm]' mine")],
)  # fmt: skip
def test_other_libraries_come_by_their_extra_not_by_the_name_they_are_imported_by(lacking, install):
    with pytest.raises(MissingExtra) as caught:
        check_installed(lacking)
    assert str(caught.value).endswith(f"run: pip install {install}")
