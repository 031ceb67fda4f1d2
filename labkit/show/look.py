"""How things look in every lesson: one palette, and the same sign and shape for the same thing.

Signs and shapes carry the meaning; colours only repeat it, so that grey printers and colour-blind
eyes miss nothing. Source of the palette: Okabe and Ito, "Color Universal Design" (2008).
"""

from __future__ import annotations

from math import cos, pi, sin
from typing import NamedTuple

from labkit.messages import N_

BLUE = "#0072B2"
SKY = "#56B4E9"
GREEN = "#009E73"
YELLOW = "#F0E442"
ORANGE = "#E69F00"
VERMILION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#808080"
PAD = 16  # px of margin around a picture

Points = tuple[tuple[float, float], ...]


def ink(attribute: str) -> str:
    """The value of ``fill`` or ``stroke`` that is the page's text colour, or JupyterLab's."""
    return f"currentColor;{attribute}:var(--jp-content-font-color1,currentColor)"


class Look(NamedTuple):
    """How one kind of thing looks."""

    colour: str
    sign: str  # one character, for text
    dash: str = ""  # of its outline, as in SVG
    outline: Points = ()  # px around the centre

    def corners(self, x: float, y: float) -> str:
        """The outline around a point, as SVG takes it."""
        return " ".join(f"{x + dx:g},{y + dy:g}" for dx, dy in self.outline)


def _arc(
    y: float, start: float, stop: float, rx: float = 7.5, ry: float = 2.5, steps: int = 6
) -> Points:
    """Part of an ellipse around (0, y), from one multiple of π to another."""
    turns = [pi * (start + (stop - start) * i / steps) for i in range(steps + 1)]
    return tuple((round(rx * cos(turn), 1), round(y + ry * sin(turn), 1)) for turn in turns)


_LID = _arc(-4.5, 1, 0)
_SCREEN = (-9.0, -7.5), (9.0, -7.5), (9.0, 3.5), (2.0, 3.5), (2.0, 6.0), (5.0, 6.0), (5.0, 7.5)

# What an output is: what its badge begins with, or the kind of a message of ours.
SIGNS = {
    N_("live"): Look(GREEN, "●"),
    N_("replay"): Look(BLUE, "↻"),
    N_("model"): Look(PURPLE, "◇"),
    "pass": Look(GREEN, "✔"),
    "fail": Look(VERMILION, "✘"),
    "unknown": Look(PURPLE, "?"),
    "note": Look(BLUE, "ℹ"),  # noqa: RUF001
    "ask": Look(BLUE, "?"),
}
# The things of a tree, and how they are marked; legends show the words.
SHAPES = {
    N_("image"): Look(BLUE, "◆", "", _arc(0, 0, 2, 8.5, 8.5, 4)),
    N_("layer"): Look(SKY, "■", "", ((-9, -5), (9, -5), (9, 5), (-9, 5))),
    N_("container"): Look(ORANGE, "□", "3 2", ((-7, -7), (7, -7), (7, 7), (-7, 7))),
    N_("machine"): Look(PURPLE, "▣", "", (*_SCREEN, *((-x, y) for x, y in reversed(_SCREEN)))),
    N_("state"): Look(PURPLE, "▷", "", ((-6, -7), (8, 0), (-6, 7))),
    N_("snapshot"): Look(GREEN, "●", "", _arc(0, 0, 2, 7, 7, 20)),
    N_("disk"): Look(YELLOW, "▬", "", _LID + _arc(-4.5, 2, 1) + _arc(5, 1, 0) + _LID[::-1]),
}
MARKS = {
    "": Look("", " "),
    N_("new"): Look(GREEN, "+"),
    N_("gone"): Look(VERMILION, "−", "2 2"),
    N_("shared"): Look(PURPLE, "=", "1 2"),
    N_("current"): Look(ORANGE, "▶"),
}
