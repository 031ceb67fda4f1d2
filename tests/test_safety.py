"""A student's own things survive the whole course and every reset, and of the course nothing is left."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import Notebook
from IPython.core.interactiveshell import InteractiveShell
from live import ROOT, Student, inventory, plain
from traitlets.config import Config

from labkit import rehearse as record
from labkit import tasks
from labkit.docker.command_line import parse
from labkit.virtualbox.program import VirtualBox
from labkit.words import split

LESSONS = sorted(
    path.name
    for path in (ROOT / "notebooks" / "lessons").iterdir()
    if (path / "tasks.py").is_file()
)
ON_DOCKER = [
    name
    for name in LESSONS
    if "docker" in tasks.material(ROOT / "notebooks" / "lessons" / name).needs
]
ON_BENCH = [name for name in LESSONS if name not in ON_DOCKER]


def settle_in(student: Student) -> None:
    """What a student may have before the course begins, with names and a label that look like the course's."""
    student("pull", "-q", "busybox")
    student.image(
        "busybox", "LABEL mine=older", base="busybox"
    )  # so the course's pull takes the name away
    student.image("lab12/student:1", "RUN echo mine > /mine", base="busybox")
    student.image("lab12/big:0", "LABEL labkit.lesson=12", base="busybox")
    student("build", "-q", "-", input="FROM busybox\nLABEL dangling=1\n")
    student("pull", "-q", "hello-world")
    student("tag", "hello-world", "student/hello:1")
    student("volume", "create", "lab12-data", "--label", "labkit.lesson=12")
    student("network", "create", "lab12-net", "--label", "labkit.lesson=12")
    student(
        "run",
        "-d",
        "--name",
        "lab12-student",
        "--label",
        "labkit.lesson=12",
        "--network",
        "lab12-net",
        "-v",
        "lab12-data:/data",
        "-v",
        "/own",
        "lab12/student:1",
        "sh",
        "-c",
        "echo kept > /data/file; echo x > /x; sleep 1d",
    )
    student("run", "--name", "lab00-mine", "hello-world")
    student("create", "--name", "stopped", "busybox", "true")
    student("run", "-d", "--name", "paused", "busybox", "sleep", "1d")
    student("pause", "paused")


def state(student: Student) -> dict[str, Any]:
    """All a student has, in the engine's own words, and what is in it."""
    found: dict[str, Any] = student.inspected()
    for about in found.values():
        about[0].pop("Metadata", None)  # when an image last got a name
        if "Mounts" in about[0]:  # listed in any order
            about[0]["Mounts"].sort(key=lambda mount: str(mount["Destination"]))
        for names in ("RepoTags", "RepoDigests"):
            about[0][names] = sorted(about[0].get(names) or ())
    return {
        **found,
        "changes": sorted(plain("diff", "lab12-student").splitlines()),
        "data": plain("cp", "lab12-student:/data/file", "-"),
        "logs": plain("logs", "lab00-mine"),
    }


