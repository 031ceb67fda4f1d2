"""``labkit disk``: what a virtual disk's file says of itself, in a terminal."""

from __future__ import annotations

import argparse
import json

from labkit.cli import Commands


def add(commands: Commands) -> None:
    """Add the subcommand."""
    command = commands.add(
        "disk",
        _disk,
        "what a virtual disk's file says of itself, and where the guest's blocks are in it",
        json=True,
    )
    command.add_argument("file", help="a VDI, VHD, VMDK, QCOW2, QED, VHDX or raw file")


def _disk(args: argparse.Namespace) -> None:
    from labkit.disks import open_disk
    from labkit.disks.strip import StripFigure

    with open_disk(args.file) as disk:
        if args.json:
            print(json.dumps(disk.to_json()))
        else:
            print(disk, StripFigure(disk), sep="\n\n")
