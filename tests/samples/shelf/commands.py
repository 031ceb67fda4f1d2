"""``labkit dust``: a subcommand of the toy's own."""

from __future__ import annotations

import argparse

from labkit.cli import Commands


def add(commands: Commands) -> None:
    """Add the subcommand."""
    commands.add("dust", _dust, "dust the shelf")


def _dust(args: argparse.Namespace) -> None:
    print("dusted")
