"""What goes wrong in a classroom: each time one line that teaches, nothing lost, and nothing left running."""

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

import nbformat
import pytest
from conftest import Notebook
from engines.dockerd import HUB, Dockerd, ping
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel
from live import ROOT, Lab, Student, inventory, plain, private, using
from traitlets.config import Config

from labkit.commands import run
from labkit.docker.engine import Docker, advice
from labkit.errors import LabError

pytestmark = pytest.mark.docker

LESSON = ROOT / "notebooks" / "en" / "12-docker-images-and-layers.ipynb"
GONE = "The Docker engine does not answer"
ABSENT = "No Docker engine answers at "


@contextmanager
def notebook(mode: str = "live") -> Iterator[Notebook]:
    """A notebook in the course's folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(LESSON.parent)
        patch.setenv("LABKIT_MODE", mode)
        patch.setenv("LABKIT_PROGRESS", "off")
        InteractiveShell.clear_instance()
        try:
            yield Notebook(
                InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
            )
        finally:
            InteractiveShell.clear_instance()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Dockerd]:
    """An engine to be killed."""
    with private() as engine, using(engine, tmp_path / "config"):
        yield engine


def clients(engine: Dockerd) -> list[int]:
    """The ``docker`` commands that talk to an engine."""
    return [
        pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _talks(pid, engine)
    ]


def _talks(pid: int, engine: Dockerd) -> bool:
    try:
        return Path(
            f"/proc/{pid}/comm"
        ).read_text().strip() == "docker" and f"DOCKER_HOST={engine.host}".encode() in Path(
            f"/proc/{pid}/environ"
        ).read_bytes().split(b"\0")
    except OSError:
        return False


def labkit(*argv: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labkit", *argv],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **env},
        cwd=ROOT,
    )


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command line failed with one line that has these words."""
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith("labkit: "), done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def one_line(error: LabError) -> str:
    assert "\n" not in str(error) and len(str(error)) < 600
    return str(error)


# -- the engine is killed -----------------------------------------------------------------------


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
    out, err = process.communicate(timeout=30)
    refused(subprocess.CompletedProcess([], process.returncode, out, err), "debian:bookworm-slim")
    assert clients(mortal) == []
    refused(labkit("layers", "busybox"), ABSENT)
    refused(labkit("forest"), ABSENT)
    refused(labkit("reset"), ABSENT)
    mortal.start()
    assert labkit("reset", "prefetched").returncode == 0
    assert inventory()["image"] == set()


def test_killed_while_it_sends_an_image(mortal: Dockerd) -> None:
    plain("pull", "-q", "debian:bookworm-slim")
    stream = Docker.find().save("debian:bookworm-slim")
    next(stream)
    mortal.kill()
    with pytest.raises(LabError, match=GONE) as error:
        for _ in stream:
            pass
    one_line(error.value)


def test_killed_in_mid_lesson(mortal: Dockerd) -> None:
    before = inventory()
    with notebook() as cells:
        for cell in (
            "%load_ext labkit",
            "%lesson 12",
            "%docker pull busybox",
            "%docker volume create lab12-volume",
            "%docker run -d --stop-timeout 1 -v lab12-volume:/x --name lab12-one busybox sleep 1d",
            "%task own-container",
            "%docker commit lab12-one lab12/notes:1",
        ):
            cells.run(cell)

        def kill() -> None:
            while "lab12-two" not in plain("ps", "--format", "{{.Names}}"):
                time.sleep(0.02)
            mortal.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        said = cells.run("%docker run --stop-timeout 1 --name lab12-two busybox sleep 600")
        killer.join()
        assert "exit code 1" in said and said.count(GONE) == 1, said
        assert not ping(str(mortal.socket)) and clients(mortal) == []
        for line in (
            "%forest",
            "%layers busybox",
            "%explore busybox",
            "%before_after docker commit lab12-one lab12/x:1",
            "%task one-layer",
            "%predict two-containers",
            "%answer two-containers",
            "%check own-container",
            "%check one-layer",
            "%docker ps",
            "%docker rm -f lab12-one",
            "%docker run busybox true",
            "%doctor",
        ):
            said = cells.run(line)
            ours = [text for text in said.splitlines() if GONE in text or ABSENT in text]
            assert len(ours) == 1 or line.startswith(("%predict", "%before_after")), (line, said)
            assert "✔" not in said or line == "%doctor", said
            assert "Cannot tell: " in said or "%check" not in line
        cells.shell.run_cell("import os; os.environ['LABKIT_MODE'] = ''")
        assert "replay" in cells.run("%lesson 12")  # the lesson goes on without an engine
        mortal.start()
        cells.shell.run_cell("os.environ['LABKIT_MODE'] = 'live'")
        made = Lab().made()
        assert {
            plain("inspect", "--format", "{{.Id}}", name) for name in ("lab12-one", "lab12-two")
        } == {entry[1] for entry in made if entry[0] == "container"}
        said = cells.run("%lesson 12")
        assert (
            "stays" not in said and {**inventory(), "network": before["network"]} == before
        )  # a new bridge
        cells.run("%docker pull busybox")
        assert "lab12" not in cells.run("%docker run -d --name lab12-one busybox sleep 1d")
        assert "lab12-one" in cells.run("%forest busybox")
        cells.run("%lesson 12")
    assert {**inventory(), "network": before["network"]} == before


