"""A lesson in progress: its folder, its tape, its engines, and what labkit knows of the state now.

Live or replay is decided when the lesson opens: if all that the lesson needs answers it is used, otherwise the
lesson's recording is; ``LABKIT_MODE=live|replay|record`` decides instead.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import shlex
from collections.abc import Callable, Container, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from labkit import tasks
from labkit import words as shellwords
from labkit.commands import Result, run
from labkit.docker import archives
from labkit.docker import command_line as syntax
from labkit.docker.engine import PREFETCHED, Docker, Thing, World, advice, find_thing
from labkit.docker.forest import Forest
from labkit.docker.layers import Image
from labkit.errors import LabError
from labkit.net.engine import LIVE, Answer, Console, Text
from labkit.tape import Mode, Tape

if TYPE_CHECKING:
    from labkit.disks import Disk
    from labkit.virtualbox.engine import Bench
    from labkit.virtualbox.snapshots import Graph

# Commands that change nothing `Docker.world` shows, yet may change a container from the inside.
_INSIDE = {"exec", "cp", "start", "restart", "update", "rename"}


def lessons_folder() -> Path:
    """Where lessons keep their recordings and tasks: ``notebooks/lessons``, seen from any folder of the course.

    Raises :class:`LabError` outside the course.
    """
    start = Path.cwd()
    here = Path(__file__).resolve().parent.parent
    for folder in (start, *start.parents, here):
        for found in (folder / "lessons", folder / "notebooks" / "lessons"):
            if found.is_dir():
                return found
    raise LabError(
        "The course's notebooks/lessons folder is not above this one; open the notebook inside the course."
    )


def ending(result: Result) -> str:
    """How a command that failed has ended, and what to do about it; "" for one that has not."""
    from labkit.virtualbox import engine as bench

    told = advice(result) if result.argv[0] == "docker" else bench.advice(result)
    return ". ".join(filter(None, [f"exit code {result.code}", told])) if result.code else ""


def check_names(names: Sequence[str], folder: Path | None = None) -> None:
    """Raise :class:`LabError` for what is no lesson, so that a name is never a path to somewhere else."""
    known = sorted(
        path.name
        for path in (folder or lessons_folder()).iterdir()
        if path.is_dir() and path.name[0] not in "._"
    )
    for name in names:
        if name not in known:
            raise LabError(f"There is no lesson {name!r:.60}; there are: {', '.join(known)}.")


class Lesson:
    """One lesson being taught. ``mode`` None chooses by itself.

    Raises :class:`LabError` if there is no such lesson, or neither engine nor recording.
    """

    def __init__(self, name: str, mode: str | None = None, folder: Path | None = None) -> None:
        self.name, self.mode = name, mode or os.environ.get("LABKIT_MODE", "")
        self.folder = folder or lessons_folder() / name
        check_names([name], folder and folder.parent)
        self.docker: Docker | None = None
        self.bench: Bench | None = None
        self.console = Console(self.folder)  # of the network in this process, which needs no engine
        self.why = ""
        asked = self.mode
        if asked not in ("", "live", "replay", "record"):
            raise LabError(
                f"The mode is {asked!r}; it can be live or replay, or absent to choose by itself."
            )
        if asked != "replay":
            try:
                engines = self._find(tasks.material(self.folder).needs)
                self.tape = Tape(
                    cast(Mode, asked or "live"),
                    {
                        "lesson": name,
                        "engines": engines,
                        "recorded": datetime.date.today().isoformat(),
                    },
                )
            except LabError as error:
                self.docker = self.bench = None
                self.why = str(error)
                if asked:
                    raise
        if not self.engines:
            try:
                self.tape = Tape.load(self.recording)
            except LabError as error:
                raise LabError(f"{self.why} {error}".strip()) from None
        self.task: tuple[str, list[Any], set[str]] | None = (
            None  # the open task, where it began, the names it uses
        )
        self.passed: set[str] = set()
        self.committed: dict[str, str] = {}  # prediction → choice
        self.drawn: dict[
            tuple[str, ...], Any
        ] = {}  # the last picture of each selection of images, machines, disks
        self.seen: set[str] = set()  # what any picture has shown
        self._seen: dict[str, Any] = {}  # disk files as last read
        self._numbers: dict[str, int] = {}  # of differencing disks, so that one keeps its number

    def _find(self, needs: Sequence[str]) -> dict[str, str]:
        """Find all engines the lesson needs; their names and versions. Raises :class:`LabError` if one is missing."""
        found = {}
        if "docker" in needs:
            self.docker = Docker.find()
            found["docker"] = str(self.docker)
        if programs := [name for name in needs if name != "docker"]:
            from labkit.virtualbox.engine import Bench  # late: most lessons have no use for it

            self.bench = Bench.open(self.name, programs)
            self.bench.thorough = self.mode != "record"
            found |= self.bench.versions(programs)
        return found

    @property
    def lacking(self) -> str:
        """What the live engines cannot do here, said once; "" if nothing."""
        without = self.bench and self.bench.virtualbox and not self.bench.virtualbox.driver
        return (
            "VirtualBox's kernel driver is not loaded, so machines cannot be started"
            if without
            else ""
        )

    @property
    def engines(self) -> list[Any]:
        """The live engines; none in replay."""
        return [engine for engine in (self.docker, self.bench) if engine]

    @property
    def recording(self) -> Path:
        """The lesson's tape."""
        return self.folder / "recording.json"

    @property
    def badge(self) -> str:
        """What every output says of where it comes from."""
        engine = ", ".join(self.tape.header["engines"].values()) or "no engine"
        if self.tape.mode != "replay":
            return f"live · {engine}"
        remark = f" · {self.tape.remark}" if self.tape.remark else ""
        return f"replay · recorded {self.tape.header['recorded']} on {engine}{remark}"

    def reset(self) -> list[str]:
        """Back to the start: remove what earlier runs of this lesson made; say what had to stay."""
        self.tape.rewind()
        self.task = None
        self.console = Console(self.folder)
        for memory in (self.passed, self.drawn, self.seen, self._numbers):
            memory.clear()
        notes = self.docker.clean(self.name) if self.docker else []
        if self.bench:
            needs = [name for name in tasks.material(self.folder).needs if name != "docker"]
            notes += self.bench.clean()
            self.bench.ready(needs)
        self.look_around()
        return notes

    def marks(self) -> list[Any]:
        """Where each engine and the console are now, for :meth:`clean`."""
        return [engine.mark(self.name) for engine in (*self.engines, self.console)]

    def clean(self, marks: Sequence[Any], names: Container[str] | None = None) -> list[str]:
        """Remove what the lesson made since then (called one of ``names``, if given); say what had to stay."""
        return [
            note
            for engine, mark in zip((*self.engines, self.console), marks, strict=True)
            for note in engine.clean(self.name, mark, names)
        ]

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """A try while recording: at the end the tape is where it was, and so is the bench (not so Docker)."""
        place, task, network = self.tape.place, self.task, self.console.mark(self.name)
        with self.bench.undone() if self.bench else contextlib.nullcontext():
            yield
        self.tape.place, self.task = place, task
        self.console.clean(self.name, network)

    # -- commands and reads, live or from the tape ----------------------------------------------

    @staticmethod
    def words(line: str) -> list[str]:
        """A command as typed, as words; on the bench ``$PWD`` is its folder. Raises :class:`LabError`."""
        program = line.split(None, 1)[0] if line.strip() else ""
        return shellwords.split(line, () if program == "docker" else ("PWD",))

    def command(
        self,
        argv: Sequence[str],
        stdin: str | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Result:
        """Run one command, ``docker`` or a program of the bench, or replay it. Raises :class:`LabError`."""
        if argv[0] == "net":
            answer = self.net(argv[1:], on_text)
            return Result(tuple(argv), int(not answer.ok), (("out", f"{answer}\n"),))
        if argv[0] == "docker":
            result = self._docker(argv[1:], stdin, on_text)
        else:
            from labkit.virtualbox import engine as bench

            if not (name := bench.canonical(argv[0])):
                raise LabError(
                    f"{argv[0]!r:.40} is no program of the lessons: docker, {', '.join(bench.PROGRAMS)}."
                )
            result = self._on_bench([name, *argv[1:]], stdin, on_text)
        self.look_around()
        return result

    def net(self, words: Sequence[str], on_text: Callable[[str], None] | None = None) -> Answer:
        """A command of the network in this process, or of its live twin: ``up``, ``compare …``, ``down``.

        Raises :class:`LabError`.
        """
        if not words or words[0] not in LIVE:
            return self.console.do(words)
        if not (3 <= len(words) <= 7 if words[0] == "compare" else len(words) == 1):
            raise LabError("Use it as `%net up`, `%net compare HOST HOST [TAG …]` or `%net down`.")
        from labkit.net import live

        name, made = words[0], self.console.topology
        if name == "compare":
            made.host(words[1])
            made.host(words[2])
        self.need(docker=True)

        def do() -> Result:
            kept = (
                self.name if self.tape.mode == "record" else PREFETCHED
            )  # a recording leaves nothing behind
            lab = live.Lab(self._live(), made, self.name, self.folder / "net", kept)
            if name == "compare":
                return lab.trial(*words[1:])
            return lab.up(on_text) if name == "up" else lab.down()

        result = self.tape.command(["net", *words], str(made), do, lambda: name != "compare")
        self.look_around()
        return (
            live.compared(made, words[1:], result)
            if name == "compare"
            else Answer(Text(result.text.rstrip()))
        )

    def need(self, docker: bool) -> None:
        """Raise :class:`LabError` if this lesson is not one of Docker, or of machines and disks."""
        needs = tasks.material(self.folder).needs
        if docker and "docker" not in needs:
            raise LabError(
                "This lesson works without Docker: use `%docker` in the lessons 02, 03 and 11 to 15."
            )
        if not docker and not set(needs) - {"docker"}:
            raise LabError(
                "This lesson works with Docker alone: machines and disks are for the lessons 07 to 10."
            )

    def _docker(
        self, argv: Sequence[str], stdin: str | None, on_text: Callable[[str], None] | None
    ) -> Result:
        words = syntax.parse(argv)
        docker, tape = self.docker, self.tape
        self.need(docker=True)
        changed: Callable[[], bool] | None = None
        if tape.mode == "record" and not words.reads_only:
            assert docker
            before = docker.world()
            changed = lambda: words.name in _INSIDE or docker.world() != before  # noqa: E731
        return tape.command(
            words.key,
            stdin,
            lambda: self._live().run(argv, words, self.name, stdin, on_text),
            changed,
        )

    def _on_bench(
        self, argv: Sequence[str], stdin: str | None, on_text: Callable[[str], None] | None
    ) -> Result:
        from labkit.virtualbox.engine import OWN, key, page_of

        bench, tape = self.bench, self.tape
        self.need(docker=False)
        if argv[0] in OWN:
            page_of(argv[1:])
        changed: Callable[[], bool] | None = None
        if tape.mode == "record":
            assert bench
            before = bench.state()
            changed = lambda: bench.state() != before  # noqa: E731
        return tape.command(
            key(argv), stdin, lambda: self._benched().run(argv, stdin, on_text), changed
        )

    def look_around(self) -> None:
        """While recording: keep what a student may want to see in each new state."""
        if self.tape.mode != "record" or self.tape.knows():
            return
        world = self.world()
        if self.docker:
            for container in world["containers"]:
                self.changes(container)
            for argv in (["images"], ["ps"], ["ps", "-a"]):
                self._docker(argv, None, None)
        if self.bench:
            for file in world["files"]:
                self.tape.read(f"disk {file['path']}", partial(self._disk, file["path"]))
            if self.bench.virtualbox:
                for machine in world["machines"]:
                    if machine["media"]:
                        self.guest(machine["name"])
                for argv in (
                    ["list", "vms"],
                    ["list", "hdds"],
                    *(["snapshot", machine["name"], "list"] for machine in world["machines"]),
                ):
                    self._on_bench(["VBoxManage", *argv], None, None)

    def _benched(self) -> Bench:
        assert self.bench, "the tape runs live only with an engine"
        return self.bench

    def _live(self) -> Docker:
        assert self.docker, "the tape runs live only with an engine"
        return self.docker

    def world(self) -> World:
        """Images, containers, volumes and networks, machines, media and files now: what the lesson's engines have."""
        return cast(
            World,
            self.tape.read(
                "world",
                lambda: {
                    kind: things
                    for engine in self.engines
                    for kind, things in engine.world().items()
                },
            ),
        )

    def machines(self) -> Graph:
        """Machines, snapshots and media now."""
        from labkit.virtualbox.snapshots import Graph

        self.need(docker=False)
        graph = Graph.from_json({"machines": [], "media": [], "notes": [], **self.world()})
        graph.numbers = self._numbers
        graph.labels()  # numbers them in the order in which they were seen
        return graph

    def files(self) -> dict[str, int]:
        """The files in the lesson's folder, with their sizes in bytes."""
        self.need(docker=False)
        return {file["path"]: file["size"] for file in self.world()["files"]}

    def size(self, name: str) -> int:
        """Bytes of a file in the lesson's folder: for checks. Raises :class:`LabError` if there is none."""
        if name not in (files := self.files()):
            raise LabError(f"The file {name} is missing: run the cells above this one first.")
        return files[name]

    def disk(self, name: str) -> Disk:
        """A disk file of the bench. Raises :class:`LabError` if there is none of that name."""
        from labkit.disks import Disk

        name = name.removeprefix("$PWD/")
        if name not in (known := self.files()):
            raise LabError(
                f"There is no file {name:.60} in the lesson's folder; there are: "
                f"{', '.join(known)[:300] or 'none'}."
            )
        digest = self.tape.read(f"disk {name}", lambda: self._disk(name))
        if digest.startswith("! "):
            raise LabError(digest[2:])
        return Disk.from_json(self.tape.content(digest, lambda: self._seen[digest]))

    def guest(self, machine: str) -> list[str]:
        """What the guest of a machine would read at the start of each page of its disk."""
        if self.tape.mode == "replay":  # the tape knows only that it has nothing of it
            graph = self.machines()
            graph.disks(machine)
            machine = graph.machine(machine).name
        return cast(
            "list[str]", self.tape.read(f"guest {machine}", lambda: self._benched().guest(machine))
        )

    def _disk(self, name: str) -> str:
        """A name for what a disk file holds now, which :meth:`disk` finds again; or "! " and why it cannot be read."""
        try:
            with self._benched().disk(name) as disk:
                about = disk.to_json()
        except LabError as error:
            return f"! {error}"
        digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()
        self._seen[digest] = about
        self.tape.content(digest, lambda: about)
        return digest

    def container(self, name: str) -> Thing | None:
        """A container by name or ID, None if there is none."""
        return find_thing(self.world()["containers"], name)

    def looks(self, container: str, argv: Sequence[str]) -> int:
        """The exit code of a command that only looks, in a container: for checks. Raises :class:`LabError`."""
        return cast(
            int,
            self.tape.read(
                f"looks {shlex.join([container, *argv])}",
                lambda: run(["docker", "exec", container, *argv], timeout=60).code,
            ),
        )

    def image(self, name: str) -> Thing | None:
        """An image by name or ID, None if there is none."""
        return find_thing(self.world()["images"], name)

    def about(self, image: Thing) -> Thing:
        """What never changes of an image: ``diff_ids``, ``history``, ``command``, ``labels``."""
        return cast(Thing, self.tape.content(image["id"], lambda: self._live().image(image["id"])))

    def changes(self, container: Thing) -> list[dict[str, str]]:
        """What the container's writable layer holds, as ``docker diff`` tells it."""
        return cast(
            "list[dict[str, str]]",
            self.tape.read(
                f"changes {container['name']}", lambda: self._live().changes(container["id"])
            ),
        )

    def layers(self, name: str) -> Image:
        """An image taken apart. Raises :class:`LabError` if there is no such image."""
        self.need(docker=True)
        image = self.image(name)
        if not image:
            raise LabError(
                f"There is no image {name:.60} here: `docker images` lists what there is."
            )

        @lru_cache(1)
        def saved() -> Image:
            return archives.read_stream(self._live().save(image["id"]), name)

        def listing(diff_id: str) -> Any:
            return self.tape.content(diff_id, lambda: saved().listings()[diff_id])

        config = self.tape.content(f"config {image['id']}", lambda: saved().config.to_json())
        found = {diff_id: listing(diff_id) for diff_id in config["diff_ids"]}
        return Image.from_listings(name, image["id"], config, found)

    def forest(self, names: Sequence[str] = ()) -> Forest:
        """All local images by ChainID, or those called ``names`` (a trailing ``*`` matches any ending)."""
        self.need(docker=True)
        world = self.world()
        wanted = [image for image in world["images"] if _matches(image["tags"], names)]
        images = [
            {**self.about(image), "id": image["id"], "tags": image["tags"]} for image in wanted
        ]
        ids = {image["id"] for image in wanted}
        containers = [
            {**c, "changes": len(self.changes(c))}
            for c in world["containers"]
            if c["image_id"] in ids
        ]
        return Forest(images, containers)


def _matches(tags: Sequence[str], names: Sequence[str]) -> bool:
    wanted = [(name.removesuffix("*"), name.endswith("*")) for name in names]
    return not names or any(
        tag.startswith(text) if any_end else tag == syntax.full_name(text)
        for tag in tags
        for text, any_end in wanted
    )
