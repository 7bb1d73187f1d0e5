"""The same arrays come in from every format alike; what a file only claims, hides or leads away from is refused.

Tests the readers: formats, contents, numpy_files, parquet, columns, csv_files, tensors and hdf5.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from fgscore.errors import DataError, Exhausted, MissingExtra, UsageError
from fgscore.exchange import contents as sizes
from fgscore.exchange import formats

RNG = np.random.default_rng(0)
N, D = 10, 6
ROWS = RNG.standard_normal((N, D)).astype(np.float32)
ARRAYS: dict[str, Any] = {
    "image_ids": np.array([f"i\u00e9{i}" for i in range(N)]),
    "labels": np.arange(N) % 2,
    "split": np.array(["train"] * 6 + ["test"] * 4),
    "globals": ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True),
}
STRINGS = ("image_ids", "split")


def to_npz(path: Path, arrays: Mapping[str, Any]) -> None:
    np.savez(path, **arrays)


def to_compressed(path: Path, arrays: Mapping[str, Any]) -> None:
    coded = {k: np.char.encode(a, "utf-8") if a.dtype.kind == "U" else a for k, a in arrays.items()}
    np.savez_compressed(path, **coded)


def to_parquet(path: Path, arrays: Mapping[str, Any]) -> None:
    columns = {k: list(a) if a.ndim == 2 else a for k, a in arrays.items()}
    pq.write_table(pa.table(columns), path, row_group_size=4)


def to_wide_parquet(path: Path, arrays: Mapping[str, Any]) -> None:
    wide = {f"globals_{i}": arrays["globals"][:, i] for i in range(D)}
    coded = pa.array(arrays["split"].tolist()).dictionary_encode()
    pq.write_table(pa.table({"image_id": pa.array(arrays["image_ids"].tolist(), pa.large_string()), "split": coded,
                             "label": arrays["labels"].astype(np.int8), **wide}), path)  # fmt: skip


def to_csv(path: Path, arrays: Mapping[str, Any]) -> None:
    separator = "\t" if path.suffix == ".tsv" else ";"
    head = ["image_id", "label", "split", *(f"globals_{i}" for i in range(D))]
    rows = zip(arrays["image_ids"], arrays["labels"], arrays["split"], *arrays["globals"].T, strict=True)
    lines = [separator.join(map(str, row)) for row in [head, *rows]]
    path.write_text("\r\n".join(lines), encoding="utf-8-sig", newline="")


def to_safetensors(path: Path, arrays: Mapping[str, Any]) -> None:
    texts = {name: json.dumps(arrays[name].tolist()) for name in STRINGS}
    save_file({k: a for k, a in arrays.items() if k not in STRINGS}, path, metadata={**texts, "deep": "[" * 100_000})


def to_torch(path: Path, arrays: Mapping[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    content = {k: a.tolist() if k in STRINGS else torch.from_numpy(np.asarray(a)) for k, a in arrays.items()}
    torch.save(content, path, _use_new_zipfile_serialization=path.suffix == ".pt")


def to_hdf5(path: Path, arrays: Mapping[str, Any]) -> None:
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            text = np.char.encode(array, "utf-8") if path.suffix == ".h5" and name in STRINGS else array
            file[name] = text.astype(h5py.string_dtype()) if text.dtype.kind == "U" else text


WRITERS: dict[str, Callable[[Path, Mapping[str, Any]], None]] = {
    "a.npz": to_npz,
    "compressed.npz": to_compressed,
    "a.parquet": to_parquet,
    "wide.parquet": to_wide_parquet,
    "a.csv": to_csv,
    "a.tsv": to_csv,
    "a.safetensors": to_safetensors,
    "a.pt": to_torch,
    "a.pth": to_torch,
    "a.h5": to_hdf5,
    "a.hdf5": to_hdf5,
}


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_arrays_come_in_from_every_format_bit_for_bit(bring, tmp_path, name):
    WRITERS[name](tmp_path / name, ARRAYS)
    came = bring(tmp_path / name)
    index, whole = came.arrays("index"), came.arrays("globals")
    for key in ("image_ids", "labels", "split"):
        np.testing.assert_array_equal(index[key], ARRAYS[key])
    np.testing.assert_array_equal(whole["globals"], ARRAYS["globals"].astype(np.float16))


@pytest.mark.parametrize("name", WRITERS)
def test_files_cut_short_and_empty_ones_are_named(bring, tmp_path, name):
    path = tmp_path / name
    path.touch()
    with pytest.raises(DataError, match=r"found an empty file \(0 bytes\)"):
        bring(path)
    WRITERS[name](path, ARRAYS)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=f"expected .*{name}.*; "):
        bring(path)


@pytest.mark.parametrize("name", ["a.npz", "a.csv", "a.h5", "a.parquet"])
def test_files_without_rows_are_said_to_be_empty(bring, tmp_path, name):
    WRITERS[name](tmp_path / name, {key: array[:0] for key, array in ARRAYS.items()})
    with pytest.raises(DataError, match="expected images, found none: .* is empty"):
        bring(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [
        ("a.npz", b"version https://git-lfs.github.com/spec/v1\noid 1", "pointer of git-lfs"),
        ("a.pt", b"<!DOCTYPE html><html>", "a web page"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "found UTF-16; save it as UTF-8"),
        ("a.csv", b"0.5,0.25\n1,2\n", "expected names in the first row"),
        ("a.csv", b"image_id,label\na,1\nb\n", "Expected 2 columns, got 1"),
        ("a.pkl", b"", "a pickle is never loaded"),
    ],
)
def test_other_things_are_named(bring, tmp_path, name, content, named):
    (tmp_path / name).write_bytes(content)
    with pytest.raises((DataError, UsageError), match=named):
        bring(tmp_path / name)


def test_pipes_are_not_waited_for(bring, tmp_path):
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(DataError, match="found a pipe, not a file"):
        bring(tmp_path / "a.h5")


def npz_of(path: Path, header: dict[str, Any], body: bytes, compression: int = zipfile.ZIP_DEFLATED) -> None:
    start = io.BytesIO()
    np.lib.format.write_array_header_1_0(start, header)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("globals.npy", start.getvalue() + body)


class TestBombs:
    """A few bytes that promise many are refused before memory is taken."""

    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sizes, "FREE", 1 << 16)

    def test_a_compressed_npz(self, bring, tmp_path):
        npz_of(tmp_path / "a.npz", {"descr": "<f4", "fortran_order": False, "shape": (1024, 1024)}, bytes(1 << 22))
        with pytest.raises(DataError, match="'globals' of 4.2 MB in 4.3 kB: refused as a bomb"):
            bring(tmp_path / "a.npz")

    def test_a_header_that_lies(self, bring, tmp_path):
        npz_of(tmp_path / "a.npz", {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 8)}, bytes(64))
        with pytest.raises(DataError, match="bytes by its header, of which 64 are there"):
            bring(tmp_path / "a.npz")

    def test_chunks_of_hdf5_that_were_never_written(self, bring, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("globals", (1 << 20, 1 << 12), "f4", chunks=(1024, 64), compression="gzip")
        with pytest.raises(DataError, match="refused as a bomb"):
            bring(tmp_path / "a.h5")

    def test_strings_of_which_one_is_long(self, bring, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("image_ids", (1_000_000,), h5py.string_dtype())[0] = "x" * 10_000
        with pytest.raises(DataError, match="'image_ids' of 40.0 GB"):
            bring(tmp_path / "a.h5")

    def test_runs_of_one_value_in_parquet(self, bring, tmp_path):
        column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000, np.int32)), ["x" * 10_000])
        pq.write_table(pa.table({"image_id": column, "globals": [[1.0]] * 10_000}), tmp_path / "a.parquet")
        with pytest.raises(DataError, match="'image_id' of 400.0 MB"):
            bring(tmp_path / "a.parquet")

    def test_a_tensor_that_repeats_one_number(self, bring, tmp_path):
        torch = pytest.importorskip("torch")
        torch.save({"globals": torch.zeros(1).expand(1 << 20, 1 << 20)}, tmp_path / "a.pt")
        with pytest.raises(DataError, match="refused as a bomb"):
            bring(tmp_path / "a.pt")

    def test_what_memory_does_not_hold(self, bring, tmp_path, monkeypatch):
        monkeypatch.setattr(sizes, "memory", lambda: 1 << 16)
        np.savez(tmp_path / "a.npz", **{**ARRAYS, "globals": RNG.random((N, 4096))})
        with pytest.raises(Exhausted, match="takes 327.7 kB of memory, found 65.5 kB"):
            bring(tmp_path / "a.npz")


class TestHdf5:
    """What leads out of the file is not followed: refused where it is wanted, named where it is not."""

    LEAVING: dict[str, Callable[[h5py.File, Path], None]] = {
        "external link": lambda file, folder: file.__setitem__("globals", h5py.ExternalLink("other.h5", "globals")),
        "soft link over an external one": lambda file, folder: (
            file.__setitem__("away", h5py.ExternalLink("other.h5", "/")),
            file.__setitem__("globals", h5py.SoftLink("/away/globals")),
        ),
        "virtual dataset": lambda file, folder: file.create_virtual_dataset("globals", virtual()),
        "external storage": lambda file, folder: file.create_dataset(
            "globals", (N, D), "f4", external=[(str(folder / "raw.bin"), 0, 4 * N * D)]
        ),
        "link in a circle": lambda file, folder: file.__setitem__("globals", h5py.SoftLink("/globals")),
    }

    @pytest.mark.parametrize("name", LEAVING)
    def test_is_refused(self, bring, tmp_path, name):
        to_hdf5(tmp_path / "other.h5", ARRAYS)
        to_hdf5(tmp_path / "a.h5", {key: array for key, array in ARRAYS.items() if key != "globals"})
        with h5py.File(tmp_path / "a.h5", "a") as file:
            self.LEAVING[name](file, tmp_path)
        with pytest.raises(DataError, match="'globals', found something else"):
            bring(tmp_path / "a.h5")

    def test_is_passed_over_where_nobody_wants_it(self, bring, tmp_path):
        to_hdf5(tmp_path / "a.h5", ARRAYS)
        with h5py.File(tmp_path / "a.h5", "a") as file:
            file["more"] = h5py.ExternalLink("/etc/passwd", "x")
            file["group/again"] = file["/"]
        came = bring(tmp_path / "a.h5")
        assert any("more (a link to another file" in line for line in came.said)

    def test_a_link_within_the_file_is_what_it_leads_to(self, bring, tmp_path):
        to_hdf5(tmp_path / "a.h5", {**ARRAYS, "globals": np.zeros(1)})
        with h5py.File(tmp_path / "a.h5", "a") as file:
            file["kept/rows"] = ARRAYS["globals"]
            del file["globals"]
            file["globals"] = h5py.SoftLink("/kept/rows")
        assert len(bring(tmp_path / "a.h5").arrays("globals")["globals"]) == N


def virtual() -> h5py.VirtualLayout:
    layout = h5py.VirtualLayout((N, D), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "globals", (N, D))
    return layout


class TestTorch:
    """Only tensors, lists and text: nothing of the file is run."""

    def test_code_is_refused_and_not_run(self, bring, tmp_path):
        torch = pytest.importorskip("torch")

        class Evil:
            def __reduce__(self) -> Any:
                return os.system, (f"touch {tmp_path / 'ran'}",)

        torch.save({"globals": Evil()}, tmp_path / "a.pt")
        with pytest.raises(DataError, match="only running code of the file could load: refused"):
            bring(tmp_path / "a.pt")
        assert not (tmp_path / "ran").exists()

    def test_numpy_in_it_is_told_how_to_save(self, bring, tmp_path):
        torch = pytest.importorskip("torch")
        torch.save({"globals": ARRAYS["globals"]}, tmp_path / "a.pt")
        with pytest.raises(DataError, match=r"torch\.from_numpy"):
            bring(tmp_path / "a.pt")

    def test_bfloat16_is_exact(self, bring, tmp_path):
        torch = pytest.importorskip("torch")
        from safetensors.torch import save_file as save_tensors

        rows = torch.eye(N, D).bfloat16() + 0.5
        save_tensors({"globals": rows}, tmp_path / "a.safetensors")
        torch.save({"globals": rows}, tmp_path / "b.pt")
        found = [formats.contents(tmp_path / name).read("globals") for name in ("a.safetensors", "b.pt")]
        for array in found:
            np.testing.assert_array_equal(array, rows.float().numpy())

    def test_without_torch_the_package_is_named(self, bring, tmp_path, monkeypatch):
        monkeypatch.setattr("fgscore.machine.packages.is_installed", lambda package: False)
        (tmp_path / "a.pt").write_bytes(b"x")
        with pytest.raises(
            MissingExtra, match=r"reading a\.pt needs the package 'torch'.*pip install 'fgscore\[extract\]'"
        ):
            bring(tmp_path / "a.pt")


def listed(path: Path, cell: str) -> Path:
    """A CSV file with embeddings as lists in its cells."""
    rows = "".join(f'{i},{i % 2},{"train" if i else "test"},"{cell}"\n' for i in range(3))
    path.write_text(f"id,target,split,embedding\n{rows}")
    return path


@pytest.mark.parametrize("cell", ["[0.1, 0.2]", "[0.1 0.2]", "0.1;0.2", " [ 1e-1,\n2e-1]"])
def test_a_list_in_a_cell_is_a_row(bring, tmp_path, cell):
    came = bring(listed(tmp_path / "a.csv", cell))
    np.testing.assert_allclose(came.arrays("globals")["norms"], np.hypot(0.1, 0.2), rtol=1e-6)


def test_a_list_that_was_cut_is_named(bring, tmp_path):
    with pytest.raises(DataError, match="all numbers of globals .*cut to '...' in row 0"):
        bring(listed(tmp_path / "a.csv", "[0.1 ... 0.2]"))


def test_a_column_called_embedding_that_holds_none_is_named(bring, tmp_path):
    came = bring(listed(tmp_path / "a.csv", "a bird"))
    assert any("no embeddings came: 'embedding' holds none" in line for line in came.said)


def test_a_number_that_is_none_is_named_by_row_and_column(bring, tmp_path):
    to_csv(tmp_path / "a.csv", ARRAYS)
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    lines[4] = lines[4].rpartition(";")[0] + ";x"
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(DataError, match="expected a number in every row of 'globals_5', found 'x' in row 3"):
        bring(tmp_path / "a.csv")


def test_a_comma_is_the_sign_before_decimals_beside_semicolons(bring, tmp_path):
    to_csv(tmp_path / "a.csv", ARRAYS)
    text = (tmp_path / "a.csv").read_text(encoding="utf-8").replace(".", ",")
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    whole = bring(tmp_path / "a.csv").arrays("globals")["globals"]
    np.testing.assert_array_equal(whole, ARRAYS["globals"].astype(np.float16))


def test_a_cell_may_be_longer_than_a_megabyte(bring, tmp_path):
    cell = "long\n" * 300_000
    rows = [f'{i},{i % 2},{"train" if i else "test"},{i + 1},1,"{cell}"' for i in range(3)]
    (tmp_path / "a.csv").write_text("\n".join(["image_id,label,split,0,1,caption", *rows]))
    assert len(bring(tmp_path / "a.csv").arrays("globals")["globals"]) == 3
