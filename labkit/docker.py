"""The Docker engine: the command line for what the student types, the SDK for what labkit reads.

What a lesson creates is labelled ``labkit.lesson=NAME`` where Docker can label, and noted in the
lesson's ledger; cleaning removes what the ledger holds, never anything else, and never prunes.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.commands import LabError, MissingProgram, Result, run
from labkit.ledger import Entry, Ledger, home
from labkit.syntax import Words, full_name, settle

if TYPE_CHECKING:
    from docker import APIClient

LABEL = "labkit.lesson"
OLDEST_API = (1, 41)  # Docker 20.10
HOW_TO_GET = ("https://docs.docker.com/get-started/get-docker/ (Docker Desktop on Windows and macOS), or "
              "`sudo apt install docker.io` on Debian and Ubuntu")
Thing = dict[str, Any]
World = dict[str, list[Thing]]

# What engines say and what to do about it. The engine's own line is always shown above ours.
_ADVICE = [(re.compile(pattern, re.I), advice) for pattern, advice in (
    (r"permission denied while trying to connect|dial unix .*permission denied",
     "Your user may not use Docker's socket: `sudo usermod -aG docker $USER`, then log out and in again."),
    (r"Cannot connect to the Docker daemon|error during connect|connection refused|error reading from server|: EOF$|"
     r"connection reset",
     "The Docker engine does not answer (any more): start Docker Desktop or `sudo systemctl start docker`, then run "
     "the %lesson cell again; what you made is kept."),
    (r"no space left on device",
     "The engine's disk is full: `docker system df` shows what uses it; free some space and run the cell again."),
    (r"toomanyrequests|rate limit",
     "The hub limits pulls per address: wait, sign in, or use a mirror (README, For instructors)."),
    (r"port is already allocated|address already in use",
     "Another program has that port: choose another number before the colon of -p."),
    (r"(lookup|dial tcp|Get \"http).*(no such host|timeout|refused|unreachable|misbehaving|forbidden|exceeded)|"
     r"TLS handshake timeout",
     "The hub cannot be reached: check the network; before a class, `labkit prefetch` fetches all a lesson needs."),
    (r"No such image|manifest unknown|pull access denied|repository does not exist|not found: does not exist",
     "No image of that name, here or on the hub: check the spelling; `docker images` lists what you have."),
    (r"No such container", "No container of that name: `docker ps -a` lists all, running or not."),
)]


def advice(result: Result) -> str:
    """One line on what to do about a failed command ("" when the engine's own words are enough)."""
    return next((text for pattern, text in _ADVICE if pattern.search(result.err)), "") if result.code else ""


def _because(said: str) -> str:
    return advice(Result(("docker",), 1, (("err", said),)))


def called(thing: Thing) -> set[str]:
    """All names a thing answers to in a command."""
    bare = thing["id"].removeprefix("sha256:")
    tags = set(thing.get("tags", ()))
    return {thing["id"], bare, bare[:12], thing.get("name", bare), *tags, *(t.removesuffix(":latest") for t in tags)}


def find_thing(things: Sequence[Thing], name: str) -> Thing | None:
    """The one a name means: a name or tag, or an ID's beginning; None if there is none."""
    exact = next((thing for thing in things if name in called(thing) or full_name(name) in thing.get("tags", ())), None)
    if exact or not re.fullmatch("(sha256:)?[0-9a-f]{4,64}", name):
        return exact
    return next((t for t in things if t["id"].removeprefix("sha256:").startswith(name.removeprefix("sha256:"))), None)


class Docker:
    """A reachable engine; :meth:`find` is the way to get one. ``version`` is the engine's."""

    def __init__(self, api: APIClient, version: str) -> None:
        self.api, self.version = api, version

    @classmethod
    def find(cls) -> Docker:
        """The engine the ``docker`` command talks to: DOCKER_HOST, else its current context.

        Raises :class:`MissingProgram` without the command, :class:`LabError` if no engine answers or it
        is older than API 1.41.
        """
        try:
            host = os.environ.get("DOCKER_HOST") or run(
                ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"], timeout=20).out.strip()
        except MissingProgram:
            raise MissingProgram(f"Docker is not installed here; get it from {HOW_TO_GET}.") from None
        from docker import APIClient  # late: a third of a second
        from docker.errors import DockerException
        from docker.utils import kwargs_from_env
        from requests.exceptions import RequestException

        where = {**kwargs_from_env(), **({"base_url": host} if host else {})}
        try:
            about = APIClient(**where, version="1.24", timeout=10).version(api_version=False)
            if tuple(int(part) for part in about["ApiVersion"].split(".")) < OLDEST_API:
                raise LabError(f"Docker {about['Version']} (API {about['ApiVersion']}) is older than the course needs "
                               f"(Docker 20.10, API 1.41); update it: {HOW_TO_GET}.")
            api = APIClient(**where, version=min(about["ApiVersion"], "1.44", key=_version), timeout=60)
        except (DockerException, RequestException, OSError) as error:
            denied = "Permission denied" in str(error)
            why = _because("dial unix: permission denied" if denied else "connection refused")
            raise LabError(f"No Docker engine answers at {host or 'its default address'}. {why}") from None
        except (KeyError, TypeError, ValueError):
            raise LabError(f"What answers at {host} is not a Docker engine; check DOCKER_HOST.") from None
        return cls(api, about["Version"].partition("+")[0])  # Debian adds +dfsg1

    def __str__(self) -> str:
        return f"Docker {self.version}"

    @cached_property
    def ledger(self) -> Ledger:
        """What labkit made on this engine; an engine is known by its own ID, so two never mix."""
        engine = re.sub(r"\W", "", self._ask(self.api.info)["ID"])[:24]
        return Ledger(home() / "docker" / (engine or "unnamed"))

    def _ask(self, question: Callable[..., Any], *args: Any, **options: Any) -> Any:
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        try:
            return question(*args, **options)
        except APIError as error:
            said = str(error.explanation or error).strip().rstrip(".")
            raise LabError(f"Docker says: {said}. {_because(said)}".strip()) from None
        except (DockerException, RequestException) as error:
            raise LabError(f"{_because('connection refused')} ({type(error).__name__})") from None

    # -- structured reads -----------------------------------------------------------------------

    def world(self, intermediate: bool = False) -> World:
        """Images, containers, volumes and networks now, as small JSON objects, oldest first.

        ``intermediate`` also lists the unnamed images between the steps of a classic build.
        """
        images: list[Thing] = [
            {"id": i["Id"], "tags": sorted(t for t in i.get("RepoTags") or () if t != "<none>:<none>"),
             "size": i["Size"], "created": i["Created"]} for i in self._ask(self.api.images, all=intermediate)]
        containers: list[Thing] = [
            {"id": c["Id"], "name": min(c["Names"] or [""], key=len).lstrip("/"), "image": c["Image"],
             "image_id": c["ImageID"], "state": c["State"], "command": c["Command"], "created": c["Created"]}
            for c in self._ask(self.api.containers, all=True)]
        volumes: list[Thing] = [
            {"id": v["Name"], "name": v["Name"]} for v in self._ask(self.api.volumes)["Volumes"] or ()]
        networks: list[Thing] = [{"id": n["Id"], "name": n["Name"]} for n in self._ask(self.api.networks)]
        return {"images": sorted(images, key=lambda i: (i["created"], i["tags"], i["id"])),
                "containers": sorted(containers, key=lambda c: (c["created"], c["name"])),
                "volumes": sorted(volumes, key=lambda v: str(v["name"])),
                "networks": sorted(networks, key=lambda n: str(n["name"]))}

    def changes(self, container: str) -> list[dict[str, str]]:
        """What ``docker diff`` shows: ``kind`` A(dded), C(hanged), D(eleted) and ``path``.

        Source: Engine API, ContainerChanges.
        """
        found = self._ask(self.api.diff, container) or ()
        return sorted(({"kind": "CAD"[c["Kind"]], "path": c["Path"]} for c in found), key=lambda c: c["path"])

    def image(self, image: str) -> Thing:
        """What never changes of an image: ``diff_ids`` and ``history`` oldest first, ``command``, ``labels``."""
        about = self._ask(self.api.inspect_image, image)
        history = [{"created_by": h["CreatedBy"], "size": h["Size"]} for h in self._ask(self.api.history, image)]
        config = about.get("Config") or {}
        return {"diff_ids": about["RootFS"].get("Layers") or [], "history": history[::-1],
                "command": config.get("Cmd"), "labels": config.get("Labels") or {}}

    def save(self, image: str) -> Iterator[bytes]:
        """``docker save`` as a stream of bytes."""
        return iter(self._ask(self.api.get_image, image))

    # -- commands -------------------------------------------------------------------------------

    def run(self, argv: Sequence[str], words: Words, lesson: str, stdin: str | None = None,
            on_text: Callable[[str], None] | None = None) -> Result:
        """Run ``docker`` with ``argv`` as typed plus our label, and note in the ledger what it made.

        Raises :class:`LabError` for a command that would alter what is the student's own.
        """
        env = {**os.environ, "DOCKER_CLI_HINTS": "false"}
        if words.reads_only:
            return run(["docker", *argv], stdin, on_text=on_text, env=env)
        self.guard(words)
        before = self.world(words.name == "build")
        said: list[str] = []

        def hear(text: str) -> None:
            said.append(text)
            if on_text:
                on_text(text)

        from requests.exceptions import RequestException

        label = f"{LABEL}={lesson}"
        with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
            cid = Path(folder, "cid")
            extra = []
            if words.name in ("run", "create", "build", "volume create", "network create"):
                extra = ["--label", label]
            if words.name in ("run", "create"):
                extra += ["--cidfile", str(cid)]
            if words.name == "commit":
                extra = ["--change", f"LABEL {label}"]
            at = next((n for n, word in enumerate(argv, 1) if word == (words.name.split() or [""])[-1]), len(argv))
            try:
                result = run(["docker", *argv[:at], *extra, *argv[at:]], stdin, on_text=hear, env=env)
            finally:
                made = cid.read_text() if cid.exists() else ""
                if made and words.has("-d", "--detach"):  # one that ends at once is to be seen as ended
                    with suppress(RequestException):
                        self.api.wait(made, timeout=0.4)
                with suppress(LabError):  # the engine may be gone: the command's own output says so
                    self._note(lesson, before, " ".join([*argv, *said, made]), words.name == "build")
                    if made and sys.exc_info()[0] is not None:
                        self._ask(self.api.kill, made)  # a container's first process may ignore the interrupt
        if words.name in ("run", "create", "pull", "build"):
            return Result(result.argv, result.code, tuple((s, settle(t)) for s, t in result.chunks), result.seconds)
        return result

    def _note(self, lesson: str, before: World, text: str, intermediate: bool) -> None:
        """Ledger what is new and named by the command or its output; others may be at work meanwhile."""
        words = {part for word in re.split(r"[\s=,]+", text)
                 for part in (word, word.split(":")[0], word.removeprefix("sha256:"))}
        entries: list[Entry] = []
        for kind, things in self.world(intermediate).items():
            old = {thing["id"]: set(thing.get("tags", ())) for thing in before[kind]}
            for thing in things:
                if thing["id"] not in old and called(thing) & words:
                    entries.append((kind.removesuffix("s"), thing["id"]))
                entries += [("tag", tag, thing["id"]) for tag in thing.get("tags", ())
                            if tag not in old.get(thing["id"], ()) and {tag, tag.removesuffix(":latest")} & words]
        if entries:
            self.ledger.add(lesson, entries)

    def guard(self, words: Words) -> None:
        """Raise :class:`LabError` if a command would alter what labkit did not make."""
        if "prune" in words.name:
            raise LabError("labkit never prunes, for that would also take what is yours. `%lesson NAME` removes what "
                           "the lesson made; to prune all the same, use a terminal.")
        kind, names = words.altered
        if not names and not words.tags:
            return
        world = self.world()
        for name in names:
            thing = find_thing(world[kind], name)
            if thing and not self.owns(kind, thing, name):
                raise LabError(f"{name} is your own, not a lesson's, so labkit leaves it alone: use a terminal for it, "
                               "or another name here.")
        for tag in map(full_name, words.tags):
            if (thing := find_thing(world["images"], tag)) and not self.ledger.owns("tag", tag, thing["id"]):
                raise LabError(f"{tag} is an image of your own, and labkit does not move its name: choose another one.")

    def owns(self, kind: str, thing: Thing, name: str = "") -> bool:
        """True if labkit made this thing (for an image called by a tag: made that tag)."""
        if kind == "images" and full_name(name) in thing["tags"]:
            return self.ledger.owns("tag", full_name(name), thing["id"])
        return self.ledger.owns(kind.removesuffix("s"), thing["id"])

    def clean(self, lesson: str, since: int = 0) -> list[str]:
        """Remove what a lesson made (from its ledger's line ``since`` on); say what had to stay, and why."""
        entries, notes = self.ledger.entries(lesson), []
        kept: list[Entry] = []
        for entry in reversed(entries[since:]):
            try:
                self._remove(entry)
            except LabError as error:
                kept.append(entry)
                notes.append(f"{entry[1][:60]} stays: {error}")
        if entries:
            self.ledger.keep(lesson, [*entries[:since], *reversed(kept)])
        return notes

    def _remove(self, entry: Entry) -> None:
        from docker.errors import NotFound

        kind, name = entry[:2]
        with suppress(NotFound):
            if kind == "container":
                self._gone(self.api.remove_container, name, force=True, v=True)  # v: its unnamed volumes only
            elif kind == "volume":
                self._gone(self.api.remove_volume, name)
            elif kind == "network":
                self._gone(self.api.remove_network, name)
            else:  # a tag that has not moved since, or an image without other tags; never its untagged parents
                image = next((i for i in self.world(True)["images"] if i["id"] == entry[-1]), None)
                if image and (name in image["tags"] if kind == "tag" else not image["tags"]):
                    self._gone(self.api.remove_image, name, noprune=True)

    def _gone(self, remove: Callable[..., Any], *args: Any, **options: Any) -> None:
        from docker.errors import NotFound

        def question() -> Any:
            with suppress(NotFound):
                return remove(*args, **options)

        self._ask(question)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