# -- no engine, or none we may or can use -------------------------------------------------------


@contextmanager
def answering(folder: Path, answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """A stand-in for what may sit behind DOCKER_HOST: it gives every request the same answer."""
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


@pytest.mark.parametrize(
    "answer, words",
    [
        (
            says("200 OK", OLD),
            "Docker 19.03.15 (API 1.40) is older than the course needs (Docker 20.10, API 1.41)",
        ),
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
    short = (
        Path("/tmp") if len(str(tmp_path)) > 90 else tmp_path
    )  # unix(7): a socket's path has 107 bytes
    start = time.monotonic()
    with answering(short, answer) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        with pytest.raises(LabError) as error:
            Docker.find()
    assert words in one_line(error.value)
    assert time.monotonic() - start < 15


@pytest.mark.parametrize(
    "host", ["unix:///nonexistent/docker.sock", "tcp://127.0.0.1:1", "nonsense", "ftp://x"]
)
def test_an_absent_engine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)
    with pytest.raises(LabError) as error:
        Docker.find()
    assert one_line(error.value).startswith(f"{ABSENT}{host}. Start Docker Desktop or ")


def test_an_absent_engine_on_the_command_line_and_in_a_notebook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    for argv in (["forest"], ["layers", "busybox"], ["reset"], ["prefetch"], ["record", "12"]):
        refused(labkit(*argv), ABSENT)
    with notebook("") as cells:
        cells.run("%load_ext labkit")
        said = cells.run("%lesson 12")
        assert "replay · " in said and ABSENT in said
    with notebook("live") as cells:
        cells.run("%load_ext labkit")
        assert ABSENT in cells.run("%lesson 12") and "%lesson" in cells.run("%docker ps")


def test_no_docker_command(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(labkit("forest", PATH="/nonexistent"), "Docker is not installed here", "https://")


def test_settings_that_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", "/nonexistent")
    with pytest.raises(LabError) as error:
        Docker.find()
    one_line(error.value)


def test_a_socket_without_permission(on_engine: Dockerd, monkeypatch: pytest.MonkeyPatch) -> None:
    Docker.find()  # imports what it needs while that may be read
    on_engine.folder.chmod(0o755)
    monkeypatch.setenv("DOCKER_CONFIG", "/nonexistent")
    os.seteuid(65534)  # nobody
    try:
        with pytest.raises(LabError) as error:
            Docker.find()
        said = run(["docker", "ps"])
    finally:
        os.seteuid(0)
        on_engine.folder.chmod(0o700)
    for text in (one_line(error.value), advice(said)):
        assert "sudo usermod -aG docker $USER" in text, (text, said)


# -- full disks ---------------------------------------------------------------------------------


def test_the_engines_disk_is_full(tmp_path: Path) -> None:
    with private(disk="48m") as engine, using(engine, tmp_path), notebook() as cells:
        cells.run("%load_ext labkit")
        cells.run("%lesson 12")
        for line in (
            f"%docker pull {HUB.removeprefix('http://')}/library/debian:bookworm-slim",
            "%docker run --name lab12-big busybox dd if=/dev/zero of=/big.bin bs=1M count=90",
        ):
            said = cells.run(line)
            assert re.search("no space left on device", said, re.I), said
            assert (
                said.count("The engine's disk is full: `docker system df`") == 1
                and "exit code 1" in said
            )
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


@pytest.mark.parametrize("place", [full_disk, unwritable])
def test_the_ledger_cannot_be_written(
    place: Callable[..., Iterator[Path]],
    student: Student,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    student("pull", "-q", "busybox")
    with place(tmp_path / "place") as home, notebook() as cells:
        monkeypatch.setenv("LABKIT_HOME", str(home))
        cells.run("%load_ext labkit")
        cells.run("%lesson 12")
        said = cells.run("%docker run -d --name lab12-one busybox sleep 1d")
        left = plain("inspect", "--format", "{{.Id}}", "lab12-one")
        assert "could not note" in said and "remove by hand" in said and left[:12] in said
        assert len([line for line in said.splitlines() if "labkit" in line]) == 1
        plain("rm", "-f", re.findall("[0-9a-f]{12,}", said)[-1])
        monkeypatch.delenv("LABKIT_HOME")


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


def test_odd_names_and_arguments(lab: Lab, student: Student) -> None:
    student("pull", "-q", "busybox")
    with notebook() as cells:
        cells.run("%load_ext labkit")
        cells.run("%lesson 12")

        def magic(name: str, line: str) -> str:
            return cells.run(f"get_ipython().run_line_magic({name!r}, {line!r})")

        for name in NAMES:
            quoted = '"' + re.sub(r'([$`"\\])', r"\\\1", name) + '"'
            for line in (
                f"create --name {quoted} busybox true",
                f"rm -f {quoted}",
                f"pull {quoted}",
                f"exec {quoted} true",
                f"tag busybox {quoted}",
                f"volume create {quoted}",
            ):
                said = magic("docker", line)
                assert "Traceback" not in said
            for other in ("layers", "forest", "check", "task", "lesson", "predict"):
                ours = magic(other, quoted)
                assert len(ours) < 4000 and "Traceback" not in ours
            cells.run("%lesson 12")
            if name:
                shown = magic("docker", f"run --rm busybox echo {quoted}")
                assert name.strip() in shown.replace("\x07", "\a")
    assert plain("ps", "-q") == ""


# -- cells in another order, twice, interrupted -------------------------------------------------


def code_cells() -> list[str]:
    return [
        cell.source
        for cell in nbformat.read(LESSON, as_version=4).cells
        if cell.cell_type == "code"
    ]


@pytest.mark.parametrize("mode", ["live", "replay"])
def test_cells_in_any_order_and_twice(mode: str, student: Student) -> None:
    if mode == "live":
        student("pull", "-q", "httpd")  # once is slow enough
    expected = inventory()
    first, *rest = code_cells()
    order = rest * 2
    random.Random(12).shuffle(order)
    order.insert(len(order) // 2, "%lesson 12")
    with notebook(mode) as cells:
        cells.run(first)
        start = cells.run("%docker ps -a")
        for source in order:
            said = cells.run(source)
            assert not re.search(r"^\w+(Error|Exception|Interrupt)\b", said, re.M), (source, said)
            if source.startswith("%lesson"):
                assert cells.run("%docker ps -a") == start
        cells.run("%lesson 12")
        assert "lab12-one" not in cells.run("%docker ps -a")
        if mode == "live":
            assert inventory() == expected
        for source in rest[
            : rest.index("%task own-container")
        ]:  # and from the top all is as it should be
            said = cells.run(source)
            assert "Cannot tell" not in said and "run that cell first" not in said, (source, said)


def test_a_kernel_interrupted_in_mid_lesson(student: Student) -> None:
    env = {**os.environ, "LABKIT_MODE": "live", "LABKIT_PROGRESS": "off"}
    manager, client = start_new_kernel(cwd=str(LESSON.parent), env=env)
    try:

        def execute(source: str, when: Callable[[], bool] | None = None) -> tuple[str, str]:
            """The status of a cell, and its text; interrupted once ``when`` is true."""
            asked = client.execute(source)
            if when:
                while not when():
                    time.sleep(0.02)
                manager.interrupt_kernel()
            status = client.get_shell_msg(timeout=60)["content"]["status"]
            said = ""
            while (message := client.get_iopub_msg(timeout=60))["content"].get(
                "execution_state"
            ) != "idle" or message["parent_header"].get("msg_id") != asked:
                content = message["content"]
                said += content.get("data", {}).get("text/plain", "") + "\n".join(
                    content.get("traceback", [])
                )
            return status, said

        execute("%load_ext labkit\n%lesson 12")
        execute("%docker pull debian:bookworm-slim")
        status, said = execute(
            "%docker run --name lab12-big busybox sleep 600",
            lambda: "lab12-big" in plain("ps", "--format", "{{.Names}}"),
        )
        assert (
            status == "error" and said.startswith("Stopped by you") and "\n" not in said.strip()
        ), said
        assert "lab12-big" not in plain("ps", "--format", "{{.Names}}")
        events = subprocess.Popen(
            ["docker", "events", "--filter", "event=save"], stdout=subprocess.PIPE, text=True
        )
        status, said = execute(
            "%layers debian:bookworm-slim", lambda: bool(events.stdout and events.stdout.readline())
        )
        events.kill()
        events.wait()
        assert (
            status == "error" and said.startswith("Stopped by you") and "\n" not in said.strip()
        ), said
        assert execute("%docker exec lab12-big true")[0] == "ok"
        status, said = execute("%lesson 12")
        assert status == "ok" and "stays" not in said
        assert inventory() == student.before
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
