"""The Docker engine as labkit reads it: found where the ``docker`` command finds it, by the SDK."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from labkit.commands import run
from labkit.docker.command_line import full_name
from labkit.docker.output import because
from labkit.errors import LabError, MissingProgram
from labkit.messages import N_, _

if TYPE_CHECKING:
    from docker import APIClient

LABEL = "labkit.lesson"
OLDEST_API, NEWEST_API = "1.41", "1.44"  # of Docker 20.10; of Docker 25, the newest tried
HOW_TO_GET = N_(
    "https://docs.docker.com/get-started/get-docker/ (Docker Desktop on Windows and macOS), or "
    "`sudo apt install docker.io` on Debian and Ubuntu"
)
_START = N_("Start Docker Desktop or `sudo systemctl start docker`, then run this again.")
NAMELESS = "<none>:<none>"  # how the engine lists an image without a tag
Thing = dict[str, Any]
World = dict[str, list[Thing]]


def ids(thing: Thing) -> set[str]:
    """The spellings of its ID that commands print."""
    bare = thing["id"].removeprefix("sha256:")
    return {thing["id"], bare, bare[:12]}


def called(thing: Thing) -> set[str]:
    """All names a thing answers to in a command."""
    names = {thing.get("name", thing["id"]), *thing.get("tags", ())}
    return ids(thing) | names | {name.removesuffix(":latest") for name in names}


def find_thing(things: Sequence[Thing], name: str) -> Thing | None:
    """The one a name means: a name or tag, or an ID's beginning; None if there is none."""
    for thing in things:
        if called(thing) & {name, full_name(name)}:
            return thing
    if re.fullmatch("(sha256:)?[0-9a-f]{4,64}", name):
        for thing in things:
            if any(spelling.startswith(name) for spelling in ids(thing)):
                return thing
    return None


@contextmanager
def asking() -> Iterator[None]:
    """What the SDK raises inside becomes a LabError, one line that teaches. Also a decorator."""
    from docker.errors import APIError, DockerException
    from requests.exceptions import RequestException

    try:
        yield
    except APIError as error:
        words = " ".join(str(error.explanation or error).split()).rstrip(".")
        told = _("Docker says: {words}. {advice}", words=words, advice=because(words))
        raise LabError(told.strip()) from None
    except (DockerException, RequestException) as error:
        raise LabError(
            "{advice} ({reason})",
            advice=because("connection refused"),
            reason=type(error).__name__,
        ) from None


