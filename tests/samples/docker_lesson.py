"""A lesson on Docker without tasks: its folder for a real engine, or a recording made by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from labkit.docker.layers import Image
from labkit.lesson import Lesson
from labkit.recording import Header
from labkit.tape import Recorder

NAME = "77"
HEADER = Header(NAME, {"docker": "Docker 1.0"}, "2026-01-02")


def lesson_folder(course: Path, name: str = NAME, needs: str = '{"docker": ["docker"]}') -> Path:
    """The folder of a lesson in a course that has no other."""
    folder = course / "lessons" / name
    folder.mkdir(parents=True)
    (folder / "tasks.py").write_text(f"NEEDS = {needs}\n")
    return folder


class Described(NamedTuple):
    """An image as recordings keep it: the listings of its layers, oldest first, by their letters.

    Each layer was made by a COPY, with an ENV, which has no files, behind the first.
    """

    name: str
    layers: Mapping[str, list[str]]

    @property
    def thing(self) -> dict[str, Any]:
        """The image as the engine lists it."""
        return {
            "id": f"sha256:{self.name}",
            "tags": [f"{self.name}:latest"],
            "size": 5,
            "created": 0,
        }

    @property
    def listings(self) -> dict[str, list[str]]:
        return {f"sha256:{letters}": listing for letters, listing in self.layers.items()}

    @property
    def config(self) -> dict[str, Any]:
        history = [{"created_by": f"COPY <{layer}> /", "empty": False} for layer in self.layers]
        history.insert(1, {"created_by": "ENV A=1", "empty": True})
        return {"diff_ids": list(self.listings), "history": history}

    @property
    def contents(self) -> dict[str, Any]:
        """All of it that never changes, by the names that recordings give it."""
        identity = self.thing["id"]
        history = [{**step, "size": int(not step["empty"])} for step in self.config["history"]]
        about = {"diff_ids": list(self.listings), "history": history, "command": [], "labels": {}}
        return {identity: about, f"config {identity}": self.config, **self.listings}

    @property
    def taken_apart(self) -> Image:
        return Image.from_listings(self.name, self.config, self.listings)


def world(
    images: Iterable[Described], containers: Iterable[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """What there is on the engine."""
    things = [image.thing for image in images]
    return {"images": things, "containers": list(containers), "volumes": [], "networks": []}


def recorder(*images: Described) -> Recorder:
    """A recording to go on with, which knows what is in some images."""
    tape = Recorder(HEADER)
    for image in images:
        tape.recording.contents |= image.contents
    return tape


def replayed(course: Path, tape: Recorder) -> Lesson:
    """The lesson, replayed from what was recorded."""
    folder = lesson_folder(course)
    tape.recording.save(folder / "recording.json")
    return Lesson(NAME, "replay", folder)
