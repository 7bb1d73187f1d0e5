"""Downloads from a server of the test's own: resumed, checked, unpacked, and refused in one clear line."""

import hashlib
import http.server
import io
import tarfile
import threading
import warnings

import pytest
from typer.testing import CliRunner

from fgscore.acquire import download as module
from fgscore.acquire.download import download, fetch, fetch_all
from fgscore.components import DECLARED
from fgscore.datasets import DataSet, Download, cub
from fgscore.errors import DataError, MissingWeights, UsageError
from fgscore.regions import sam
from fgscore.runtime import Runtime
from fgscore.store.paths import Layout
from fgscore_stages.cli import app

CONTENT = bytes(range(256)) * 2000


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves ``server.files``; ``server.cut`` bytes at most in one answer, ``server.ranges`` whether it resumes."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if self.server.ranges and (wanted := self.headers.get("Range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        stop = len(content) if self.server.cut is None else start + self.server.cut
        self.wfile.write(content[start:stop])
        self.close_connection = True

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def server():
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.files, made.asked, made.cut, made.ranges = {"/file.bin": CONTENT}, [], None, True
    made.url = f"http://127.0.0.1:{made.server_address[1]}"
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def offer(server, name="file.bin", content=CONTENT, unpack=False, checksum=None):
    server.files[f"/{name}"] = content
    checksum = checksum or f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Download(f"{server.url}/{name}", name, checksum, len(content), unpack)


def silent(done, total):
    pass


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_with_progress(server, tmp_path):
    seen = []
    path = fetch(offer(server), tmp_path, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT and seen[-1] == (len(CONTENT), len(CONTENT))
    assert names(tmp_path) == ["file.bin"]


def test_md5_is_a_checksum_too(server, tmp_path):
    checksum = f"md5:{hashlib.md5(CONTENT).hexdigest()}"
    assert fetch(offer(server, checksum=checksum), tmp_path, silent).read_bytes() == CONTENT


@pytest.mark.parametrize("ranges", [True, False])
def test_what_broke_off_goes_on(server, tmp_path, ranges):
    server.cut, server.ranges = 100_000, ranges
    with pytest.raises(DataError, match=r"the connection failed \(.*the first 100000 bytes are kept, run the same"):
        fetch(offer(server), tmp_path, silent)
    assert names(tmp_path) == ["file.bin.part"]
    server.cut = None
    assert fetch(offer(server), tmp_path, silent).read_bytes() == CONTENT
    assert server.asked[-1] == ("/file.bin", "bytes=100000-") and names(tmp_path) == ["file.bin"]


def test_a_part_that_is_whole_already(server, tmp_path):
    (tmp_path / "file.bin.part").write_bytes(CONTENT)
    assert fetch(offer(server), tmp_path, silent).read_bytes() == CONTENT


@pytest.mark.parametrize("part", [b"", b"something else altogether", CONTENT + b"more"])
def test_a_wrong_checksum_leaves_nothing(server, tmp_path, part):
    if part:
        (tmp_path / "file.bin.part").write_bytes(part)
    wanted = f"sha256:{'0' * 64}" if not part else None
    with pytest.raises(
        DataError, match=r"http://.*file.bin: expected a file of sha256:.*, found another, which was rem"
    ):
        fetch(offer(server, checksum=wanted), tmp_path, silent)
    assert names(tmp_path) == []


def test_404_in_one_line(server, tmp_path):
    gone = Download(f"{server.url}/gone.tgz", "gone.tgz", "sha256:00", 10)
    with pytest.raises(DataError, match=r"gone.tgz: expected the file, found HTTP 404") as caught:
        fetch(gone, tmp_path, silent)
    assert "\n" not in str(caught.value) and names(tmp_path) == []


def test_no_server_in_one_line(server, tmp_path):
    with pytest.raises(DataError, match="the connection failed") as caught:
        fetch(Download("http://127.0.0.1:1/x", "x", "sha256:00", 1), tmp_path, silent)
    assert "\n" not in str(caught.value)


def tgz(folder):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", dereference=True) as tar:
        tar.add(folder, folder.name, filter=lambda info: None if info.name.endswith(".original.jpg") else info)
    return buffer.getvalue()


@pytest.fixture
def small_cub(server, tmp_path, layouts, monkeypatch):
    """The server offers a small copy of CUB, in the official layout."""
    counts = {"train": 6, "test": 4}
    content = tgz(layouts.cub(tmp_path / "made", counts, 3))
    monkeypatch.setattr(cub, "EXPECTED", counts)
    offered = (offer(server, "CUB_200_2011.tgz", content, unpack=True),)
    monkeypatch.setitem(vars(cub.cub)[DECLARED]["traits"], "downloads", offered)
    return server


def test_a_data_set_is_fetched_unpacked_and_complete(small_cub, tmp_path):
    layout = Layout(tmp_path / "data")
    rows = download(layout, "cub")
    assert rows[0]["state"] == "downloaded" and len(rows[0]["sha256"]) == 64
    assert names(layout.raw("cub")) == [".CUB_200_2011.tgz.json", "CUB_200_2011"]
    assert download(layout, "cub")[0]["state"] == "there already"
    assert len(small_cub.asked) == 1


def test_what_was_unpacked_is_not_fetched_again(server, tmp_path, layouts):
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a, b):
        folder.mkdir()
        (folder / "x.txt").write_text(folder.name)
    downloads = [offer(server, f"{f.name}.tgz", tgz(f), unpack=True) for f in (a, b)]
    bad = Download(downloads[1].url, "b.tgz", "sha256:00", 10)
    with pytest.raises(DataError):
        fetch_all("x", [downloads[0], bad], tmp_path / "raw")
    rows = fetch_all("x", downloads, tmp_path / "raw")
    assert [r["state"] for r in rows] == ["there already", "downloaded"]
    assert (tmp_path / "raw" / "b" / "x.txt").read_text() == "b"


