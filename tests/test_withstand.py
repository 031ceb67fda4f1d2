"""What goes wrong in a classroom: one line that teaches, nothing lost, and nothing left running."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import NOTEBOOKS, Notebook, notebook
from engines.dockerd import HUB, Dockerd, ping
from jupyter_client.manager import start_new_kernel
from live import ROOT, Lab, Student, inventory, labkit, plain, private, using
from samples.errors import refused

from labkit.commands import run
from labkit.docker.client import Client
from labkit.docker.output import because

LESSON = NOTEBOOKS / "en" / "12-docker-images-and-layers.ipynb"
GONE = "The Docker engine does not answer"
ABSENT = "No Docker engine answers at "
live = pytest.mark.live("docker")


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """Lesson 12 live, on the engine that the test has asked for before."""
    with notebook(monkeypatch, "live") as found:
        found.run("%load_ext labkit\n%lesson 12")
        yield found


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Dockerd]:
    """An engine to be killed."""
    with private() as engine, using(engine, tmp_path / "config"):
        yield engine


def clients(engine: Dockerd) -> list[int]:
    """The ``docker`` commands that talk to an engine."""
    pids = map(int, filter(str.isdigit, os.listdir("/proc")))
    return [pid for pid in pids if _talks(Path(f"/proc/{pid}"), engine)]


def _talks(process: Path, engine: Dockerd) -> bool:
    host = f"DOCKER_HOST={engine.host}".encode()
    try:
        name, env = (process / "comm").read_text(), (process / "environ").read_bytes()
    except OSError:
        return False
    return name.strip() == "docker" and host in env.split(b"\0")


def cannot(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command line failed with one line that has these words."""
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("labkit: "), done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def wait_for(container: str) -> None:
    """Till a container runs."""
    while container not in plain("ps", "--format", "{{.Names}}"):
        time.sleep(0.02)


# -- the engine is killed -----------------------------------------------------------------------


@live
def test_killed_in_mid_command_on_the_command_line(mortal: Dockerd) -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "labkit", "prefetch", "12"],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout and "busybox" in process.stdout.readline()
    while not clients(mortal):  # it pulls the next, a large one
        time.sleep(0.02)
    mortal.kill()
    out, err = process.communicate(timeout=60)
    done = subprocess.CompletedProcess([], process.returncode, out, err)
    cannot(done, "debian:bookworm-slim")
    assert clients(mortal) == []
    for argv in (["layers", "busybox"], ["forest"], ["reset"]):
        cannot(labkit(*argv), ABSENT)
    mortal.start()
    assert labkit("reset", "prefetched").returncode == 0
    assert inventory()["image"] == set()


@live
def test_killed_while_it_sends_an_image(mortal: Dockerd) -> None:
    plain("pull", "-q", "debian:bookworm-slim")
    stream = Client.find().save("debian:bookworm-slim")
    next(stream)
    mortal.kill()
    assert GONE in refused(list, stream)


AFTERWARDS = """%forest
%layers busybox
%explore busybox
%before_after docker commit lab12-one lab12/x:1
%task one-layer
%predict two-containers
%answer two-containers
%check own-container
%check one-layer
%docker ps
%docker rm -f lab12-one
%docker run busybox true
%doctor"""


