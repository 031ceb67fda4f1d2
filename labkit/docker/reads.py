"""What a lesson reads of Docker, live or replayed: for checks, panels and magics."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from labkit.commands import run
from labkit.docker import archives
from labkit.docker.client import Client, Thing, find_thing
from labkit.docker.command_line import full_name
from labkit.docker.forest import Forest
from labkit.docker.layers import Image
from labkit.engine import Session
from labkit.errors import LabError


def _client(session: Session) -> Client:
    client: Client = session.engine("docker").client
    return client


def container(session: Session, name: str) -> Thing | None:
    """A container by name or ID, None if there is none."""
    return find_thing(session.world()["containers"], name)


def image(session: Session, name: str) -> Thing | None:
    """An image by name or ID, None if there is none."""
    return find_thing(session.world()["images"], name)


def looks(session: Session, container: str, argv: Sequence[str]) -> int:
    """The exit code of a command that only looks, in a container. Raises :class:`LabError`."""
    words = [container, *argv]
    code: int = session.read(
        f"looks {shlex.join(words)}", lambda: run(["docker", "exec", *words], timeout=60).code
    )
    return code


def about(session: Session, image: Thing) -> Thing:
    """What never changes of an image: ``diff_ids``, ``history``, ``command``, ``labels``."""
    found: Thing = session.content(image["id"], lambda: _client(session).about(image["id"]))
    return found


def changes(session: Session, container: Thing) -> list[dict[str, str]]:
    """What the container's writable layer holds, as ``docker diff`` tells it."""
    found: list[dict[str, str]] = session.read(
        f"changes {container['name']}", lambda: _client(session).changes(container["id"])
    )
    return found


def layers(session: Session, name: str) -> Image:
    """An image taken apart. Raises :class:`LabError` if there is no such image."""
    session.requires("docker")
    named = image(session, name)
    if not named:
        raise LabError(
            "There is no image {name:.60} here: `docker images` lists what there is.", name=name
        )

    @lru_cache(1)
    def saved() -> Image:
        return archives.read_stream(_client(session).save(named["id"]), name)

    def listing(diff_id: str) -> Any:
        return session.content(diff_id, lambda: saved().listings()[diff_id])

    config = session.content(f"config {named['id']}", lambda: saved().config.to_json())
    found = {diff_id: listing(diff_id) for diff_id in config["diff_ids"]}
    return Image.from_listings(name, config, found)


def forest(session: Session, names: Sequence[str] = ()) -> Forest:
    """All local images by ChainID, or those called ``names`` (``x*`` matches any ending)."""
    session.requires("docker")
    world = session.world()
    wanted = [image for image in world["images"] if _matches(image["tags"], names)]
    images = [
        {**about(session, image), "id": image["id"], "tags": image["tags"]} for image in wanted
    ]
    ids = {image["id"] for image in wanted}
    containers = [
        {**each, "changes": len(changes(session, each))}
        for each in world["containers"]
        if each["image_id"] in ids
    ]
    return Forest(images, containers)


def _matches(tags: Sequence[str], names: Sequence[str]) -> bool:
    patterns = [name if name.endswith("*") else full_name(name) for name in names]
    return not names or any(fnmatchcase(tag, pattern) for tag in tags for pattern in patterns)
