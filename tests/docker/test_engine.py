"""The Docker room on a real engine: what it reads, what it notes, what it refuses, and what it removes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines.dockerd import Dockerd
from live import Lab, Student, inventory, plain

from labkit.docker.command_line import parse
from labkit.docker.engine import LABEL, Docker, find_thing
from labkit.errors import LabError
from labkit.words import split

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("student")]


def ids(found: set[tuple[str, ...]], kind: str) -> set[str]:
    return {entry[1] for entry in found if entry[0] == kind}


def label(name: str, kind: str = "container") -> str:
    labels = ".Labels" if kind in ("volume", "network") else ".Config.Labels"
    return plain("inspect", "--type", kind, "--format", f'{{{{index {labels} "{LABEL}"}}}}', name)


# -- finding the engine -------------------------------------------------------------------------


def test_finds_the_engine_of_docker_host(engine: Dockerd) -> None:
    found = Docker.find()
    assert found.version == plain("version", "--format", "{{.Server.Version}}").partition("+")[0]
    assert str(found) == f"Docker {found.version}"


def test_finds_the_engine_of_the_current_context(
    engine: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    plain("context", "create", "other", "--docker", f"host={engine.host}")
    monkeypatch.setenv("DOCKER_CONTEXT", "other")
    one = Docker.find().ledger.folder
    monkeypatch.delenv("DOCKER_CONTEXT")
    plain("context", "use", "other")
    assert Docker.find().ledger.folder == one
    monkeypatch.setenv("DOCKER_HOST", engine.host)
    assert Docker.find().ledger.folder == one


def test_finds_the_default_engine(engine: Dockerd, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = Docker.find().ledger.folder
    monkeypatch.delenv("DOCKER_HOST")
    assert Docker.find().ledger.folder != mine  # each engine has a ledger of its own


def test_a_context_that_is_not_there_is_no_other_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("DOCKER_CONTEXT", "gone")
    with pytest.raises(LabError, match="gone"):
        Docker.find()


# -- reading ------------------------------------------------------------------------------------


def test_reads_the_world(lab: Lab, student: Student) -> None:
    lab("pull busybox")
    id_ = lab("run -d --name w1 busybox sleep 1d")
    student("volume", "create", "w-volume")
    student("network", "create", "w-network")
    world = lab.docker.world()
    image = find_thing(world["images"], "busybox")
    assert image and image["tags"] == ["busybox:latest"]
    assert image["id"] == plain("inspect", "--format", "{{.Id}}", "busybox")
    assert image["size"] == int(plain("inspect", "--format", "{{.Size}}", "busybox"))
    container = find_thing(world["containers"], "w1")
    assert (
        container
        == find_thing(world["containers"], id_)
        == find_thing(world["containers"], id_[:7])
    )
    assert container and (container["state"], container["image_id"]) == ("running", image["id"])
    assert {"w-volume"} <= {volume["name"] for volume in world["volumes"]}
    assert {"w-network", "bridge"} <= {network["name"] for network in world["networks"]}


def test_reads_changes_and_images_and_saves(lab: Lab) -> None:
    lab("run --name c1 busybox sh -c 'echo a > /new; rm /etc/passwd; echo b > /etc/group'")
    kinds = {change["path"]: change["kind"] for change in lab.docker.changes("c1")}
    assert kinds == {"/etc": "C", "/etc/group": "C", "/etc/passwd": "D", "/new": "A"}
    assert [f"{change['kind']} {change['path']}" for change in lab.docker.changes("c1")] == sorted(
        plain("diff", "c1").splitlines(), key=lambda line: line[2:]
    )
    about = lab.docker.image("busybox")
    assert about["diff_ids"] == plain(
        "inspect", "--format", '{{join .RootFS.Layers ","}}', "busybox"
    ).split(",")
    assert [step["created_by"] for step in about["history"]] == plain(
        "history", "--no-trunc", "--format", "{{.CreatedBy}}", "busybox"
    ).splitlines()[::-1]
    assert b"manifest.json" in b"".join(lab.docker.save("busybox"))
    with pytest.raises(LabError, match="No such image"):
        list(lab.docker.save("no-such"))
    with pytest.raises(LabError, match="`docker ps -a`"):
        lab.docker.changes("no-such")


# -- labels and the ledger ----------------------------------------------------------------------


def test_labels_all_that_docker_can_label(lab: Lab) -> None:
    lab("run --name l1 busybox true")
    lab("container create --name l2 busybox true")
    lab("commit l1 l/img:1")
    lab("build -t l/img:2 -", stdin="FROM busybox\nRUN echo hi > /hi\n")
    lab("volume create l-volume")
    lab("network create l-network")
    assert [
        label("l1"),
        label("l2"),
        label("l/img:1", "image"),
        label("l/img:2", "image"),
        label("l-volume", "volume"),
        label("l-network", "network"),
    ] == ["12"] * 6


def test_the_ledger_holds_exactly_what_was_made(lab: Lab, student: Student, tmp_path: Path) -> None:
    def step(line: str, stdin: str | None = None) -> dict[str, set[str]]:
        """What one command adds to the engine must be what it adds to the ledger."""
        before, noted = inventory(), lab.made()
        lab(line, stdin=stdin)
        new = {kind: now - before[kind] for kind, now in inventory().items()}
        found = lab.made() - noted
        for kind in ("container", "image", "volume", "network"):
            assert ids(found, kind) == new[kind], line
        tags = {f"{entry[1]}={entry[2]}" for entry in found if entry[0] == "tag"}
        assert tags == new["tag"], line
        return new

    new = step("run --name g1 hello-world")  # an implicit pull
    assert new["container"] and new["image"] and new["tag"]
    assert step("pull -q docker.io/library/busybox")["tag"]
    assert step("run -d -v g-named:/x --name g2 busybox sleep 1d")["volume"] == {"g-named"}
    assert len(step("run -d -v /anonymous --name g3 busybox sleep 1d")["volume"]) == 1
    assert not step("run --rm busybox true")["container"]
    assert step("tag busybox g/tag:1")["tag"]
    assert step("commit g2 g/commit:1")["image"]
    assert step("commit g2")["image"]
    assert (
        len(
            step(
                "build -t g/built:1 -", "FROM busybox\nRUN echo 1 > /1\nRUN echo 2 > /2\nCMD true\n"
            )["image"]
        )
        > 3
    )
    assert (
        len(
            step("build -q -t g/built:2 -", "FROM busybox\nRUN echo 3 > /3\nRUN echo 4 > /4\n")[
                "image"
            ]
        )
        >= 3
    )
    assert step("volume create")["volume"]
    assert step("volume create g-volume")["volume"] == {"g-volume"}
    assert step("network create g-network")["network"]
    assert step("create --network g-network busybox")["container"]
    assert step(f"create --cidfile {tmp_path}/own.cid busybox")["container"]
    student("network", "create", "g-mine")
    assert not any(step("ps -a").values())


def test_a_build_that_fails_is_noted_too(lab: Lab) -> None:
    before = inventory()
    argv = split("build -t f/img -")
    result = lab.docker.run(argv, parse(argv), "12", "FROM busybox\nRUN echo 1 > /1\nRUN false\n")
    assert result.code
    new = {kind: now - before[kind] for kind, now in inventory().items()}
    assert new["image"] == ids(lab.made(), "image") and new["container"] == ids(
        lab.made(), "container"
    )
    assert len(new["image"]) == 2 and len(new["container"]) == 1


@contextlib.contextmanager
def busy_student() -> Iterator[list[str]]:
    """Someone who starts containers, tags and makes volumes all the while; the names of what that made."""
    made: list[str] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            name = f"busy{len(made)}"
            plain("create", "--name", name, "-v", f"{name}-volume:/x", "busybox", "sleep", "1d")
            plain("tag", "busybox", f"{name}:latest")
            made.append(name)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield made
    finally:
        stop.set()
        thread.join()


def test_others_at_work_meanwhile_are_not_noted(lab: Lab, student: Student) -> None:
    student("pull", "busybox")
    known = inventory()
    with busy_student() as made:
        while len(made) < 2:
            time.sleep(0.05)
        start = len(made)
        # words of our own command that others' names could be mistaken for
        lab("run --name o1 busybox sh -c 'sleep 2; echo busy3 busy4 busy5 busy3-volume'")
        lab("commit o1 o/img:1")
        lab("volume create o-volume")
        assert len(made) > start + 2
    entries = lab.made()
    assert ids(entries, "container") == {plain("inspect", "--format", "{{.Id}}", "o1")}
    assert ids(entries, "image") == {plain("inspect", "--format", "{{.Id}}", "o/img:1")}
    assert (ids(entries, "tag"), ids(entries, "volume")) == ({"o/img:1"}, {"o-volume"})
    ours = {entry[1] for entry in entries}
    for kind, now in inventory().items():  # the rest is the student's
        student.own[kind] |= {
            thing for thing in now - known[kind] if not any(thing.startswith(one) for one in ours)
        }


# -- the guard ----------------------------------------------------------------------------------


def test_the_guard_refuses_what_is_the_students(lab: Lab, student: Student) -> None:
    student("pull", "busybox")
    container = student("run", "-d", "--name", "s1", "busybox", "sleep", "1d")
    image = student.image("s/img:1", "LABEL a=b", base="busybox")
    student("volume", "create", "s-volume")
    network = student("network", "create", "s-network")
    student("tag", "busybox", "localhost:5000/s:1")
    mine = lab("run -d --name m1 busybox sleep 1d")
    digest = plain("inspect", "--format", "{{index .RepoDigests 0}}", "busybox")
    before = {**student.inspected(), "mine": plain("inspect", mine)}
    refused = [
        f"{command} {name}"
        for name in ("s1", container, container[:12], container[:4], "/s1")
        for command in (
            "rm -f",
            "stop",
            "kill",
            "restart",
            "pause",
            "container rm --force",
            "container stop -t 1",
            "update --memory 64m",
            "rename",
        )
    ]
    refused = [line + " other" if line.startswith("rename") else line for line in refused]
    refused += [
        "exec s1 true",
        "container exec -e A=1 s1 true",
        "rm -f m1 s1",
        "rm -f -- s1",
        "start s1",
        "unpause s1",
        "cp /etc/hostname s1:/x",
        "network connect s-network s1",
        "network disconnect bridge s1",
    ]
    refused += [
        f"{command} {name}"
        for command in ("rmi", "rmi -f", "image rm", "image remove -f")
        for name in (
            "s/img:1",
            image,
            image[7:19],
            image[7:12],
            "busybox",
            "busybox:latest",
            digest,
            "library/busybox",
            "docker.io/library/busybox",
            "docker.io/busybox:latest",
            f"docker.io/library/{digest}",
            "index.docker.io/library/busybox",
            "localhost:5000/s:1",
        )
    ]
    refused += [
        f"{command} {name}"
        for name in ("s/img:1", "busybox", "docker.io/library/busybox:latest", "s/img:1")
        for command in (
            "tag m1",
            "commit m1",
            "build -t",
            "container commit m1",
            "image tag m1",
            "commit --author=x m1",
            "import -",
            "image import -",
        )
    ]
    refused = [f"{line} ." if "build" in line else line for line in refused]
    refused += [
        "build --tag=s/img:1 .",
        "build -t new:1 -t s/img:1 .",
        "image build -ts/img:1 .",
        "builder build -t s/img:1 .",
    ]
    refused += [
        "volume rm s-volume",
        "volume remove -f s-volume",
        "network rm s-network",
        f"network rm {network}",
        f"network remove {network[:12]}",
    ]
    refused += [
        "system prune -af",
        "container prune",
        "image prune -a",
        "volume prune -f",
        "network prune",
        "builder prune",
        "context use default",
        "plugin rm x",
        "logout",
    ]
    for line in refused:
        with pytest.raises(LabError) as error:
            lab(line, stdin="")
        said = str(error.value)
        assert "\n" not in said and re.search(
            "your own|never prunes|set up on your machine", said
        ), line
    assert {**student.inspected(), "mine": plain("inspect", mine)} == before


def test_the_guard_allows_the_lessons_own(lab: Lab, student: Student) -> None:
    student("pull", "busybox")
    mine = lab("run -d --name a1 busybox sleep 1d")
    lab("exec a1 true")
    lab(f"exec {mine[:12]} true")
    lab("cp a1:/etc/passwd -")
    lab("rename a1 a2")
    lab(f"stop -t 0 {mine}")
    lab("start a2")
    lab("kill a2")
    lab("commit a2 a/img:1")
    lab("commit a2 a/img:1")
    lab("tag busybox a/other:1")
    lab("tag a/img:1 a/other:1")
    lab("build -t a/img:1 -", stdin="FROM busybox\nLABEL a=1\n")
    lab("image rm a/img:1")
    lab("rmi a/other:1")
    lab("volume create a-volume")
    lab("volume rm a-volume")
    lab("network create a-network")
    lab("network connect a-network a2")
    lab("network disconnect a-network a2")
    lab("network rm a-network")
    lab(f"container rm {mine[:7]}")
    assert plain("inspect", "--format", "{{.RepoTags}}", "busybox") == "[busybox:latest]"


def test_a_lessons_image_that_the_student_named_is_the_students_too(
    lab: Lab, student: Student
) -> None:
    lab("run --name n1 busybox touch /x")
    image = lab("commit n1 n/img:1")
    plain("tag", "n/img:1", "mine:1")
    for line in (f"rmi -f {image}", f"rmi -f {image[7:19]}", "rmi -f n/img"):
        with contextlib.suppress(LabError, AssertionError):
            lab(line)
    assert plain("inspect", "--format", "{{.Id}}", "mine:1") == image
    assert all("dependent child" in note for note in lab.clean())
    assert plain("inspect", "--format", "{{.RepoTags}}", "mine:1") == "[mine:1]"
    student.own["image"].add(image)
    student.own["tag"].add(f"mine:1={image}")
    student.own["image"] |= (
        inventory()["image"] - student.before["image"]
    )  # its unnamed parents, if any


# -- cleaning -----------------------------------------------------------------------------------


def test_cleans_everything_at_once_and_twice(lab: Lab, student: Student) -> None:
    before = inventory()
    lab("run -d -v k-volume:/x -v /y --name k1 busybox sleep 1d")
    lab("network create k-network")
    lab("run -d --network k-network --name k2 busybox sleep 1d")
    lab("commit k1 k/img:1")
    lab("run --name k3 k/img:1 touch /z")
    lab("commit k3 k/img:2")
    lab("build -t k/img:3 -", stdin="FROM k/img:2\nRUN touch /1\nRUN touch /2\n")
    lab("rm -f k2")
    assert lab.docker.clean("12") == []
    assert inventory() == before
    assert lab.docker.clean("12") == [] and lab.docker.ledger.lessons() == []


def test_cleans_a_part_and_only_one_lesson(lab: Lab, student: Student) -> None:
    lab("run --name p1 busybox true")
    since = len(lab.docker.ledger.entries("12"))
    lab("run --name p2 busybox true")
    lab("run --name p3 busybox true", lesson="00")
    assert lab.docker.clean("12", since) == []
    assert plain("ps", "-a", "--format", "{{.Names}}").split() == ["p3", "p1"]
    assert lab.docker.clean("12") != []  # the image is in use by the other lesson's container
    assert plain("ps", "-a", "--format", "{{.Names}}").split() == ["p3"]


def test_what_a_student_uses_stays_and_is_said(lab: Lab, student: Student) -> None:
    lab("pull busybox")
    lab("network create u-network")
    lab("volume create u-volume")
    kept = inventory()
    lab("run -d --name u1 busybox sleep 1d")
    student(
        "run",
        "-d",
        "--name",
        "u2",
        "--network",
        "u-network",
        "-v",
        "u-volume:/x",
        "busybox",
        "sleep",
        "1d",
    )
    notes = lab.docker.clean("12")
    assert all("\n" not in note for note in notes)
    assert sorted(note.split(" stays: ")[0][:9] for note in notes if "busybox" in note) == [
        "busybox:l"
    ]
    assert any("u-volume stays: " in note and "in use" in note for note in notes), notes
    assert any("u-network" in note and "active endpoints" in note for note in notes), notes
    assert {kind: now - student.own[kind] for kind, now in inventory().items()} == kept
    assert lab.docker.clean("12") == notes
    plain("rm", "-f", "u2")
    student.own["container"].clear()
    assert lab.docker.clean("12") == []
    assert inventory() == student.before


def test_what_a_prefetched_image_stands_on_stays_without_a_word(lab: Lab, student: Student) -> None:
    before = inventory()
    busybox = lab("pull -q busybox") and plain("inspect", "--format", "{{.Id}}", "busybox")
    lab("build -t f/net:1 -", lesson="prefetched", stdin="FROM busybox\nRUN touch /1\n")
    lab("run --name f1 busybox true")
    assert lab.docker.clean("12") == [] == lab.docker.clean("12")
    assert ids(lab.made(), "image") == {busybox} and plain("ps", "-aq") == ""
    lab("run --rm f/net:1 ls /1")
    student("pull", "-q", "busybox")  # gives it the name again: now that is the student's
    assert lab.docker.clean("prefetched") == [] == lab.docker.clean("12")
    assert plain("inspect", "--format", "{{.RepoTags}}", busybox) == "[busybox:latest]"
    student("rmi", "busybox")
    assert inventory() == before


@pytest.mark.parametrize("first, last", [("12", "prefetched"), ("prefetched", "12")])
def test_a_lessons_image_that_is_prefetched_later_goes_with_the_last(
    lab: Lab, student: Student, first: str, last: str
) -> None:
    before = inventory()
    lab("pull busybox")
    lab("pull busybox", lesson="prefetched")
    kept = inventory()
    lab("tag busybox f/mine:1", lesson=first)
    lab("run --name f2 busybox true", lesson=first)
    assert lab.docker.clean(first) == [] and inventory() == kept
    assert lab.docker.clean(last) == [] and inventory() == before
    assert lab.docker.ledger.lessons() == []


def test_what_the_student_makes_of_a_lessons_image_survives(lab: Lab, student: Student) -> None:
    lab("run --name d1 busybox touch /x")
    lab("commit d1 d/img:1")
    student.image("mine:1", "RUN touch /y", base="d/img:1")
    student("run", "-d", "--name", "d2", "d/img:1", "sleep", "1d")
    assert (
        label("mine:1", "image") == label("d2") == "12"
    )  # inherited, so a label alone would not do
    before = student.inspected()
    notes = lab.docker.clean("12")
    assert notes and student.inspected() == before
    assert plain("ps", "-a", "--format", "{{.Names}}") == "d2"
    student.own["image"] |= inventory()["image"]  # what they stand on has to stay
    student.own["tag"] |= {tag for tag in inventory()["tag"] if tag.startswith("d/img:1=")}


def test_a_tag_that_moved_stays(lab: Lab, student: Student) -> None:
    lab("run --name t1 busybox touch /x")
    lab("commit t1 t/img:1")
    image = student.image("t/img:1", "LABEL moved=1")
    lab.clean()
    assert plain("inspect", "--format", "{{.Id}}", "t/img:1") == image


@pytest.mark.parametrize("spelling", ["busybox", "docker.io/library/busybox:latest"])
def test_a_pull_that_moves_the_students_tag_is_undone(
    lab: Lab, student: Student, spelling: str
) -> None:
    image = student.image("busybox", "LABEL older=1")  # the student's older busybox
    before = student.inspected()
    lab(f"pull {spelling}")
    assert plain("inspect", "--format", "{{.Id}}", "busybox") != image
    assert lab.clean() == []
    assert plain("inspect", "--format", "{{.Id}}", "busybox") == image
    assert {id_: [{**thing[0], "Metadata": 0}] for id_, thing in student.inspected().items()} == {
        id_: [{**thing[0], "Metadata": 0}] for id_, thing in before.items()
    }


def test_the_students_unnamed_parent_of_a_lessons_commit_survives(
    lab: Lab, student: Student
) -> None:
    student("pull", "busybox")
    dangling = student("build", "-q", "-", input="FROM busybox\nLABEL dangling=1\n")
    lab(f"run --name e1 {dangling} touch /x")
    lab("commit e1 e/img:1")
    lab("rm e1")
    lab("rmi e/img:1")
    assert plain("inspect", "--format", "{{.Id}}", dangling) == dangling
    lab(f"run --name e2 {dangling} touch /x")
    lab("commit e2 e/img:2")
    assert lab.docker.clean("12") == []
    assert plain("inspect", "--format", "{{.Id}}", dangling) == dangling


def test_a_lessons_name_for_the_students_unnamed_image_does_not_take_it_along(
    lab: Lab, student: Student
) -> None:
    student("pull", "-q", "busybox")
    dangling = student("build", "-q", "-", input="FROM busybox\nLABEL dangling=1\n")
    lab(f"tag {dangling} i/img:1")
    with pytest.raises(LabError, match="your own"):
        lab("rmi i/img:1")  # the engine removes an image with its last name
    assert [note.partition(" stays: it is the only name")[0] for note in lab.clean()] == ["i/img:1"]
    assert plain("inspect", "--format", "{{.Id}}", dangling) == dangling
    student("tag", dangling, "mine:1")
    assert lab.clean() == []  # a name beside the student's is the lesson's to remove
    assert plain("inspect", "--format", "{{.RepoTags}}", dangling) == "[mine:1]"


def test_a_reset_after_a_crash_knows_what_was_made(lab: Lab, student: Student) -> None:
    lab("run -d --name x1 busybox sleep 1d")
    done = subprocess.run([sys.executable, "-m", "labkit", "reset"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "untouched" in done.stdout
    assert inventory() == student.before


# -- in a notebook ------------------------------------------------------------------------------

NOTEBOOK = """
import sys, IPython
shell = IPython.core.interactiveshell.InteractiveShell.instance()
shell.run_cell("%load_ext labkit\\n%lesson 12")
print("ready", flush=True)
for line in sys.argv[1:]:
    shell.run_cell(line)
