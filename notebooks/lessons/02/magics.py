"""``%net_panel`` ``%net_steps``, and ``%tunnel`` of lesson 03: a VLAN crosses others' networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from IPython.core.magic import line_magic, magics_class

from labkit.magics import LessonMagics, put, shown
from labkit.material import material

from .panels import NetPanel, StepsPanel

TUNNELS: Any = material(Path(__file__).parent.with_name("03")).magics


@magics_class
class MAGICS(LessonMagics):
    """The panels of the lesson's network, and the magics of lesson 03."""

    tunnel = line_magic(TUNNELS.tunnel)
    tunnel_panel = line_magic(TUNNELS.tunnel_panel)

    @line_magic
    @shown(badge=False)
    def net_panel(self, line: str) -> None:
        """``%net_panel``: choose the VLAN of each host's port, and see who reaches whom."""
        put(NetPanel(self.now().engine("net")))

    @line_magic
    @shown(badge=False)
    def net_steps(self, line: str) -> None:
        """``%net_steps``: go through the last journey, frame by frame."""
        put(StepsPanel(self.now().engine("net")))
