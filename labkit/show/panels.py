"""What every panel is made of: widgets with a text alternative; one line when a button fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as w

from labkit.errors import LabError
from labkit.show.output import message


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
def teaching(view: w.HTML, badge: str | Callable[[], str]) -> Iterator[None]:
    """Show in ``view`` whatever goes wrong behind a button, as one line below its ``badge``.

    A badge that changes while the button works is given as a function, called when it is shown.
    """
    try:
        yield
    except LabError as error:
        line = badge if isinstance(badge, str) else badge()
        view.value = message("unknown", str(error), line)["text/html"]
