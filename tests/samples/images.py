"""Layers at random, and a plain model of what they make of a file system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from labkit.docker.layers import (
    Entry,
)


class Unpacked:
    """One layer as a dictionary from path to (kind, owner, inode)."""

    def __init__(
        self, layer: Sequence[Entry], number: int, below: dict[str, Any], sizes: dict[Any, int]
    ) -> None:
        self.nodes: dict[str, tuple[str, str, Any]] = {}
        self.white: set[str] = set()
        self.opaque: set[str] = set()
        for place, (kind, path, size, text) in enumerate(layer):
            parts = path.split("/")
            for depth in range(1, len(parts)):
                parent = "/".join(parts[:depth])
                if self.nodes.get(parent, ("", "", None))[0] != "d":
                    self.nodes[parent] = ("d", "", None)
            folder, name = "/".join(parts[:-1]), parts[-1]
            inode = (number, place)
            sizes[inode] = size
            if name == ".wh..wh..opq":
                self.opaque.add(folder)
            elif name.startswith(".wh."):
                self.white.add(f"{folder}/{name[4:]}".lstrip("/"))
            elif kind == "d":
                self.nodes[path] = ("d", text, None)
            else:
                if kind == "h":
                    for candidates in (self.nodes, below):
                        node = candidates.get(text)
                        if node and node[0] != "d":
                            kind, _, inode = node
                            break
                    else:
                        kind = "f"
                for other in [other for other in self.nodes if other.startswith(path + "/")]:
                    del self.nodes[other]
                self.nodes[path] = (kind, "", inode)

    def hides(self, path: str) -> bool:
        """Does this layer, which does not hold `path`, hide what lower ones have there?"""
        parts = path.split("/")
        above = ["/".join(parts[:depth]) for depth in range(len(parts))]
        return (
            path in self.white
            or any(parent in self.opaque for parent in above)
            or any(parent in self.white for parent in above if parent)
            or any(self.nodes.get(parent, ("d",))[0] != "d" for parent in above if parent)
        )


def model(layers: Sequence[Sequence[Entry]]) -> dict[str, Any]:
    """Everything about an image, slowly."""
    sizes: dict[Any, int] = {}
    laid: list[Unpacked] = []
    before: dict[str, Any] = {}
    owners: dict[str, str] = {}
    steps = []
    for number, layer in enumerate(layers):
        laid.append(Unpacked(layer, number, before, sizes))
        after = {}
        for path in {path for one in laid for path in one.nodes}:
            for one in reversed(laid):
                if path in one.nodes:
                    after[path] = one.nodes[path]
                    break
                if one.hides(path):
                    break
        changed = []
        for path in before.keys() & after.keys():
            mine = laid[-1].nodes.get(path)
            if mine and mine[0] == before[path][0] == "d":
                if mine[1] and owners[path] and mine[1] != owners[path]:
                    changed.append(path)
            elif mine:
                changed.append(path)
        owners = {
            path: (
                laid[-1].nodes.get(path, ("", "", None))[1]
                or (owners.get(path, "") if path in before else "")
            )
            for path, node in after.items()
            if node[0] == "d"
        }
        steps.append(
            {
                "size": sum(entry[2] for entry in layer),
                "added": sorted(after.keys() - before.keys()),
                "changed": sorted(changed),
                "removed": sorted(before.keys() - after.keys()),
                "tree": {
                    path: (kind, sizes.get(inode, 0)) for path, (kind, _, inode) in after.items()
                },
            }
        )
        before = after
    visible = sum(sizes[inode] for inode in {node[2] for node in before.values() if node[2]})
    total = sum(step["size"] for step in steps)
    return {"layers": steps, "size": total, "wasted": total - visible}


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map("/".join)


some_entry = st.one_of(
    st.tuples(st.just("f"), names, st.integers(0, 9), st.just("")),
    st.tuples(st.just("d"), names, st.just(0), st.sampled_from(["755:0:0", "700:0:0", "755:5:0"])),
    st.tuples(st.just("l"), names, st.just(0), names),
    st.tuples(st.just("h"), names, st.just(0), names),
    names.map(
        lambda path: ("f", "/".join([*path.split("/")[:-1], ".wh." + path.split("/")[-1]]), 0, "")
    ),
    names.map(lambda path: ("f", path + "/.wh..wh..opq", 0, "")),
    st.just(("f", ".wh..wh..opq", 0, "")),
)


some_image = st.lists(st.lists(some_entry, max_size=8), min_size=1, max_size=4)
