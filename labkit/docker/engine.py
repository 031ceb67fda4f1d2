"""Docker at work for a lesson: each command as typed, with our label where Docker can label.

What a lesson makes is labelled ``labkit.lesson=NAME`` and noted in the lesson's ledger.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Self

from labkit.commands import Result, run
from labkit.docker import images, reads
from labkit.docker.client import HOW_TO_GET, LABEL, Client, World, asking
from labkit.docker.command_line import GROUPS, Words, parse
from labkit.docker.guard import guard
from labkit.docker.ledger import Entry, Ledger
from labkit.docker.output import bars, because, settle
from labkit.docker.ownership import Ownership
from labkit.engine import PREFETCHED, Command, Engine, Finding, Heard, Session, home
from labkit.errors import LabError, MissingProgram
from labkit.messages import N_, _
from labkit.show.progress import Bar

_LABELLED = ("run", "create", "build", "volume create", "network create")
_UNSEEN = ("exec", "cp", "start", "restart", "update", "rename")  # no world shows what they change
_SLOW = ("pull", "build", "run", "load", "push")
_SHOWS_LAYERS = ("run", "create", "pull", "build")
_ENDED_AT_ONCE = 0.4  # seconds: a detached container that ends so soon is to be seen as ended
_CONFLICT = "Conflict. The container name"  # as the engine says it
_ENDLESS = {
    "events": N_("`docker ps -a` shows what happened to containers"),
    "stats": N_("add `--no-stream` for one reading"),
    "logs": N_("leave out -f: `docker logs NAME` shows all so far"),
    "attach": N_(
        "`docker logs NAME` shows what it printed, `docker exec NAME command` runs something in it"
    ),
}


class Docker(Engine):
    """The engine that the ``docker`` command talks to, for one lesson."""

    programs: ClassVar[Mapping[str, str]] = {"docker": HOW_TO_GET}

    def __init__(self, client: Client, lesson: str) -> None:
        self.client, self.lesson = client, lesson
        self.ledger = ledger_of(client)
        self.ownership = Ownership(client, self.ledger)
        self.lessons: Path | None = None  # where recipes of images lie
        self.keeps = PREFETCHED

    @classmethod
    def open(cls, session: Session, programs: Sequence[str]) -> Self:
        docker = cls(Client.find(), session.name)
        docker.lessons = session.folder.parent
        docker.keeps = session.name if session.rehearsed else PREFETCHED
        return docker

    def runs(self, lesson: str, heard: Heard = None) -> images.Run:
        """Runs commands on this engine, where what they make belongs to another lesson."""
        other = Docker(self.client, lesson)
        return lambda argv: other.run(self.parse(argv), None, heard)

    def versions(self) -> dict[str, str]:
        return {"docker": str(self.client)}

    # -- a command, before it runs --------------------------------------------------------------

    @classmethod
    def parse(cls, argv: Sequence[str]) -> Command:
        words = parse(argv[1:])
        _refuse_waiting(words, argv)
        if words.reads_only:
            return Command(tuple(argv), words.key, "none")
        effect: Any = "unseen" if words.name in _UNSEEN else "seen"
        return Command(tuple(argv), words.key, effect, words.name in _SLOW)

    @classmethod
    def advise(cls, result: Result, session: Session) -> str:
        if _CONFLICT in result.err:
            return _taken(result.err, session)
        return because(result.err)

    @classmethod
    def bars(cls, text: str) -> Sequence[Bar]:
        return bars(text)

    # -- running it -----------------------------------------------------------------------------

    def run(self, command: Command, stdin: str | None, heard: Heard) -> Result:
        env = {**os.environ, "DOCKER_CLI_HINTS": "false"}
        if command.effect == "none":
            return run(command.argv, stdin, on_text=heard, env=env)
        words = parse(command.argv[1:])
        guard(words, self.client, self.ownership)
        self._bring(words, heard)
        said: list[str] = []

        def hear(text: str) -> None:
            said.append(text)
            if heard:
                heard(text)

        with self._noted(words, said) as cid:
            argv = _labelled(command.argv, words, self.lesson, cid)
            result = run(argv, stdin, on_text=hear, env=env)
        if words.name not in _SHOWS_LAYERS:
            return result
        chunks = tuple((stream, settle(text)) for stream, text in result.chunks)
        return result._replace(chunks=chunks)

    def _bring(self, words: Words, heard: Heard) -> None:
        """Make ready the image of a lesson's own that a command is to start."""
        if words.name not in ("run", "create") or not words.words or not self.lessons:
            return
        if recipe := images.recipe_of(words.words[0], self.lessons):
            images.ready(recipe, self.client, self.runs(self.keeps, heard))

    @contextmanager
    def _noted(self, words: Words, said: Sequence[str]) -> Iterator[Path]:
        """Whatever becomes of a command, what it made is noted in the ledger.

        ``said``: what it has printed by then. Gives the file for the ID of its container.
        """
        before = self._before(words)
        with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
            own_file = "".join(words.values("--cidfile")[-1:])
            cid = Path(own_file or Path(folder, "cid"))
            ended = False
            try:
                yield cid
                ended = True
            finally:
                container = cid.read_text() if cid.exists() else ""
                if container and words.has("-d"):
                    with suppress(LabError), asking():  # it may run on
                        self.client.api.wait(container, timeout=_ENDED_AT_ONCE)
                entries = self._made(before, words, "".join(said), container)
                if container and not ended:
                    # Its first process may ignore the interrupt that ended the command.
                    with suppress(LabError), asking():  # it may have ended by itself
                        self.client.api.kill(container)
                if entries:
                    self.ledger.add(self.lesson, entries)

    def _before(self, words: Words) -> World:
        before = self.client.world(words.name == "build")
        if self.lesson == PREFETCHED and words.name == "pull":
            # What a lesson has pulled already is to stay, too.
            before["images"] = [
                image for image in before["images"] if not self.ownership.owns("images", image)
            ]
        return before

    def _made(self, before: World, words: Words, heard: str, container: str) -> list[Entry]:
        try:
            return self.ownership.made(before, words, heard, container)
        except LabError:  # the engine is gone: the command's own output says so
            known = {thing["id"] for thing in before["containers"]}
            return [("container", container)] if container and container not in known else []

    # -- containers of our own ------------------------------------------------------------------

    def create(
        self, name: str, image: str, command: Sequence[str], hostname: str, **rights: Any
    ) -> str:
        """Create a container with our label, note it in the ledger, return its ID.

        ``rights``: as of the SDK's create_host_config. Raises :class:`LabError`.
        """
        api = self.client.api
        with asking():
            host = api.create_host_config(**rights)
            try:
                made: str = api.create_container(
                    image,
                    list(command),
                    name=name,
                    hostname=hostname,
                    labels={LABEL: self.lesson},
                    host_config=host,
                )["Id"]
            except KeyboardInterrupt:  # the engine may have made it all the same
                about = self.client.inspect("container", name)
                if about and about["Config"]["Labels"].get(LABEL) == self.lesson:
                    self.ledger.add(self.lesson, [("container", about["Id"])])
                raise
        self.ledger.add(self.lesson, [("container", made)])
        return made

    @asking()
    def start(self, container: str) -> None:
        """Start a created container. Raises :class:`LabError`."""
        self.client.api.start(container)

    # -- what there is, and what a lesson may ask -----------------------------------------------

    def world(self) -> dict[str, Any]:
        return self.client.world()

    def fingerprint(self) -> str:
        return json.dumps(self.client.world())

    def explore(self, session: Session) -> None:
        for container in session.world()["containers"]:
            reads.changes(session, container)
        for argv in (["docker", "images"], ["docker", "ps"], ["docker", "ps", "-a"]):
            session.command(argv)

    @property
    def crowded(self) -> str:
        world = self.client.world()
        count = len(world["images"]) + len(world["containers"])
        told = _("this one has {count} images and containers of its own.", count=count)
        return told if count else ""

    # -- cleaning -------------------------------------------------------------------------------

    def mark(self) -> int:
        return len(self.ledger.entries(self.lesson))

    def clean(self, since: int | None = None, names: Container[str] | None = None) -> list[str]:
        return self.ownership.clean(self.lesson, since or 0, names)

    @classmethod
    def sweep(cls, lessons: Sequence[str]) -> list[str]:
        try:
            client = Client.find()
        except LabError as error:
            never_used = not any((home() / "docker").glob("*/*"))
            return [] if isinstance(error, MissingProgram) and never_used else [str(error)]
        made = ledger_of(client).lessons()
        wanted = lessons or [name for name in made if name != PREFETCHED]  # which the class needs
        return [note for lesson in wanted for note in cls(client, lesson).clean()]

    # -- before class ---------------------------------------------------------------------------

    @classmethod
    def examine(cls) -> Iterator[Finding]:
        try:
            yield Finding(True, _("{engine}: lessons run live", engine=Client.find()))
        except LabError as error:
            yield Finding(
                False,
                _(
                    "{why} Until then the lessons on Docker replay their recordings.",
                    why=error,
                ),
            )

    @classmethod
    def prefetch(cls, lessons: Mapping[str, Path]) -> Iterator[str]:
        pulled = {name for folder in lessons.values() for name in images.pulled(folder)}
        recipes = [
            each for name, folder in lessons.items() for each in images.recipes(name, folder)
        ]
        if not pulled and not recipes:
            return
        docker = cls(Client.find(), PREFETCHED)
        run = docker.runs(PREFETCHED)
        for name in sorted(pulled):
            images.pull(name, run)
            yield name
        for recipe in recipes:
            yield images.build(recipe, docker.client, run)


