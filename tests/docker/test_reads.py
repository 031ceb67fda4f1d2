"""What a lesson reads of Docker: from a recording made by hand, and the same live and replayed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from live import Lab, plain
from samples.docker_lesson import Described, lesson_folder, recorder, replayed, world
from samples.errors import refused

from labkit.docker import reads
from labkit.lesson import Lesson
from labkit.rehearse import Rehearsal
from labkit.words import split

BASE = Described("base", {"aa": ["f 10 etc/motd"]})
APP = Described("app", {"aa": ["f 10 etc/motd"], "bb": ["f 20 app"]})
OTHER = Described("other", {"cc": ["f 5 x"]})
IMAGES = (BASE, APP, OTHER)
CHANGES = [{"kind": "A", "path": "/x"}, {"kind": "C", "path": "/etc"}]
WEB = {"id": "abcd" * 16, "name": "web", "image_id": "sha256:app", "state": "running"}


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    tape = recorder(*IMAGES)
    tape.read("world", lambda: world((*IMAGES, Described("unknown", {})), [WEB]))
    tape.read("changes web", lambda: CHANGES)
    tape.read("looks web test -e '/a b'", lambda: 1)
    return replayed(tmp_path, tape)


def test_things_are_found_by_name(lesson: Lesson) -> None:
    for name in ("web", "abcd", WEB["id"]):
        assert reads.container(lesson, name) == WEB
    assert reads.image(lesson, "app") == APP.thing
    assert reads.container(lesson, "app") is reads.image(lesson, "web") is None


def test_state_and_content_are_read_by_their_names(lesson: Lesson) -> None:
    assert reads.changes(lesson, WEB) == CHANGES
    assert reads.looks(lesson, "web", ["test", "-e", "/a b"]) == 1
    assert reads.about(lesson, APP.thing) == APP.contents["sha256:app"]


def test_an_image_is_taken_apart(lesson: Lesson) -> None:
    image = reads.layers(lesson, "app")
    assert str(image) == str(APP.taken_apart)
    assert "There is no image no-such here: `docker images`" in refused(
        reads.layers, lesson, "no-such"
    )
    assert "The recording does not hold" in refused(reads.layers, lesson, "unknown")


@pytest.mark.parametrize(
    "names,wanted",
    [
        (["app"], ["app"]),
        (["app:latest", "docker.io/library/base"], ["base", "app"]),
        (["o*"], ["other"]),
        (["app*", "other"], ["app", "other"]),
        (["ap", "no-such*"], []),
    ],
)
def test_the_forest_is_of_the_images_named(
    lesson: Lesson, names: list[str], wanted: list[str]
) -> None:
    forest = reads.forest(lesson, names)
    drawn = {name for node in forest.nodes.values() for name in node.images}
    assert drawn == {f"{name}:latest" for name in wanted}
    of_app = [{**WEB, "changes": 2}]
    assert forest.containers == (of_app if "app" in wanted else [])


def test_the_forest_of_all_needs_to_know_all(lesson: Lesson) -> None:
    assert "does not hold" in refused(reads.forest, lesson)


def test_a_lesson_without_docker_is_told_so(tmp_path: Path) -> None:
    lesson = Lesson("78", "live", lesson_folder(tmp_path, "78", "{}"))
    for read in (lambda: reads.layers(lesson, "x"), lambda: reads.forest(lesson)):
        assert refused(read).startswith("This lesson works without docker")


# -- on an engine -------------------------------------------------------------------------------


def everything(lesson: Lesson) -> list[Any]:
    """All that can be read in this state."""
    container = reads.container(lesson, "r1")
    image = reads.image(lesson, "busybox")
    assert container and image
    return [
        lesson.world(),
        reads.changes(lesson, container),
        reads.about(lesson, image),
        str(reads.layers(lesson, "busybox")),
        reads.forest(lesson).to_json(),
        reads.looks(lesson, "r1", ["test", "-e", "/x"]),
        reads.looks(lesson, "r1", ["test", "-e", "/y"]),
    ]


@pytest.mark.live("docker")
def test_replay_reads_what_was_read_live(lab: Lab, tmp_path: Path) -> None:
    folder = lesson_folder(tmp_path)
    lines = ("pull -q busybox", "run -d --name r1 busybox sh -c 'touch /x; sleep 1d'")

    def read(lesson: Lesson) -> list[Any]:
        for line in lines:
            lesson.command(["docker", *split(line)])
        return everything(lesson)

    rehearsal = Rehearsal("77", folder=folder)
    rehearsal.reset()
    found = read(rehearsal)
    assert {"kind": "A", "path": "/x"} in found[1] and found[-2:] == [0, 1]
    layers = plain("inspect", "--format", '{{join .RootFS.Layers ","}}', "busybox").split(",")
    assert found[2]["diff_ids"] == layers
    rehearsal.tape.recording.save(rehearsal.recording)
    assert read(Lesson("77", "replay", folder)) == found
