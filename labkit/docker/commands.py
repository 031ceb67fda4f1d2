"""``labkit layers`` and ``labkit forest``: images taken apart, in a terminal."""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING

from labkit.cli import Commands, draw, save_option, tell

if TYPE_CHECKING:
    from labkit.docker.layers import Image

_ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst")


def add(commands: Commands) -> None:
    """Add the subcommands."""
    command = commands.add(
        "layers", _layers, "what each layer of an image adds, changes and removes", json=True
    )
    command.add_argument(
        "source", help="an image's name, or a `docker save` or OCI archive or folder"
    )
    command.add_argument("--ref", help="which image of an archive that holds several")
    command = commands.add(
        "forest", _forest, "all local images by ChainID, shared bytes counted once", json=True
    )
    save_option(command)


def _image(source: str, ref: str | None) -> Image:
    from labkit.docker import archives

    if os.path.exists(source) or source.endswith(_ARCHIVES):
        return archives.read_image(source, ref)
    from labkit.docker.client import Client

    return archives.read_stream(Client.find().save(source), source)


def _layers(args: argparse.Namespace) -> None:
    tell(args, _image(args.source, args.ref))


def _forest(args: argparse.Namespace) -> None:
    from labkit.docker.client import Client
    from labkit.docker.forest import Forest

    client = Client.find()
    forest = Forest(
        {**client.about(image["id"]), "id": image["id"], "tags": image["tags"]}
        for image in client.world()["images"]
    )
    if args.json:
        print(json.dumps(forest.to_json()))
    else:
        draw(args, forest.tree())
