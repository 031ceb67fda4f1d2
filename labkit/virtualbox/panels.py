"""Panels over a lesson's disks and machines: write and compare; take, restore, delete, clone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import permutations
from shlex import quote
from typing import Any, NamedTuple

import ipywidgets as w

from labkit.disks import Disk
from labkit.disks.strip import Strip
from labkit.lesson import Lesson
from labkit.messages import N_, _
from labkit.show import output as show
from labkit.show.panels import Panel, teaching
from labkit.tasks import aside, run_all, succeed
from labkit.virtualbox import preview, reads
from labkit.virtualbox.picture import machine_tree
from labkit.virtualbox.snapshots import Graph

_WRAPPED = {"flex_flow": "row wrap"}
_HIDDEN, _SEEN = "none", ""


class DiskPanel(Panel):
    """Write at a place in the guest's disk of ``size`` MiB.

    What becomes of a file that grows, and of one that is reserved at once?
    """

    FILES: Mapping[str, str] = {"panel-dynamic.vdi": "Standard", "panel-fixed.vdi": "Fixed"}

    def __init__(self, lesson: Lesson, size: int) -> None:
        lesson.requires("virtualbox")
        self.lesson, self.size = lesson, size
        self.drawn: dict[str, Disk] = {}
        setup = [
            f"VBoxManage createmedium disk --filename {name} --size {size} --variant {variant}"
            for name, variant in self.FILES.items()
        ]
        tried = [size * 5 // 8, size // 8, size - 1]  # what a recording can show, in any order
        trials = [partial(self._write, *places) for places in permutations(tried)]
        self.start = aside(lesson, "disk panel", setup, trials)
        places = sorted(tried) if lesson.replayed else range(size)
        self.where = w.SelectionSlider(
            options=[(f"{place} MiB", place) for place in places],
            description=_("Write at"),
            style={"description_width": "initial"},
            layout={"width": "60%"},
        )
        self.begin = w.Button(description=_("Start"))
        self.button = w.Button(description=_("Write 64 KiB"), disabled=True)
        self.view = w.HTML()
        super().__init__(
            [w.HBox([self.begin, self.where, self.button]), self.view],
            _(
                "Disk panel (needs JupyterLab): write into a dynamic and a fixed disk of {size} "
                "MiB, and compare the files",
                size=size,
            ),
        )
        self.begin.on_click(self._started)
        self.button.on_click(self._written)

    def _write(self, *places: int) -> None:
        for place in places:
            lines = [
                f'qemu-io -f vdi -c "write -P 0xab {place}M 64k" {name}' for name in self.FILES
            ]
            succeed(self.lesson, lines)

    def _draw(self, text: str) -> None:
        note = show.message("note", text, self.lesson.badge)["text/html"]
        disks = {name: reads.disk(self.lesson, name) for name in self.FILES}
        scale = max(Strip(disk).scale for disk in disks.values())
        strips = [
            Strip(disk, self.drawn.get(name), name, scale).html() for name, disk in disks.items()
        ]
        self.drawn.update(disks)
        self.view.value = "".join([note, *strips])

    def _started(self, _button: object) -> None:
        with teaching(self.view, lambda: self.lesson.badge):
            self.drawn.clear()
            self.start()
            self.begin.description = _("Start over")
            self.button.disabled = False
            self._draw(_("Two disks of {size} MiB, new and empty.", size=self.size))

    def _written(self, _button: object) -> None:
        place: int = self.where.value
        with teaching(self.view, lambda: self.lesson.badge):
            self._write(place)
            self._draw(
                _("64 KiB written at {place} MiB of the guest's disk, in both.", place=place)
            )


class Action(NamedTuple):
    """What a button does: its ``label``, the command; whether it ``asks`` before."""

    label: str
    command: str
    asks: bool = False


class SnapshotPanel(Panel):
    """Take, restore, delete, clone, on a copy of a machine with all its snapshots."""

    TAKE = Action(N_("Take"), "snapshot {copy} take {name}")
    RESTORE = Action(N_("Restore"), "snapshot {copy} restore {name}", asks=True)
    DELETE = Action(N_("Delete"), "snapshot {copy} delete {name}", asks=True)
    CLONE = Action(
        N_("Linked clone"),
        "clonevm {copy} --snapshot {name} --options link --name {linked} --register",
    )

    def __init__(self, lesson: Lesson, machine: str) -> None:
        self.lesson, self.machine = lesson, machine
        self.copy, self.linked = f"{machine}-panel", f"{machine}-panel-linked"
        names = self._names(reads.graph(lesson), machine)
        self.start = self._aside(names)
        self.asked = (self.TAKE, "")
        self.which = w.Dropdown(options=names, description=_("Snapshot"), layout={"width": "40%"})
        self.title = w.Text(value="new", description=_("Name"), layout={"width": "30%"})
        self.begin = w.Button(description=_("Start"))
        self.buttons = [self._button(action) for action in self._actions()]
        self.sure = w.Button(description=_("Yes, do it"), layout={"display": _HIDDEN})
        self.view = w.HTML()
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

    def _actions(self) -> list[Action]:
        return [self.TAKE, self.RESTORE, self.DELETE, self.CLONE]

    def _button(self, action: Action) -> w.Button:
        button = w.Button(description=_(action.label), disabled=True)
        button.on_click(lambda _button: self._wanted(action))
        return button

    def _aside(self, names: list[str]) -> Any:
        """What starts the panel on a copy of the machine."""
        tried = [
            self._line(action, name)
            for action in self._actions()
            for name in names
            if action is not self.TAKE
        ]
        tried.append(self._line(self.TAKE, "new"))
        clone = f"VBoxManage clonevm {quote(self.machine)} --mode all --name {quote(self.copy)}"
        return aside(
            self.lesson,
            "snapshot panel",
            [f"{clone} --register"],
            [partial(run_all, self.lesson, [line]) for line in tried],
            [self._line(self.CLONE, "")],
        )

    @staticmethod
    def _names(graph: Graph, machine: str) -> list[str]:
        """The names of a machine's snapshots, each once."""
        return list(dict.fromkeys(each.name for each in graph.machine(machine).snapshots))

    def _line(self, action: Action, name: str) -> str:
        words = action.command.format(
            copy=quote(self.copy), name=quote(name), linked=quote(self.linked)
        )
        return f"VBoxManage {words}"

    def _now(self) -> Graph:
        """The copy, and its linked clone if there is one."""
        graph = reads.graph(self.lesson)
        clones = [each.name for each in graph.machines if each.name == self.linked]
        return graph.only(self.copy, *clones)

    def _draw(self, said: Mapping[str, str], before: Graph | None = None) -> None:
        graph, chosen = self._now(), self.which.value
        self.which.options = self._names(graph, self.copy) or [""]
        kept = chosen in self.which.options
        self.which.value = chosen if kept else self.which.options[0]
        self.view.value = "".join([said["text/html"], machine_tree(graph, before).html()])

    def _started(self, _button: object) -> None:
        self.sure.layout.display = _HIDDEN
        with teaching(self.view, lambda: self.lesson.badge):
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
        self.sure.layout.display = _HIDDEN
        name = self.title.value if action is self.TAKE else self.which.value
        with teaching(self.view, lambda: self.lesson.badge):
            self.asked = (action, name)
            if action.asks:
                self._ask(action, name)
            else:
                self._done()

    def _ask(self, action: Action, name: str) -> None:
        """Say what would be merged or lost, and wait for a yes."""
        graph = reads.graph(self.lesson)
        foretell = preview.restoring if action is self.RESTORE else preview.deleting
        told = foretell(graph, self.copy, name)
        self.sure.layout.display = _SEEN
        question = _("{action} {name}?", action=_(action.label), name=name)
        text = "\n".join([question, *told.lines])
        self._draw(show.message("ask", text, self.lesson.badge))

    def _done(self, _button: object = None) -> None:
        self.sure.layout.display = _HIDDEN
        with teaching(self.view, lambda: self.lesson.badge):
            before, typed = self._now(), self._line(*self.asked)
            result = self.lesson.command(self.lesson.words(typed))
            text, note = f"{typed}\n{result.text}", self.lesson.ending(result)
            self._draw(show.output(self.lesson.badge, text, note), before)
