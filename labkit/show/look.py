"""How things look in every lesson: colours, signs, dashes and outlines, and the ink of the page."""

from __future__ import annotations

from math import cos, pi, sin
from typing import NamedTuple

Points = tuple[tuple[float, float], ...]


class Look(NamedTuple):
    """How a kind or a mark looks in every lesson; colours: Okabe and Ito, "Color Universal Design" (2008)."""

    colour: str
    sign: str  # one character for text
    dash: str = ""  # of the outline, as in SVG
    outline: Points = ()  # px around the centre


def _arc(
    y: float, start: float, stop: float, rx: float = 7.5, ry: float = 2.5, steps: int = 6
) -> Points:
    turns = [pi * (start + (stop - start) * i / steps) for i in range(steps + 1)]
    return tuple((round(rx * cos(t), 1), round(y + ry * sin(t), 1)) for t in turns)


def _box(x: float, y: float) -> Points:
    return (-x, -y), (x, -y), (x, y), (-x, y)


_LID = _arc(-4.5, 1, 0)

_SCREEN = (-9.0, -7.5), (9.0, -7.5), (9.0, 3.5), (2.0, 3.5), (2.0, 6.0), (5.0, 6.0), (5.0, 7.5)

KINDS = {
    "image": Look("#0072B2", "◆", "", _arc(0, 0, 2, 8.5, 8.5, 4)),
    "layer": Look("#56B4E9", "■", "", _box(9, 5)),
    "container": Look("#E69F00", "□", "3 2", _box(7, 7)),
    "machine": Look("#CC79A7", "▣", "", (*_SCREEN, *((-x, y) for x, y in _SCREEN[::-1]))),
    "state": Look("#CC79A7", "▷", "", ((-6, -7), (8, 0), (-6, 7))),
    "snapshot": Look("#009E73", "●", "", _arc(0, 0, 2, 7, 7, 20)),
    "disk": Look("#F0E442", "▬", "", _LID + _arc(-4.5, 2, 1) + _arc(5, 1, 0) + _LID[::-1]),
}

MARKS = {
    "": Look("", " "),
    "new": Look("#009E73", "+"),
    "gone": Look("#D55E00", "−", "2 2"),
    "shared": Look("#CC79A7", "=", "1 2"),
    "current": Look("#E69F00", "▶"),
}

LOOKS = KINDS | MARKS

STRONG = ("new", "current")  # marks drawn thick and bold

INK = "currentColor;%s:var(--jp-content-font-color1,currentColor)"  # JupyterLab's text colour, or the page's
