"""What a lesson's commands may touch: a table of what each command would alter.

A command that would alter what is the student's own is refused before Docker sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from labkit.docker.client import Client
from labkit.docker.command_line import Words, full_name
from labkit.docker.ownership import Ownership
from labkit.errors import LabError

Named = Callable[[Words], list[str]]


def _at(place: slice) -> Named:
    """The words there, counted from behind the command's name and its options."""
    return lambda words: words.words[place]


_NONE, _ALL = _at(slice(0)), _at(slice(None))
_FIRST, _SECOND = _at(slice(1)), _at(slice(1, 2))


def _copied_into(words: Words) -> list[str]:
    """`cp SOURCE CONTAINER:PATH`; a target without a colon is a file of the computer."""
    return [word.split(":")[0] for word in words.words[1:2] if ":" in word]


def _tagged(words: Words) -> list[str]:
    return words.values("-t", "--tag")


class Alters(NamedTuple):
    """What a command alters: existing ``things`` of a ``kind``, and image names it (re)assigns."""

    kind: str = ""  # as in Client.world
    things: Named = _NONE
    tags: Named = _NONE


RULES = {
    **dict.fromkeys(
        ("rm", "stop", "start", "kill", "restart", "pause", "unpause", "update"),
        Alters("containers", _ALL),
    ),
    "exec": Alters("containers", _FIRST),
    "rename": Alters("containers", _FIRST),
    "cp": Alters("containers", _copied_into),
    "network connect": Alters("containers", _SECOND),
    "network disconnect": Alters("containers", _SECOND),
    "rmi": Alters("images", _ALL),
    "volume rm": Alters("volumes", _ALL),
    "network rm": Alters("networks", _ALL),
    "tag": Alters(tags=_SECOND),
    "commit": Alters(tags=_SECOND),
    "import": Alters(tags=_SECOND),
    "build": Alters(tags=_tagged),
}
BEYOND = {"context", "plugin", "login", "logout"}  # how Docker is set up on the machine


def guard(words: Words, client: Client, ownership: Ownership) -> None:
    """Raise :class:`LabError` if a command would alter what labkit did not make."""
    _refuse_beyond(words)
    alters = RULES.get(words.name, Alters())
    for name in alters.things(words):
        thing = client.thing(alters.kind, name)
        if thing and not ownership.owns(alters.kind, thing, name):
            raise LabError(
                "{name:.99} is your own, not a lesson's, so labkit leaves it alone: use a "
                "terminal for it, or another name here.",
                name=name,
            )
    for tag in map(full_name, alters.tags(words)):
        image = client.thing("images", tag)
        if image and not ownership.owns_tag(tag, image["id"]):
            raise LabError(
                "{tag:.99} is an image of your own, and labkit does not move its name: choose "
                "another one.",
                tag=tag,
            )


def _refuse_beyond(words: Words) -> None:
    if "prune" in words.name:
        raise LabError(
            "labkit never prunes, for that would also take what is yours. `%lesson NAME` "
            "removes what the lesson made; to prune all the same, use a terminal."
        )
    if words.name.partition(" ")[0] in BEYOND:
        raise LabError(
            "`docker {command}` changes how Docker is set up on your machine, beyond any "
            "lesson: use a terminal for it.",
            command=words.name,
        )