class Client:
    """A reachable engine; :meth:`find` is the way to get one. ``version`` is the engine's."""

    def __init__(self, api: APIClient, version: str) -> None:
        self.api, self.version = api, version

    @classmethod
    def find(cls) -> Client:
        """The engine the ``docker`` command talks to: DOCKER_HOST, else its current context.

        Raises :class:`MissingProgram` without the command, :class:`LabError` if no engine answers
        or it is older than API 1.41.
        """
        if not shutil.which("docker"):
            how = _(HOW_TO_GET)
            raise MissingProgram("Docker is not installed here; get it from {how}.", how=how)
        host = os.environ.get("DOCKER_HOST") or _host_of_context()
        from docker import APIClient  # late: a third of a second
        from docker.errors import DockerException
        from docker.utils import kwargs_from_env, version_lt
        from requests.exceptions import RequestException

        try:
            where = {**kwargs_from_env(), "base_url": host}
            about = APIClient(**where, version="1.24", timeout=10).version(api_version=False)
            _check_age(about)
            newest = version_lt(NEWEST_API, about["ApiVersion"])
            spoken = NEWEST_API if newest else about["ApiVersion"]
            api = APIClient(**where, version=spoken, timeout=60)
        except (DockerException, RequestException, OSError) as error:
            advice = _(_START)
            if "Permission denied" in str(error):
                advice = because("dial unix x: permission denied")
            raise LabError(
                "No Docker engine answers at {host}. {advice}", host=host, advice=advice
            ) from None
        except (KeyError, TypeError, ValueError):
            raise LabError(
                "What answers at {host} is not a Docker engine; check DOCKER_HOST.", host=host
            ) from None
        return cls(api, about["Version"].partition("+")[0])  # Debian adds +dfsg1

    def __str__(self) -> str:
        return f"Docker {self.version}"

    # -- reading --------------------------------------------------------------------------------

    @asking()
    def world(self, intermediate: bool = False) -> World:
        """Images, containers, volumes and networks now, as small JSON objects, oldest first.

        ``intermediate`` also lists the unnamed images between the steps of a classic build.
        """
        images = map(_image, self.api.images(all=intermediate))
        containers = map(_container, self.api.containers(all=True))
        volumes = sorted(each["Name"] for each in self.api.volumes()["Volumes"] or ())
        networks = sorted((each["Name"], each["Id"]) for each in self.api.networks())
        return {
            "images": sorted(images, key=lambda i: (i["created"], i["tags"], i["id"])),
            "containers": sorted(containers, key=lambda c: (c["created"], c["name"])),
            "volumes": [{"id": name, "name": name} for name in volumes],
            "networks": [{"id": identity, "name": name} for name, identity in networks],
        }

    @asking()
    def changes(self, container: str) -> list[dict[str, str]]:
        """What ``docker diff`` shows: ``kind`` A(dded), C(hanged), D(eleted) and ``path``.

        Source: Engine API, ContainerChanges.
        """
        found = self.api.diff(container) or ()
        changes = ({"kind": "CAD"[change["Kind"]], "path": change["Path"]} for change in found)
        return sorted(changes, key=lambda change: change["path"])

    @asking()
    def about(self, image: str) -> Thing:
        """What never changes of an image.

        ``diff_ids`` and ``history`` oldest first, ``command``, ``labels``.
        """
        about = self.api.inspect_image(image)
        steps = self.api.history(image)
        history = [{"created_by": step["CreatedBy"], "size": step["Size"]} for step in steps]
        config = about.get("Config") or {}
        return {
            "diff_ids": about["RootFS"].get("Layers") or [],
            "history": history[::-1],
            "command": config.get("Cmd"),
            "labels": config.get("Labels") or {},
        }

    def save(self, image: str) -> Iterator[bytes]:
        """``docker save`` as a stream of bytes."""
        with asking():
            yield from self.api.get_image(image)

    @asking()
    def fetch(self, container: str, path: str) -> bytes:
        """A file or folder of a container, as a tar archive."""
        return b"".join(self.api.get_archive(container, path)[0])

    @asking()
    def inspect(self, kind: str, name: str) -> Thing | None:
        """The engine's own words on what it takes a name to mean; None if there is no such thing.

        ``kind``: container, image, volume or network.
        """
        from docker.errors import APIError

        if not name.strip("/"):
            return None
        try:
            return getattr(self.api, f"inspect_{kind}")(name)  # type: ignore[no-any-return]
        except APIError as error:
            if error.is_client_error():  # also a name that can be nobody's
                return None
            raise

    def thing(self, kind: str, name: str) -> Thing | None:
        """What a name means, with its ``id`` and ``tags``; ``kind`` as in :meth:`world`."""
        about = self.inspect(kind.removesuffix("s"), name)
        if not about:
            return None
        tags = [tag for tag in about.get("RepoTags") or () if tag != NAMELESS]
        return {"id": about.get("Id") or about["Name"], "tags": tags}

    def stack(self, image: str) -> Iterator[str]:
        """The IDs of an image and of those it was built on, as far as the engine knows."""
        while about := self.inspect("image", image):
            yield about["Id"]
            image = about.get("Parent", "")


def _host_of_context() -> str:
    """Where the docker command's current context leads. Raises :class:`LabError`."""
    argv = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    answer = run(argv, timeout=20)
    if host := answer.out.strip():
        return host
    reason = " ".join(answer.err.split()) or _("Docker knows no engine")
    raise LabError("{reason}; `docker context ls` lists them.", reason=reason)


def _check_age(about: Mapping[str, Any]) -> None:
    """Raise :class:`LabError` for an engine that is too old."""
    from docker.utils import version_lt

    if version_lt(about["ApiVersion"], OLDEST_API):
        raise LabError(
            "Docker {version} (API {api}) is older than the course needs (Docker 20.10, API "
            "1.41); update it: {how}.",
            version=about["Version"],
            api=about["ApiVersion"],
            how=_(HOW_TO_GET),
        )


def _image(about: Mapping[str, Any]) -> Thing:
    return {
        "id": about["Id"],
        "tags": sorted(tag for tag in about.get("RepoTags") or () if tag != NAMELESS),
        "size": about["Size"],
        "created": about["Created"],
    }


def _container(about: Mapping[str, Any]) -> Thing:
    return {
        "id": about["Id"],
        "name": min(about["Names"] or [""], key=len).lstrip("/"),  # the others are of links
        "image": about["Image"],
        "image_id": about["ImageID"],
        "state": about["State"],
        "command": about["Command"],
        "created": about["Created"],
        "lesson": (about.get("Labels") or {}).get(LABEL),
    }
