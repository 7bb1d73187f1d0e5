"""A model hub on loopback, as huggingface_hub's client sees it: it serves folders as repositories, and misbehaves on
demand. Weights are redirected as from large-file storage, other files come directly. Never asks for Xet."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".h5", ".msgpack", ".pt", ".model")
CODES = {403: "GatedRepo", 404: "EntryNotFound"}


@dataclass
class Request:
    """One request that came in, and how many bytes of a body went out."""

    method: str
    path: str
    file: str  # of a repository, or ''
    status: int = 0
    bytes: int = 0


@dataclass
class Fault:
    """What goes wrong, in requests whose path or file matches ``on``:

    'silent' never answers; 'dropped' closes instead; 'page' answers with a page to sign in; 'stalled' sends half of a
    body and no more; 'cut' sends half, closes, and has no more at any later try; 'slow' sends ``rate`` bytes a second;
    a number is the answer's status.
    """

    how: str | int
    on: str = ""
    rate: float = 1.0


@dataclass
class Repository:
    folder: Path
    commit: str
    gated: int = 0


@dataclass
class Hub:
    """See the module. ``url`` is the endpoint; ``requests`` grows as they come."""

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def serve(self, name: str, folder: Path, gated: int = 0) -> str:
        """``folder`` as ``main`` of the repository ``name``; returns its commit. ``gated`` is the status for its files:
        401 where nobody is logged in, 403 where they have no consent."""
        listing = [f"{path.name} {hashlib.sha1(path.read_bytes()).hexdigest()}" for path in files(folder)]
        commit = hashlib.sha1("\n".join(listing).encode()).hexdigest()
        self.repositories[name] = Repository(folder, commit, gated)
        return commit

    def misbehave(self, how: str | int, on: str = "", rate: float = 1.0) -> None:
        """From now on ``how``, see :class:`Fault`."""
        self.faults.append(Fault(how, on, rate))

    def recover(self) -> None:
        """No faults from now on; who waits is let go."""
        self.faults.clear()
        self.ended.set()
        self.ended = threading.Event()

    def fetched(self) -> dict[str, int]:
        """Bytes sent of each file."""
        sent: dict[str, int] = {}
        for request in self.requests:
            if request.file and request.method == "GET":
                sent[request.file] = sent.get(request.file, 0) + request.bytes
        return sent


def environment(url: str, cache: Path) -> dict[str, str]:
    """Variables for a process of its own whose hub is at ``url``."""
    return {
        "HF_ENDPOINT": url, "HF_HOME": str(cache), "HF_HUB_CACHE": str(cache / "hub"), "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
    }  # fmt: skip


def use(patch: Any, url: str, cache: Path) -> None:
    """The same for this process, whose client read its environment long ago. ``patch`` is pytest's monkeypatch."""
    from huggingface_hub import constants

    for name, value in environment(url, cache).items():
        patch.setenv(name, value)
    patch.setattr(constants, "ENDPOINT", url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_CACHE", str(cache / "hub"))
    patch.setattr(constants, "HF_HUB_OFFLINE", False)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file())


def fill_cache(
    cache: Path, name: str, folder: Path, *kept: str, commit: str = "0123456789abcdef" * 2 + "01234567"
) -> Path:
    """The hub cache below ``cache`` as another tool left it, with only the files ``kept`` of ``folder`` for ``main``;
    returns the snapshot's folder."""
    repository = cache / "hub" / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / commit
    for part in (repository / "refs", repository / "blobs", snapshot):
        part.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text(commit, encoding="ascii")
    for file in kept:
        blob = repository / "blobs" / etag(folder / file)
        blob.write_bytes((folder / file).read_bytes())
        (snapshot / file).symlink_to(Path("..") / ".." / "blobs" / blob.name)
    return snapshot


def etag(path: Path) -> str:
    """SHA-256 of what lies in large-file storage, git's own hash of other files."""
    data = path.read_bytes()
    if path.name.endswith(LARGE):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


