"""What a lesson made on a real engine: noticed, noted, and removed again; and nothing else."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from live import Lab, Student, inventory, plain
from samples.errors import refused

from labkit.docker.client import LABEL
from labkit.errors import LabError

pytestmark = pytest.mark.live("docker")

DANGLING = "FROM busybox\nLABEL dangling=1\n"
TWO_STEPS = "FROM busybox\nRUN echo 1 > /1\nRUN echo 2 > /2\n"


def ids(found: set[tuple[str, ...]], kind: str) -> set[str]:
    return {entry[1] for entry in found if entry[0] == kind}


def identity(name: str) -> str:
    return plain("inspect", "--format", "{{.Id}}", name)


def names(image: str) -> str:
    return plain("inspect", "--format", "{{.RepoTags}}", image)


def containers() -> list[str]:
    """Their names, newest first."""
    return plain("ps", "-a", "--format", "{{.Names}}").split()


# -- noticing what a command made ---------------------------------------------------------------


def test_the_ledger_holds_exactly_what_was_made(lab: Lab, student: Student, tmp_path: Path) -> None:
    def step(line: str, stdin: str | None = None, code: int = 0) -> dict[str, set[str]]:
        """What one command adds to the engine must be what it adds to the ledger."""
        before, noted = inventory(), lab.made()
        assert lab.run(line, stdin=stdin).code == code, line
        new = {kind: now - before[kind] for kind, now in inventory().items()}
        found = lab.made() - noted
        for kind in ("container", "image", "volume", "network"):
            assert ids(found, kind) == new[kind], line
        assert {f"{entry[1]}={entry[2]}" for entry in found if entry[0] == "tag"} == new["tag"], (
            line
        )
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
    assert len(step("build -t g/built:1 -", f"{TWO_STEPS}CMD true\n")["image"]) > 3
    built = step("build -q -t g/built:2 -", "FROM busybox\nRUN echo 3 > /3\nRUN echo 4 > /4\n")
    assert len(built["image"]) >= 3
    failed = step("build -t g/built:3 -", "FROM busybox\nRUN echo 5 > /5\nRUN false\n", code=1)
    assert (len(failed["image"]), len(failed["container"])) == (1, 1)
    assert step("volume create")["volume"]
    assert step("volume create g-volume")["volume"] == {"g-volume"}
    assert step("network create g-network")["network"]
    assert step("create --network g-network busybox")["container"]
    assert step(f"create --cidfile {tmp_path}/own.cid busybox")["container"]
    student("network", "create", "g-mine")
    assert not any(step("ps -a").values())


@contextlib.contextmanager
def busy_student() -> Iterator[list[str]]:
    """Someone who starts containers, tags and makes volumes all the while; the names of those."""
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
    assert ids(entries, "container") == {identity("o1")}
    assert ids(entries, "image") == {identity("o/img:1")}
    assert (ids(entries, "tag"), ids(entries, "volume")) == ({"o/img:1"}, {"o-volume"})
    ours = tuple(entry[1] for entry in entries)
    for kind, now in inventory().items():  # the rest is the student's
        student.own[kind] |= {thing for thing in now - known[kind] if not thing.startswith(ours)}


# -- cleaning -----------------------------------------------------------------------------------


def test_cleans_everything_at_once_and_twice(lab: Lab, student: Student) -> None:
    before = inventory()
    lab("run -d -v k-volume:/x -v /y --name k1 busybox sleep 1d")
    lab("network create k-network")
    lab("run -d --network k-network --name k2 busybox sleep 1d")
    lab("commit k1 k/img:1")
    lab("run --name k3 k/img:1 touch /z")
    lab("commit k3 k/img:2")
    lab("build -t k/img:3 -", stdin=TWO_STEPS.replace("busybox", "k/img:2"))
    lab("rm -f k2")
    assert lab.docker.clean() == []
    assert inventory() == before
    assert lab.docker.clean() == [] and lab.docker.ledger.lessons() == []


def test_cleans_a_part_and_only_one_lesson(lab: Lab, student: Student) -> None:
    lab("run --name p1 busybox true")
    mark = lab.docker.mark()
    lab("run --name p2 busybox true")
    lab("run --name p3 busybox true", lesson="00")
    lab("run --name p4 busybox true")
    assert lab.docker.clean(mark, {"p1", "p2"}) == []  # only what a task calls its own
    assert containers() == ["p4", "p3", "p1"]
    assert lab.docker.clean(mark) == []
    assert containers() == ["p3", "p1"]
    assert lab.docker.clean() != []  # the image is in use by the other lesson's container
    assert containers() == ["p3"]


def test_what_a_student_uses_stays_and_is_said(lab: Lab, student: Student) -> None:
    lab("pull busybox")
    lab("network create u-network")
    lab("volume create u-volume")
    kept = inventory()
    lab("run -d --name u1 busybox sleep 1d")
    uses = ["--network", "u-network", "-v", "u-volume:/x"]
    student("run", "-d", "--name", "u2", *uses, "busybox", "sleep", "1d")
    notes = lab.docker.clean()
    assert all("\n" not in note for note in notes)
    assert [note.split(" stays: ")[0] for note in notes if "busybox" in note] == ["busybox:latest"]
    assert any("u-volume stays: " in note and "in use" in note for note in notes), notes
    assert any("u-network" in note and "active endpoints" in note for note in notes), notes
    assert {kind: now - student.own[kind] for kind, now in inventory().items()} == kept
    assert lab.docker.clean() == notes
    plain("rm", "-f", "u2")
    student.own["container"].clear()
    assert lab.docker.clean() == []
    assert inventory() == student.before


def test_what_a_prefetched_image_stands_on_stays_without_a_word(lab: Lab, student: Student) -> None:
    before = inventory()
    lab("pull -q busybox")
    busybox = identity("busybox")
    lab("build -t f/net:1 -", lesson="prefetched", stdin="FROM busybox\nRUN touch /1\n")
    lab("run --name f1 busybox true")
    assert lab.docker.clean() == [] == lab.docker.clean()
    assert ids(lab.made(), "image") == {busybox} and containers() == []
    lab("run --rm f/net:1 ls /1")
    student("pull", "-q", "busybox")  # gives it the name again: now that is the student's
    assert lab.of("prefetched").clean() == [] == lab.docker.clean()
    assert names(busybox) == "[busybox:latest]"
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
    assert lab.of(first).clean() == [] and inventory() == kept
    assert lab.of(last).clean() == [] and inventory() == before
    assert lab.docker.ledger.lessons() == []


# -- what the student has of it -----------------------------------------------------------------


def test_what_the_student_makes_of_a_lessons_image_survives(lab: Lab, student: Student) -> None:
    lab("run --name d1 busybox touch /x")
    lab("commit d1 d/img:1")
    student.image("mine:1", "RUN touch /y", base="d/img:1")
    student("run", "-d", "--name", "d2", "d/img:1", "sleep", "1d")
    labels = plain("inspect", "--format", f'{{{{index .Config.Labels "{LABEL}"}}}}', "mine:1", "d2")
    assert labels.split() == ["12", "12"]  # inherited, so a label alone would not do
    before = student.inspected()
    notes = lab.docker.clean()
    assert notes and student.inspected() == before
    assert containers() == ["d2"]
    student.own["image"] |= inventory()["image"]  # what they stand on has to stay
    student.own["tag"] |= {tag for tag in inventory()["tag"] if tag.startswith("d/img:1=")}


def test_a_lessons_image_that_the_student_named_is_the_students_too(
    lab: Lab, student: Student
) -> None:
    lab("run --name n1 busybox touch /x")
    image = lab("commit n1 n/img:1")
    plain("tag", "n/img:1", "mine:1")
    for line in (f"rmi -f {image}", f"rmi -f {image[7:19]}", "rmi -f n/img"):
        with contextlib.suppress(LabError, AssertionError):
            lab(line)
    assert identity("mine:1") == image
    assert all("dependent child" in note for note in lab.clean())
    assert names("mine:1") == "[mine:1]"
    student.own["image"] |= inventory()["image"] - student.before["image"]  # with what it stands on
    student.own["tag"].add(f"mine:1={image}")


def test_a_tag_that_moved_stays(lab: Lab, student: Student) -> None:
    lab("run --name t1 busybox touch /x")
    lab("commit t1 t/img:1")
    image = student.image("t/img:1", "LABEL moved=1")
    lab.clean()
    assert identity("t/img:1") == image


@pytest.mark.parametrize(
    "line", ["pull busybox", "pull docker.io/library/busybox:latest", "load -i FILE"]
)
def test_what_moves_the_students_name_is_undone(
    lab: Lab, student: Student, tmp_path: Path, line: str
) -> None:
    if "FILE" in line:
        plain("pull", "-q", "busybox")
        plain("save", "-o", str(tmp_path / "busybox.tar"), "busybox")
        plain("rmi", "busybox")
    image = student.image("busybox", "LABEL older=1")  # the student's older busybox
    before = student.inspected()
    lab(line.replace("FILE", str(tmp_path / "busybox.tar")))
    assert identity("busybox") != image
    assert lab.clean() == []
    assert identity("busybox") == image
    after = student.inspected()
    for about in (*before.values(), *after.values()):
        about[0].pop("Metadata")  # when it last got a name
    assert after == before


def test_a_name_comes_back_also_from_an_image_that_another_lesson_keeps(
    lab: Lab, student: Student
) -> None:
    image = student.image("busybox", "LABEL older=1")
    for lesson in ("12", "prefetched"):
        lab("pull busybox", lesson)
    assert lab.docker.clean() == [] and identity("busybox") == image
    assert lab.of("prefetched").clean() == [] and identity("busybox") == image


def test_the_students_unnamed_parent_of_a_lessons_commit_survives(
    lab: Lab, student: Student
) -> None:
    student("pull", "busybox")
    dangling = student("build", "-q", "-", input=DANGLING)
    lab(f"run --name e1 {dangling} touch /x")
    lab("commit e1 e/img:1")
    lab("rm e1")
    lab("rmi e/img:1")
    assert identity(dangling) == dangling
    lab(f"run --name e2 {dangling} touch /x")
    lab("commit e2 e/img:2")
    lab("rm e2")
    assert lab.docker.clean() == []
    assert identity(dangling) == dangling


def test_a_lessons_name_for_the_students_unnamed_image_does_not_take_it_along(
    lab: Lab, student: Student
) -> None:
    student("pull", "-q", "busybox")
    dangling = student("build", "-q", "-", input=DANGLING)
    lab(f"tag {dangling} i/img:1")
    assert "your own" in refused(lab, "rmi i/img:1")  # an image goes with its last name
    assert [note.partition(" stays: it is the only name")[0] for note in lab.clean()] == ["i/img:1"]
    assert identity(dangling) == dangling
    student("tag", dangling, "mine:1")
    assert lab.clean() == []  # a name beside the student's is the lesson's to remove
    assert names(dangling) == "[mine:1]"


def test_a_reset_after_a_crash_knows_what_was_made(lab: Lab, student: Student) -> None:
    lab("run -d --name x1 busybox sleep 1d")
    reset = [sys.executable, "-m", "labkit", "reset"]
    done = subprocess.run(reset, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "untouched" in done.stdout
    assert inventory() == student.before
