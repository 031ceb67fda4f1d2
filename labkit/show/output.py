"""What an output looks like: a badge that says live or replay, then the text; never a traceback.

Every output is one display with ``text/plain`` and ``text/html`` of the same content, so that it
reads the same in JupyterLab (light or dark), in a terminal, in a diff, and to nbval.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from html import escape
from typing import Any

from markupsafe import Markup

from labkit.messages import _
from labkit.show.look import SIGNS
from labkit.show.markup import Figure, macro

LINES = 40  # of an output before it scrolls
_ANSI = re.compile(  # ECMA-48; titles of an xterm
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])"
)
_part = partial(macro, "show/output.html")


def without_colours(text: str) -> str:
    """A program's text without what would colour it in a terminal."""
    return _ANSI.sub("", text)


def badge_html(badge: str) -> Markup:
    """The small line above an output, which begins with one of SIGNS, translated."""
    look = next(look for word, look in SIGNS.items() if badge.startswith(_(word)))
    return _part("badge", badge, look.sign, look.colour)


def pre(text: str, fold: bool = False) -> Markup:
    """Text as HTML, every space where it was; what is long scrolls, or lines ``fold``."""
    if not text:
        return Markup()
    space = "white-space:pre-wrap;word-break:normal;" if fold else "white-space:pre;"
    return _part("pre", text, space, text.count("\n") > LINES)


def output(badge: str, text: str, note: str = "") -> dict[str, str]:
    """A command's output as a mime bundle; ``note`` is our own line below the engine's words."""
    text = without_colours(text).rstrip("\n")
    tail = message("note", note)["text/html"] if note else ""
    return {
        "text/plain": "\n".join(filter(None, (badge, text, note))),
        "text/html": f"<div>{badge_html(badge)}{pre(text)}{tail}</div>",
    }


def figure(badge: str, shown: Figure) -> dict[str, str]:
    """A figure with its badge as a mime bundle."""
    return {
        "text/plain": f"{badge}\n{shown}",
        "text/html": f"<div>{badge_html(badge)}{shown.html()}</div>",
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """Rows as HTML; the last column may take several lines. "" without rows."""
    return _part("table", head, rows) if rows else Markup()


def message(kind: str, text: str, badge: str = "") -> dict[str, str]:
    """A line of our own: a verdict, a hint, a note. Backquotes mark commands."""
    look = SIGNS[kind]
    marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)).replace("\n", "<br>")
    head = badge_html(badge) if badge else Markup()
    return {
        "text/plain": "\n".join(filter(None, (badge, f"{look.sign} {text}"))),
        "text/html": str(_part("message", Markup(marked), look.sign, look.colour, head)),
    }


def put(bundle: Mapping[str, Any], display_id: bool | None = None) -> Any:
    """Show a mime bundle as this cell's output; with ``display_id`` return what updates it."""
    from IPython.display import display  # late: figures are drawn without a notebook, too

    return display(bundle, raw=True, display_id=display_id)
