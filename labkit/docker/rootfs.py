"""The root file system of an image: layers laid one over another.

A layer is unpacked by itself, then laid over those below, as the overlay2 driver does: no symbolic
link is followed to find a parent folder. Source: OCI image-spec, layer.md.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from labkit.docker.tar import LayerEntry
from labkit.errors import LabError

MAX_NAMES = 1 << 30  # characters of all paths in one image, each path counted 100 longer
WHITEOUT = ".wh."  # before the name of what is hidden
OPAQUE = ".wh..wh..opq"  # in a folder: all that lower layers have in it is hidden


@dataclass(slots=True, eq=False)
class File:
    """An inode, which its hard links share: two are the same only if they are one object."""

    kind: str  # as in LayerEntry
    size: int = 0  # bytes
    link: str = ""  # where a symbolic link leads


@dataclass(slots=True, eq=False)
class Folder:
    """A folder, of one layer by itself or of several merged."""

    owner: str = ""  # "mode:uid:gid", "" if no layer tells
    children: dict[str, FileOrFolder] = field(default_factory=dict)
    whiteouts: set[str] = field(default_factory=set)  # the names that a layer hides here
    opaque: bool = False  # it hides all

    def walk(self, above: str = "") -> Iterator[tuple[str, FileOrFolder]]:
        """Everything below, with its path, which begins with ``above``."""
        todo = [(above, self)]
        while todo:
            above, folder = todo.pop()
            for name, node in folder.children.items():
                yield above + name, node
                if isinstance(node, Folder):
                    todo.append((f"{above}{name}/", node))

    def file(self, path: str) -> File | None:
        """The file of that path, if it is one."""
        node: FileOrFolder | None = self
        for name in path.split("/"):
            node = node.children.get(name) if isinstance(node, Folder) else None
        return node if isinstance(node, File) else None


FileOrFolder = File | Folder


class RootFS:
    """The merged tree, which grows layer by layer. LabError beyond MAX_NAMES."""

    def __init__(self) -> None:
        self.root = Folder()
        self._names_left = MAX_NAMES

    def apply(self, entries: Iterable[LayerEntry]) -> tuple[int, list[str], list[str], list[str]]:
        """Lay one layer on top: bytes of its files; paths that it adds, changes, removes; sorted.

        A whiteout hides only what is in the layers below, wherever in its own tar it stands.
        """
        layer, size = self._unpack(entries)
        added: list[str] = []
        changed: list[str] = []
        removed: list[str] = []
        todo = [("", self.root, layer, layer.opaque)]
        while todo:
            above, lower, upper, hidden = todo.pop()
            held = lower.children.keys()
            hides = held if hidden else held & upper.whiteouts
            for name in hides - upper.children.keys():  # what both hold is replaced, not removed
                removed.append(above + name)
                removed.extend(_below(above + name, lower.children.pop(name)))
            for name, new in upper.children.items():
                path = above + name
                old = lower.children.get(name)
                if isinstance(old, Folder) and isinstance(new, Folder):
                    if new.owner:
                        if old.owner not in ("", new.owner):
                            changed.append(path)
                        old.owner = new.owner
                    all_hidden = hidden or new.opaque or name in upper.whiteouts
                    todo.append((path + "/", old, new, all_hidden))
                    continue
                if old:
                    changed.append(path)
                    removed.extend(_below(path, old))
                else:
                    added.append(path)
                added.extend(_below(path, new))
                lower.children[name] = new
        return size, sorted(added), sorted(changed), sorted(removed)

    def _unpack(self, entries: Iterable[LayerEntry]) -> tuple[Folder, int]:
        """One layer by itself, and its size: a later entry replaces an earlier one."""
        layer = Folder()
        total = 0
        folder = layer  # the one that the last entry was in
        folder_path = ""
        for kind, path, size, detail in entries:
            total += size
            self._count(path)
            parent, _slash, name = path.rpartition("/")
            name = sys.intern(name)  # which often stands in many folders
            if parent != folder_path:
                folder = self._folder(layer, parent)
                folder_path = parent
            if name == OPAQUE:
                folder.opaque = True
            elif name.startswith(WHITEOUT):
                folder.whiteouts.add(name.removeprefix(WHITEOUT))
            elif kind == "d":
                child = folder.children.get(name)
                if isinstance(child, Folder):
                    child.owner = detail
                elif name:  # else it is the root itself
                    folder.children[name] = Folder(detail)
            elif kind == "h":  # of this layer, else of one below, as containerd allows
                inode = layer.file(detail) or self.root.file(detail)
                folder.children[name] = inode or File("f")
            else:
                folder.children[name] = File(kind, size, detail)
        return layer, total

    def _count(self, path: str) -> None:
        self._names_left -= len(path) + 100
        if self._names_left < 0:
            raise LabError(
                "This image has more names than an image can sensibly have (millions): "
                "not read further."
            )

    def _folder(self, layer: Folder, path: str) -> Folder:
        """The folder of that path in a layer; it and its parents are made if missing."""
        folder = layer
        for name in path.split("/") if path else []:
            child = folder.children.get(name)
            if not isinstance(child, Folder):
                self._count(path)
                child = folder.children[name] = Folder()
            folder = child
        return folder


def _below(path: str, node: FileOrFolder) -> list[str]:
    """The paths below a folder; below a file there are none."""
    return [below for below, _node in node.walk(path + "/")] if isinstance(node, Folder) else []