def labkit(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "labkit", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


def everything_a_student_does(
    lesson: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Notebook, list[str]]:
    """All cells of a lesson, and every answer to every task, right and wrong; the notebook and its cells."""
    path = record.notebooks(lesson)[0]
    monkeypatch.chdir(path.parent)
    InteractiveShell.clear_instance()
    cells = Notebook(
        InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
    )
    sources = [
        cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"
    ]
    for source in sources:
        cells.run(source)
        for name in re.findall(r"^%task (\S+)", source, re.M):
            task = tasks.material(cells.lesson.folder).task(name)
            for attempt in (*task.wrong, task.solution):
                found = tasks.attempt_at(cells.lesson, task, attempt)
                assert found.status == ("fail" if attempt.hint else "pass"), (name, attempt, found)
                cells.run(source)
    return cells, sources


@pytest.mark.virtualbox
@pytest.mark.qemu
def test_a_users_own_machines_are_untouched(
    tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry and files of a user whose things are called as the lessons' are, byte by byte."""
    users = tmp_path / "user"
    box = VirtualBox(users / "home", users)
    users.mkdir()
    box.open()
    try:
        for name in ("lab09", "lab10", "mine"):
            box.ask(["createvm", "--name", name, "--register"])
            box.ask(
                [
                    "createmedium",
                    "disk",
                    "--filename",
                    f"{name}.vmdk",
                    "--size",
                    "8",
                    "--format",
                    "VMDK",
                ]
            )
            box.ask(["storagectl", name, "--name", "SATA", "--add", "sata"])
            box.ask(
                [
                    "storageattach",
                    name,
                    "--storagectl",
                    "SATA",
                    "--port",
                    "0",
                    "--device",
                    "0",
                    "--type",
                    "hdd",
                    "--medium",
                    f"{name}.vmdk",
                ]
            )
            box.ask(["snapshot", name, "take", "installed"])
    finally:
        box.end()
    for name in ("VBOX_USER_HOME", "VBOX_IPC_SOCKETID"):
        monkeypatch.setenv(name, box.env[name])

    def own() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in users.rglob("*") if path.is_file()}

    before = own()
    assert len(before) > 10
    monkeypatch.setenv("LABKIT_MODE", "live")
    monkeypatch.setenv("LABKIT_PROGRESS", "off")
    for lesson in ON_BENCH:
        cells, _ = everything_a_student_does(lesson, monkeypatch)
        assert any(path.is_file() for path in own_home.rglob("*"))  # it did make something
        assert "stays" not in cells.run(f"%lesson {lesson}")
        InteractiveShell.clear_instance()
        assert own() == before, lesson
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    done = subprocess.run(
        [sys.executable, "-m", "labkit", "reset"], cwd=ROOT, capture_output=True, text=True
    )
    assert "No Docker engine answers" in done.stderr and "stays" not in done.stderr
    assert not [path for path in own_home.rglob("*") if path.is_file()]
    assert own() == before


@pytest.mark.docker
def test_a_full_course_and_every_reset(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_in(student)
    empty = inventory()
    labkit("prefetch", "02", "03")  # the images of live networks, which stay between lessons
    before = state(student)
    everything = inventory()
    assert len(before) > 13 and everything != empty
    monkeypatch.setenv("LABKIT_MODE", "live")
    monkeypatch.setenv("LABKIT_PROGRESS", "off")
    for lesson in ON_DOCKER:
        cells, sources = everything_a_student_does(lesson, monkeypatch)
        assert inventory() != everything or "%net down" in sources  # it did make something
        assert "stays" not in cells.run(f"%lesson {lesson}")
        assert inventory() == everything and state(student) == before, lesson
        for source in sources[
            : len(sources) * 2 // 3
        ]:  # and left in the middle, without its slow pictures
            if not source.startswith(("%explore", "%layers", "%forest")):
                cells.run(source)
        labkit("reset")
        assert inventory() == everything and state(student) == before, lesson
        InteractiveShell.clear_instance()
    labkit("reset")
    assert state(student) == before
    labkit("reset", "prefetched")
    assert inventory() == empty


# -- published ports ----------------------------------------------------------------------------


def exposed(line: str) -> bool:
    """Whether a command opens a port to more than this machine."""
    if not line.startswith("docker "):  # a rule of VirtualBox's NAT: name,protocol,host address,…
        rules = re.findall(r"--nat-?pf\d[ =]\"?([^ \"]+)", line)
        return not all(
            rule.startswith("delete") or rule.split(",")[2:3] == ["127.0.0.1"] for rule in rules
        )
    words = parse(split(line)[1:])
    if words.name not in ("run", "create"):
        return False
    published = [value for option, value in words.options if option in ("-p", "--publish")]
    everywhere = words.has("-P", "--publish-all") or any(
        value == "host" for option, value in words.options if option in ("--network", "--net")
    )
    return everywhere or not all(
        re.match(r"(127\.0\.0\.1|\[::1\]|localhost):", value) for value in published
    )


@pytest.mark.parametrize(
    "line, is_exposed",
    [
        ("docker run -p 8080:80 httpd", True),
        ("docker run -p8080:80 httpd", True),
        ("docker run --publish=80 x", True),
        ("docker run -dp 0.0.0.0:80:80 httpd", True),
        ("docker run -P httpd", True),
        ("docker create -p 80 httpd", True),
        ("docker container run --publish-all httpd", True),
        ("docker run --network host httpd", True),
        ("docker run -p 127.0.0.1:80:80 -p 81:81 httpd", True),
        ("docker run -p 127.0.0.1:80:80 httpd", False),
        ("docker run -d --publish=127.0.0.1::80 httpd", False),
        ("docker run busybox nc -p 80", False),
        ("docker ps", False),
        ("docker port httpd", False),
        ("VBoxManage list vms", False),
        ('VBoxManage modifyvm m --nat-pf1 "ssh,tcp,127.0.0.1,2222,,22"', False),
        ('VBoxManage modifyvm m --nat-pf1 "ssh,tcp,,2222,,22"', True),
        ("VBoxManage modifyvm m --natpf1=a,tcp,,1,,1", True),
    ],
)
def test_an_open_port_is_seen(line: str, is_exposed: bool) -> None:
    assert exposed(line) == is_exposed


def commands(path: Path) -> list[str]:
    """The commands of a notebook, those of ``docker`` in its prose too, or of a lesson's tasks.

    A wrong answer may forward a port of a machine: that one is never started.
    """
    if path.suffix == ".ipynb":
        text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
        found = [
            line
            for line in re.findall(
                r"(?<=%)docker (?!\.\.\.)[^\n`]+|(?<=`)docker [^\n`]+(?=`)", text
            )
            if re.match(r"docker (container )?(run|create) [^…]+$", line)
        ]
        return found + re.findall(r"^%?(VBoxManage [^\n`]+)", text, re.M)
    material = tasks.material(path.parent)
    return [
        line
        for task in material.tasks.values()
        for attempt in (task.solution, *task.wrong)
        for line in attempt.commands
        if attempt is task.solution or line.startswith("docker")
    ]


def test_no_lesson_opens_a_port_to_the_network() -> None:
    paths = [
        *(ROOT / "notebooks").glob("*/*.ipynb"),
        *(ROOT / "notebooks" / "lessons").glob("*/tasks.py"),
    ]
    found = [line for path in paths for line in commands(path)]
    assert len(found) > 20
    assert [line for line in found if exposed(line)] == []
