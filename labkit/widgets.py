"""Panels over the same objects the magics print: choose, slide, compare. A view owns no logic.

Only ipywidgets' own controls are used, so every panel works from the keyboard; each panel carries a
text alternative for readers without widgets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from shlex import quote
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from labkit import tasks
from labkit.lesson import Lesson, ending
from labkit.show import output as show
from labkit.show.panels import Panel, teaching

if TYPE_CHECKING:
    from labkit.virtualbox.snapshots import Graph

_WIDE = {"description_width": "initial"}


def chooser(lesson: Lesson, asked: tasks.Prediction) -> Panel:
    """A prediction: choose, commit; the choice cannot be changed afterwards (``%answer`` tells)."""
    lines = {letter: f"{letter}) {text}" for letter, text in asked.choices.items()}
    plain = {
        letter: line.replace("`", "") for letter, line in lines.items()
    }  # a radio knows no mark-up
    # One radio a choice: JupyterLab takes the arrow keys for itself, Tab and Space work everywhere.
    radios = {
        letter: w.RadioButtons(
            options=[(line, letter)], value=None, layout={"width": "max-content"}
        )
        for letter, line in plain.items()
    }
    button = w.Button(description="Commit", tooltip="Commit to this answer, then run the next cell")
    said = w.HTML()

    def chosen(change: dict[str, Any]) -> None:
        for letter, radio in radios.items():
            if change["new"] and letter != change["new"]:
                radio.value = None

    def commit(_: object = None) -> None:
        choice = next(
            (radio.value for radio in radios.values() if radio.value),
            lesson.committed.get(asked.name),
        )
        if choice is None:
            said.value = show.message("ask", "Choose one first.")["text/html"]
            return
        lesson.committed[asked.name] = choice
        for control in (button, *radios.values()):
            control.disabled = True
        said.value = show.message("note", f"Committed to {choice}). Now run the next cells.")[
            "text/html"
        ]

    for radio in radios.values():
        radio.observe(chosen, "value")
    button.on_click(commit)
    if asked.name in lesson.committed:
        radios[lesson.committed[asked.name]].value = lesson.committed[asked.name]
        commit()
    text = "\n".join(
        [f"? {asked.question}", *lines.values(), f"Commit with %predict {asked.name} LETTER"]
    )
    return Panel(
        [w.HTML(show.message("ask", asked.question)["text/html"]), *radios.values(), button, said],
        text,
    )


def _panel(
    lesson: Lesson,
    name: str,
    setup: Sequence[str],
    trials: Sequence[Sequence[str]],
    more: Sequence[str] = (),
) -> Callable[[], None]:
    """What starts a panel on things of its own, made by ``setup`` and, if the student likes, by ``more``.

    While recording, try each row of commands.
    """

    def start() -> None:
        tasks.enter(lesson, name, [*setup, *more])
        tasks.succeed(lesson, setup)

    if lesson.tape.mode == "record":
        start()
        for trial in trials:
            with lesson.trial():
                for line in trial:
                    lesson.command(lesson.words(line))
        tasks.leave(lesson)
    return start


def disk_panel(lesson: Lesson, size: int) -> Panel:
    """Write at a place in the guest's disk: what becomes of a file that grows, and of one reserved at once."""
    from labkit.disks.strip import Strip

    kinds = {"dynamic": "Standard", "fixed": "Fixed"}
    names = [f"panel-{kind}.vdi" for kind in kinds]
    setup = [
        f"VBoxManage createmedium disk --filename panel-{kind}.vdi --size {size} --variant {variant}"
        for kind, variant in kinds.items()
    ]

    def write(place: int) -> list[str]:
        return [f'qemu-io -f vdi -c "write -P 0xab {place}M 64k" {name}' for name in names]

    tried = [size * 5 // 8, size // 8, size - 1]  # what a recording can show, in any order
    start = _panel(
        lesson,
        "disk panel",
        setup,
        [[line for place in order for line in write(place)] for order in permutations(tried)],
    )
    places = sorted(tried) if lesson.tape.mode == "replay" else range(size)
    where = w.SelectionSlider(
        options=[(f"{place} MiB", place) for place in places],
        description="Write at",
        style=_WIDE,
        layout={"width": "60%"},
    )
    begin, button = (
        w.Button(description="Start"),
        w.Button(description="Write 64 KiB", disabled=True),
    )
    view = w.HTML()
    drawn: dict[str, Any] = {}

    def draw(said: str) -> None:
        parts = [show.message("note", said, lesson.badge)["text/html"]]
        disks = {name: lesson.disk(name) for name in names}
        scale = max(Strip(disk).scale for disk in disks.values())
        for name, disk in disks.items():
            parts.append(Strip(disk, drawn.get(name), name, scale).html())
        drawn.update(disks)
        view.value = "".join(parts)

    def started(_: object) -> None:
        with teaching(view, lesson):
            drawn.clear()
            start()
            begin.description, button.disabled = "Start over", False
            draw(f"Two disks of {size} MiB, new and empty.")

    def written(_: object) -> None:
        with teaching(view, lesson):
            tasks.succeed(lesson, write(where.value))
            draw(f"64 KiB written at {where.value} MiB of the guest's disk, in both.")

    begin.on_click(started)
    button.on_click(written)
    text = f"Disk panel (needs JupyterLab): write into a dynamic and a fixed disk of {size} MiB, and compare the files"
    return Panel([w.HBox([begin, where, button]), view], text)


def snapshot_panel(lesson: Lesson, machine: str) -> Panel:
    """Take, restore, delete, clone, on a copy of the machine with all its snapshots; the picture follows."""
    copy, linked = f"{machine}-panel", f"{machine}-panel-linked"
    graph = lesson.machines()
    names = list(dict.fromkeys(snapshot.name for snapshot in graph.machine(machine).snapshots))
    command = {
        "Take": "snapshot {copy} take {name}",
        "Restore": "snapshot {copy} restore {name}",
        "Delete": "snapshot {copy} delete {name}",
        "Linked clone": "clonevm {copy} --snapshot {name} --options link --name {linked} --register",
    }

    def line(action: str, name: str) -> str:
        words = command[action].format(copy=quote(copy), name=quote(name), linked=quote(linked))
        return f"VBoxManage {words}"

    def now() -> Graph:
        graph = lesson.machines()
        return graph.only(
            copy, *(machine.name for machine in graph.machines if machine.name == linked)
        )

    setup = [f"VBoxManage clonevm {quote(machine)} --mode all --name {quote(copy)} --register"]
    trials = [[line(action, name)] for action in command for name in names if action != "Take"]
    start = _panel(
        lesson,
        "snapshot panel",
        setup,
        [*trials, [line("Take", "new")]],
        [line("Linked clone", "")],
    )
    which = w.Dropdown(options=names, description="Snapshot", layout={"width": "40%"})
    title = w.Text(value="new", description="Name", layout={"width": "30%"})
    begin = w.Button(description="Start")
    buttons = {action: w.Button(description=action, disabled=True) for action in command}
    sure = w.Button(description="Yes, do it", layout={"display": "none"})
    view, asked = w.HTML(), list[tuple[str, str]]()

    def draw(said: Mapping[str, str], before: Any = None) -> None:
        graph, chosen = now(), which.value
        which.options = list(dict.fromkeys(s.name for s in graph.machine(copy).snapshots)) or [""]
        which.value = chosen if chosen in which.options else which.options[0]
        view.value = said["text/html"] + graph.tree(before).html()

    def started(_: object) -> None:
        sure.layout.display = "none"
        with teaching(view, lesson):
            start()
            begin.description = "Start over"
            for button in buttons.values():
                button.disabled = False
            draw(
                show.message(
                    "note",
                    f"{copy} is a copy of {machine} with all its snapshots: try what you like.",
                    lesson.badge,
                )
            )

    def wanted(button: w.Button) -> None:
        action, sure.layout.display = button.description, "none"
        name = title.value if action == "Take" else which.value
        with teaching(view, lesson):
            asked[:] = [(action, name)]
            if action not in ("Restore", "Delete"):
                return done()
            ask = lesson.machines().restoring if action == "Restore" else lesson.machines().deleting
            preview = ask(copy, name)
            sure.layout.display = ""
            draw(
                show.message("ask", "\n".join([f"{action} {name}?", *preview.lines]), lesson.badge)
            )

    def done(_: object = None) -> None:
        sure.layout.display = "none"
        with teaching(view, lesson):
            before, typed = now(), line(*asked[0])
            result = lesson.command(lesson.words(typed))
            draw(show.output(lesson.badge, f"{typed}\n{result.text}", ending(result)), before)

    begin.on_click(started)
    sure.on_click(done)
    for button in buttons.values():
        button.on_click(wanted)
    text = (
        f"Snapshot panel (needs JupyterLab): take, restore, delete and clone on a copy of {machine}"
    )
    return Panel(
        [
            w.HBox([begin, which, title], layout={"flex_flow": "row wrap"}),
            w.HBox([*buttons.values(), sure], layout={"flex_flow": "row wrap"}),
            view,
        ],
        text,
    )
