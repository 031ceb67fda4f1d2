"""An image as a chain of layers: what each adds, changes and hides; and all images of an engine as one forest.

A layer is unpacked by itself, then laid over those below, as the overlay2 driver does: a symbolic link is
never followed to find a parent folder. Source: OCI image-spec, layer.md and config.md.
"""
from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from labkit.commands import LabError

if TYPE_CHECKING:
    from labkit.trees import Tree

# One member of a layer's tar: kind (f file, d folder, l symbolic link, h hard link, c b p devices), path without
# a leading "/", size in bytes, and the link's target or a folder's "mode:uid:gid" in octal:decimal:decimal.
Entry = tuple[str, str, int, str]
Thing = Mapping[str, Any]
LAYERS = 1024  # more than any engine takes (Docker: 127)
BUDGET = 1 << 30  # characters of paths one image may need
METADATA = {"ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "MAINTAINER", "ONBUILD",
            "SHELL", "STOPSIGNAL", "USER", "VOLUME"}


def humanise(size: float) -> str:
    """Bytes in decimal units with three digits, as `docker images` prints them: 4.26MB."""
    for unit in ("B", "kB", "MB", "GB", "TB", "PB"):
        if float(f"{size:.3g}") < 1000:
            return f"{size:.3g}{unit}"
        size /= 1000
    return f"{size:.3g}EB"


def instruction(created_by: str) -> str:
    """The Dockerfile instruction in a history entry of the classic builder or of BuildKit, in one line."""
    text = " ".join(created_by.split()).removesuffix(" # buildkit")
    shell = re.match(r"(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c (#\(nop\) ?)?", text)
    return text if not shell else ("" if shell[1] else "RUN ") + text[shell.end():].lstrip()


def chain_ids(diff_ids: Iterable[str]) -> list[str]:
    """The ChainID of each layer: its own content and all below it (OCI image-spec, config.md, Layer ChainID)."""
    chain: list[str] = []
    for diff_id in diff_ids:
        pair = f"{chain[-1]} {diff_id}".encode("utf-8", "surrogatepass") if chain else b""
        chain.append("sha256:" + hashlib.sha256(pair).hexdigest() if chain else diff_id)
    return chain


def align_history(history: Sequence[Thing], diff_ids: Sequence[str]) -> list[tuple[Thing, str | None]]:
    """Pair each history entry, oldest first, with the diff_id of the layer it made, or None.

    An image's config says so itself (`empty`). An engine tells only sizes: what has bytes is a layer, then what
    can make files though it made none. If the count does not fit, each layer stands without an instruction.
    """
    if all("empty" in entry for entry in history):
        real = {n for n, entry in enumerate(history) if not entry["empty"]}
    else:
        real = {n for n, entry in enumerate(history) if entry.get("size")}
        verbs = [instruction(entry["created_by"]).partition(" ")[0].upper() for entry in history]
        spare = [n for n, verb in enumerate(verbs) if n not in real and verb not in METADATA]
        spare.sort(key=lambda n: verbs[n] not in ("ADD", "COPY", "RUN"))
        real.update(spare[:max(0, len(diff_ids) - len(real))])
    if len(real) != len(diff_ids):
        total = sum(entry.get("size") or 0 for entry in history)
        return [({"created_by": "", "size": total if n == len(diff_ids) else 0}, diff_id)
                for n, diff_id in enumerate(diff_ids, 1)]
    ids = iter(diff_ids)
    return [(entry, next(ids) if n in real else None) for n, entry in enumerate(history)]


def listing(found: Iterable[Entry]) -> Iterator[str]:
    """One line per entry, "kind size path", then a tab and the fourth field if any; for JSON that people read."""
    for kind, path, size, text in found:
        parts = (path, text) if text else (path,)
        if not (path.isprintable() and text.isprintable()) or "\\" in path or "\\" in text:
            parts = tuple(part.encode("unicode_escape").decode() for part in parts)
        yield f"{kind} {size} " + "\t".join(parts)


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """What :func:`listing` wrote. LabError if a line is not one of its own."""
    for line in lines:
        try:
            kind, size, rest = line.split(" ", 2)
            path, _, text = rest.partition("\t")
            if "\\" in rest:
                path, text = (part.encode("ascii").decode("unicode_escape") for part in (path, text))
            yield kind, path, int(size), text
        except (ValueError, AttributeError):
            raise LabError(f"{line!r:.60} is no line of a layer's listing: record the lesson again.") from None


class File:
    """An inode: a file, link or device. A hard link is the same object under a second name."""
    __slots__ = ("kind", "layer", "link", "linked", "size")

    def __init__(self, kind: str, size: int, link: str, layer: int) -> None:
        self.kind, self.size, self.link, self.layer, self.linked = kind, size, link, layer, False