"""


def notebook(*cells: str) -> subprocess.Popen[str]:
    """Cells of a lesson in a process of their own, begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, *cells],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LABKIT_PROGRESS": "off"},
    )
    assert process.stdout
    while "ready" not in process.stdout.readline():
        assert process.poll() is None
    return process


def test_a_name_taken_by_the_student_is_reported_and_not_removed(
    lab: Lab, student: Student
) -> None:
    student("pull", "busybox")
    taken = student("run", "-d", "--name", "taken", "busybox", "sleep", "1d")
    said, _ = notebook("%docker run --name taken busybox true", "%docker rm -f taken").communicate(
        timeout=60
    )
    assert "taken is a container of your own" in said
    assert "taken is your own" in said and "Traceback" not in said
    assert plain("inspect", "--format", "{{.State.Running}} {{.Id}}", "taken") == f"true {taken}"


@pytest.mark.parametrize("options", ["", "--rm -i "])
def test_an_interrupt_leaves_nothing_running(lab: Lab, student: Student, options: str) -> None:
    process = notebook(f"%docker run {options}--name stuck busybox sleep 600", "%docker ps")
    while "stuck" not in plain("ps", "--format", "{{.Names}}"):
        time.sleep(0.05)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert time.monotonic() - start < 6, said
    lines = [line for line in said.splitlines() if "Stopped by you" in line]
    assert len(lines) == 1 and "Traceback" not in said
    assert "stuck" not in plain("ps", "--format", "{{.Names}}")
    assert not Path("/proc").joinpath(str(process.pid)).exists()
    left = plain("ps", "-aq", "--no-trunc", "--filter", "name=stuck")
    assert left == "" if "--rm" in options else ids(Lab().made(), "container") == {left}
    found = subprocess.run(
        ["pgrep", "-f", "docker run .*--name stuck"], capture_output=True, text=True
    )
    assert found.stdout == ""
