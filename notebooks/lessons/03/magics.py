"""Tunnels in a notebook: ``%tunnel`` ``%tunnel_panel``."""

from __future__ import annotations

import ipywidgets as w
from IPython.core.magic import line_magic, magics_class

from labkit.magics import LessonMagics, put, shown
from labkit.messages import _
from labkit.net.engine import MODEL
from labkit.show import output as show
from labkit.show.panels import Panel, teaching
from labkit.words import split

from . import tunnelling
from .tunnels import TUNNEL_KINDS


class TunnelPanel(Panel):
    """Choose a tunnel and a text: the packet in its boxes, the wire as an eavesdropper sees it."""

    def __init__(self) -> None:
        self.kind = w.Dropdown(
            options=list(TUNNEL_KINDS),
            value="none",
            description=_("Tunnel"),
            layout={"width": "240px"},
        )
        self.text = w.Text(value=tunnelling.SECRET, description=_("Text"), layout={"width": "50%"})
        self.view = w.HTML()
        super().__init__(
            [w.HBox([self.kind, self.text], layout={"flex_flow": "row wrap"}), self.view],
            _("Tunnels (needs JupyterLab): {kinds}", kinds=", ".join(TUNNEL_KINDS)),
        )
        for control in (self.kind, self.text):
            control.observe(self._draw, "value")
        self._draw()

    def _draw(self, _change: object = None) -> None:
        badge = _(MODEL)
        with teaching(self.view, badge):
            answer = tunnelling.through(self.kind.value, self.text.value)
            self.view.value = f"{show.badge_html(badge)}{answer.html()}"


@magics_class
class MAGICS(LessonMagics):
    """The magics of tunnels, which are a model's."""

    @line_magic
    @shown(badge=False)
    def tunnel(self, line: str) -> None:
        """``%tunnel KIND ["text"]``: a packet through a tunnel, and the wire outside."""
        show.put(show.figure(_(MODEL), tunnelling.do(split(line))))

    @line_magic
    @shown(badge=False)
    def tunnel_panel(self, line: str) -> None:
        """``%tunnel_panel``: choose a tunnel, and see what an eavesdropper on the wire sees."""
        put(TunnelPanel())
