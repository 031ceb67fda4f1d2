"""The docker command line, taken apart: which command, which options, which objects it names.

Needed to answer from a recording however a command is spelt, and to keep a lesson's commands away
from what is the student's own. Source: https://docs.docker.com/reference/cli/docker/.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from labkit.errors import LabError

# Commands of these words come in a second word: `docker volume ls`.
GROUPS = {
    *("builder", "buildx", "config", "container", "context", "image", "manifest", "network"),
    *("node", "plugin", "secret", "service", "stack", "swarm", "system", "trust", "volume"),
}
_OF_CONTAINERS = (
    "attach commit cp create diff exec export kill logs pause port rename restart rm run start "
    "stats stop top unpause update wait"
)
_OF_IMAGES = "build history import load pull push save tag"
# Management commands and their old short forms: `docker image ls` is `docker images`.
_SHORT = {
    **{f"container {name}": name for name in _OF_CONTAINERS.split()},
    **{f"image {name}": name for name in _OF_IMAGES.split()},
    "container ls": "ps",
    "container list": "ps",
    "container ps": "ps",
    "image ls": "images",
    "image list": "images",
    "image rm": "rmi",
    "image remove": "rmi",
    "buildx build": "build",
    "builder build": "build",
    "system info": "info",
    "system events": "events",
    "volume remove": "volume rm",
    "network remove": "network rm",
}
_READS = {
    *("", "-v", "--version", "--help", "help", "version", "info", "search", "events"),
    *("ps", "inspect", "logs", "top", "port", "stats", "diff", "wait", "attach", "export"),
    *("images", "history", "save", "container inspect", "image inspect", "system df"),
    *("volume ls", "volume inspect", "network ls", "network inspect"),
    *("context ls", "context show"),
}
# Long options that recordings know by their letter.
_LETTER = {
    "--all": "-a",
    "--detach": "-d",
    "--env": "-e",
    "--follow": "-f",
    "--force": "-f",
    "--interactive": "-i",
    "--publish": "-p",
    "--quiet": "-q",
    "--tty": "-t",
    "--volume": "-v",
}
_OPTIONS_FIRST = {"run", "create", "exec", "top"}  # elsewhere options may stand behind the names

Option = tuple[str, str]  # (name, value); "" for one without


class Words(NamedTuple):
    """A command taken apart: ``name`` in its short form, ``options`` in order, then ``words``."""

    name: str
    options: list[Option]
    words: list[str]

    @property
    def key(self) -> tuple[str, ...]:
        """The canonical argv: the same for spellings and option orders that mean the same."""
        options = sorted(self.options, key=itemgetter(0))  # of one given twice the last may win
        shown = (f"{name}={value}" if value else name for name, value in options)
        return ("docker", *self.name.split(), *shown, *self.words)

    @property
    def reads_only(self) -> bool:
        """True when the command cannot change the engine's state."""
        return self.name in _READS or self.has("--help")

    def has(self, *names: str) -> bool:
        """True if an option is given under one of its names."""
        return any(option in names for option, _value in self.options)

    def values(self, *names: str) -> list[str]:
        """What an option is given under any of its names."""
        return [value for option, value in self.options if option in names]


@lru_cache
def _flags() -> dict[str, frozenset[str]]:
    """The options without a value, by command."""
    lines = Path(__file__).with_name("flags.txt").read_text("utf-8").splitlines()
    rows = (line.partition(":") for line in lines if line and not line.startswith("#"))
    return {command: frozenset(options.split()) | {"--help"} for command, _colon, options in rows}


def flags(command: str) -> frozenset[str]:
    """The options of a command that take no value; of one that is not known, those of all."""
    known = _flags()
    return known.get(command) or frozenset().union(*known.values())


def _name(rest: list[str]) -> str:
    """Take the command's name, in its short form, from the words that begin with it."""
    name = rest.pop(0) if rest else ""
    if name in GROUPS and rest and not rest[0].startswith("-"):
        name = f"{name} {rest.pop(0)}"
    return _SHORT.get(name, name)


def parse(argv: Sequence[str]) -> Words:
    """Take apart the words after ``docker``.

    Raises :class:`LabError` for options that would send the command to another engine.
    """
    rest = list(argv)
    if rest and rest[0].startswith("-") and rest[0] not in ("-v", "--version", "--help"):
        raise LabError(
            "labkit talks to one engine, so `{option}` before the command does nothing here; "
            "use a terminal for another engine.",
            option=rest[0],
        )
    parsed = Words(_name(rest), [], [])
    without_value = flags(parsed.name)
    while rest:
        word = rest.pop(0)
        if word == "--":
            parsed.words.extend(rest)
            break
        if not word.startswith("-") or word == "-":
            parsed.words.append(word)
            if parsed.name in _OPTIONS_FIRST:
                parsed.words.extend(rest)
                break
        else:
            parsed.options.extend(_options(word, rest, without_value))
    return parsed


def _options(word: str, rest: list[str], without_value: frozenset[str]) -> list[Option]:
    """The options in one word; the value of the last may be the next word, taken from the ``rest``.

    --name=x is one; -dti is -d -t -i, and -p8080:80 is -p 8080:80.
    """
    if word.startswith("--"):
        option, equals, value = word.partition("=")
        if not equals and option not in without_value and rest:
            value = rest.pop(0)
        return [(_LETTER.get(option, option), value)]
    found: list[Option] = []
    letters = word[1:]
    while letters:
        option, letters = f"-{letters[0]}", letters[1:]
        if option not in without_value:
            value = letters.removeprefix("=") or (rest.pop(0) if rest else "")
            return [*found, (option, value)]
        found.append((option, ""))
    return found


def full_name(image: str) -> str:
    """An image's name as the engine lists it: without docker.io/library/, with its tag.

    See https://docs.docker.com/reference/cli/docker/image/tag/ for the defaults.
    """
    image = image.removeprefix("docker.io/").removeprefix("library/")
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"