def test_a_full_disk_is_said_before(server, tmp_path):
    huge = Download(f"{server.url}/file.bin", "file.bin", "sha256:00", 10**18)
    with pytest.raises(DataError, match=r"expected 2000000.0 TB free in .*; make room"):
        fetch_all("x", [huge], tmp_path)
    assert server.asked == []


def test_sam_by_name(server, tmp_path, monkeypatch):
    monkeypatch.setattr(sam, "URL", server.url + "/")
    monkeypatch.setitem(sam.SHA256, "vit_l", hashlib.sha256(CONTENT).hexdigest())
    monkeypatch.setitem(sam.BYTES, "vit_l", 10)
    server.files["/sam_vit_l_0b3195.pth"] = CONTENT
    layout = Layout(tmp_path)
    assert download(layout, "sam(checkpoint='vit_l')")[0]["state"] == "downloaded"
    assert (layout.models / "sam_vit_l_0b3195.pth").read_bytes() == CONTENT
    assert download(layout, "sam(checkpoint='vit_l')")[0]["state"] == "there already"
    with pytest.raises(MissingWeights, match="weights at vit_x, found none; give .* or one of vit_b, vit_l, vit_h"):
        download(layout, "sam(checkpoint='vit_x')")


def test_what_has_no_download(tmp_path):
    with pytest.raises(UsageError, match="downloads: aircraft, cub, flowers, pets, sam, sam2, sam3, clip"):
        download(Layout(tmp_path), "folder")
    of_hubs = ["clip", "open_clip", "timm", "vision"]
    assert module.downloadable() == ["aircraft", "cub", "flowers", "pets", "sam", "sam2", "sam3", *of_hubs]
    for what in ("fake", "random_crop", "sam(checkpoint='demo')"):
        with pytest.raises(UsageError, match="there is no download of "):
            download(Layout(tmp_path), what)


def test_every_official_file_has_a_checksum_and_https():
    for name in ("cub", "flowers", "pets", "aircraft"):
        for file in DataSet.bind(name).downloads:
            kind, _, value = file.checksum.partition(":")
            assert len(value) == {"sha256": 64, "md5": 32}[kind] and file.url.startswith("https://")


def test_weights_of_another_content_are_announced(tmp_path, monkeypatch):
    path = tmp_path / "sam_vit_b_01ec64.pth"
    path.write_bytes(b"other weights")
    with pytest.warns(UserWarning, match="sam_vit_b_01ec64.pth: its SHA-256 .* is not that of the published vit_b"):
        sam.sam(Runtime(models=tmp_path), checkpoint="vit_b").weights()
    with pytest.warns(UserWarning, match="not that of any published checkpoint"):
        sam.sam(Runtime(models=tmp_path), checkpoint=str(path)).weights()
    monkeypatch.setitem(sam.SHA256, "vit_b", hashlib.sha256(b"other weights").hexdigest())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sam.sam(Runtime(models=tmp_path), checkpoint="vit_b").weights()


class TestCommandLine:
    def run(self, *args):
        return CliRunner().invoke(app, list(args))

    def test_download(self, small_cub, tmp_path):
        result = self.run("download", "cub", "--data", str(tmp_path / "data"))
        assert result.exit_code == 0 and "Next: fgscore check cub" in result.stdout

    @pytest.mark.parametrize("fault", ["404", "checksum", "truncated"])
    def test_each_fault_is_one_line(self, small_cub, tmp_path, fault):
        if fault == "404":
            small_cub.files.clear()
        elif fault == "checksum":
            small_cub.files = {k: v[:-1] + b"?" for k, v in small_cub.files.items()}
        else:
            small_cub.cut = 100
        result = self.run("download", "cub", "--data", str(tmp_path / "data"))
        lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        assert result.exit_code == 1 and len(lines) == 1 and "Traceback" not in result.stderr
        word = {"404": "HTTP 404", "checksum": "found another", "truncated": "100 bytes are kept"}[fault]
        assert word in lines[0]

    def test_cars_says_what_to_fetch_and_where_to_put_it(self, tmp_path):
        result = self.run("download", "cars", "--data", str(tmp_path))
        assert result.exit_code == 0
        assert str(tmp_path / "raw" / "cars") in result.stdout and "cars_test_annos_withlabels.mat" in result.stdout
        assert "Next: fgscore check cars" in result.stdout