@live
def test_killed_in_mid_lesson(
    mortal: Dockerd, cells: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = inventory()
    cells.run("%docker pull busybox\n%docker volume create lab12-volume")
    volume = "--stop-timeout 1 -v lab12-volume:/x"
    cells.run(f"%docker run -d {volume} --name lab12-one busybox sleep 1d")
    cells.run("%task own-container\n%docker commit lab12-one lab12/notes:1")

    def kill() -> None:
        wait_for("lab12-two")
        mortal.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    said = cells.run("%docker run --stop-timeout 1 --name lab12-two busybox sleep 600")
    killer.join()
    assert "exit code 1" in said and said.count(GONE) == 1, said
    assert not ping(str(mortal.socket)) and clients(mortal) == []
    for line in AFTERWARDS.splitlines():
        said = cells.run(line)
        ours = [text for text in said.splitlines() if GONE in text or ABSENT in text]
        assert len(ours) == 1 or line.startswith(("%predict", "%before_after")), (line, said)
        assert "✔" not in said or line == "%doctor", said
        assert "Cannot tell: " in said or "%check" not in line
    monkeypatch.setenv("LABKIT_MODE", "")
    assert "replay" in cells.run("%lesson 12")  # the lesson goes on without an engine
    monkeypatch.setenv("LABKIT_MODE", "live")
    mortal.start()
    ids = {plain("inspect", "--format", "{{.Id}}", f"lab12-{name}") for name in ("one", "two")}
    assert ids == {entry[1] for entry in Lab().made() if entry[0] == "container"}
    assert "stays" not in cells.run("%lesson 12")
    before["network"] = inventory()["network"]  # a new bridge
    assert inventory() == before
    cells.run("%docker pull busybox")
    assert "lab12" not in cells.run("%docker run -d --name lab12-one busybox sleep 1d")
    assert "lab12-one" in cells.run("%forest busybox")
    cells.run("%lesson 12")
    assert inventory() == before


# -- no engine, or none we may or can use -------------------------------------------------------


@contextmanager
def answering(folder: Path, answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """What may sit behind DOCKER_HOST: it gives every request the same answer."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "s"))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"unix://{folder / 's'}"
        finally:
            server.shutdown(socket.SHUT_RDWR)


def says(status: str, body: str) -> Callable[[socket.socket], object]:
    reply = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    return lambda connection: connection.sendall(reply.encode())


def hush(connection: socket.socket) -> None:
    connection.recv(1)  # until the other side has had enough


OLD = '{"Version": "19.03.15", "ApiVersion": "1.40", "MinAPIVersion": "1.12", "Os": "linux"}'
TOO_OLD = "Docker 19.03.15 (API 1.40) is older than the course needs (Docker 20.10, API 1.41)"


@pytest.mark.usefixtures("no_engine")
@pytest.mark.skipif(sys.platform != "linux", reason="unix sockets")
@pytest.mark.parametrize(
    "answer, words",
    [
        (says("200 OK", OLD), TOO_OLD),
        (says("404 Not Found", "page not found"), "No Docker engine answers at unix://"),
        (says("200 OK", "<html>It works!</html>"), "unix://"),
        (says("200 OK", '{"hello": 1}'), "is not a Docker engine"),
        (says("200 OK", "[]"), "is not a Docker engine"),
        (says("200 OK", '{"Version": "x", "ApiVersion": "old"}'), "is not a Docker engine"),
        (lambda connection: connection.sendall(b"\0garbage\xff"), "No Docker engine answers"),
        (lambda connection: connection.close(), "No Docker engine answers"),
        (hush, "No Docker engine answers"),
    ],
    ids=["old", "404", "html", "other JSON", "list", "no version", "garbage", "hangs up", "silent"],
)
def test_what_is_no_engine_we_can_use(
    answer: Callable[[socket.socket], object],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    short = Path("/tmp") if len(str(tmp_path)) > 90 else tmp_path  # unix(7): 107 bytes at most
    with answering(short, answer) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        assert words in refused(Client.find)


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize(
    "host", ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1", "nonsense", "ftp://x"]
)
def test_an_absent_engine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    assert refused(Client.find).startswith(f"{ABSENT}{host}. Start Docker Desktop or ")


@pytest.mark.usefixtures("no_engine")
def test_settings_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/nonexistent")
    assert refused(Client.find)


@live
def test_a_socket_without_permission(on_engine: Dockerd, monkeypatch: pytest.MonkeyPatch) -> None:
    Client.find()  # imports what it needs while that may be read
    on_engine.folder.chmod(0o755)
    monkeypatch.setenv("DOCKER_CONFIG", "/nonexistent")
    os.seteuid(65534)  # nobody
    try:
        told, said = refused(Client.find), run(["docker", "ps"])
    finally:
        os.seteuid(0)
        on_engine.folder.chmod(0o700)
    for text in (told, because(said.err)):
        assert "sudo usermod -aG docker $USER" in text, (text, said)


# -- full disks ---------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Dockerd]:
    """An engine whose disk is nearly full."""
    with private(disk="48m") as engine, using(engine, tmp_path):
        yield engine


@live
def test_the_engines_disk_is_full(small: Dockerd, cells: Notebook) -> None:
    fills = "run --name lab12-big busybox dd if=/dev/zero of=/big.bin bs=1M count=90"
    for line in (f"pull {HUB.removeprefix('http://')}/library/debian:bookworm-slim", fills):
        said = cells.run(f"%docker {line}")
        assert re.search("no space left on device", said, re.I), said
        assert said.count("The engine's disk is full: `docker system df`") == 1
        assert "exit code 1" in said
    assert "stays" not in cells.run("%lesson 12")
    assert inventory()["container"] == set()


@contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(folder)], check=True)
    try:
        (folder / "full").write_bytes(b"x" * 4096)
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def unwritable(folder: Path) -> Iterator[Path]:
    folder.write_text("a file where a folder is needed\n")
    yield folder / "home"


@live
@pytest.mark.parametrize("place", [full_disk, unwritable])
def test_the_ledger_cannot_be_written(
    place: Any, student: Student, tmp_path: Path, cells: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    student("pull", "-q", "busybox")
    with place(tmp_path / "place") as home:
        with monkeypatch.context() as patch:
            patch.setenv("LABKIT_HOME", str(home))
            cells.run("%lesson 12")
            said = cells.run("%docker run -d --name lab12-one busybox sleep 1d")
        left = plain("inspect", "--format", "{{.Id}}", "lab12-one")
        assert "could not note" in said and "remove by hand" in said and left[:12] in said
        assert len([line for line in said.splitlines() if "labkit" in line]) == 1
        plain("rm", "-f", re.findall("[0-9a-f]{12,}", said)[-1])


# -- odd words ----------------------------------------------------------------------------------

NAMES = [
    "with space",
    "quote'quote",
    'double"quote',
    "-leading",
    "--privileged",
    "new\nline",
    "x" * 10_000,
    "ünïcødé",
    "",
    "a/b/../c",
    "{{.Id}}",
    "%s",
    "$HOME",
    "back\\slash",
    "tab\tbell\a",
]


ASKED = """create --name NAME busybox true
rm -f NAME
pull NAME
exec NAME true
tag busybox NAME
volume create NAME"""


@live
def test_odd_names_and_arguments(student: Student, cells: Notebook) -> None:
    student("pull", "-q", "busybox")

    def magic(magic: str, line: str) -> str:
        return cells.run(f"get_ipython().run_line_magic({magic!r}, {line!r})")

    for name in NAMES:
        quoted = '"' + re.sub(r'([$`"\\])', r"\\\1", name) + '"'
        for line in ASKED.splitlines():
            magic("docker", line.replace("NAME", quoted))
        for ours in ("layers", "forest", "check", "task", "lesson", "predict"):
            assert len(magic(ours, quoted)) < 4000
        cells.run("%lesson 12")
        if name:
            shown = magic("docker", f"run --rm busybox echo {quoted}")
            assert name.strip() in shown.replace("\x07", "\a")
    assert plain("ps", "-q") == ""


# -- cells in another order, twice, interrupted -------------------------------------------------


def in_any_order(cells: Notebook) -> None:
    """Each cell twice, shuffled, the lesson begun again in the middle; then from the top."""
    code = nbformat.read(LESSON, as_version=4).cells
    first, *rest = (cell.source for cell in code if cell.cell_type == "code")
    order = rest * 2
    random.Random(12).shuffle(order)
    order.insert(len(order) // 2, "%lesson 12")
    cells.run(first)
    start = cells.run("%docker ps -a")
    for source in order:
        said = cells.run(source)
        assert not re.search(r"^\w+(Error|Exception|Interrupt)\b", said, re.M), (source, said)
        if source.startswith("%lesson"):
            assert cells.run("%docker ps -a") == start
    cells.run("%lesson 12")
    assert "lab12-one" not in cells.run("%docker ps -a")


def from_the_top(cells: Notebook) -> None:
    """All is as it should be."""
    code = nbformat.read(LESSON, as_version=4).cells
    _, *rest = (cell.source for cell in code if cell.cell_type == "code")
    for source in rest[: rest.index("%task own-container")]:
        said = cells.run(source)
        assert "Cannot tell" not in said and "run that cell first" not in said, (source, said)


def test_cells_in_any_order_and_twice_in_replay(replay: Notebook) -> None:
    in_any_order(replay)
    from_the_top(replay)


@live
def test_cells_in_any_order_and_twice(student: Student, cells: Notebook) -> None:
    student("pull", "-q", "httpd")  # once is slow enough
    expected = inventory()
    in_any_order(cells)
    assert inventory() == expected
    from_the_top(cells)


class Kernel:
    """A kernel as JupyterLab has one, which may be interrupted."""

    def __init__(self) -> None:
        env = {**os.environ, "LABKIT_MODE": "live", "LABKIT_PROGRESS": "off"}
        self.manager, self.client = start_new_kernel(cwd=str(LESSON.parent), env=env)

    def run(self, source: str, when: Callable[[], object] | None = None) -> tuple[str, str]:
        """The status of a cell, and its text; interrupted once ``when`` is over."""
        asked = self.client.execute(source)
        if when:
            when()
            self.manager.interrupt_kernel()
        status = self.client.get_shell_msg(timeout=60)["content"]["status"]
        said = ""
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            about, content = message["parent_header"].get("msg_id"), message["content"]
            if about == asked and content.get("execution_state") == "idle":
                return status, said
            said += content.get("data", {}).get("text/plain", "")
            said += "\n".join(content.get("traceback", []))

    def stopped(self, source: str, when: Callable[[], object]) -> None:
        """Interrupt a cell: it says so in one line."""
        status, said = self.run(source, when)
        assert status == "error" and said.startswith("Stopped by you"), said
        assert "\n" not in said.strip()

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@live
def test_a_kernel_interrupted_in_mid_lesson(student: Student) -> None:
    kernel = Kernel()
    try:
        begun = kernel.run("%load_ext labkit\n%lesson 12\n%docker pull debian:bookworm-slim")
        assert begun[0] == "ok", begun
        run = "%docker run --name lab12-big busybox sleep 600"
        kernel.stopped(run, lambda: wait_for("lab12-big"))
        assert "lab12-big" not in plain("ps", "--format", "{{.Names}}")
        since = ["--since", str(int(time.time()))]  # for it takes a moment to listen
        listen = ["docker", "events", *since, "--filter", "event=save"]
        events: Any = subprocess.Popen(listen, stdout=subprocess.PIPE, text=True)
        kernel.stopped("%layers debian:bookworm-slim", events.stdout.readline)
        events.kill()
        events.communicate()
        assert kernel.run("%docker exec lab12-big true")[0] == "ok"
        status, said = kernel.run("%lesson 12")
        assert status == "ok" and "stays" not in said and inventory() == student.before
    finally:
        kernel.end()
