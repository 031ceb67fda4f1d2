"""The root file system of an image: layers laid one over another.

A layer is unpacked by itself, then laid over those below, as the overlay2 driver does: no symbolic
link is followed to find a parent folder. Source: OCI image-spec, layer.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from labkit.docker.listing import LayerEntry
from labkit.errors import LabError

MAX_NAMES = 1 << 30  # characters of all paths in one image, each path counted 100 longer
WHITEOUT = ".wh."  # before the name of what is hidden
OPAQUE = ".wh..wh..opq"  # in a folder: all that lower layers have in it is hidden


class File:
    """An inode, which its hard links share: two are the same only if they are one object.

    ``kind`` and ``link`` as in LayerEntry; ``size`` in bytes; ``shared``: it has had several names.
    """

    __slots__ = ("kind", "link", "shared", "size")

    def __init__(self, kind: str, size: int = 0, link: str = "") -> None:
        self.kind = kind
        self.size = size
        self.link = link
        self.shared = False


class Folder:
    """A folder. ``owner``: "mode:uid:gid", "" if no layer tells.

    In one layer by itself: ``whiteouts`` are the names it hides here; ``opaque``: it hides all.
    """

    __slots__ = ("children", "opaque", "owner", "whiteouts")
    kind, size, link = "d", 0, ""

    def __init__(self, owner: str = "") -> None:
        self.owner = owner
        self.children: dict[str, FileOrFolder] = {}
        self.whiteouts: set[str] = set()
        self.opaque = False

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
        folder = self
        *parents, last = path.split("/")
        for name in parents:
            child = folder.children.get(name)
            if not isinstance(child, Folder):
                return None
            folder = child
        node = folder.children.get(last)
        return node if isinstance(node, File) else None

    def add_folder(self, name: str, owner: str) -> None:
        """A folder over a folder is the same one, with the later owner."""
        child = self.children.get(name)
        if isinstance(child, Folder):
            child.owner = owner
        elif name:  # else it is the root itself
            self.children[name] = Folder(owner)

    def take_owner(self, owner: str) -> bool:
        """From a layer above; "" tells none. Is it another one than before?"""
        differs = bool(owner and self.owner and owner != self.owner)
        self.owner = owner or self.owner
        return differs

    def white_out(self, name: str) -> None:
        """Take note of a file whose name begins with WHITEOUT."""
        if name == OPAQUE:
            self.opaque = True
        else:
            self.whiteouts.add(name.removeprefix(WHITEOUT))


FileOrFolder = File | Folder


class Changes(NamedTuple):
    """What a layer does: the ``size`` of its files in bytes, and paths."""

    size: int
    added: list[str]
    changed: list[str]
    removed: list[str]

    def replace(self, path: str, old: FileOrFolder | None, new: FileOrFolder) -> None:
        if old is None:
            self.added.append(path)
        else:
            self.changed.append(path)
            self.removed.extend(_paths_below(path, old))
        self.added.extend(_paths_below(path, new))

    def remove(self, path: str, old: FileOrFolder) -> None:
        self.removed.append(path)
        self.removed.extend(_paths_below(path, old))


def _paths_below(path: str, node: FileOrFolder) -> list[str]:
    if isinstance(node, File):
        return []
    return [below for below, _node in node.walk(path + "/")]


class RootFS:
    """The merged tree, which grows layer by layer. LabError beyond MAX_NAMES."""

    def __init__(self) -> None:
        self.root = Folder()
        self._names_left = MAX_NAMES

    def apply(self, entries: Iterable[LayerEntry]) -> Changes:
        """Lay one layer on top: what it changes, paths sorted."""
        layer, size = self._unpack(entries)
        changes = Changes(size, [], [], [])
        self._merge(layer, changes)
        for paths in (changes.added, changes.changed, changes.removed):
            paths.sort()
        return changes

    def visible(self) -> int:
        """Bytes of data that some name still leads to."""
        total = 0
        shared: set[File] = set()
        for _path, node in self.root.walk():
            if isinstance(node, Folder):
                continue
            if node.shared:
                shared.add(node)
            else:
                total += node.size
        return total + sum(inode.size for inode in shared)

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
            if parent != folder_path:
                folder = self._folder(layer, parent)
                folder_path = parent
            if name.startswith(WHITEOUT):
                folder.white_out(name)
            elif kind == "d":
                folder.add_folder(name, owner=detail)
            elif kind == "h":
                folder.children[name] = self._linked(layer, detail)
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

    def _linked(self, layer: Folder, target: str) -> File:
        """The inode of a hard link: of this layer, else of one below, as containerd allows."""
        inode = layer.file(target) or self.root.file(target) or File("f")
        inode.shared = True
        return inode

    def _merge(self, layer: Folder, changes: Changes) -> None:
        """Lay a layer over the tree.

        What it hides is only what lies below it, wherever in its tar the whiteout stands.
        """
        todo = [("", self.root, layer, layer.opaque)]
        while todo:
            above, lower, upper, hidden = todo.pop()
            _remove_hidden(above, lower, upper, hidden, changes)
            for name, new in upper.children.items():
                path = above + name
                old = lower.children.get(name)
                if isinstance(old, Folder) and isinstance(new, Folder):
                    if old.take_owner(new.owner):
                        changes.changed.append(path)
                    all_hidden = hidden or new.opaque or name in upper.whiteouts
                    todo.append((path + "/", old, new, all_hidden))
                else:
                    changes.replace(path, old, new)
                    lower.children[name] = new


def _remove_hidden(
    above: str, lower: Folder, upper: Folder, hidden: bool, changes: Changes
) -> None:
    """Take out of a folder what the upper one hides: all if ``hidden``, else its whiteouts.

    What both hold is replaced later, not removed.
    """
    for name in list(lower.children) if hidden else upper.whiteouts:
        if name in lower.children and name not in upper.children:
            changes.remove(above + name, lower.children.pop(name))
