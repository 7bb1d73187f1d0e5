"""Download the official files of a data set, SAM's weights or an encoder's: checked, resumed where the server allows,
unpacked."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fgscore import datasets, regular, specs, tables
from fgscore.acquire.unpack import unpack
from fgscore.datasets import DataSet
from fgscore.encoders import EncoderMaker
from fgscore.errors import DataError, MissingExtra, UsageError, missing_extra
from fgscore.extract.part import Part
from fgscore.extract.parts import EncoderPart, GeneratorPart
from fgscore.machine.progress import Progress, silent
from fgscore.models import Download
from fgscore.regions import GeneratorMaker
from fgscore.regular import file_sha256
from fgscore.runtime import Runtime
from fgscore.store import files
from fgscore.store.paths import Layout

BLOCK = 1 << 20
TIMEOUT = (20, 60)  # seconds to connect, seconds without a byte
Row = dict[str, Any]


def download(
    layout: Layout, what: str, *, root: Path | None = None, offline: bool = False, progress: Progress = silent
) -> list[Row]:
    """Get ``what``: a data set, SAM's weights as 'sam' or ``sam(checkpoint='vit_l')``, or a model's from its hub as
    ``clip(model='...')`` or ``sam2(model='...')``, into the hub's local cache. Returns one row a file.

    What is there already and whole is left alone. Raises :class:`UsageError` where there is nothing to download and
    :class:`DataError` where a download fails; a download that broke off goes on with the next call.
    """
    name, runtime = specs.parse(what).name, Runtime(layout.models, offline=offline)
    if name in EncoderMaker.names():
        return _published(EncoderPart(what, runtime), what, root, progress)
    if name in GeneratorMaker.names():
        generator = GeneratorPart(what, runtime)
        if generator.made.fetches:
            return _published(generator, what, root, progress)
        if not generator.made.downloads:
            generator.made.weights()  # says which there are, where these are none
        return fetch_all(name, _offered(generator.made.downloads, what), root or layout.models, progress)
    dataset = DataSet.bind(what)
    folder = root or layout.raw(dataset.key)
    offered = _offered(dataset.downloads, what)
    if _is_complete(dataset, folder):
        return [{"file": d.name, "state": "there already", "folder": str(folder)} for d in offered]
    rows = fetch_all(dataset.key, offered, folder, progress)
    datasets.present(dataset.listing(folder), partial=False)  # says what is missing still
    return rows


def _offered(downloads: Sequence[Download], what: str) -> Sequence[Download]:
    """``downloads`` themselves; raises :class:`UsageError` where there are none."""
    if not downloads:
        raise UsageError(f"there is no download of {what!r}; downloads: {', '.join(downloadable())}")
    return downloads


def _published(part: Part[Any], what: str, root: Path | None, progress: Progress) -> list[Row]:
    """Fetch into the hub's cache, then look whether it is what it says, as far as the packages for that are here."""
    if root:
        raise UsageError(f"expected no --root: a model of the hub goes to the hub's cache; set HF_HOME to {root}")
    if not part.made.fetches:
        _offered((), what)
    before = part.files()
    faults = [error for _, error in part.faults(progress) if not isinstance(error, MissingExtra)]
    if faults:
        raise faults[0]
    return [
        {"file": path.name, "state": "there already" if path in before else "downloaded", "folder": str(path.parent)}
        for path in part.files()
    ]


def is_dataset(what: str) -> bool:
    """Whether ``what`` is a data set, rather than weights of an encoder or a generator."""
    return specs.parse(what).name not in (*EncoderMaker.names(), *GeneratorMaker.names())


def downloadable() -> list[str]:
    """The names of ours that :func:`download` knows."""
    sets = [name for name in DataSet.ours_named() if DataSet.built_in(name).downloads]
    models = {name: maker.built_in(name).make(Runtime()) for maker in (GeneratorMaker, EncoderMaker)
              for name in maker.ours_named() if not maker.needed(name)}  # fmt: skip
    return [*sets, *(name for name, model in models.items() if model.downloads or model.fetches)]


def instructions(layout: Layout, what: str, root: Path | None = None) -> str | None:
    """What to fetch and where to put it, for a data set without a download; None for any other."""
    if not is_dataset(what):
        return None
    dataset = DataSet.bind(what)
    return dataset.instructions.format(root=root or layout.raw(dataset.key)) if dataset.instructions else None


