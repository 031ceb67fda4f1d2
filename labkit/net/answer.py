"""What a command of a network shows: figures in a column."""

from __future__ import annotations

from markupsafe import Markup

from labkit.show.figure import Figure
from labkit.show.output import pre


class Answer(Figure):
    """Figures in a column. ``ok``: False for a ping without reply, and the like."""

    def __init__(self, *figures: Figure, ok: bool = True) -> None:
        self.figures, self.ok = figures, ok

    def __str__(self) -> str:
        return "\n".join(filter(None, map(str, self.figures)))

    def html(self) -> Markup:
        """All of it as HTML."""
        return Markup("").join(Markup(figure.html()) for figure in self.figures)


class Text(Figure):
    """A figure that is plain text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    def html(self) -> Markup:
        """The same, where lines that are too long fold."""
        return pre(self.text, fold=True)
