"""What every panel is made of: a column of widgets with a text alternative, and one line when a button fails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as w

from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.net.engine import MODEL
from labkit.show import output as show


class Panel(w.VBox):  # type: ignore[misc]
    """A column of widgets with a text alternative (for nbconvert, a terminal, nbval)."""

    def __init__(self, children: Sequence[w.Widget], text: str) -> None:
        super().__init__(children)
        self._alternative = text

    def _repr_mimebundle_(self, **options: Any) -> dict[str, Any]:
        bundle: dict[str, Any] = super()._repr_mimebundle_(**options)
        bundle["text/plain"] = self._alternative
        return bundle


@contextmanager
def teaching(view: w.HTML, lesson: Lesson | None = None) -> Iterator[None]:
    """Whatever goes wrong behind a button is shown as one line; without a ``lesson`` it is the model's word."""
    try:
        yield
    except LabError as error:
        view.value = show.message("unknown", str(error), lesson.badge if lesson else MODEL)[
            "text/html"
        ]
