"""The labkit command: what an instructor needs before class, and the pictures in a terminal."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from labkit.errors import LabError, MissingProgram

if TYPE_CHECKING:
    from labkit.docker.layers import Image


def _image(source: str, ref: str | None) -> Image:
    from labkit.docker import archives

    if os.path.exists(source) or source.endswith((".tar", ".tar.gz", ".tgz", ".tar.zst")):
        return archives.read_image(source, ref)
    from labkit.docker.engine import Docker

    return archives.read_stream(Docker.find().save(source), source)


def _print(args: argparse.Namespace, found: Any) -> None:
    """What was asked for, as JSON or as text."""
    print(json.dumps(found.to_json()) if args.json else found)


def _layers(args: argparse.Namespace) -> None:
    _print(args, _image(args.source, args.ref))


def _forest(args: argparse.Namespace) -> None:
    from labkit.docker.engine import Docker
    from labkit.docker.layers import Forest

    docker = Docker.find()
    images = docker.world()["images"]
    forest = Forest([{**docker.image(i["id"]), "id": i["id"], "tags": i["tags"]} for i in images])
    print(json.dumps(forest.to_json()) if args.json else forest.tree())


def _snapshots(args: argparse.Namespace) -> None:
    from labkit.virtualbox import engine as bench
    from labkit.virtualbox import program as virtualbox
    from labkit.virtualbox import snapshots

    if args.lesson and args.lesson not in (
        known := bench.left_over()
    ):  # so a name is never a path to somewhere else
        raise LabError(
            f"Lesson {args.lesson!r:.60} has nothing on this machine; these have: "
            f"{', '.join(known) or 'none'}. Run its %lesson cell first."
        )
    graph = (
        bench.Bench(args.lesson, True).graph()
        if args.lesson
        else snapshots.read(virtualbox.users_home())
    )
    graph = graph.only(*args.machine) if args.machine else graph
    print(json.dumps(graph.to_json()) if args.json else "\n".join([str(graph), *graph.notes]))


def _disk(args: argparse.Namespace) -> None:
    from labkit.disks import open_disk

    with open_disk(args.file) as disk:
        if args.json:
            print(json.dumps(disk.to_json()))
        else:
            from labkit.disks.strip import StripFigure

            print(disk, StripFigure(disk), sep="\n\n")


def _net(args: argparse.Namespace) -> None:
    from labkit.net.reach import Reach
    from labkit.net.topology import parse
    from labkit.show.text import clean

    name, most = f"{clean(args.file):.200}", 1 << 22
    try:
        with open(
            args.file, encoding="utf-8-sig"
        ) as file:  # Windows' editors begin a text with a mark
            text = file.read(most + 1)
    except OSError as error:
        raise LabError(f"{name} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise LabError(
            f"{name} is no text: a topology has lines as `host ana 10.0.0.1/24 s1.1`."
        ) from None
    except ValueError as error:  # a name that can be none
        raise LabError(f"{name} cannot be read: {error}.") from None
    if len(text) > most:
        raise LabError(f"{name} is longer than {most:,} letters: no topology for this model.")
    _print(args, Reach(parse(text)))


def _doctor(args: argparse.Namespace) -> None:
    from labkit.doctor import examine

    for fine, line in examine():
        print("✔" if fine else "✘", line)


def _reset(args: argparse.Namespace) -> None:
    from labkit.docker.engine import PREFETCHED, Docker
    from labkit.ledger import home
    from labkit.lesson import check_names
    from labkit.virtualbox import engine as bench

    check_names([name for name in args.lesson if name != PREFETCHED])
    stay, benches = (
        [],
        [name for name in bench.left_over() if not args.lesson or name in args.lesson],
    )
    for name in benches:
        stay += bench.Bench(name, True).clean()
    try:
        docker = Docker.find()
        lessons = args.lesson or [
            name for name in docker.ledger.lessons() if name != PREFETCHED
        ]  # for a class
        stay += [note for lesson in lessons for note in docker.clean(lesson)]
    except LabError as error:
        if not isinstance(error, MissingProgram) or any(
            (home() / "docker").glob("*/*")
        ):  # else none was ever used
            if not benches:
                raise
            stay.append(str(error))
    if stay:
        raise LabError("Reset, except: " + " · ".join(stay))
    print("Reset: nothing a lesson made is left; what is yours is untouched.")


def _prefetch(args: argparse.Namespace) -> None:
    from labkit.docker import command_line as syntax
    from labkit.docker.engine import PREFETCHED, Docker
    from labkit.lesson import check_names, lessons_folder
    from labkit.net import live

    check_names(args.lesson)
    docker, names = Docker.find(), set()
    for path in lessons_folder().glob("*/recording.json"):
        if (
            not args.lesson or path.parent.name in args.lesson
        ):  # what was pulled when the lesson was recorded
            names.update(re.findall(r"Status: \w[\w ]+ for ([\w./:-]+)", path.read_text("utf-8")))
    for name in sorted(names):
        result = docker.run(
            ["pull", "--quiet", name], syntax.parse(["pull", "--quiet", name]), PREFETCHED
        )
        if result.code:
            raise LabError(f"{name} could not be fetched: {result.err.strip().splitlines()[-1]}")
        print(f"✔ {name}")
    for recipe in sorted(lessons_folder().glob("*/net")):
        if not args.lesson or recipe.parent.name in args.lesson:
            print(f"✔ {live.build(docker, recipe.parent.name, recipe)}")


def _record(args: argparse.Namespace) -> None:
    from labkit import rehearse as record

    for name in args.lesson:
        lesson = record.record(name)
        if args.note:
            lesson.tape.header["note"] = args.note
        lesson.tape.save(lesson.recording)
        for path in record.notebooks(name):
            record.store(path)
            engines = ", ".join(lesson.tape.header["engines"].values())
            print(f"✔ {path.name}: recorded on {engines} and stored as its replay")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; exit code 0, or 1 with one line on what went wrong and what to do."""
    parser = argparse.ArgumentParser("labkit", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, does: object, text: str, json: bool = False) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(does=does)
        if json:
            command.add_argument("--json", action="store_true")
        return command

    add("doctor", _doctor, "what is installed, what is missing and how to get it")
    command = add("reset", _reset, "remove what lessons made, nothing else")
    command.add_argument(
        "lesson", nargs="*", help="such as 12, or prefetched; without a name, all lessons"
    )
    command = add("prefetch", _prefetch, "pull all images the lessons need, before class")
    command.add_argument("lesson", nargs="*", help="such as 12; without a name, all lessons")
    command = add("record", _record, "record lessons on this engine and store their notebooks")
    command.add_argument("lesson", nargs="+", help="such as 12")
    command.add_argument("--note", help="what the badge should add, e.g. that images are stand-ins")
    command = add(
        "layers", _layers, "what each layer of an image adds, changes and removes", json=True
    )
    command.add_argument(
        "source", help="an image's name, or a `docker save` or OCI archive or folder"
    )
    command.add_argument("--ref", help="which image of an archive that holds several")
    add("forest", _forest, "all local images by ChainID, shared bytes counted once", json=True)
    command = add(
        "snapshots",
        _snapshots,
        "VirtualBox machines, snapshots, disks and linked clones in one graph",
        json=True,
    )
    command.add_argument("machine", nargs="*", help="only these, by name or UUID")
    command.add_argument("--lesson", help="the machines of a lesson instead of your own")
    command = add(
        "disk",
        _disk,
        "what a virtual disk's file says of itself, and where the guest's blocks are in it",
        json=True,
    )
    command.add_argument("file", help="a VDI, VHD, VMDK, QCOW2, QED, VHDX or raw file")
    command = add("net", _net, "who reaches whom in a network, and why not", json=True)
    command.add_argument(
        "file", help="a topology, a statement a line, such as `host ana 10.0.0.1/24 s1.1`"
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(
            stream, io.TextIOWrapper
        ):  # a Windows pipe knows few letters, and ✔ is not one of them
            stream.reconfigure(errors="backslashreplace")
    args = parser.parse_args(argv)
    try:
        args.does(args)
        sys.stdout.flush()
    except LabError as error:
        print(f"labkit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("labkit: stopped by you.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # the reader (head, less) has had enough
        return 0
    return 0