class Dir(dict[str, "Dir | File"]):
    """A folder by name. `hides`: names whited out here; `opaque`: all below is hidden; `owner`: "" if not told."""
    __slots__ = ("hides", "layer", "opaque", "owner")

    def __init__(self, layer: int, owner: str = "") -> None:
        self.layer, self.owner, self.opaque = layer, owner, False
        self.hides: set[str] = set()


def _walk(folder: Dir, at: str = "") -> Iterator[tuple[str, Dir | File]]:
    """Everything below a folder whose path is `at`, with its path."""
    todo = [(folder, f"{at}/" if at else "")]
    while todo:
        folder, at = todo.pop()
        for name, node in folder.items():
            yield at + name, node
            if type(node) is Dir:
                todo.append((node, f"{at}{name}/"))


def _find(folder: Dir, path: str) -> File | None:
    node: Dir | File | None = folder
    for name in path.split("/"):
        if not isinstance(node, Dir):
            return None
        node = node.get(name)
    return node if isinstance(node, File) else None


class RootFS:
    """The merged tree, which grows layer by layer."""

    def __init__(self) -> None:
        self.root, self.left = Dir(0), BUDGET

    def apply(self, found: Iterable[Entry], layer: int) -> tuple[int, list[str], list[str], list[str]]:
        """Lay one layer on top: its size, and the paths it added, changed and removed, sorted."""
        upper, size = self._unpack(found, layer)
        return size, *self._merge(upper)

    def _unpack(self, found: Iterable[Entry], layer: int) -> tuple[Dir, int]:
        """One layer by itself: a later entry replaces an earlier one, but folder over folder merges."""
        top = here = Dir(layer)
        at, total = "", 0
        for kind, path, size, text in found:
            total += size
            self._spend(path)
            parent, _, name = path.rpartition("/")
            if parent != at:
                here, at = self._folder(top, parent, layer), parent
            if name[:4] == ".wh.":
                if name == ".wh..wh..opq":
                    here.opaque = True
                elif name[4:8] != ".wh.":  # else AUFS' own book-keeping
                    here.hides.add(name[4:])
            elif not name:
                continue  # the root itself
            elif kind == "d":
                old = here.get(name)
                if type(old) is Dir:
                    old.owner = text
                else:
                    here[name] = Dir(layer, text)
            elif kind == "h":  # to a file of this layer; if there is none, to one below, as containerd allows
                node = _find(top, text) or _find(self.root, text) or File("f", 0, "", layer)
                node.linked = True
                here[name] = node
            else:
                here[name] = File(kind, size, text, layer)
        return top, total

    def _spend(self, path: str) -> None:
        self.left -= len(path) + 100
        if self.left < 0:
            raise LabError("This image has more names than an image can sensibly have (millions): not read further.")

    def _folder(self, top: Dir, path: str, layer: int) -> Dir:
        at = 0
        for name in path.split("/") if path else ():
            at += len(name) + 1
            node = top.get(name)
            if type(node) is not Dir:
                self._spend(path[:at])
                node = top[name] = Dir(layer)
            top = node
        return top

    def _merge(self, upper: Dir) -> tuple[list[str], list[str], list[str]]:
        """Overlay `upper`; what it hides is only what lies below it, wherever in its tar it says so."""
        added: list[str] = []
        changed: list[str] = []
        removed: list[str] = []
        todo = [(self.root, upper, "", False)]
        while todo:
            low, up, at, hidden = todo.pop()
            hidden = hidden or up.opaque
            for name in [name for name in (low if hidden else up.hides) if name in low and name not in up]:
                old = low.pop(name)
                removed.append(at + name)
                if isinstance(old, Dir):
                    removed.extend(path for path, _ in _walk(old, at + name))
            for name, new in up.items():
                before, path = low.get(name), at + name
                if type(before) is Dir and type(new) is Dir:
                    if new.owner and new.owner != before.owner:
                        if before.owner:
                            changed.append(path)
                            before.layer = new.layer
                        before.owner = new.owner
                    todo.append((before, new, path + "/", hidden or name in up.hides))
                    continue
                (added if before is None else changed).append(path)
                if type(before) is Dir:
                    removed.extend(path for path, _ in _walk(before, path))
                if type(new) is Dir:
                    added.extend(path for path, _ in _walk(new, path))
                low[name] = new
        return sorted(added), sorted(changed), sorted(removed)

    def visible(self) -> int:
        """Bytes of data that some name still leads to, each inode once."""
        linked = {id(node): node.size for _, node in _walk(self.root) if type(node) is File and node.linked}
        return sum(linked.values()) + sum(
            node.size for _, node in _walk(self.root) if type(node) is File and not node.linked)


