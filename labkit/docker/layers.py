"""An image as a chain of layers: what each adds, changes and hides, and what of it is wasted.

Source of what configs and histories hold, and of ChainIDs: OCI image-spec, config.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import chain, repeat
from typing import Any, NamedTuple

from labkit.docker.rootfs import File, Folder, RootFS
from labkit.docker.tar import LayerEntry, read_listing, write_listing
from labkit.errors import LabError
from labkit.messages import _
from labkit.show.text import clean, shorten

Json = Mapping[str, Any]  # an object of JSON
ReadLayer = Callable[[], Iterable[LayerEntry]]
MAX_LAYERS = 1024  # more than an engine takes (Docker: 127)
_LONGEST = 72  # characters of an instruction in the table
# Instructions that never make a layer, and those that nearly always make one.
_METADATA = re.compile(
    "ARG|CMD|ENTRYPOINT|ENV|EXPOSE|HEALTHCHECK|LABEL|MAINTAINER|ONBUILD|SHELL|STOPSIGNAL|USER|VOLUME"
)
_WRITING = ("ADD", "COPY", "RUN")
_SHELL = re.compile(r"(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c (?P<no_command>#\(nop\) ?)?")
_COPIED = re.compile(r"\b(file|dir|multi):([0-9a-f]{8})[0-9a-f]{56}\b")


def decimal_size(size: float) -> str:
    """Bytes in decimal units with three digits, as `docker images` prints them: 4.26MB."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if float(f"{size:.3g}") < 1000:
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}EB"


def instruction(created_by: str) -> str:
    """The Dockerfile instruction in a history entry, on one line.

    The classic builder writes "/bin/sh -c #(nop) " before what is no command, and the digest of
    what it copied, of which 8 digits remain; BuildKit ends with " # buildkit".
    """
    text = " ".join(created_by.split()).removesuffix(" # buildkit")
    shell = _SHELL.match(text)
    if shell:
        text = text[shell.end() :].lstrip()
        if not shell["no_command"]:
            text = f"RUN {text}"
    return _COPIED.sub(r"\1:\2…", text)


class BuildStep(NamedTuple):
    """One entry of a history."""

    created_by: str
    empty: bool | None = None  # it made no layer; None if an engine tells only that it has no bytes
    size: int = 0  # bytes; an image's config does not tell


class ImageConfig(NamedTuple):
    """What is known of an image's layers: their digests and history, both oldest first."""

    diff_ids: list[str]
    history: list[BuildStep]

    @classmethod
    def from_json(cls, config: Json) -> ImageConfig:
        history = []
        for step in config["history"]:
            size = step.get("size", 0)
            empty = step.get("empty", False if size else None)
            history.append(BuildStep(step["created_by"], empty, size))
        return cls(config["diff_ids"], history)

    def to_json(self) -> dict[str, Any]:
        steps = [{"created_by": step.created_by, "empty": step.empty} for step in self.history]
        return {"diff_ids": self.diff_ids, "history": steps}

    @property
    def chain_ids(self) -> list[str]:
        """The ChainID of each layer, which names its content and all below it."""
        ids: list[str] = []
        for diff_id in self.diff_ids:
            if ids:
                pair = f"{ids[-1]} {diff_id}".encode("utf-8", "surrogatepass")
                diff_id = f"sha256:{hashlib.sha256(pair).hexdigest()}"
            ids.append(diff_id)
        return ids

    @property
    def steps(self) -> list[tuple[BuildStep, str | None]]:
        """Each step, oldest first, with the diff_id of the layer it made, or None.

        An engine tells only sizes: what has bytes made a layer, then what can make files. If their
        count does not fit, each layer stands without an instruction, and the first has all bytes.
        """
        makers = []
        possible = []
        for n, step in enumerate(self.history):
            verb = instruction(step.created_by).partition(" ")[0].upper()
            if step.empty is False:
                makers.append(n)
            elif step.empty is None and not _METADATA.fullmatch(verb):
                possible.append((verb not in _WRITING, n))
        missing = max(0, len(self.diff_ids) - len(makers))
        makers += [n for _unlikely, n in sorted(possible)[:missing]]
        if len(makers) != len(self.diff_ids):
            whole = BuildStep("", size=sum(step.size for step in self.history))
            return list(zip(chain([whole], repeat(BuildStep(""))), self.diff_ids, strict=False))
        made = iter(self.diff_ids)
        return [(step, next(made) if n in makers else None) for n, step in enumerate(self.history)]


