"""The labkit command: what an instructor needs before class, and the pictures in a terminal."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.engine import PREFETCHED, engines, parts
from labkit.errors import LabError
from labkit.messages import _
from labkit.show.text import clean

if TYPE_CHECKING:
    from labkit.show.trees import Tree


class Commands:
    """The subcommands, to which subjects add theirs."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        self, name: str, does: Callable[[argparse.Namespace], None], text: str, json: bool = False
    ) -> argparse.ArgumentParser:
        """A subcommand, with a line of help; ``json``: it has an option --json."""
        command = self._subparsers.add_parser(name, help=text, description=text)
        command.set_defaults(does=does)
        if json:
            command.add_argument("--json", action="store_true")
        return command


def tell(args: argparse.Namespace, found: Any) -> None:
    """Print what was asked for: its ``to_json()`` with --json, or its text."""
    print(json.dumps(found.to_json()) if args.json else found)


def save_option(command: argparse.ArgumentParser) -> None:
    """Let a subcommand that draws save its picture instead."""
    command.add_argument("--save", metavar="FILE", help="draw into FILE.svg instead")


def draw(args: argparse.Namespace, tree: Tree) -> None:
    """Print a tree, or write its SVG where --save says. Raises :class:`LabError` if it cannot."""
    if not args.save:
        print(tree)
        return
    name = clean(args.save)
    if not args.save.lower().endswith(".svg"):
        raise LabError(
            "{name:.200} does not end in .svg: name a file such as forest.svg.", name=name
        )
    try:
        Path(args.save).write_text(tree.svg(), encoding="utf-8")
    except OSError as error:
        raise LabError(
            "{name:.200} cannot be written: {reason}. Name a file in a folder of your own.",
            name=name,
            reason=error.strerror,
        ) from None
    print(_("Saved in {path}.", path=args.save))


def _doctor(args: argparse.Namespace) -> None:
    from labkit.doctor import examine  # late, as all that a subcommand needs: --help is quick

    for fine, line in examine():
        print("✔" if fine else "✘", line)


def _reset(args: argparse.Namespace) -> None:
    from labkit.lesson import folder_of

    for name in {*args.lesson} - {PREFETCHED}:
        folder_of(name)
    stay = [note for kind in engines().values() for note in kind.sweep(args.lesson)]
    if stay:
        raise LabError("Reset, except: {what}", what=" · ".join(stay))
    print(_("Reset: nothing a lesson made is left; what is yours is untouched."))


def _prefetch(args: argparse.Namespace) -> None:
    from labkit.lesson import all_lessons, folder_of

    wanted = {name: folder_of(name) for name in args.lesson} or all_lessons()
    for kind in engines().values():
        for ready in kind.prefetch(wanted):
            print(f"✔ {ready}")


def _record(args: argparse.Namespace) -> None:
    from labkit import rehearse

    for name in args.lesson:
        rehearsal = rehearse.record(name)
        recording = rehearsal.tape.recording
        if args.note:
            recording.header.note = args.note
        engines = ", ".join(recording.header.engines.values())
        if engines:  # else all is modelled, and there is nothing to replay
            recording.save(rehearsal.recording)
        for path in rehearse.notebooks(name):
            rehearse.store(path)
            recorded = f"recorded on {engines}, and" if engines else "without an engine to record,"
            print(f"✔ {path.name}: {recorded} stored as it is in replay")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("labkit", description=__doc__)
    commands = Commands(parser)
    commands.add("doctor", _doctor, "what is installed, what is missing and how to get it")
    command = commands.add("reset", _reset, "remove what lessons made, nothing else")
    command.add_argument(
        "lesson", nargs="*", help="such as 12, or prefetched; without a name, all lessons"
    )
    command = commands.add("prefetch", _prefetch, "get all images the lessons need, before class")
    command.add_argument("lesson", nargs="*", help="such as 12; without a name, all lessons")
    command = commands.add(
        "record", _record, "record lessons on this engine and store their notebooks"
    )
    command.add_argument("lesson", nargs="+", help="such as 12")
    command.add_argument("--note", help="what the badge should add, e.g. that images are stand-ins")
    for module in parts("commands").values():
        module.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; exit code 0, or 1 with one line on what went wrong and what to do."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a Windows pipe knows few letters, and no ✔
            stream.reconfigure(errors="backslashreplace")
    args = _parser().parse_args(argv)
    try:
        args.does(args)
        sys.stdout.flush()
    except LabError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("labkit:", _("stopped by you."), file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader (head, less) has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
