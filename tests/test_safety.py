"""A student's own things survive the whole course and every reset; of it nothing is left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import NOTEBOOKS, Notebook, notebook
from live import Student, inventory, labkit, plain

from labkit import tasks
from labkit.docker.command_line import parse
from labkit.material import material
from labkit.rehearse import notebooks
from labkit.virtualbox.program import VirtualBox
from labkit.words import split

LESSONS = sorted(path.parent for path in NOTEBOOKS.glob("lessons/*/tasks.py"))


def needing(engine: str) -> list[str]:
    """The lessons that need an engine."""
    return [folder.name for folder in LESSONS if engine in material(folder).needs]


def settle_in(student: Student) -> None:
    """What a student may have before the course, with names and a label that look like its own."""
    student("pull", "-q", "busybox")
    # So the course's pull takes the name away.
    student.image("busybox", "LABEL mine=older", base="busybox")
    student.image("lab12/student:1", "RUN echo mine > /mine", base="busybox")
    student.image("lab12/big:0", "LABEL labkit.lesson=12", base="busybox")
    student("build", "-q", "-", input="FROM busybox\nLABEL dangling=1\n")
    student("pull", "-q", "hello-world")
    student("tag", "hello-world", "student/hello:1")
    student("volume", "create", "lab12-data", "--label", "labkit.lesson=12")
    student("network", "create", "lab12-net", "--label", "labkit.lesson=12")
    runs = "run -d --name lab12-student --label labkit.lesson=12 --network lab12-net"
    student(
        *f"{runs} -v lab12-data:/data -v /own lab12/student:1 sh -c".split(),
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


def everything_a_student_does(cells: Notebook, lesson: str) -> list[str]:
    """All cells of a lesson, and every answer to every task, right and wrong; the cells."""
    path = notebooks(lesson)[0]
    code = nbformat.read(path, as_version=4).cells
    sources = [cell.source for cell in code if cell.cell_type == "code"]
    for source in sources:
        cells.run(source)
        for name in re.findall(r"^%task (\S+)", source, re.M):
            task = cells.lesson.material.task(name)
            for attempt in (*task.wrong, task.solution):
                found = tasks.attempt_at(cells.lesson, task, attempt)
                assert found.status == ("fail" if attempt.hint else "pass"), (name, attempt, found)
                cells.run(source)
    return sources


OWN = """createvm --name NAME --register
createmedium disk --filename NAME.vmdk --size 8 --format VMDK
storagectl NAME --name SATA --add sata
storageattach NAME --storagectl SATA --port 0 --device 0 --type hdd --medium NAME.vmdk
snapshot NAME take installed"""


@pytest.mark.live("virtualbox", "qemu-img")
def test_a_users_own_machines_are_untouched(
    tmp_path: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry and files of a user whose things are called as the lessons', byte by byte."""
    users = tmp_path / "user"
    box = VirtualBox(users / "home", users)
    users.mkdir()
    box.open()
    try:
        for name in ("lab09", "lab10", "mine"):
            for line in OWN.replace("NAME", name).splitlines():
                box.ask(line.split())
    finally:
        box.end()
    for name in ("VBOX_USER_HOME", "VBOX_IPC_SOCKETID"):
        monkeypatch.setenv(name, box.env[name])

    def own() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in users.rglob("*") if path.is_file()}

    before = own()
    assert len(before) > 10
    for lesson in needing("virtualbox"):
        with notebook(monkeypatch, "live") as cells:
            everything_a_student_does(cells, lesson)
            assert any(path.is_file() for path in own_home.rglob("*"))  # it did make something
            assert "stays" not in cells.run(f"%lesson {lesson}")
        assert own() == before, lesson
    done = labkit("reset", DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert "No Docker engine answers" in done.stderr and "stays" not in done.stderr
    assert not [path for path in own_home.rglob("*") if path.is_file()]
    assert own() == before


def reset(*words: str) -> None:
    done = labkit("reset", *words)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.live("docker")
def test_a_full_course_and_every_reset(student: Student, monkeypatch: pytest.MonkeyPatch) -> None:
    settle_in(student)
    empty = inventory()
    # The images of lessons' own, which stay between lessons.
    with_images = [folder.name for folder in LESSONS if (folder / "images").is_dir()]
    assert labkit("prefetch", *with_images).returncode == 0
    before, everything = state(student), inventory()
    assert len(before) > 13 and everything != empty
    for lesson in needing("docker"):
        with notebook(monkeypatch, "live") as cells:
            sources = everything_a_student_does(cells, lesson)
            assert inventory() != everything or "%net down" in sources  # it did make something
            assert "stays" not in cells.run(f"%lesson {lesson}")
            assert inventory() == everything and state(student) == before, lesson
            for source in sources[: len(sources) * 2 // 3]:  # and left in the middle
                if not source.startswith(("%explore", "%layers", "%forest")):  # slow
                    cells.run(source)
            reset()
        assert inventory() == everything and state(student) == before, lesson
    reset("prefetched")
    assert inventory() == empty


# -- published ports ----------------------------------------------------------------------------


def exposed(line: str) -> bool:
    """Whether a command opens a port to more than this machine."""
    if not line.startswith("docker "):  # a rule of VirtualBox's NAT: name,protocol,address,…
        rules = re.findall(r"--nat-?pf\d[ =]\"?([^ \"]+)", line)
        return any(rule[:6] != "delete" and ",127.0.0.1," not in rule for rule in rules)
    words = parse(split(line)[1:])
    if words.name not in ("run", "create"):
        return False
    published = words.values("-p", "--publish")
    local = re.compile(r"(127\.0\.0\.1|\[::1\]|localhost):")
    everywhere = words.has("-P", "--publish-all") or "host" in words.values("--network", "--net")
    return everywhere or not all(map(local.match, published))


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
        typed = re.findall(r"(?<=%)docker (?!\.\.\.)[^\n`]+|(?<=`)docker [^\n`]+(?=`)", text)
        starts = re.compile(r"docker (container )?(run|create) [^…]+$")
        found = [line for line in typed if starts.match(line)]
        return found + re.findall(r"^%?(VBoxManage [^\n`]+)", text, re.M)
    return [
        line
        for task in material(path.parent).tasks.values()
        for attempt in (task.solution, *task.wrong)
        for line in attempt.commands
        if attempt is task.solution or line.startswith("docker")
    ]


def test_no_lesson_opens_a_port_to_the_network() -> None:
    paths = [*NOTEBOOKS.glob("*/*.ipynb"), *NOTEBOOKS.glob("lessons/*/tasks.py")]
    found = [line for path in paths for line in commands(path)]
    assert len(found) > 20
    assert [line for line in found if exposed(line)] == []
