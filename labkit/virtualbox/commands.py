"""``labkit snapshots``: machines, snapshots and disks in one picture, in a terminal."""

from __future__ import annotations

import argparse
import json

from labkit.cli import Commands, draw, save_option
from labkit.errors import LabError
from labkit.messages import _


def add(commands: Commands) -> None:
    """Add the subcommand."""
    command = commands.add(
        "snapshots",
        _snapshots,
        "VirtualBox machines, snapshots, disks and linked clones in one graph",
        json=True,
    )
    command.add_argument("machine", nargs="*", help="only these, by name or UUID")
    command.add_argument("--lesson", help="the machines of a lesson instead of your own")
    save_option(command)


def _snapshots(args: argparse.Namespace) -> None:
    from labkit.virtualbox import engine, program
    from labkit.virtualbox.inventory import read_home
    from labkit.virtualbox.snapshots import machine_tree

    if args.lesson:
        _must_be_there(args.lesson, engine.left_over())
        graph = engine.Bench(args.lesson).folder.graph()
    else:
        graph = read_home(program.users_home())
    if args.machine:
        graph = graph.only(*args.machine)
    if args.json:
        print(json.dumps(graph.to_json()))
        return
    draw(args, machine_tree(graph))
    for note in graph.notes:
        print(note)


def _must_be_there(lesson: str, known: list[str]) -> None:
    """Raise :class:`LabError` for another name, so that a name is never a path somewhere else."""
    if lesson not in known:
        raise LabError(
            "Lesson {lesson!r:.60} has nothing on this machine; these have: {known}. Run its "
            "%lesson cell first.",
            lesson=lesson,
            known=", ".join(known) or _("none"),
        )
