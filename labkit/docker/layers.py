"""An image as a chain of layers: what each adds, changes and hides; and all images of an engine as one forest.

A layer is unpacked by itself, then laid over those below, as the overlay2 driver does: no symbolic link is followed
to find a parent folder. Source: OCI image-spec, layer.md and config.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from labkit.errors import LabError

if TYPE_CHECKING:
    from labkit.show.trees import Node, Tree

# A member of a layer's tar: kind (f file, d folder, l symbolic link, h hard link, c b p devices), path from the root,
# size in bytes, and a link's target or a folder's "mode:uid:gid" (octal:decimal:decimal).
Entry = tuple[str, str, int, str]
Thing = Mapping[str, Any]
LAYERS = 1024  # more than an engine takes (Docker: 127)
NAMES = 1 << 30  # characters of paths in one image, each path counted 100 longer
METADATA = {
    "ARG",
    "CMD",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
}


def humanise(size: float) -> str:
    """Bytes in decimal units with three digits, as `docker images` prints them: 4.26MB."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if float(f"{size:.3g}") < 1000:
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}EB"


def instruction(created_by: str) -> str:
    """The Dockerfile instruction in a history entry of the classic builder or of BuildKit, on one line."""
    text = " ".join(created_by.split()).removesuffix(" # buildkit")
    shell = re.match(r"(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c (#\(nop\) ?)?", text)
    text = text if not shell else ("" if shell[1] else "RUN ") + text[shell.end() :].lstrip()
    return re.sub(
        r"\b(file|dir|multi):([0-9a-f]{8})[0-9a-f]{56}\b", r"\1:\2…", text
    )  # what the classic builder copied


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """The ChainID of each layer: its own content and all below it (OCI image-spec, config.md, Layer ChainID)."""
    chain: list[str] = []
    for diff_id in diff_ids:
        pair = f"{chain[-1]} {diff_id}".encode("utf-8", "surrogatepass") if chain else b""
        chain.append("sha256:" + hashlib.sha256(pair).hexdigest() if chain else diff_id)
    return chain


def align_history(
    history: Sequence[Thing], diff_ids: Sequence[str]
) -> list[tuple[Thing, str | None]]:
    """Each history entry, oldest first, with the diff_id of the layer it made, or None.

    An image's config says so itself (`empty`). An engine tells only sizes: what has bytes is a layer, then what can
    make files though it made none. If the count does not fit, each layer stands without an instruction.
    """
    real = {n for n, entry in enumerate(history) if not entry.get("empty", not entry.get("size"))}
    verbs = {
        n: instruction(entry["created_by"]).partition(" ")[0].upper()
        for n, entry in enumerate(history)
        if "empty" not in entry and n not in real
    }
    spare = sorted(
        (n for n in verbs if verbs[n] not in METADATA),
        key=lambda n: verbs[n] not in ("ADD", "COPY", "RUN"),
    )
    real.update(spare[: max(0, len(diff_ids) - len(real))])
    if len(real) != len(diff_ids):
        total = sum(entry.get("size", 0) for entry in history)
        return [
            ({"created_by": "", "size": 0 if n else total}, diff_id)
            for n, diff_id in enumerate(diff_ids)
        ]
    ids = iter(diff_ids)
    return [(entry, next(ids) if n in real else None) for n, entry in enumerate(history)]


def listing(found: Iterable[Entry]) -> Iterator[str]:
    """One line per entry, "kind size path", then a tab and the fourth field if any; for JSON that people read."""
    for kind, path, size, text in found:
        parts = (path, text) if text else (path,)
        if "\\" in path + text or not (path + text).isprintable():
            parts = tuple(part.encode("unicode_escape").decode() for part in parts)  # type: ignore[assignment]
        yield f"{kind} {size} " + "\t".join(parts)


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """What :func:`listing` was given. LabError for a line that it never writes."""
    for line in lines:
        try:
            kind, size, rest = line.split(" ", 2)
            path, _, text = rest.partition("\t")
            if "\\" in rest:
                path, text = (
                    part.encode("ascii").decode("unicode_escape") for part in (path, text)
                )
            yield kind, path, int(size), text
        except ValueError:
            raise LabError(
                f"{line!r:.60} is no line of a layer's listing: record the lesson again."
            ) from None


class File(NamedTuple):
    """An inode, which a hard link shares. Most files need none: their node is size * LAYERS + number of the layer."""

    kind: str
    size: int
    link: str
    layer: int


