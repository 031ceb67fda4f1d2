"""``%snapshot_panel``: take, restore, delete, clone, and see the tree change."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from shlex import quote
from typing import NamedTuple

import ipywidgets as w
from IPython.core.magic import line_magic, magics_class

from labkit.lesson import Lesson
from labkit.magics import LessonMagics, put, shown
from labkit.messages import N_, _
from labkit.show import output as show
from labkit.show.panels import Panel, teaching
from labkit.tasks import aside
from labkit.virtualbox import preview, reads
from labkit.virtualbox.snapshots import Graph, machine_tree

_WRAPPED = {"flex_flow": "row wrap"}
_HIDDEN = "none"
_SEEN = ""


class Action(NamedTuple):
    """What a button does; ``foretells`` what there is to say, and to be asked, before it does."""

    label: str
    command: str
    foretells: Callable[[Graph, str, str], preview.Preview] | None = None


TAKE = Action(N_("Take"), "snapshot {copy} take {name}")
RESTORE = Action(N_("Restore"), "snapshot {copy} restore {name}", preview.restoring)
DELETE = Action(N_("Delete"), "snapshot {copy} delete {name}", preview.deleting)
CLONE = Action(
    N_("Linked clone"),
    "clonevm {copy} --snapshot {name} --options link --name {linked} --register",
)


class SnapshotPanel(Panel):
    """Take, restore, delete, clone, on a copy of a machine with all its snapshots."""

    def __init__(self, lesson: Lesson, machine: str) -> None:
        self.lesson = lesson
        self.machine = machine
        self.copy = f"{machine}-panel"
        self.linked = f"{machine}-panel-linked"
        names = _names(reads.graph(lesson), machine)
        clone = f"VBoxManage clonevm {quote(machine)} --mode all --name {quote(self.copy)}"
        tried = [self._line(action, name) for action in (RESTORE, DELETE, CLONE) for name in names]
        tried.append(self._line(TAKE, "new"))
        self.start = aside(
            lesson,
            "snapshot panel",
            [f"{clone} --register"],
            [partial(lesson.command, lesson.words(line)) for line in tried],
            [self._line(CLONE, "")],
        )
        self.asked = (TAKE, "")
        self.which = w.Dropdown(options=names, description=_("Snapshot"), layout={"width": "40%"})
        self.title = w.Text(value="new", description=_("Name"), layout={"width": "30%"})
        self.begin = w.Button(description=_("Start"))
        self.buttons = [self._button(action) for action in (TAKE, RESTORE, DELETE, CLONE)]
        self.sure = w.Button(description=_("Yes, do it"), layout={"display": _HIDDEN})
        self.view = w.HTML()
        self.teaching = partial(teaching, self.view, lambda: lesson.badge)
        super().__init__(
            [
                w.HBox([self.begin, self.which, self.title], layout=_WRAPPED),
                w.HBox([*self.buttons, self.sure], layout=_WRAPPED),
                self.view,
            ],
            _(
                "Snapshot panel (needs JupyterLab): take, restore, delete and clone on a copy of "
                "{machine}",
                machine=machine,
            ),
        )
        self.begin.on_click(self._started)
        self.sure.on_click(self._done)

    def _button(self, action: Action) -> w.Button:
        button = w.Button(description=_(action.label), disabled=True)
        button.on_click(lambda _button: self._wanted(action))
        return button

    def _line(self, action: Action, name: str) -> str:
        words = {"copy": self.copy, "name": name, "linked": self.linked}
        quoted = {place: quote(word) for place, word in words.items()}
        return f"VBoxManage {action.command.format(**quoted)}"

    def _now(self) -> Graph:
        """The copy, and its linked clone if there is one."""
        graph = reads.graph(self.lesson)
        clones = [each.name for each in graph.machines if each.name == self.linked]
        return graph.only(self.copy, *clones)

    def _draw(self, said: Mapping[str, str], before: Graph | None = None) -> None:
        graph = self._now()
        chosen = self.which.value
        names = _names(graph, self.copy) or [""]
        self.which.options = names
        self.which.value = chosen if chosen in names else names[0]
        self.view.value = "".join([said["text/html"], machine_tree(graph, before).html()])

    def _started(self, _button: object) -> None:
        self.sure.layout.display = _HIDDEN
        with self.teaching():
            self.start()
            self.begin.description = _("Start over")
            for button in self.buttons:
                button.disabled = False
            invitation = _(
                "{copy} is a copy of {machine} with all its snapshots: try what you like.",
                copy=self.copy,
                machine=self.machine,
            )
            self._draw(show.message("note", invitation, self.lesson.badge))

    def _wanted(self, action: Action) -> None:
        """Do it; or say what would be merged or lost, and wait for a yes."""
        self.sure.layout.display = _HIDDEN
        name = self.title.value if action is TAKE else self.which.value
        with self.teaching():
            self.asked = (action, name)
            if not action.foretells:
                self._done()
                return
            told = action.foretells(reads.graph(self.lesson), self.copy, name)
            self.sure.layout.display = _SEEN
            question = _("{action} {name}?", action=_(action.label), name=name)
            text = "\n".join([question, *told.lines])
            self._draw(show.message("ask", text, self.lesson.badge))

    def _done(self, _button: object = None) -> None:
        self.sure.layout.display = _HIDDEN
        with self.teaching():
            before = self._now()
            typed = self._line(*self.asked)
            result = self.lesson.command(self.lesson.words(typed))
            text = f"{typed}\n{result.text}"
            note = self.lesson.ending(result)
            self._draw(show.output(self.lesson.badge, text, note), before)


def _names(graph: Graph, machine: str) -> list[str]:
    """The names of a machine's snapshots, each once."""
    return list(dict.fromkeys(snapshot.name for snapshot in graph.machine(machine).snapshots))


@magics_class
class MAGICS(LessonMagics):
    """What only this lesson has."""

    @line_magic
    @shown()
    def snapshot_panel(self, line: str) -> None:
        """``%snapshot_panel MACHINE``: take, restore, delete, clone, and see the tree change."""
        put(SnapshotPanel(self.now(), self.one(line, "%snapshot_panel MACHINE")))
