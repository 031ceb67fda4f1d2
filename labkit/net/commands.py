"""``labkit net``: who reaches whom in a network, in a terminal."""

from __future__ import annotations

import argparse

from labkit.cli import Commands, tell
from labkit.errors import LabError

MOST = 1 << 22  # letters of a topology


def add(commands: Commands) -> None:
    """Add the subcommand."""
    command = commands.add("net", _net, "who reaches whom in a network, and why not", json=True)
    command.add_argument(
        "file", help="a topology, a statement a line, such as `host ana 10.0.0.1/24 s1.1`"
    )


def _net(args: argparse.Namespace) -> None:
    from labkit.net.reach import Reach
    from labkit.net.statements import parse

    tell(args, Reach(parse(_text(args.file))))


def _text(file: str) -> str:
    """The text of a topology. Raises :class:`LabError`."""
    from labkit.show.text import clean

    name = f"{clean(file):.200}"
    try:
        with open(file, encoding="utf-8-sig") as opened:  # Windows' editors begin it with a mark
            text = opened.read(MOST + 1)
    except UnicodeDecodeError:
        raise LabError(
            "{name} is no text: a topology has lines as `host ana 10.0.0.1/24 s1.1`.",
            name=name,
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in a name
        reason = getattr(error, "strerror", error)
        raise LabError("{name} cannot be read: {reason}.", name=name, reason=reason) from None
    if len(text) > MOST:
        raise LabError(
            "{name} is longer than {most:,} letters: no topology for this model.",
            name=name,
            most=MOST,
        )
    return text
