"""The docker command line, taken apart: which command, which options, which objects it names.

Needed to answer from a recording however a command is spelt, and to keep a lesson's commands away
from what is the student's own. Source: https://docs.docker.com/reference/cli/docker/ and ``--help``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from operator import itemgetter
from typing import NamedTuple

from labkit.errors import LabError

GROUPS = {
    "container",
    "image",
    "volume",
    "network",
    "system",
    "builder",
    "buildx",
    "context",
    "manifest",
    "plugin",
}
_CONTAINER = (
    "attach commit cp create diff exec export kill logs pause port rename restart rm run start stats stop "
    "top unpause update wait"
)
# Management commands and their old short forms: `docker image ls` is `docker images`.
_SHORT = {
    **{f"container {name}": name for name in _CONTAINER.split()},
    **{f"container {name}": "ps" for name in ("ls", "list", "ps")},
    **{
        f"image {name}": name
        for name in ("build", "history", "import", "load", "pull", "push", "save", "tag")
    },
    "buildx build": "build",
    "builder build": "build",
    "image ls": "images",
    "image list": "images",
    "image rm": "rmi",
    "image remove": "rmi",
    "system info": "info",
    "system events": "events",
    "volume remove": "volume rm",
    "network remove": "network rm",
}
_READS = {
    "",
    "-v",
    "--version",
    "--help",
    "attach",
    "diff",
    "events",
    "export",
    "help",
    "history",
    "images",
    "info",
    "inspect",
    "logs",
    "port",
    "ps",
    "save",
    "search",
    "stats",
    "top",
    "version",
    "wait",
    "container inspect",
    "image inspect",
    "volume ls",
    "volume inspect",
    "network ls",
    "network inspect",
    "system df",
    "context ls",
    "context show",
}
# Options without a value; any other option takes one. A letter may mean different things per command.
_FLAGS = set(
    (  # noqa: SIM905
        "-d --detach -i --interactive -t --tty --rm --init --privileged --read-only --no-healthcheck --oom-kill-disable "
        "-P --publish-all -q --quiet --help --version --disable-content-trust -f --force --follow -v --volumes -l --link "
        "-a --all --no-prune --no-trunc --no-cache --squash --all-tags --archive -L --follow-link --digests -s --size "
        "--timestamps --details --latest --verbose --sig-proxy --compress --force-rm --human --no-stream --no-stdin "
        "--attachable --config-only --ingress --internal --ipv4 --ipv6"
    ).split()
)
_VALUED = {
    "run": {"-v", "-a", "-l", "--link"},
    "create": {"-v", "-a", "-l", "--link", "-d"},
    "connect": {"--link"},
    "build": {"-f", "-t"},
    "commit": {"-a"},
    "stop": {"-t", "-s"},
    "restart": {"-t", "-s"},
    "kill": {"-s"},
    "load": {"-i"},
    "ps": {"-f"},
    "images": {"-f"},
    "ls": {"-f"},
    "inspect": {"-f"},
    "events": {"-f"},
    "info": {"-f"},
    "search": {"-f"},
    "version": {"-f"},
}
_FLAGS_HERE = {
    "commit": {"-p", "--pause"},
    "build": {"--pull"},
    "start": {"--attach"},
    "history": {"-H"},
}
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
_OPTIONS_FIRST = {
    "run",
    "create",
    "exec",
    "top",
}  # elsewhere docker reads options after the names too


class Words(NamedTuple):
    """A docker command taken apart: ``name`` in its short form, ``options`` in order, the ``words`` after them."""

    name: str
    options: list[tuple[str, str]]
    words: list[str]

    @property
    def key(self) -> list[str]:
        """The canonical argv: the same for spellings and option orders that mean the same."""
        options = sorted(
            self.options, key=itemgetter(0)
        )  # of one option given twice the last may win
        return [
            "docker",
            *self.name.split(),
            *(f"{o}={v}" if v else o for o, v in options),
            *self.words,
        ]

    @property
    def reads_only(self) -> bool:
        """True when the command cannot change the engine's state."""
        return self.name in _READS or self.has("--help")

    def has(self, *names: str) -> bool:
        """True if an option is given under one of its names."""
        return any(option in names for option, _ in self.options)

    @property
    def altered(self) -> tuple[str, list[str]]:
        """Which existing objects it would alter: their kind (as in ``Docker.world``) and names."""
        if self.name in ("rm", "stop", "start", "kill", "restart", "pause", "unpause", "update"):
            return "containers", self.words
        if self.name in ("exec", "rename"):
            return "containers", self.words[:1]
        if self.name == "cp":
            return "containers", [word.split(":")[0] for word in self.words[1:2] if ":" in word]
        if self.name == "rmi":
            return "images", self.words
        if self.name.startswith(("volume rm", "network rm")):
            return self.name.split()[0] + "s", self.words
        if self.name in ("network connect", "network disconnect"):
            return "containers", self.words[1:2]
        return "", []

    @property
    def tags(self) -> list[str]:
        """Image names it would (re)assign."""
        if self.name in ("tag", "commit", "import"):
            return self.words[1:2]
        return (
            [value for option, value in self.options if option in ("-t", "--tag")]
            if self.name == "build"
            else []
        )


def parse(argv: Sequence[str]) -> Words:
    """Take apart the words after ``docker``.

    Raises :class:`LabError` for options that would send the command to another engine.
    """
    rest = list(argv)
    if rest and rest[0].startswith("-") and rest[0] not in ("-v", "--version", "--help"):
        raise LabError(
            f"labkit talks to one engine, so `{rest[0]}` before the command does nothing here; "
            "use a terminal for another engine."
        )
    name = rest.pop(0) if rest else ""
    if name in GROUPS and rest and not rest[0].startswith("-"):
        name = f"{name} {rest.pop(0)}"
        name = _SHORT.get(name, name)
    flags = (_FLAGS - _VALUED.get(name.rpartition(" ")[2], set())) | _FLAGS_HERE.get(name, set())
    options: list[tuple[str, str]] = []
    words: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if not word.startswith("-") or word == "-":
            words.append(word)
            if name in _OPTIONS_FIRST:
                words += rest
                break
        elif word.startswith("--"):
            option, equals, value = word.partition("=")
            if not equals and option not in flags and rest:
                value = rest.pop(0)
            options.append((_LETTER.get(option, option), value))
        else:
            letters = word[1:]
            while letters:  # -dti is -d -t -i; -p8080:80 is -p 8080:80
                option, letters = f"-{letters[0]}", letters[1:]
                if option in flags:
                    options.append((option, ""))
                else:
                    options.append(
                        (option, letters.removeprefix("=") or (rest.pop(0) if rest else ""))
                    )
                    break
    return Words(name, options, words)


def full_name(image: str) -> str:
    """An image's name as the engine lists it: without docker.io/library/, with its tag.

    See https://docs.docker.com/reference/cli/docker/image/tag/ for the defaults.
    """
    image = image.removeprefix("docker.io/").removeprefix("library/")
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


_LAYER_LINE = re.compile(r"([0-9a-f]{12}): [A-Z][a-z]+ ?[A-Za-z0-9 ]*$")


def settle(text: str) -> str:
    """A pull as the terminal leaves it: one final line a layer, in layer order, however it went."""
    lines = text.splitlines(keepends=True)
    keys = [match[1] if (match := _LAYER_LINE.match(line.rstrip("\n"))) else "" for line in lines]
    last = dict(zip(keys, lines, strict=True))
    return "".join(
        last.pop(key, "") if key else line for key, line in zip(keys, lines, strict=True)
    )
