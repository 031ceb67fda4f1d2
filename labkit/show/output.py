"""What an output looks like: a badge that says live or replay, then the text; never a traceback.

Every output is one display with ``text/plain`` and ``text/html`` of the same content, so that it reads
the same in JupyterLab (light or dark), in a terminal, in a diff, and to nbval.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from labkit.show.figure import Figure

# Signs carry the meaning; the colours (Okabe-Ito, safe for colour-blind eyes) only repeat it.
KINDS = {
    "live": ("●", "#009E73"),
    "replay": ("↻", "#0072B2"),
    "pass": ("✔", "#009E73"),
    "fail": ("✘", "#D55E00"),
    "unknown": ("?", "#CC79A7"),
    "note": ("ℹ", "#0072B2"),
    "model": ("◇", "#CC79A7"),
    "ask": ("?", "#0072B2"),
}  # noqa: RUF001
LINES = 40  # of an output before it scrolls
_PRE = (
    "margin:0;padding:.5em .8em;overflow-x:auto;white-space:pre;line-height:1.35;font-size:13px;"
    "background:var(--jp-layout-color2,#f4f4f4);color:var(--jp-content-font-color1,#111);border-radius:4px"
)
_ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-~])"
)  # ECMA-48; xterm titles


def badge_html(badge: str) -> str:
    """The small line above an output."""
    sign, colour = KINDS[badge.split(" ")[0]]
    return (
        f'<div style="font:12px var(--jp-ui-font-family,sans-serif);color:var(--jp-content-font-color2,#555);'
        f'margin-bottom:2px"><span aria-hidden="true" style="color:{colour}">{sign}</span> {escape(badge)}</div>'
    )


def pre(text: str, fold: bool = False) -> str:
    """Text as HTML, every space where it was; what is long scrolls, or lines ``fold``."""
    style = (
        _PRE.replace("white-space:pre;", "white-space:pre-wrap;word-break:normal;")
        if fold
        else _PRE
    )
    tall = ';max-height:32em;overflow-y:auto" tabindex="0' if text.count("\n") > LINES else ""
    return f'<pre style="{style}{tall}">{escape(text)}</pre>' if text else ""


def output(badge: str, text: str, note: str = "") -> dict[str, str]:
    """A command's output as a mime bundle; ``note`` is our own line below the engine's words."""
    text = _ANSI.sub("", text).rstrip("\n")
    body = pre(text)
    tail = message("note", note)["text/html"] if note else ""
    plain = "\n".join(part for part in (badge, text, note) if part)
    return {"text/plain": plain, "text/html": f"<div>{badge_html(badge)}{body}{tail}</div>"}


def figure(badge: str, shown: Figure) -> dict[str, str]:
    """A figure with its badge as a mime bundle."""
    return {
        "text/plain": f"{badge}\n{shown}",
        "text/html": f"<div>{badge_html(badge)}{shown.html()}</div>",
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows as HTML; the last column may take several lines. "" without rows."""

    def cells(row: Sequence[str], tag: str) -> str:
        return "".join(
            f'<{tag} style="text-align:left;padding:1px 1em 1px 0;vertical-align:top;'
            f'white-space:{"normal" if at == len(row) - 1 else "nowrap"}">{escape(text)}</{tag}>'
            for at, text in enumerate(row)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    style = _PRE.replace("white-space:pre;", "") + ";border-collapse:collapse;display:block"
    return f'<table style="{style}"><tr>{cells(head, "th")}</tr>{body}</table>' if rows else ""


def message(kind: str, text: str, badge: str = "") -> dict[str, str]:
    """A line of our own: a verdict, a hint, a note. Backquotes mark commands."""
    sign, colour = KINDS[kind]
    html = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text)).replace("\n", "<br>")
    head = badge_html(badge) if badge else ""
    box = f"border-left:4px solid {colour};padding:.35em .8em;margin:.3em 0;line-height:1.5"
    return {
        "text/plain": (f"{badge}\n" if badge else "") + f"{sign} {text}",
        "text/html": f'<div>{head}<div style="{box}"><strong style="color:{colour}" aria-hidden="true">{sign}'
        f"</strong> {html}</div></div>",
    }


def put(bundle: Mapping[str, Any], display_id: bool | None = None) -> Any:
    """Show a mime bundle as this cell's output; with ``display_id``, return the handle to update it."""
    from IPython.display import display

    return display(bundle, raw=True, display_id=display_id)


class Live:
    """One output that grows while a command runs and ends as the final one.

    ``LABKIT_PROGRESS=off`` shows only the end (nbval knows no updates of a display).
    """

    def __init__(self) -> None:
        self.handle: Any = None
        self._text = ""
        self._enabled = os.environ.get("LABKIT_PROGRESS") != "off"

    @property
    def hear(self) -> Callable[[str], None] | None:
        """For ``commands.run(on_text=…)``: None when nothing is to be shown before the end."""
        return self._hear if self._enabled else None

    def _hear(self, text: str) -> None:
        self._text = (self._text + text)[-50_000:]  # a flood of output must not slow itself down
        self._put({"text/plain": self._text, "text/html": progress(self._text)})

    def end(self, bundle: dict[str, str]) -> None:
        """Replace what was shown by the final output."""
        self._put(bundle)

    def _put(self, bundle: dict[str, str]) -> None:
        if self.handle:
            self.handle.update(bundle, raw=True)
        else:
            self.handle = put(bundle, display_id=self._enabled or None)


# How far a layer is at each word of `docker pull`, and a build at "Step 2/5" or "[2/5]".
_STAGES = {
    "Pulling": 5,
    "Waiting": 5,
    "Retrying": 5,
    "Downloading": 30,
    "Verifying": 60,
    "Download": 65,
    "Extracting": 80,
    "Pull": 100,
    "Already": 100,
}
_LAYER = re.compile(r"^([0-9a-f]{12}): ((\w+).*)$", re.M)
_PERCENT = re.compile(r"(?:^|\.\.\.)(\d+)%(?!.*\d%)", re.M)  # VBoxManage: 0%...10%...20%...
_STEP = re.compile(
    r"^(?:Step (\d{1,4})/([1-9]\d{0,3}) : |#\d+ \[(?:.* )?(\d{1,4})/([1-9]\d{0,3})\] )(.*)$", re.M
)


def bars(text: str) -> list[tuple[str, int, str]]:
    """Progress read from a command's words so far: (name, percent, what it is doing), one a layer or build."""
    found = {
        match[1]: (match[1], _STAGES.get(match[3], 50), match[2]) for match in _LAYER.finditer(text)
    }
    steps = list(_STEP.finditer(text))
    if steps:
        at, of = (int(steps[-1][i] or steps[-1][i + 2]) for i in (1, 2))
        found["build"] = (f"step {at}/{of}", 100 * (at - 1) // of, steps[-1][5])
    if not found and (percent := _PERCENT.search(text.rpartition("\n")[2] or text.rstrip())):
        found["progress"] = ("progress", int(percent[1]), "")
    return list(found.values())


def progress(text: str) -> str:
    """The bars as HTML, or the words themselves while there are none."""
    rows = "".join(
        f'<div><code>{escape(name)}</code> <progress max="100" value="{percent}" aria-label="{escape(name)}">'
        f"</progress> {escape(doing[:60])}</div>"
        for name, percent, doing in bars(text)
    )
    return rows or f'<pre style="{_PRE}">{escape(_ANSI.sub("", text))}</pre>'
