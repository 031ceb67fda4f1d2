"""The Docker engine: the command line for what the student types, the SDK for what labkit reads.

What a lesson creates is labelled ``labkit.lesson=NAME`` where Docker can label, and noted in the
lesson's ledger; cleaning removes what the ledger holds, never anything else, and never prunes.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.commands import Result, run
from labkit.docker.command_line import GROUPS, Words, full_name, settle
from labkit.errors import LabError, MissingProgram
from labkit.ledger import Entry, Ledger, home

if TYPE_CHECKING:
    from docker import APIClient

LABEL = "labkit.lesson"
PREFETCHED = "prefetched"  # the lesson of what stays between lessons, till it is reset itself
OLDEST_API = (1, 41)  # Docker 20.10
HOW_TO_GET = (
    "https://docs.docker.com/get-started/get-docker/ (Docker Desktop on Windows and macOS), or "
    "`sudo apt install docker.io` on Debian and Ubuntu"
)
NAMELESS = "<none>:<none>"  # how the engine lists an image without a tag
Thing = dict[str, Any]
World = dict[str, list[Thing]]

# What engines say and what to do about it. The engine's own line is always shown above ours.
_ADVICE = [
    (re.compile(pattern, re.I), advice)
    for pattern, advice in (
        (
            r"permission denied while trying to connect|dial unix .*permission denied",
            "Your user may not use Docker's socket: `sudo usermod -aG docker $USER`, then log out and in again.",
        ),
        (
            r"Cannot connect to the Docker daemon|error during connect|connection refused|error reading from server|: EOF$|"
            r"waiting for container: unexpected EOF|connection reset",
            "The Docker engine does not answer (any more): start Docker Desktop or `sudo systemctl start docker`, then run "
            "the %lesson cell again; what you made is kept.",
        ),
        (
            r"no space left on device",
            "The engine's disk is full: `docker system df` shows what uses it; free some space and run the cell again.",
        ),
        (
            r"toomanyrequests|rate limit",
            "The hub limits pulls per address: wait, sign in, or use a mirror (README, For instructors).",
        ),
        (
            r"port is already allocated|address already in use",
            "Another program has that port: choose another number before the colon of -p.",
        ),
        (
            r"(lookup|dial tcp|Get \"http).*(no such host|timeout|refused|unreachable|misbehaving|forbidden|exceeded)|"
            r"TLS handshake timeout",
            "The hub cannot be reached: check the network; before a class, `labkit prefetch` fetches all a lesson needs.",
        ),
        (
            r"No such image|manifest unknown|pull access denied|repository does not exist|not found: does not exist",
            "No image of that name, here or on the hub: check the spelling; `docker images` lists what you have.",
        ),
        (
            r"No such container",
            "No container of that name: `docker ps -a` lists all, running or not.",
        ),
    )
]


def advice(result: Result) -> str:
    """One line on what to do about a failed command ("" when the engine's own words are enough)."""
    return (
        next((text for pattern, text in _ADVICE if pattern.search(result.err)), "")
        if result.code
        else ""
    )


def _because(said: str) -> str:
    return advice(Result(("docker",), 1, (("err", said),)))


def called(thing: Thing) -> set[str]:
    """All names a thing answers to in a command."""
    bare = thing["id"].removeprefix("sha256:")
    tags = set(thing.get("tags", ()))
    return {
        thing["id"],
        bare,
        bare[:12],
        thing.get("name", bare),
        *tags,
        *(t.removesuffix(":latest") for t in tags),
    }


def find_thing(things: Sequence[Thing], name: str) -> Thing | None:
    """The one a name means: a name or tag, or an ID's beginning; None if there is none."""
    exact = next(
        (
            thing
            for thing in things
            if name in called(thing) or full_name(name) in thing.get("tags", ())
        ),
        None,
    )
    if exact or not re.fullmatch("(sha256:)?[0-9a-f]{4,64}", name):
        return exact
    return next(
        (
            t
            for t in things
            if t["id"].removeprefix("sha256:").startswith(name.removeprefix("sha256:"))
        ),
        None,
    )


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
            said = run(
                ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
                timeout=20,
            )
        except MissingProgram:
            raise MissingProgram(
                f"Docker is not installed here; get it from {HOW_TO_GET}."
            ) from None
        host = os.environ.get("DOCKER_HOST") or said.out.strip()
        if not host:
            raise LabError(
                f"{' '.join(said.err.split()) or 'Docker knows no engine'}; `docker context ls` lists them."
            )
        from docker import APIClient  # late: a third of a second
        from docker.errors import DockerException
        from docker.utils import kwargs_from_env
        from requests.exceptions import RequestException

        try:
            where = {**kwargs_from_env(), "base_url": host}
            about = APIClient(**where, version="1.24", timeout=10).version(api_version=False)
            if _version(about["ApiVersion"]) < OLDEST_API:
                raise LabError(
                    f"Docker {about['Version']} (API {about['ApiVersion']}) is older than the course needs "
                    f"(Docker 20.10, API 1.41); update it: {HOW_TO_GET}."
                )
            api = APIClient(
                **where, version=min(about["ApiVersion"], "1.44", key=_version), timeout=60
            )
        except (DockerException, RequestException, OSError) as error:
            why = (
                _because("dial unix x: permission denied")
                if "Permission denied" in str(error)
                else ("Start Docker Desktop or `sudo systemctl start docker`, then run this again.")
            )
            raise LabError(f"No Docker engine answers at {host}. {why}") from None
        except (KeyError, TypeError, ValueError):
            raise LabError(
                f"What answers at {host} is not a Docker engine; check DOCKER_HOST."
            ) from None
        return cls(api, about["Version"].partition("+")[0])  # Debian adds +dfsg1

    def __str__(self) -> str:
        return f"Docker {self.version}"

    @cached_property
    def ledger(self) -> Ledger:
        """What labkit made on this engine, known by its ID (one a machine before Docker 23) and its data's folder."""
        about = self._ask(self.api.info)
        name = hashlib.sha256(f"{about['ID']} {about['DockerRootDir']}".encode()).hexdigest()[:16]
        return Ledger(home() / "docker" / name)

    @staticmethod
    @contextmanager
    def _asking() -> Iterator[None]:
        """Turn what the SDK raises into one line that teaches."""
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException

        try:
            yield
        except APIError as error:
            said = " ".join(str(error.explanation or error).split()).rstrip(".")
            raise LabError(f"Docker says: {said}. {_because(said)}".strip()) from None
        except (DockerException, RequestException) as error:
            raise LabError(f"{_because('connection refused')} ({type(error).__name__})") from None

    def _ask(self, question: Callable[..., Any], *args: Any, **options: Any) -> Any:
        with self._asking():
            return question(*args, **options)

    # -- structured reads -----------------------------------------------------------------------

    def world(self, intermediate: bool = False) -> World:
        """Images, containers, volumes and networks now, as small JSON objects, oldest first.

        ``intermediate`` also lists the unnamed images between the steps of a classic build.
        """
        images: list[Thing] = [
            {
                "id": i["Id"],
                "tags": sorted(t for t in i.get("RepoTags") or () if t != NAMELESS),
                "size": i["Size"],
                "created": i["Created"],
            }
            for i in self._ask(self.api.images, all=intermediate)
        ]
        containers: list[Thing] = [
            {
                "id": c["Id"],
                "name": min(c["Names"] or [""], key=len).lstrip("/"),
                "image": c["Image"],
                "image_id": c["ImageID"],
                "state": c["State"],
                "command": c["Command"],
                "created": c["Created"],
                "lesson": (c.get("Labels") or {}).get(LABEL),
            }
            for c in self._ask(self.api.containers, all=True)
        ]
        volumes: list[Thing] = [
            {"id": v["Name"], "name": v["Name"]}
            for v in self._ask(self.api.volumes)["Volumes"] or ()
        ]
        networks: list[Thing] = [
            {"id": n["Id"], "name": n["Name"]} for n in self._ask(self.api.networks)
        ]
        return {
            "images": sorted(images, key=lambda i: (i["created"], i["tags"], i["id"])),
            "containers": sorted(containers, key=lambda c: (c["created"], c["name"])),
            "volumes": sorted(volumes, key=lambda v: str(v["name"])),
            "networks": sorted(networks, key=lambda n: str(n["name"])),
        }

    def changes(self, container: str) -> list[dict[str, str]]:
        """What ``docker diff`` shows: ``kind`` A(dded), C(hanged), D(eleted) and ``path``.

        Source: Engine API, ContainerChanges.
        """
        found = self._ask(self.api.diff, container) or ()
        return sorted(
            ({"kind": "CAD"[c["Kind"]], "path": c["Path"]} for c in found), key=lambda c: c["path"]
        )

    def image(self, image: str) -> Thing:
        """What never changes of an image: ``diff_ids`` and ``history`` oldest first, ``command``, ``labels``."""
        about = self._ask(self.api.inspect_image, image)
        history = [
            {"created_by": h["CreatedBy"], "size": h["Size"]}
            for h in self._ask(self.api.history, image)
        ]
        config = about.get("Config") or {}
        return {
            "diff_ids": about["RootFS"].get("Layers") or [],
            "history": history[::-1],
            "command": config.get("Cmd"),
            "labels": config.get("Labels") or {},
        }

    def save(self, image: str) -> Iterator[bytes]:
        """``docker save`` as a stream of bytes."""
        with self._asking():
            yield from self.api.get_image(image)

    def fetch(self, container: str, path: str) -> bytes:
        """A file or folder of a container, as a tar archive."""
        with self._asking():
            return b"".join(self.api.get_archive(container, path)[0])

    # -- commands -------------------------------------------------------------------------------

    def create(
        self,
        lesson: str,
        name: str,
        image: str,
        command: Sequence[str],
        hostname: str,
        **rights: Any,
    ) -> str:
        """Create a container with our label, note it in the ledger, return its ID; ``rights`` as of create_host_config.

        Raises :class:`LabError`.
        """
        with self._asking():
            host = self.api.create_host_config(**rights)
            try:
                made: str = self.api.create_container(
                    image,
                    list(command),
                    name=name,
                    hostname=hostname,
                    labels={LABEL: lesson},
                    host_config=host,
                )["Id"]
            except KeyboardInterrupt:  # the engine may have made it all the same
                about = self._about("container", name)
                if about and about["Config"]["Labels"].get(LABEL) == lesson:
                    self.ledger.add(lesson, [("container", about["Id"])])
                raise
        self.ledger.add(lesson, [("container", made)])
        return made

    def start(self, container: str) -> None:
        """Start a created container. Raises :class:`LabError`."""
        self._ask(self.api.start, container)

    def has_image(self, name: str) -> bool:
        """Whether there is an image of that name."""
        return self._about("image", name) is not None

    def run(
        self,
        argv: Sequence[str],
        words: Words,
        lesson: str,
        stdin: str | None = None,
        on_text: Callable[[str], None] | None = None,
    ) -> Result:
        """Run ``docker`` with ``argv`` as typed plus our label, and note in the ledger what it made.

        Raises :class:`LabError` for a command that would alter what is the student's own.
        """
        env = {**os.environ, "DOCKER_CLI_HINTS": "false"}
        if words.reads_only:
            return run(["docker", *argv], stdin, on_text=on_text, env=env)
        self.guard(words)
        before = self.world(words.name == "build")
        if (
            lesson == PREFETCHED and words.name == "pull"
        ):  # what a lesson has pulled already is to stay too
            before["images"] = [
                image for image in before["images"] if not self.owns("images", image)
            ]
        said: list[str] = []

        def hear(text: str) -> None:
            said.append(text)
            if on_text:
                on_text(text)

        from requests.exceptions import RequestException

        own_cid = dict(words.options).get("--cidfile")
        with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
            cid = Path(own_cid or Path(folder, "cid"))
            extra = []
            if words.name in ("run", "create", "build", "volume create", "network create"):
                extra = ["--label", f"{LABEL}={lesson}"]
            if words.name in ("run", "create") and not own_cid:
                extra += ["--cidfile", str(cid)]
            if words.name == "commit":
                extra = ["--change", f"LABEL {LABEL}={lesson}"]
            if words.name == "rmi":
                extra = ["--no-prune"]  # an unnamed image below may be the student's
            at = 2 if argv[0] in GROUPS else 1
            entries: list[Entry] = []
            try:
                result = run(
                    ["docker", *argv[:at], *extra, *argv[at:]], stdin, on_text=hear, env=env
                )
            finally:
                made = cid.read_text() if cid.exists() else ""
                if made and words.has(
                    "-d", "--detach"
                ):  # one that ends at once is to be seen as ended
                    with suppress(RequestException):
                        self.api.wait(made, timeout=0.4)
                try:
                    entries = self._made(before, words, "".join(said), made)
                    if made and sys.exc_info()[0] is not None:
                        self._ask(
                            self.api.kill, made
                        )  # a container's first process may ignore the interrupt
                except (
                    LabError
                ):  # the engine is gone, or the container: the command's own output says so
                    if (
                        not entries
                        and made
                        and not any(made == thing["id"] for thing in before["containers"])
                    ):
                        entries = [("container", made)]
                if entries:
                    self.ledger.add(lesson, entries)
        if words.name in ("run", "create", "pull", "build"):
            return Result(
                result.argv,
                result.code,
                tuple((s, settle(t)) for s, t in result.chunks),
                result.seconds,
            )
        return result

    def _made(self, before: World, words: Words, heard: str, container: str) -> list[Entry]:
        """For the ledger: what is new and named by the command or its output; others may be at work meanwhile."""
        image = ""
        text = [*words.words, heard]
        if words.name in (
            "run",
            "create",
        ):  # what comes after the image, and what it prints, may say anything
            text, image = [*words.words[:1], container], "".join(words.words[:1])
            text += [
                mount.get("Name", "")
                for mount in (self._about("container", container) or {}).get("Mounts", ())
            ]
        elif words.name == "pull":
            image = "".join(words.words)
        elif words.name == "build" and words.has("-q"):
            image = (re.findall("sha256:[0-9a-f]{64}", heard) or [""])[-1]
        text += self._stack(image)  # -q is quiet about those it was built on
        text += [value for _, value in words.options]
        named = {word for part in text for word in re.split(r"[\s=,]+", part)}
        named |= {part for word in named for part in (word.split(":")[0], full_name(word))}
        owners = {tag: thing["id"] for thing in before["images"] for tag in thing["tags"]}
        entries: list[Entry] = []
        for kind, things in self.world(words.name == "build").items():
            old = {thing["id"]: thing.get("tags", ()) for thing in before[kind]}
            for thing in things:
                bare = thing["id"].removeprefix("sha256:")
                tags = [
                    tag
                    for tag in thing.get("tags", ())
                    if tag in named and tag not in old.get(thing["id"], ())
                ]
                if thing["id"] not in old and (tags or named & {thing["id"], bare, bare[:12]}):
                    entries.append((kind.removesuffix("s"), thing["id"]))
                for tag in tags:
                    if tag in owners and not self.ledger.owns(
                        "tag", tag, owners[tag]
                    ):  # a pull took it from yours
                        entries.append(("was", tag, owners[tag]))
                    entries.append(("tag", tag, thing["id"]))
        return entries

    def _about(self, kind: str, name: str) -> Thing | None:
        """The engine's own words on what it takes a name to mean; None if there is no such thing."""
        from docker.errors import APIError

        if not name.strip("/"):
            return None
        with self._asking():
            try:
                return getattr(self.api, f"inspect_{kind}")(name)  # type: ignore[no-any-return]
            except APIError as error:
                if error.is_client_error():  # also a name that can be nobody's
                    return None
                raise

    def _stack(self, image: str) -> Iterator[str]:
        """The IDs of an image and of those it was built on, as far as the engine knows."""
        while about := self._about("image", image):
            yield about["Id"]
            image = about.get("Parent", "")

    def guard(self, words: Words) -> None:
        """Raise :class:`LabError` if a command would alter what labkit did not make."""
        if "prune" in words.name:
            raise LabError(
                "labkit never prunes, for that would also take what is yours. `%lesson NAME` removes what "
                "the lesson made; to prune all the same, use a terminal."
            )
        if words.name.split()[0] in ("context", "plugin", "login", "logout"):
            raise LabError(
                f"`docker {words.name}` changes how Docker is set up on your machine, beyond any lesson: "
                "use a terminal for it."
            )
        kind, names = words.altered
        if not names and not words.tags:
            return
        for name in names:
            about = self._about(kind.removesuffix("s"), name)
            if about and not self.owns(kind, _thing(about), name):
                raise LabError(
                    f"{name:.99} is your own, not a lesson's, so labkit leaves it alone: use a terminal for "
                    "it, or another name here."
                )
        for tag in map(full_name, words.tags):
            if (about := self._about("image", tag)) and not self.ledger.owns(
                "tag", tag, about["Id"]
            ):
                raise LabError(
                    f"{tag:.99} is an image of your own, and labkit does not move its name: choose another "
                    "one."
                )

    def owns(self, kind: str, thing: Thing, name: str = "") -> bool:
        """True if labkit made this thing, and for an image all its names that removing ``name`` would remove."""
        tags, named = thing.get("tags", ()), full_name(name)
        going = [named] if named in tags else tags
        return all(self.ledger.owns("tag", tag, thing["id"]) for tag in going) and (
            len(going) < len(tags) or self.ledger.owns(kind.removesuffix("s"), thing["id"])
        )

    def mark(self, lesson: str) -> int:
        """Where the lesson's ledger ends now, for :meth:`clean`."""
        return len(self.ledger.entries(lesson))

    def clean(self, lesson: str, since: int = 0, names: Container[str] | None = None) -> list[str]:
        """Remove what a lesson made; say what had to stay, and why.

        From its ledger's line ``since`` on, and only what is called one of ``names``, if given. Without a
        word stays what is another lesson's too, and what a prefetched image stands on.
        """
        entries, stay = self.ledger.entries(lesson), set[str]()
        if not entries[since:]:
            return []
        others = {
            entry
            for other in self.ledger.lessons()
            if other != lesson
            for entry in self.ledger.entries(other)
        }
        self._ask(self.api.ping)
        if names is not None:
            known = {
                thing["id"]: called(thing)
                for things in self.world(True).values()
                for thing in things
            }
            stay = {
                id_
                for id_ in {entry[-1] for entry in entries}
                & known.keys()  # whoever removed the others
                if not any(name in names for name in known[id_])
            }
        left = [
            entry
            for entry in reversed(entries[since:])
            if entry[-1] not in stay and entry not in others
        ]
        gone, said = {entry for entry in left if entry[0] == "tag"}, dict[Entry, str]()
        while left:  # things stand on one another in any order, so once more while that helps
            said = {entry: why for entry in left if (why := self._remove(entry))}
            if len(said) == len(left):
                break
            left = list(said)
        stay |= {entry[-1] for entry in said}
        gone -= said.keys()  # names that an image has lost, which another may give it again
        self.ledger.keep(
            lesson,
            [
                *entries[:since],
                *(entry for entry in entries[since:] if entry[-1] in stay and entry not in gone),
            ],
        )
        kept = self.ledger.entries(PREFETCHED) if said and lesson != PREFETCHED else []
        below = {("image", image) for entry in kept for image in self._stack(entry[-1])}
        return [
            f"{entry[1][:60]} stays: {why}" for entry, why in said.items() if entry not in below
        ]

    def _remove(self, entry: Entry) -> str:
        """Remove one thing of the ledger; why it has to stay, or ""."""
        from docker.errors import NotFound

        kind, name, id_ = entry[0], entry[1], entry[-1]
        try:
            with self._asking(), suppress(NotFound):
                if kind == "container":
                    self.api.remove_container(
                        name, force=True, v=True
                    )  # v: its unnamed volumes only
                elif kind in ("volume", "network"):
                    getattr(self.api, f"remove_{kind}")(name)
                elif about := self._about("image", id_):
                    image, holder = _thing(about), self._about("image", name)
                    if kind == "was" and (
                        not holder or self.ledger.owns("tag", name, holder["Id"])
                    ):
                        self.api.tag(id_, *name.rpartition(":")[::2])
                    elif (
                        kind == "tag"
                        and name in image["tags"]
                        and not self.owns("images", image, name)
                    ):
                        return (
                            "it is the only name of an image of your own, which would go with it."
                        )
                    elif (
                        name in image["tags"]
                        if kind == "tag"
                        else kind == "image" and not image["tags"]
                    ):
                        self.api.remove_image(
                            name, noprune=True
                        )  # noprune: what it stands on may be the student's
        except LabError as error:
            return str(error)
        return ""


def _thing(about: Thing) -> Thing:
    return {
        "id": about.get("Id") or about["Name"],
        "tags": [t for t in about.get("RepoTags") or () if t != NAMELESS],
    }


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
