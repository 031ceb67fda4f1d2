"""Layers at random, and a plain model of what they make of a file system."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from labkit.docker.tar import LayerEntry


class Inode:
    """What all names of a file share."""

    def __init__(self, kind: str, size: int) -> None:
        self.kind = kind
        self.size = size


class Node(NamedTuple):
    """What stands under a path: a folder, or a name of an inode."""

    owner: str = ""
    inode: Inode | None = None

    @property
    def kind(self) -> str:
        return self.inode.kind if self.inode else "d"


def above(path: str) -> list[str]:
    """The folders that a path is in, the root first."""
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(len(parts))]


class Unpacked:
    """One layer by itself: what stands under each path, and what it hides of those ``below``."""

    def __init__(self, layer: Sequence[LayerEntry], below: Mapping[str, Node]) -> None:
        self.nodes: dict[str, Node] = {}
        self.white: set[str] = set()
        self.opaque: set[str] = set()
        for entry in layer:
            self._put(entry, below)

    def _put(self, entry: LayerEntry, below: Mapping[str, Node]) -> None:
        kind, path, size, detail = entry
        for parent in above(path)[1:]:
            if parent not in self.nodes or self.nodes[parent].inode:
                self.nodes[parent] = Node()
        folder, _, name = path.rpartition("/")
        if name == ".wh..wh..opq":
            self.opaque.add(folder)
        elif name.startswith(".wh."):
            self.white.add(f"{folder}/{name[4:]}".lstrip("/"))
        elif kind == "d":
            self.nodes[path] = Node(detail)
        else:
            inode = Inode("f" if kind == "h" else kind, size)
            if kind == "h":
                linked = [nodes[detail].inode for nodes in (self.nodes, below) if detail in nodes]
                inode = next(filter(None, linked), inode)
            self._empty(path)
            self.nodes[path] = Node("", inode)

    def _empty(self, path: str) -> None:
        """What replaces a folder takes away all that was in it, its whiteouts too."""
        for other in [other for other in self.nodes if other.startswith(path + "/")]:
            del self.nodes[other]
        self.white = {other for other in self.white if not other.startswith(path + "/")}
        self.opaque = {other for other in self.opaque if path not in [*above(other), other]}

    def hides(self, path: str) -> bool:
        """Does this layer, which does not hold ``path``, hide what lower ones have there?"""
        if path in self.white or self.opaque.intersection(above(path)):
            return True
        folders = above(path)[1:]
        replaced = [folder for folder in folders if self.nodes.get(folder, Node()).inode]
        return bool(replaced or self.white.intersection(folders))


def look_up(path: str, laid: Sequence[Unpacked]) -> Node | None:
    """What a path leads to, from the top layer down."""
    for layer in reversed(laid):
        if path in layer.nodes:
            return layer.nodes[path]
        if layer.hides(path):
            return None
    return None


def model(layers: Sequence[Sequence[LayerEntry]]) -> dict[str, Any]:
    """Everything about an image, slowly."""
    laid: list[Unpacked] = []
    before: dict[str, Node] = {}
    owners: dict[str, str] = {}
    steps = []
    for layer in layers:
        top = Unpacked(layer, before)
        laid.append(top)
        seen = {path: look_up(path, laid) for one in laid for path in one.nodes}
        after = {path: node for path, node in seen.items() if node}
        changed = []
        for path in before.keys() & top.nodes.keys():
            old, new = before[path], top.nodes[path]
            if old.inode or new.inode or (owners[path] and new.owner not in ("", owners[path])):
                changed.append(path)
        owners = {
            path: top.nodes.get(path, Node()).owner or owners.get(path, "")
            for path, node in after.items()
            if not node.inode
        }
        tree = {
            path: (node.kind, node.inode.size if node.inode else 0) for path, node in after.items()
        }
        steps.append(
            {
                "size": sum(entry.size for entry in layer),
                "added": sorted(after.keys() - before.keys()),
                "changed": sorted(changed),
                "removed": sorted(before.keys() - after.keys()),
                "tree": tree,
            }
        )
        before = after
    visible = sum(inode.size for inode in {node.inode for node in before.values()} if inode)
    total = sum(step["size"] for step in steps)
    return {"layers": steps, "size": total, "wasted": total - visible}


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)


def entries(kind: str, path: st.SearchStrategy[str], **more: st.SearchStrategy[Any]) -> Any:
    fields = {"size": st.just(0), "detail": st.just(""), **more}
    return st.builds(LayerEntry, st.just(kind), path, **fields)


def whiteout(path: str) -> str:
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}.wh.{name}"


some_entry = st.one_of(
    entries("f", names, size=st.integers(0, 9)),
    entries("d", names, detail=st.sampled_from(["755:0:0", "700:0:0", "755:5:0"])),
    entries("l", names, detail=names),
    entries("h", names, detail=names),
    entries("f", names.map(whiteout)),
    entries("f", names.map("{}/.wh..wh..opq".format)),
    entries("f", st.just(".wh..wh..opq")),
)
some_image = st.lists(st.lists(some_entry, max_size=8), min_size=1, max_size=4)