def fetch_all(label: str, downloads: Sequence[Download], folder: Path, progress: Progress = silent) -> list[Row]:
    """Every file of ``downloads`` into ``folder``, archives unpacked. Returns one row a file."""
    folder.mkdir(parents=True, exist_ok=True)
    needed = sum(d.size * (2 if d.unpack else 1) for d in downloads if not _is_done(d, folder))
    if needed > (free := shutil.disk_usage(folder).free):
        raise DataError(
            f"expected {tables.text(needed, 'bytes')} free in {folder}, found {tables.text(free, 'bytes')}; make room"
        )
    return [_get(label, d, folder, progress) for d in downloads]


def _get(label: str, download: Download, folder: Path, progress: Progress) -> Row:
    if _is_done(download, folder):
        return {"file": download.name, "state": "there already", "folder": str(folder)}
    path = fetch(download, folder, lambda done, total: progress(f"{label}: {download.name}", done, total))
    sha256 = file_sha256(path)
    if download.unpack:
        ticks: Callable[[int, int], None] = lambda done, total: progress(f"{label}: unpack", done, total)  # noqa: E731
        entries = unpack(path, folder, progress=ticks)
        record = {"file": download.name, "sha256": sha256, "entries": entries}
        files.write_sealed(_receipt(download, folder), record)
        path.unlink()
    return {"file": download.name, "state": "downloaded", "folder": str(folder), "sha256": sha256}


def _receipt(download: Download, folder: Path) -> Path:
    return folder / f".{download.name}.json"


def _is_done(download: Download, folder: Path) -> bool:
    """Whether an archive was unpacked here, or a file lies here whole."""
    if not download.unpack:
        path = folder / download.name
        return path.is_file() and download.checksum == f"sha256:{file_sha256(path)}"
    try:
        entries = json.loads(regular.read(_receipt(download, folder)))["entries"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all((folder / str(name)).exists() for name in entries)


def _is_complete(dataset: DataSet, folder: Path) -> bool:
    try:
        datasets.present(dataset.listing(folder), partial=False)
    except DataError:
        return False
    return True


def fetch(download: Download, folder: Path, progress: Callable[[int, int], None]) -> Path:
    """One file into ``folder``, checked. Raises :class:`DataError`; what came before a broken connection is kept."""
    try:
        import pooch
    except ImportError as error:
        raise missing_extra("pooch", "downloading", "download") from error
    pooch.get_logger().setLevel("ERROR")
    try:
        path = pooch.retrieve(
            download.url, download.checksum, download.name, folder, downloader=_Resuming(download, folder, progress)
        )
    except ValueError as error:
        if "hash" not in str(error):
            raise
        raise DataError(
            f"{download.url}: expected a file of {download.checksum}, found another, which was removed; run the same "
            "command again, and if it happens twice the host's file has changed"
        ) from error
    return Path(path)


class _Resuming:
    """A downloader for pooch that goes on where an earlier one stopped."""

    def __init__(self, download: Download, folder: Path, progress: Callable[[int, int], None]) -> None:
        self.part = folder / f"{download.name}.part"
        self.progress = progress

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Bring ``url`` to ``output_file``, or raise :class:`DataError`."""
        import requests
        from urllib3.exceptions import HTTPError

        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                if response.status_code != 416:  # the part is the whole file already: its checksum will tell
                    self._save(url, response, have)
        except (requests.RequestException, HTTPError, TimeoutError, ConnectionError) as error:
            kept = f"; the first {self.part.stat().st_size} bytes are kept" if self.part.exists() else ""
            raise DataError(f"{url}: the connection failed ({_reason(error)}){kept}, run the same command again") from (
                error
            )
        os.replace(self.part, output_file)

    def _save(self, url: str, response: Any, have: int) -> None:
        if response.status_code not in (200, 206):
            raise DataError(
                f"{url}: expected the file, found HTTP {response.status_code} {response.reason}; try again later, or "
                "put the file there yourself"
            )
        starts = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if not (response.status_code == 206 and starts):
            have = 0  # the server sends all of it, whatever was asked for
        length = response.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else 0
        with open(self.part, "ab" if have else "wb") as file:
            for block in response.raw.stream(BLOCK, decode_content=False):
                file.write(block)
                have += len(block)
                self.progress(have, max(total, have))
        if total and have < total:
            raise ConnectionError(f"{have} of {total} bytes came")


def _reason(error: Exception) -> str:
    cause = str(error.args[0] if error.args else error)
    return cause.partition("(Caused by")[0][:160] or type(error).__name__
