"""A Slurm of our own on this machine: three nodes of one CPU each, started and stopped by the tests."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NODES = ("n1", "n2", "n3")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
CONF = """
ClusterName=fgscore
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=1
CompleteWait=0
NodeName={nodes} NodeHostname=localhost NodeAddr=127.0.0.1 Port={ports[1]},{ports[2]},{ports[3]} CPUs=1
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def until(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait for ``condition``; the test fails where it does not come true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain until {what}"
        time.sleep(0.1)


def call(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


# ends jobs and daemons ($@ their ids) when the tests do without stopping them: its standard input closes
WATCH = """cat; scancel --me --signal=KILL --full; scancel --me; sleep 15; kill -9 "$@"; rm -rf "$FOLDER" """


@dataclass
class Daemons:
    """munged, slurmctld and a slurmd for each node, in one folder."""

    folder: Path
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    watch: subprocess.Popen[bytes] | None = None
    until = staticmethod(until)
    call = staticmethod(call)

    def start(self) -> None:
        key = self.folder / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        (self.folder / "state").mkdir()
        conf = CONF.format(folder=self.folder, user=getpass.getuser(), ports=free_ports(4), nodes=",".join(NODES))
        (self.folder / "slurm.conf").write_text(conf)
        parts = {"socket": "munge.sock", "key-file": "key", "pid-file": "munged.pid", "seed-file": "seed"}
        own = [f"--{option}={self.folder / name}" for option, name in {**parts, "log-file": "munged.log"}.items()]
        self._run("munged", "--foreground", "--force", *own)
        until((self.folder / "munge.sock").exists, "munged listens")
        self._run("slurmctld", "-D", "-c")
        for node in NODES:
            self._run("slurmd", "-D", "-N", node)
        self.watch = subprocess.Popen(
            ["sh", "-c", WATCH, "watch", *(str(process.pid) for process in self.running)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env={**os.environ, "FOLDER": str(self.folder)},
        )
        until(lambda: call("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == str(len(NODES)), f"ready: {self.said()}")

    def _run(self, program: str, *args: str) -> None:
        with open(self.folder / "daemons.log", "ab") as log:
            self.running.append(subprocess.Popen([program, *args], stdout=log, stderr=log))

    def said(self) -> str:
        return (self.folder / "daemons.log").read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        try:
            if len(self.running) > 1:
                subprocess.run(["scancel", "--me", "--signal=KILL", "--full"], capture_output=True, timeout=20)
                subprocess.run(["scancel", "--me"], capture_output=True, timeout=20)
                until(lambda: not call("squeue", "-h"), "the queue is empty", 20)
        finally:
            if self.watch:
                self.watch.kill()
                self.watch.wait()
            for process in reversed(self.running):
                process.terminate()
            for process in reversed(self.running):
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@pytest.fixture(scope="session")
def _daemons() -> Iterator[Daemons]:
    pytest.importorskip("submitit")
    missing = [program for program in PROGRAMS if shutil.which(program, path=PATH) is None]
    if missing or sys.platform != "linux":
        pytest.skip(f"needs Slurm, lacks {', '.join(missing)}: apt-get install slurm-wlm munge")
    folder = Path(tempfile.mkdtemp(prefix="fgscore-slurm-"))  # short: the path of a socket has to be
    folder.chmod(0o755)
    daemons = Daemons(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", PATH)
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        try:
            daemons.start()
            yield daemons
        finally:
            daemons.stop()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def cluster(_daemons: Daemons, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemons]:
    """A Slurm with three idle nodes, looked at often."""
    from fgscore.execute import cluster as follower

    monkeypatch.setattr(follower, "POLL", 0.3)
    yield _daemons
    if call("squeue", "-h"):
        call("scancel", "--me")
    until(lambda: not call("squeue", "-h"), "the queue is empty")