class Layer(NamedTuple):
    """One step of an image, with the paths that it adds, changes and removes.

    A file is changed if the layer holds it again, even with the same bytes; a folder only if its
    mode or owner differs.
    """

    diff_id: str | None
    chain_id: str | None  # of an empty one that of the layer below it
    created_by: str
    empty: bool  # as CMD, ENV and others are
    size: int = 0  # bytes of its files
    added: Sequence[str] = ()
    changed: Sequence[str] = ()
    removed: Sequence[str] = ()

    @property
    def made_by(self) -> str:
        """Its instruction, safe to print."""
        return clean(instruction(self.created_by))


class Image:
    """An image taken apart into ``layers``, from the ``sources`` of their entries, oldest first.

    In bytes: ``size``, of which no name in the final root file system leads to those ``wasted``.
    ``efficiency``: the other part, 1.0 without bytes.
    """

    def __init__(self, name: str, config: ImageConfig, sources: Sequence[ReadLayer]) -> None:
        if len(sources) > MAX_LAYERS:
            raise LabError(
                "{name}: has {count} layers, and no engine takes more than {limit}; not read.",
                name=name,
                count=len(sources),
                limit=MAX_LAYERS,
            )
        self.name = name
        self.config = config
        self.layers: list[Layer] = []
        self._sources = sources
        merged = RootFS()
        unread = zip(config.chain_ids, sources, strict=True)
        chain_id = None
        for step, diff_id in config.steps:
            if diff_id is None:
                self.layers.append(Layer(None, chain_id, step.created_by, True))
            else:
                chain_id, source = next(unread)
                changes = merged.apply(source())
                self.layers.append(Layer(diff_id, chain_id, step.created_by, False, *changes))
        self.filled = [layer for layer in self.layers if not layer.empty]
        self.size = sum(layer.size for layer in self.layers)
        inodes = {node for _path, node in merged.root.walk() if isinstance(node, File)}
        visible = sum(inode.size for inode in inodes)
        self.wasted = self.size - visible
        self.efficiency = visible / self.size if self.size else 1.0

    @classmethod
    def from_listings(cls, name: str, config: Json, listings: Mapping[str, Sequence[str]]) -> Image:
        """An image as a recording keeps it: its ``config``, and the listing of each diff_id."""
        read = ImageConfig.from_json(config)
        sources = [partial(read_listing, listings[diff_id]) for diff_id in read.diff_ids]
        return cls(name, read, sources)

    def listings(self) -> dict[str, list[str]]:
        """The listing of each layer by diff_id, for :meth:`from_listings`."""
        return {
            diff_id: list(write_listing(source()))
            for diff_id, source in zip(self.config.diff_ids, self._sources, strict=True)
        }

    def root(self, n: int | None = None) -> Folder:
        """The root file system of the first ``n`` ``filled`` layers, or all; reads them again."""
        merged = RootFS()
        for source in self._sources[:n]:
            merged.apply(source())
        return merged.root

    def to_json(self) -> dict[str, Any]:
        """Plain values for `labkit layers --json`."""
        return {
            "image": self.name,
            "layers": [layer._asdict() for layer in self.layers],
            "size": self.size,
            "wasted": self.wasted,
            "efficiency": self.efficiency,
        }

    def __str__(self) -> str:
        rows = [["", _("size"), "+", "~", "−", _("instruction")]]
        for number, layer in enumerate(self.layers, 1):
            cells = ["", "", "", ""]
            if not layer.empty:
                counts = [len(layer.added), len(layer.changed), len(layer.removed)]
                cells = [decimal_size(layer.size), *map(str, counts)]
            rows.append([str(number), *cells, shorten(layer.made_by, _LONGEST)])
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = [clean(self.name)]
        lines += ["  ".join(map(str.rjust, row, [*widths, 0])).rstrip() for row in rows]
        lines.append(
            _(
                "size {size}, wasted {wasted}, efficiency {efficiency:.2f}",
                size=decimal_size(self.size),
                wasted=decimal_size(self.wasted),
                efficiency=self.efficiency,
            )
        )
        return "\n".join(lines)
