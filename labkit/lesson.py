"""A lesson in progress: its folder, its tape, its engine, and what labkit knows of the state now.

Live or replay is decided when the lesson opens: an engine that answers is used, otherwise the
lesson's recording is; ``LABKIT_MODE=live|replay|record`` decides instead.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from labkit import archives, syntax
from labkit.commands import LabError, Result
from labkit.docker import Docker, Thing, World, find_thing
from labkit.layers import Forest, Image
from labkit.tape import Mode, Tape

# Commands that change nothing `Docker.world` shows, yet may change a container from the inside.
_INSIDE = {"exec", "cp", "start", "restart", "update", "rename"}


def lessons_folder(start: Path | None = None) -> Path:
    """Where lessons keep their recordings and tasks: ``notebooks/lessons``, seen from any folder of the course.

    Raises :class:`LabError` outside the course.
    """
    start = (start or Path.cwd()).resolve()
    here = Path(__file__).resolve().parent.parent
    for folder in (start, *start.parents, here):
        for found in (folder / "lessons", folder / "notebooks" / "lessons"):
            if found.is_dir():
                return found
    raise LabError("The course's notebooks/lessons folder is not above this one; open the notebook inside the course.")


class Lesson:
    """One lesson being taught. ``mode`` None chooses by itself.

    Raises :class:`LabError` if there is no such lesson, or neither engine nor recording.
    """

    def __init__(self, name: str, mode: str | None = None, folder: Path | None = None) -> None:
        self.name = name
        self.folder = folder or lessons_folder() / name
        lessons = folder.parent if folder else lessons_folder()
        known = sorted(path.name for path in lessons.iterdir() if path.is_dir() and path.name[0] not in "._")
        if name not in known:  # so a name is never a path to somewhere else
            raise LabError(f"There is no lesson {name!r:.60}; there are: {', '.join(known)}.")
        self.docker: Docker | None = None
        self.why = ""
        asked = mode or os.environ.get("LABKIT_MODE", "")
        if asked not in ("", "live", "replay", "record"):
            raise LabError(f"The mode is {asked!r}; it can be live or replay, or absent to choose by itself.")
        if asked != "replay":
            try:
                self.docker = Docker.find()
            except LabError as error:
                self.why = str(error)
                if asked:
                    raise
        if self.docker:
            self.tape = Tape(cast(Mode, asked or "live"), {
                "lesson": name, "engines": {"docker": str(self.docker)}, "recorded": datetime.date.today().isoformat()})
        else:
            try:
                self.tape = Tape.load(self.recording)
            except LabError as error:
                raise LabError(f"{self.why} {error}".strip()) from None
        self.task: tuple[str, int, set[str]] | None = None  # the open task, its first line in the ledger, its names
        self.passed: set[str] = set()
        self.committed: dict[str, str] = {}  # prediction → choice
        self.drawn: dict[tuple[str, ...], Forest] = {}  # the last picture of each selection of images
        self.seen: set[str] = set()  # what any picture has shown

    @property
    def recording(self) -> Path:
        """The lesson's tape."""
        return self.folder / "recording.json"

    @property
    def badge(self) -> str:
        """What every output says of where it comes from."""
        engine = self.tape.header["engines"].get("docker", "no engine")
        if self.tape.mode != "replay":
            return f"live · {engine}"
        remark = f" · {self.tape.remark}" if self.tape.remark else ""
        return f"replay · recorded {self.tape.header['recorded']} on {engine}{remark}"

    def reset(self) -> list[str]:
        """Back to the start: remove what earlier runs of this lesson made; say what had to stay."""
        self.tape.rewind()
        self.task = None
        for memory in (self.passed, self.drawn, self.seen):
            memory.clear()
        notes = self.docker.clean(self.name) if self.docker else []
        self.look_around()
        return notes

    # -- commands and reads, live or from the tape ----------------------------------------------

    def command(self, argv: Sequence[str], stdin: str | None = None,
                on_text: Callable[[str], None] | None = None) -> Result:
        """Run one ``docker`` command (the words after ``docker``), or replay it. Raises :class:`LabError`."""
        words = syntax.parse(argv)
        docker, tape = self.docker, self.tape
        changed: Callable[[], bool] | None = None
        if tape.mode == "record" and not words.reads_only:
            assert docker
            before = docker.world()
            changed = lambda: words.name in _INSIDE or docker.world() != before  # noqa: E731
        live = self._live
        result = tape.command(words.key, stdin, lambda: live().run(argv, words, self.name, stdin, on_text), changed)
        self.look_around()
        return result

    def look_around(self) -> None:
        """While recording: keep what a student may want to see in each new state."""
        if self.tape.mode == "record" and not self.tape.knows():
            for container in self.world()["containers"]:
                self.changes(container)
            for argv in (["images"], ["ps"], ["ps", "-a"]):
                self.command(argv)

    def _live(self) -> Docker:
        assert self.docker, "the tape runs live only with an engine"
        return self.docker

    def world(self) -> World:
        """Images, containers, volumes and networks now."""
        return cast(World, self.tape.read("world", lambda: self._live().world()))

    def container(self, name: str) -> Thing | None:
        """A container by name or ID, None if there is none."""
        return find_thing(self.world()["containers"], name)

    def image(self, name: str) -> Thing | None:
        """An image by name or ID, None if there is none."""
        return find_thing(self.world()["images"], name)

    def about(self, image: Thing) -> Thing:
        """What never changes of an image: ``diff_ids``, ``history``, ``command``, ``labels``."""
        return cast(Thing, self.tape.content(image["id"], lambda: self._live().image(image["id"])))

    def changes(self, container: Thing) -> list[dict[str, str]]:
        """What the container's writable layer holds, as ``docker diff`` tells it."""
        return cast("list[dict[str, str]]", self.tape.read(
            f"changes {container['name']}", lambda: self._live().changes(container["id"])))

    def layers(self, name: str) -> Image:
        """An image taken apart. Raises :class:`LabError` if there is no such image."""
        image = self.image(name)
        if not image:
            raise LabError(f"There is no image {name:.60} here: `docker images` lists what there is.")

        @lru_cache(1)
        def saved() -> Image:
            return archives.read_stream(self._live().save(image["id"]), name)

        def listing(diff_id: str) -> Any:
            return self.tape.content(diff_id, lambda: saved().listings()[diff_id])

        config = self.tape.content(f"config {image['id']}", lambda: saved().config)
        found = {diff_id: listing(diff_id) for diff_id in config["diff_ids"]}
        return Image.from_listings(name, image["id"], config, found)

    def forest(self, names: Sequence[str] = ()) -> Forest:
        """All local images by ChainID, or those called ``names`` (a trailing ``*`` matches any ending)."""
        world = self.world()
        wanted = [image for image in world["images"] if _matches(image["tags"], names)]
        images = [{**self.about(image), "id": image["id"], "tags": image["tags"]} for image in wanted]
        ids = {image["id"] for image in wanted}
        containers = [{**c, "changes": len(self.changes(c))} for c in world["containers"] if c["image_id"] in ids]
        return Forest(images, containers)


def _matches(tags: Sequence[str], names: Sequence[str]) -> bool:
    wanted = [(name.removesuffix("*"), name.endswith("*")) for name in names]
    return not names or any(tag.startswith(text) if any_end else tag == syntax.full_name(text)
                            for tag in tags for text, any_end in wanted)