class Layer:
    """One step of an image. `empty` steps (CMD, ENV, …) have no diff_id and keep the ChainID below them.

    `size`: bytes of its files; `added`, `changed`, `removed`: paths. A file is changed if the layer holds it
    again, even with the same bytes; a folder only if its mode or owner differs.
    """

    def __init__(self, diff_id: str | None, chain_id: str | None, created_by: str) -> None:
        self.diff_id, self.chain_id, self.created_by, self.empty = diff_id, chain_id, created_by, diff_id is None
        self.size = 0
        self.added: list[str] = []
        self.changed: list[str] = []
        self.removed: list[str] = []


class Image:
    """An image taken apart into `layers`; `size` and `wasted` in bytes.

    `wasted`: bytes in layers that no name in the final root file system leads to; `efficiency`: the visible part
    of `size`, 1.0 for an image without bytes. `config`: {"diff_ids": […], "history": [{"created_by", "empty"}]}.
    """

    def __init__(self, image: str, id: str, config: Thing, found: Sequence[Callable[[], Iterable[Entry]]]) -> None:
        self.image, self.id, self.config, self._found = image, id, config, list(found)
        self.layers: list[Layer] = []
        diff_ids, merged = config["diff_ids"], RootFS()
        if len(diff_ids) > LAYERS:
            raise LabError(f"{image}: it has {len(diff_ids)} layers and no engine takes more than {LAYERS}.")
        chain, below = iter(chain_ids(diff_ids)), None
        for entry, diff_id in align_history(config["history"], diff_ids):
            below = below if diff_id is None else next(chain)
            self.layers.append(Layer(diff_id, below, entry["created_by"]))
        for index, layer, source in self._laid():
            layer.size, layer.added, layer.changed, layer.removed = merged.apply(source(), index)
        self.size = sum(layer.size for layer in self.layers)
        visible = merged.visible()
        self.wasted, self.efficiency = self.size - visible, visible / self.size if self.size else 1.0

    @classmethod
    def from_listings(cls, image: str, id: str, config: Thing, found: Mapping[str, Sequence[str]]) -> Image:
        """An image from the :func:`listing` of each of its layers by diff_id, without an archive."""
        if lost := [diff_id for diff_id in config["diff_ids"] if diff_id not in found]:
            raise LabError(f"{image}: the listing of layer {lost[0]:.19} is missing: record the lesson again.")
        return cls(image, id, config, [partial(entries, found[diff_id]) for diff_id in config["diff_ids"]])

    def listings(self) -> dict[str, list[str]]:
        """The :func:`listing` of each layer by diff_id: what :meth:`from_listings` needs, with ``config``."""
        pairs = zip(self.config["diff_ids"], self._found, strict=True)
        return {diff_id: list(listing(source())) for diff_id, source in pairs}

    def _laid(self) -> Iterator[tuple[int, Layer, Callable[[], Iterable[Entry]]]]:
        full = [(n, layer) for n, layer in enumerate(self.layers) if not layer.empty]
        return ((n, layer, source) for (n, layer), source in zip(full, self._found, strict=True))

    def tree(self, n: int | None = None) -> dict[str, tuple[str, int, str, int]]:
        """The merged tree after the first `n` of `layers` (default all): path → (kind, size, link, layer index).

        The index is that of the layer whose content is seen. An archive is read again for this.
        """
        merged = RootFS()
        for index, _, source in self._laid():
            if n is None or index < n:
                merged.apply(source(), index)
        return {path: ("d", 0, "", node.layer) if isinstance(node, Dir) else
                (node.kind, node.size, node.link, node.layer) for path, node in sorted(_walk(merged.root))}

    def to_json(self) -> dict[str, Any]:
        """Plain values for `labkit layers --json`."""
        return {"image": self.image, "layers": [{
            "diff_id": layer.diff_id, "chain_id": layer.chain_id, "created_by": layer.created_by,
            "empty": layer.empty, "size": layer.size, "added": layer.added, "changed": layer.changed,
            "removed": layer.removed} for layer in self.layers],
            "size": self.size, "wasted": self.wasted, "efficiency": self.efficiency}

    def __str__(self) -> str:
        from labkit.trees import clean, shorten

        rows = [["", "size", "+", "~", "−", "instruction"]]
        for n, layer in enumerate(self.layers, 1):
            counts = ["", "", ""] if layer.empty else [
                str(len(paths)) for paths in (layer.added, layer.changed, layer.removed)]
            rows.append([str(n), "" if layer.empty else humanise(layer.size), *counts,
                         shorten(clean(instruction(layer.created_by)), 72)])
        wide = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = ["  ".join([f"{text:>{width}}" for text, width in zip(row, wide, strict=False)] + row[5:]).rstrip()
                 for row in rows]
        return "\n".join([clean(self.image), *lines, f"size {humanise(self.size)}, wasted {humanise(self.wasted)}, "
                          f"efficiency {self.efficiency:.2f}"])

    __repr__ = __str__


