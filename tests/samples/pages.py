"""What a piece of HTML or a panel holds, read without a browser."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import ipywidgets as w

from labkit.show.panels import Panel

CHOOSING = {w.Dropdown, w.IntSlider, w.SelectionSlider}


class Page(HTMLParser):
    """Tags and text of a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(str(html))  # Markup would escape what it is added to

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self.text += "\n" if tag in ("div", "pre", "br") else ""

    def handle_data(self, data: str) -> None:
        self.text += data


def inside(panel: w.Widget) -> list[w.Widget]:
    """All widgets of a panel, outermost first."""
    return [panel, *(found for child in getattr(panel, "children", ()) for found in inside(child))]


def the(kind: type[w.Widget], panel: w.Widget) -> list[Any]:
    return [found for found in inside(panel) if type(found) is kind]


def named(panel: w.Widget, description: str) -> Any:
    return next(found for found in the(w.Button, panel) if found.description == description)


def text(html: str) -> str:
    return re.sub(r"\s+", " ", Page(html).text)


def keyboard_only(panel: w.Widget) -> None:
    """Nothing but ipywidgets' own controls, each with a name to be read aloud."""
    boxes, controls = {w.VBox, w.HBox, w.HTML, w.RadioButtons}, {w.Button, w.Text, *CHOOSING}
    for part in inside(panel)[1:]:
        assert type(part) in boxes | controls
        if type(part) is w.HTML:
            assert "tabindex" not in part.value and "onclick" not in part.value
        if type(part) in controls:
            assert part.description


class Played:
    """A panel: click, and read what it shows; what goes wrong is one line and no exception."""

    def __init__(self, panel: Panel) -> None:
        self.panel, self.view = panel, the(w.HTML, panel)[-1]

    def __getitem__(self, name: str) -> Any:
        """A button, or the control of that description."""
        known = {getattr(part, "description", ""): part for part in inside(self.panel)}
        return known[name]

    def click(self, *names: str) -> str:
        """What the panel says after the last of these buttons, without its pictures."""
        for name in names:
            assert not self[name].disabled
            self[name].click()
        assert "Traceback" not in self.view.value
        return text(re.sub("(?s)<svg.*?</svg>", "", self.view.value))

    @property
    def drawn(self) -> list[str]:
        """What each picture says of itself, to those who cannot see it."""
        return [text(found) for found in re.findall("(?s)<desc>.*?</desc>", self.view.value)]

    @property
    def asks(self) -> bool:
        """Whether it waits for a yes."""
        return bool(self["Yes, do it"].layout.display != "none")

    def refuses(self, said: str) -> bool:
        """Whether it shows one line with these words, and no picture."""
        line = text(self.view.value)
        return not self.drawn and line.count("?") == 1 and said in line and len(line) < 500