class Dir(dict[str, "Dir | File | int"]):
    """A folder by name. `hides`: names whited out here; `opaque`: all below is hidden; `owner`: "" if not told."""

    __slots__ = ("hides", "layer", "opaque", "owner")

    def __init__(self, layer: int, owner: str = "") -> None:
        self.layer, self.owner, self.opaque, self.hides = layer, owner, False, list[str]()

    def walk(self, at: str = "") -> Iterator[tuple[str, Dir | File | int]]:
        """Everything below, with its path after `at`."""
        todo = [(at, self)]
        while todo:
            at, folder = todo.pop()
            for name, node in folder.items():
                yield at + name, node
                if type(node) is Dir:
                    todo.append((f"{at}{name}/", node))

    def inode(self, path: str) -> File | None:
        """The file of that path, from now on as an inode."""
        *parents, last = path.split("/")
        folder = self
        for name in parents:
            below = folder.get(name)
            if type(below) is not Dir:
                return None
            folder = below
        node = folder.get(last)
        if type(node) is int:
            node = folder[last] = File("f", node // LAYERS, "", node % LAYERS)
        return node if type(node) is File else None


class RootFS:
    """The merged tree, which grows layer by layer."""

    def __init__(self) -> None:
        self.root, self.left = Dir(0), NAMES

    def apply(
        self, found: Iterable[Entry], layer: int
    ) -> tuple[int, list[str], list[str], list[str]]:
        """Lay one layer on top: its size in bytes, and the paths it added, changed and removed, sorted."""
        top, total = self._unpack(found, layer)
        return total, *map(sorted, self._merge(top))  # type: ignore[return-value]

    def _unpack(self, found: Iterable[Entry], layer: int) -> tuple[Dir, int]:
        """One layer by itself: a later entry replaces an earlier one, but folder over folder merges."""
        top = here = Dir(layer)
        at, total = "", 0
        for kind, path, size, text in found:
            total += size
            self._count(path)
            parent, _, name = path.rpartition("/")
            if parent != at:
                here, at = self._folder(top, parent, layer), parent
            if name[:4] == ".wh.":
                if name == ".wh..wh..opq":
                    here.opaque = True
                else:
                    here.hides.append(name[4:])
            elif kind == "f":
                here[name] = size * LAYERS + layer
            elif kind == "d":
                old = here.get(name)
                if type(old) is Dir:
                    old.owner = text
                elif name:  # else the root itself
                    here[name] = Dir(layer, text)
            elif (
                kind == "h"
            ):  # to a file of this layer; if there is none, to one below, as containerd allows
                here[name] = top.inode(text) or self.root.inode(text) or File("f", 0, "", layer)
            else:
                here[name] = File(kind, size, text, layer)
        return top, total

    def _count(self, path: str) -> None:
        self.left -= len(path) + 100
        if self.left < 0:
            raise LabError(
                "This image has more names than an image can sensibly have (millions): not read further."
            )

    def _folder(self, top: Dir, path: str, layer: int) -> Dir:
        for name in path.split("/") if path else ():
            node = top.get(name)
            if type(node) is not Dir:
                self._count(path)
                node = top[name] = Dir(layer)
            top = node
        return top

    def _merge(self, top: Dir) -> tuple[list[str], list[str], list[str]]:
        """Lay a layer over the tree. What it hides is only what lies below it, wherever its tar says so."""
        added, changed, removed = list[str](), list[str](), list[str]()

        def take(
            paths: list[str], path: str, node: Dir | File | int | None, itself: bool = True
        ) -> None:
            paths += [path] * itself
            if type(node) is Dir:
                paths += [below for below, _ in node.walk(path + "/")]

        todo = [("", self.root, top, False)]
        while todo:
            at, low, up, hidden = todo.pop()
            hidden = hidden or up.opaque
            for name in list(low) if hidden else up.hides:
                if name in low and name not in up:
                    take(removed, at + name, low.pop(name))
            hides = set(up.hides)
            for name, new in up.items():
                old, path = low.get(name), at + name
                if type(old) is Dir and type(new) is Dir:
                    if old.owner and new.owner and old.owner != new.owner:
                        changed.append(path)
                        old.layer = new.layer
                    old.owner = new.owner or old.owner
                    todo.append((path + "/", old, new, hidden or name in hides))
                    continue
                take(removed, path, old, False)
                take(added, path, new, old is None)
                changed += [path] * (old is not None)
                low[name] = new
        return added, changed, removed

    def visible(self) -> int:
        """Bytes of data that some name still leads to, each inode once."""
        nodes = [node for _, node in self.root.walk()]
        inodes = {id(node): node.size for node in nodes if type(node) is File}
        return sum(node // LAYERS for node in nodes if type(node) is int) + sum(inodes.values())


class Layer:
    """One step of an image. `empty` ones (CMD, ENV, …) have no diff_id and keep the ChainID below them.

    `size`: bytes of its files; `added`, `changed`, `removed`: paths. A file is changed if the layer holds it again,
    even with the same bytes; a folder only if its mode or owner differs.
    """

    def __init__(self, diff_id: str | None, chain_id: str | None, created_by: str) -> None:
        self.diff_id, self.chain_id, self.created_by, self.empty = (
            diff_id,
            chain_id,
            created_by,
            diff_id is None,
        )
        self.size, self.added, self.changed, self.removed = 0, list[str](), list[str](), list[str]()


class Image:
    """An image taken apart into `layers`; `size` and `wasted` in bytes.

    `wasted`: bytes in layers that no name in the final root file system leads to; `efficiency`: the other part of
    `size`, 1.0 without bytes. `config`: {"diff_ids": […], "history": [{"created_by", "empty"}]}.
    """

    def __init__(
        self, image: str, id: str, config: Thing, found: Sequence[Callable[[], Iterable[Entry]]]
    ) -> None:
        self.image, self.id, self.config, self._found = image, id, config, found
        if len(found) > LAYERS:
            raise LabError(
                f"{image}: has {len(found)} layers, and no engine takes more than {LAYERS}; not read."
            )
        steps, chain = (
            align_history(config["history"], config["diff_ids"]),
            [None, *chain_ids(config["diff_ids"])],
        )
        self.layers, self._real, merged = list[Layer](), list[int](), RootFS()
        for n, (entry, diff_id) in enumerate(steps):
            self._real += [n] * (diff_id is not None)
            self.layers.append(Layer(diff_id, chain[len(self._real)], entry["created_by"]))
        for number, (n, source) in enumerate(zip(self._real, found, strict=True)):
            layer = self.layers[n]
            layer.size, layer.added, layer.changed, layer.removed = merged.apply(source(), number)
        self.size = sum(layer.size for layer in self.layers)
        visible = merged.visible()
        self.wasted, self.efficiency = (
            self.size - visible,
            visible / self.size if self.size else 1.0,
        )

    @classmethod
    def from_listings(
        cls, image: str, id: str, config: Thing, found: Mapping[str, Sequence[str]]
    ) -> Image:
        """An image from the :func:`listing` of each of its layers by diff_id, without an archive."""
        return cls(
            image, id, config, [partial(entries, found[diff_id]) for diff_id in config["diff_ids"]]
        )

    def listings(self) -> dict[str, list[str]]:
        """The :func:`listing` of each layer by diff_id: what :meth:`from_listings` needs, with ``config``."""
        return {
            key: list(listing(source()))
            for key, source in zip(self.config["diff_ids"], self._found, strict=True)
        }

    def tree(self, n: int | None = None) -> dict[str, tuple[str, int, str, int]]:
        """The merged tree after the first `n` of `layers` (default all): path → (kind, size, link, index of the layer
        whose content is seen), one object for all names of an inode. An archive is read again for this."""
        merged, real = RootFS(), self._real
        for number, source in islice(
            enumerate(self._found), sum(n is None or index < n for index in real)
        ):
            merged.apply(source(), number)
        nodes = sorted(merged.root.walk())
        inodes = {
            id(node): (node.kind, node.size, node.link, real[node.layer])
            for _, node in nodes
            if isinstance(node, File)
        }
        return {
            path: ("f", node // LAYERS, "", real[node % LAYERS])
            if isinstance(node, int)
            else ("d", 0, "", real[node.layer])
            if isinstance(node, Dir)
            else inodes[id(node)]
            for path, node in nodes
        }

    def to_json(self) -> dict[str, Any]:
        """Plain values for `labkit layers --json`."""
        return {
            "image": self.image,
            "layers": [dict(vars(layer)) for layer in self.layers],
            "size": self.size,
            "wasted": self.wasted,
            "efficiency": self.efficiency,
        }

    def __str__(self) -> str:
        from labkit.show.text import clean, shorten

        rows = [["", "size", "+", "~", "−", "instruction"]]
        for n, layer in enumerate(self.layers, 1):
            counts = [str(len(paths)) for paths in (layer.added, layer.changed, layer.removed)]
            rows.append(
                [
                    str(n),
                    *(["", "", "", ""] if layer.empty else [humanise(layer.size), *counts]),
                    shorten(clean(instruction(layer.created_by)), 72),
                ]
            )
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([*map(str.rjust, row[:5], wide), row[5]]).rstrip() for row in rows]
        return "\n".join(
            [
                clean(self.image),
                *lines,
                f"size {humanise(self.size)}, wasted {humanise(self.wasted)}, "
                f"efficiency {self.efficiency:.2f}",
            ]
        )

    __repr__ = __str__


class ForestNode:
    """A layer in the forest. `images`: names of those that end here; `through`: of all that use it; `size`: bytes."""

    def __init__(self, chain_id: str, parent: str | None, created_by: str, size: int) -> None:
        self.chain_id, self.parent, self.created_by, self.size = chain_id, parent, created_by, size
        self.images, self.through = list[str](), list[str]()


class Forest:
    """Images {"id", "tags", "diff_ids", "history": [{"created_by", "size"}] oldest first} as one forest by ChainID,
    with containers {"id", "name", "image_id", "state"?, "changes"?: how many paths}.

    In bytes, `total`: each layer once; `apart`: the sum of the images; `shared`: the difference.
    """

    def __init__(self, images: Iterable[Thing], containers: Iterable[Thing] = ()) -> None:
        self.nodes, self.containers = dict[str, ForestNode](), list(containers)
        self.chains: dict[str, list[str]] = {}  # the layers of an image, by its names and its id
        self.apart = 0
        for image in images:
            names = list(image["tags"]) or [image["id"].removeprefix("sha256:")[:12]]
            chain = chain_ids(image["diff_ids"]) or [
                image["id"]
            ]  # an image without layers stands alone
            steps = [
                entry
                for entry, diff_id in align_history(image["history"], image["diff_ids"])
                if diff_id
            ]
            for key, parent, step in zip(chain, [None, *chain], steps or [{}], strict=False):
                node = self.nodes.setdefault(key, ForestNode(key, parent, "", step.get("size", 0)))
                node.created_by = node.created_by or step.get("created_by", "")
                node.through += names
                self.apart += node.size
            self.nodes[chain[-1]].images += names
            self.chains.update(dict.fromkeys([image["id"], *names], chain))
        self.total = sum(node.size for node in self.nodes.values())
        self.shared = self.apart - self.total

    def to_json(self) -> dict[str, Any]:
        """Plain values for `labkit forest --json`."""
        return {
            "layers": [dict(vars(node)) for node in self.nodes.values()],
            "containers": self.containers,
            "total": self.total,
            "apart": self.apart,
            "shared": self.shared,
        }

    def tree(self, before: Forest | None = None, known: Container[str] | None = None) -> Tree:
        """The picture. Since `before`, new layers and containers are marked (unless `known`, by key), and those that
        are gone still shown."""
        from dataclasses import replace

        from labkit.show.trees import Tree

        old, new = (before or self)._drawn(), self._drawn()
        known = known or (old if before else new)
        return Tree(
            [
                *(replace(node, mark="" if key in known else "new") for key, node in new.items()),
                *(replace(node, mark="gone") for key, node in old.items() if key not in new),
            ]
        )

    def _drawn(self) -> dict[str, Node]:
        from labkit.show.trees import Node

        nodes = []
        for c in self.containers:  # before the layers: a short twig reads better above a long one
            changes = (
                [f"{c['changes']} change{'s' * (c['changes'] != 1)}"] if "changes" in c else []
            )
            nodes.append(
                Node(
                    c["id"],
                    c["name"],
                    self.chains.get(c["image_id"], [None])[-1],
                    " · ".join([c.get("state", ""), *changes]),
                    "container",
                )
            )
        nodes += [
            Node(
                key,
                instruction(node.created_by) or f"layer {key.removeprefix('sha256:')[:12]}",
                node.parent,
                humanise(node.size),
                "layer",
                tuple(node.images),
            )
            for key, node in self.nodes.items()
        ]
        return {node.key: node for node in nodes}