class ForestNode:
    """A layer in the forest, by ChainID. `images`: names of those that end here; `through`: of all that use it."""

    def __init__(self, key: str, parent: str | None, created_by: str, size: int) -> None:
        self.key, self.parent, self.created_by, self.size = key, parent, created_by, size
        self.images: list[str] = []
        self.through: list[str] = []


class Forest:
    """All images by ChainID. `total`: bytes with each layer once; `apart`: sum of all images; `shared`: the rest."""

    def __init__(self, images: Iterable[Thing], containers: Iterable[Thing] = ()) -> None:
        self.nodes: dict[str, ForestNode] = {}
        self.chains: dict[str, list[str]] = {}  # each name of each image, and its id → its layers, lowest first
        self.containers, self.apart = list(containers), 0
        for image in images:
            names = list(image["tags"]) or [image["id"].removeprefix("sha256:")[:12]]
            chain = chain_ids(image["diff_ids"]) or [image["id"]]  # an image without layers stands alone
            steps = [entry for entry, diff_id in align_history(image["history"], image["diff_ids"]) if diff_id]
            for key, parent, step in zip(chain, [None, *chain], steps or [{}], strict=False):
                node = self.nodes.setdefault(key, ForestNode(key, parent, "", step.get("size") or 0))
                node.created_by = node.created_by or step.get("created_by", "")
                node.through += names
                self.apart += node.size
            self.nodes[chain[-1]].images += names
            self.chains.update(dict.fromkeys([*names, image["id"]], chain))
        self.total = sum(node.size for node in self.nodes.values())
        self.shared = self.apart - self.total

    def between(self, a: str, b: str) -> list[str]:
        """ChainIDs of the layers two images share, lowest first. LabError for an unknown name or id."""
        for name in (a, b):
            if name not in self.chains:
                raise LabError(f"There is no image {name} in this forest; it has {', '.join(sorted(self.chains)[:8])}.")
        return [key for key in self.chains[a] if key in self.chains[b]]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `labkit forest --json`."""
        return {"layers": [{"chain_id": node.key, "parent": node.parent, "created_by": node.created_by,
                            "size": node.size, "images": node.images, "through": node.through}
                           for node in self.nodes.values()],
                "containers": [{"id": c["id"], "name": c["name"], "image_id": c["image_id"]} for c in self.containers],
                "apart": self.apart, "total": self.total, "shared": self.shared}

    def tree(self, before: Forest | None = None) -> Tree:
        """The picture; since `before`, new layers and containers are marked, and gone ones still shown."""
        from labkit.trees import Node, Tree

        now = {node.key: node for node in self._drawn()}
        old = {node.key: node for node in before._drawn()} if before else now

        def marked(node: Node, mark: str) -> Node:
            return Node(node.key, node.label, node.parent, node.note, node.kind, node.names, mark)

        return Tree([*(node if key in old else marked(node, "new") for key, node in now.items()),
                     *(marked(node, "gone") for key, node in old.items() if key not in now)])

    def _drawn(self) -> Iterator[Any]:
        from labkit.trees import Node

        for node in self.nodes.values():
            label = instruction(node.created_by) or f"layer {node.key.removeprefix('sha256:')[:12]}"
            yield Node(node.key, label, node.parent, humanise(node.size), "layer", tuple(node.images))
        for c in self.containers:
            changes = f" · {c['changes']} changes" if "changes" in c else ""
            yield Node(c["id"], c["name"], self.chains.get(c["image_id"], [None])[-1],
                       f"{c.get('state', '')}{changes}", "container")


def forest(images: Iterable[Thing], containers: Iterable[Thing] = ()) -> Forest:
    """Images as {"id", "tags", "diff_ids", "history": [{"created_by", "size"}]}, oldest first, and containers as
    {"id", "name", "image_id"}, with "state" and "changes" (number of paths) if known."""
    return Forest(images, containers)


def diff(old: Forest, new: Forest) -> tuple[list[str], list[str]]:
    """ChainIDs that are new, and those that are gone."""
    return [key for key in new.nodes if key not in old.nodes], [key for key in old.nodes if key not in new.nodes]
