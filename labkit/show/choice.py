"""A question with one choice to commit to, which cannot be changed afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ipywidgets as w

from labkit.messages import _
from labkit.show import output as show
from labkit.show.panels import Panel


class Choice(Panel):
    """``choices``: letter → text; what is committed to is kept in ``committed`` under ``name``."""

    def __init__(
        self, name: str, question: str, choices: Mapping[str, str], committed: dict[str, str]
    ) -> None:
        self.name = name
        self.committed = committed
        lines = {letter: f"{letter}) {text}" for letter, text in choices.items()}
        self.radios: dict[str, w.RadioButtons] = {}
        for letter, line in lines.items():
            # One radio a choice: JupyterLab takes the arrow keys for itself, Tab and Space work
            # everywhere. A radio knows no mark-up.
            option = line.replace("`", ""), letter
            radio = w.RadioButtons(options=[option], value=None, layout={"width": "max-content"})
            radio.observe(self._chosen, "value")
            self.radios[letter] = radio
        self.button = w.Button(
            description=_("Commit"), tooltip=_("Commit to this answer, then run the next cell")
        )
        self.status = w.HTML()
        asked = show.message("ask", question)
        how = _("Commit with %predict {name} LETTER", name=name)
        super().__init__(
            [w.HTML(asked["text/html"]), *self.radios.values(), self.button, self.status],
            "\n".join([asked["text/plain"], *lines.values(), how]),
        )
        self.button.on_click(self._commit)
        if name in committed:
            self.radios[committed[name]].value = committed[name]
            self._commit()

    def _chosen(self, change: dict[str, Any]) -> None:
        for letter, radio in self.radios.items():
            if change["new"] and letter != change["new"]:
                radio.value = None

    def _commit(self, _button: object = None) -> None:
        pressed = (radio.value for radio in self.radios.values() if radio.value)
        choice = next(pressed, self.committed.get(self.name))
        if choice is None:
            self.status.value = show.message("ask", _("Choose one first."))["text/html"]
            return
        self.committed[self.name] = choice
        for control in (self.button, *self.radios.values()):
            control.disabled = True
        done = _("Committed to {choice}). Now run the next cells.", choice=choice)
        self.status.value = show.message("note", done)["text/html"]