@contextmanager
def running() -> Iterator[Hub]:
    """A hub that answers as long as the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads, server.block_on_close = True, False
    hub = server.hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def absent() -> Iterator[str]:
    """The address of a hub that refuses to be connected to."""
    with socket.socket() as taken:  # bound and not listening, so that nobody else gets the port
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@contextmanager
def unreachable() -> Iterator[str]:
    """The address of a hub to which no connection is ever made, as behind a firewall that drops packets."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:  # they fill the queue; what comes after gets no answer
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(full.getsockname())
        try:
            yield f"http://127.0.0.1:{full.getsockname()[1]}"
        finally:
            for one in waiting:
                one.close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: pytest's output is not the place."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.hub: Hub = self.server.hub  # type: ignore[attr-defined]
        path = unquote(urlsplit(self.path).path).strip("/")
        found = re.match(
            r"(?:api/models/)?(?P<name>[^/]+/[^/]+?)(?:/(?P<verb>revision|tree|resolve|cdn)/(?P<rest>.+))?$", path
        )
        verb = (found and found["verb"]) or ("api" if path.startswith("api/") else "")
        file = found["rest"].partition("/")[2] if found and verb in ("resolve", "cdn") else ""
        self.request_: Request = Request(self.command, "/" + path, file)
        self.hub.requests.append(self.request_)
        self.fault = next((f for f in self.hub.faults if f.on in self.request_.path), None)
        if self.fault and self.fault.how == "silent":
            self.hub.ended.wait()
        if self.fault and self.fault.how in ("silent", "dropped"):
            self.close_connection = True
        elif self.fault and self.fault.how == "page":
            self._send(200, b"<!DOCTYPE html><title>Sign in</title>", {"Content-Type": "text/html", "ETag": '"page"'})
        elif self.fault and isinstance(self.fault.how, int):
            code = CODES.get(self.fault.how)
            self._send(self.fault.how, b"no", {"X-Error-Code": code} if code else {})
        elif not found or found["name"] not in self.hub.repositories:
            self._send(401, b'{"error":"Invalid username or password."}')
        else:
            self._repository(found["name"], verb, found["rest"] or "", file)

    def _repository(self, name: str, verb: str, rest: str, file: str) -> None:
        repository = self.hub.repositories[name]
        commit = {"X-Repo-Commit": repository.commit}
        if verb in ("revision", "tree", "resolve") and rest.partition("/")[0] not in ("main", repository.commit):
            return self._send(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        if verb in ("api", "revision"):
            names = [{"rfilename": path.name, "size": path.stat().st_size} for path in files(repository.folder)]
            about = {"_id": "0", "id": name, "modelId": name, "sha": repository.commit, "private": False}
            about |= {"gated": "manual" if repository.gated else False, "siblings": names, "tags": []}
            return self._send(200, json.dumps(about).encode(), {"Content-Type": "application/json"})
        if verb == "tree":
            rows = [_row(path) for path in files(repository.folder)]
            return self._send(200, json.dumps(rows).encode(), {"Content-Type": "application/json"})
        path = repository.folder / file
        if repository.gated:
            return self._send(repository.gated, b"Access is restricted", {**commit, "X-Error-Code": "GatedRepo"})
        if not path.is_file():
            return self._send(404, b"Entry not found", {**commit, "X-Error-Code": "EntryNotFound"})
        if verb == "resolve" and file.endswith(LARGE):
            where = {"Location": f"{self.hub.url}/{name}/cdn/{etag(path)}/{file}"}
            linked = {"X-Linked-Etag": f'"{etag(path)}"', "X-Linked-Size": str(path.stat().st_size)}
            return self._send(302, b"Found", {**commit, **where, **linked})
        return self._send(200, path.read_bytes(), {**commit, "ETag": f'"{etag(path)}"', "Accept-Ranges": "bytes"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """The answer, of which a fault may hold back a part."""
        headers, whole = dict(headers or {}), len(body)
        end = whole // 2 if self.fault and self.fault.how in ("cut", "stalled") and self.command == "GET" else whole
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked[1]) if asked and status == 200 else 0
        if start:
            status, headers["Content-Range"] = 206, f"bytes {start}-{whole - 1}/{whole}"
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(whole - start)}.items():
            self.send_header(name, value)
        self.end_headers()
        self.request_.status = status
        if self.command == "HEAD":
            return
        with suppress(OSError):  # the client may have gone
            self._write(body[start:end])
            if end < whole:
                self.wfile.flush()
                if self.fault and self.fault.how == "stalled":
                    self.hub.ended.wait()
                self.close_connection = True

    def _write(self, body: bytes) -> None:
        slow = self.fault is not None and self.fault.how == "slow"
        step = max(1, int(self.fault.rate / 10)) if slow and self.fault else len(body) or 1
        for at in range(0, len(body), step):
            self.wfile.write(body[at : at + step])
            self.request_.bytes += len(body[at : at + step])
            if slow and self.fault:
                self.wfile.flush()
                if self.hub.ended.wait(step / self.fault.rate):
                    return


def _row(path: Path) -> dict[str, Any]:
    """One file in the listing of a tree."""
    size, large = path.stat().st_size, path.name.endswith(LARGE)
    row = {"type": "file", "path": path.name, "size": size, "oid": hashlib.sha1(path.name.encode()).hexdigest()}
    return {**row, "lfs": {"oid": etag(path), "size": size, "pointerSize": 134}} if large else row
