"""What every panel is made of: widgets with a text alternative; one line when a button fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ipywidgets as w

from labkit.errors import LabError
from labkit.messages import _
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


class Choice(Panel):
    """A question with one choice to commit to, which cannot be changed afterwards.

    ``choices``: letter → text; the letter is kept in ``committed`` under the question's ``name``.
    """

    def __init__(
        self, name: str, question: str, choices: Mapping[str, str], committed: dict[str, str]
    ) -> None:
        self.name = name
        self.committed = committed
        lines = {letter: f"{letter}) {text}" for letter, text in choices.items()}
        # One radio a choice: JupyterLab takes the arrow keys for itself, Tab and Space work
        # everywhere. A radio knows no mark-up.
        self.radios = [
            w.RadioButtons(
                options=[(line.replace("`", ""), letter)],
                value=letter if committed.get(name) == letter else None,
                layout={"width": "max-content"},
            )
            for letter, line in lines.items()
        ]
        self.button = w.Button(
            description=_("Commit"), tooltip=_("Commit to this answer, then run the next cell")
        )
        self.status = w.HTML()
        asked = message("ask", question)
        how = _("Commit with %predict {name} LETTER", name=name)
        super().__init__(
            [w.HTML(asked["text/html"]), *self.radios, self.button, self.status],
            "\n".join([asked["text/plain"], *lines.values(), how]),
        )
        for radio in self.radios:
            radio.observe(self._chosen, "value")
        self.button.on_click(self._commit)
        if name in committed:
            self._commit()

    def _chosen(self, change: dict[str, Any]) -> None:
        for radio in self.radios:
            if change["new"] and radio is not change["owner"]:
                radio.value = None

    def _commit(self, _button: object = None) -> None:
        chosen = next((radio.value for radio in self.radios if radio.value), None)
        if not chosen:
            self.status.value = message("ask", _("Choose one first."))["text/html"]
            return
        choice = self.committed.setdefault(self.name, chosen)  # there may be two of this panel
        for control in (self.button, *self.radios):
            control.disabled = True
        done = _("Committed to {choice}). Now run the next cells.", choice=choice)
        self.status.value = message("note", done)["text/html"]