ENGINE = Docker


@asking()
def ledger_of(client: Client) -> Ledger:
    """What labkit made on this engine.

    The engine is known by its ID (one a machine before Docker 23) and its data's folder.
    """
    about = client.api.info()
    key = f"{about['ID']} {about['DockerRootDir']}".encode()
    return Ledger(home() / "docker" / hashlib.sha256(key).hexdigest()[:16])


def _labelled(argv: Sequence[str], words: Words, lesson: str, cid: Path) -> list[str]:
    """A command with our label on what it makes; ``cid``: the file for the ID of a container."""
    options: list[str] = []
    if words.name in _LABELLED:
        options += ["--label", f"{LABEL}={lesson}"]
    if words.name in ("run", "create") and not words.has("--cidfile"):
        options += ["--cidfile", str(cid)]
    if words.name == "commit":
        options += ["--change", f"LABEL {LABEL}={lesson}"]
    if words.name == "rmi":
        options += ["--no-prune"]  # an unnamed image below may be the student's
    behind = 3 if argv[1] in GROUPS else 2  # the command's name, which may be two words
    return [*argv[:behind], *options, *argv[behind:]]


def _refuse_waiting(words: Words, argv: Sequence[str]) -> None:
    """Raise :class:`LabError` for what would wait for a keyboard, or never end."""
    interactive = words.has("-i") and words.has("-t") and not words.has("-d")
    if words.name in ("run", "exec") and interactive:
        raise LabError(
            "`{command} -it` waits for a keyboard, and a cell has none. Run one command "
            "(`docker exec NAME ls /`), or send lines with `%%docker run -i …` and the lines "
            "below it, or open a terminal: File, New, Terminal.",
            command=words.name,
        )
    ends = words.has("--help", "--no-stream", "--until")
    ends |= words.name == "logs" and not words.has("-f")
    if words.name in _ENDLESS and not ends:
        raise LabError(
            "`docker {typed}` never ends, and a cell must; {instead}.",
            typed=" ".join(argv[1:])[:40],
            instead=_(_ENDLESS[words.name]),
        )


def _taken(err: str, session: Session) -> str:
    """Whose container has the name that a command wanted; in replay all are the lesson's."""
    found = re.search(r'name "/?([^"]+)"', err)
    name = found[1] if found else ""
    holder = reads.container(session, name)
    ours = session.replayed or not holder
    if ours or session.engine("docker").ownership.owns("containers", holder):
        return _(
            "This lesson already has a container {name}: `docker rm -f {name}` first, or go on.",
            name=name,
        )
    return _(
        "{name} is a container of your own: labkit does not touch it. Use another name here.",
        name=name,
    )
