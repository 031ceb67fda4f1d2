"""Docker engines as processes: is one answering, and one that a test may kill or starve."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

HUB = f"http://127.0.0.1:{os.environ.get('LABKIT_HUB_PORT', '5000')}"


class EngineError(Exception):
    """One line: what failed, why, where to look."""


def ping(path: str, timeout: float = 2.0) -> bool:
    """Whether an engine answers `GET /_ping` on a unix socket (Docker Engine API, `SystemPing`)."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout)
            connection.connect(path)
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
    except OSError:
        return False


def spawn(argv: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Start `argv` in a session of its own, so that Ctrl-C in the terminal does not reach it."""
    out: IO[bytes]
    with log.open("ab") as out:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[bytes], seconds: float, log: Path
) -> None:
    """Wait until `ready()`.

    Raises EngineError when the process ends first or the seconds run out.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        name = Path(str(process.args[0] if isinstance(process.args, list) else process.args)).name
        if process.poll() is not None:
            lines = log.read_text(errors="replace").strip().splitlines() or ["no output"]
            raise EngineError(
                f"{name} ended with exit code {process.returncode}: {lines[-1]} (log: {log})"
            )
        if time.monotonic() > deadline:
            raise EngineError(f"{name} did not answer in {seconds:.0f} s; see {log}")
        time.sleep(0.02)


def command_line(pid: int) -> str:
    """The arguments of a process; none if gone, or a zombie (proc(5), `/proc/pid/cmdline`)."""
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except OSError:
        return ""


def processes(*marks: str) -> Iterator[int]:
    """Pids whose arguments or cgroup contain one of `marks`: a folder, or the id of a container."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words, groups = command_line(int(entry.name)), (entry / "cgroup").read_text()
            except OSError:
                continue
            if words and any(mark in words + groups for mark in marks):
                yield int(entry.name)


def mounts(under: Path) -> list[str]:
    """Mount points at or below a folder, innermost first.

    Source: proc(5), `mountinfo`, field 5: a blank is `\\040`.
    """
    points = [
        re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), line.split()[4])
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
    ]
    return [point for point in reversed(points) if Path(point).is_relative_to(under)]


def forget_dead_containerd(exec_root: Path) -> None:
    """Remove the pid file of a containerd that died with its dockerd.

    While that one is a zombie, or another has its pid, a new dockerd takes it for alive and waits
    in vain.
    """
    file = exec_root / "containerd/containerd.pid"
    if file.exists() and "containerd" not in command_line(int(file.read_text() or 0)):
        file.unlink()


class Dockerd:
    """A private engine with its own socket, data, containerd and bridge, beside any other.

    >>> with Dockerd(disk="64m") as engine:
    ...     engine.docker("run", "--rm", "busybox", "true")
    ...     engine.kill()

    `disk` puts the data on a tmpfs of that size (tmpfs(5), `size=`), to be filled. `mirror` is
    asked for images before Docker Hub is. Containers reach nothing unless run with `--network
    host`. Needs root. Leaving the block removes all of it.
    """

    def __init__(
        self, *options: str, disk: str | None = None, mirror: str = HUB, seconds: float = 20
    ) -> None:
        # A unix socket's path holds at most 107 bytes (unix(7)), so not $TMPDIR, which may be long.
        self.folder = Path(tempfile.mkdtemp(prefix="dockerd-", dir="/tmp"))
        self.socket = self.folder / "docker.sock"
        self.host = f"unix://{self.socket}"
        self.data = self.folder / "data"
        self.log = self.folder / "dockerd.log"
        self.disk, self.seconds = disk, seconds
        self.process: subprocess.Popen[bytes] | None = None
        config = (
            self.folder / "daemon.json"
        )  # an empty one, or /etc/docker/daemon.json would be obeyed
        config.write_text("{}\n")
        # `--bridge=none` would delete docker0, the bridge of the machine's engine. So a bridge of
        # its own, with an address from the range for tests (RFC 2544) and without forwarding: it
        # leads nowhere.
        self.bridge = "dk" + self.folder.name.removeprefix("dockerd")
        self.argv = [
            "dockerd",
            f"--host={self.host}",
            f"--data-root={self.data}",
            f"--config-file={config}",
            f"--exec-root={self.folder / 'exec'}",
            f"--pidfile={self.folder / 'dockerd.pid'}",
            f"--registry-mirror={mirror}",
            f"--bridge={self.bridge}",
            "--iptables=false",
            "--ip-forward=false",
            *options,
        ]

    def start(self) -> Dockerd:
        """Start, also again after `kill()` or `stop()`.

        Raises EngineError when it does not answer.
        """
        self.data.mkdir(exist_ok=True)
        if self.disk and not mounts(self.data):
            size = ["-o", f"size={self.disk}"]
            subprocess.run(["mount", "-t", "tmpfs", *size, "tmpfs", str(self.data)], check=True)
        if not self._has_bridge():
            taken = subprocess.run(
                ["ip", "-4", "-o", "address"], check=True, capture_output=True, text=True
            ).stdout
            net = (
                next(
                    n for n in range(os.getpid() % 256, 512) if f" 198.18.{n % 256}.1/" not in taken
                )
                % 256
            )
            address = (
                f"198.18.{net}.1/24"  # of two bridges with one subnet, replies would take either
            )
            subprocess.run(["ip", "link", "add", self.bridge, "type", "bridge"], check=True)
            subprocess.run(["ip", "address", "add", address, "dev", self.bridge], check=True)
        forget_dead_containerd(self.folder / "exec")
        self.process = spawn(self.argv, self.log)
        wait_until(lambda: ping(str(self.socket)), self.process, self.seconds, self.log)
        return self

    @property
    def env(self) -> dict[str, str]:
        """The environment that makes `docker` and the SDK talk to this engine."""
        return {**os.environ, "DOCKER_HOST": self.host}

    def docker(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run `docker ARGV` on this engine, streams captured; `options` as for `subprocess.run`."""
        options = {"capture_output": True, "text": True, "timeout": 600, "env": self.env, **options}
        return subprocess.run(["docker", *argv], **options)

    def kill(self) -> None:
        """Crash: SIGKILL to dockerd alone, as the kernel out of memory would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Orderly: dockerd stops its containers, then its containerd, then itself."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(number)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        """End the engine and what it leaves: containerd, shims, cgroups, mounts, files."""
        ids = self._containers()
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)  # a test may have suspended it
            if ids:  # an orderly stop would grant each container ten seconds
                self.docker("kill", *ids)
        self.stop()
        deadline = time.monotonic() + 10
        while left := list(processes(f"{self.folder}/", *ids)):
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if time.monotonic() > deadline:
                raise EngineError(f"processes {left} of the engine in {self.folder} do not end")
            time.sleep(0.05)
        for point in mounts(self.folder):
            subprocess.run(["umount", "--lazy", point], check=True)
        if self._has_bridge():
            subprocess.run(["ip", "link", "delete", self.bridge], check=True)
        for container in ids:
            for group in Path("/sys/fs/cgroup").glob(f"**/docker/{container}"):
                group.rmdir()
        shutil.rmtree(self.folder)

    def _has_bridge(self) -> bool:
        return Path("/sys/class/net", self.bridge).exists()

    def _containers(self) -> list[str]:
        folder = self.data / "containers"
        return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []

    def __enter__(self) -> Dockerd:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
