"""Panels over the same objects the magics print: choose, slide, compare. A view owns no logic.

Only ipywidgets' own controls are used, so every panel works from the keyboard; each panel carries a
text alternative for readers without widgets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import permutations
from shlex import quote
from typing import TYPE_CHECKING, Any

import ipywidgets as w

from labkit import tasks
from labkit import words as shellwords
from labkit.docker.layers import Image, humanise, instruction
from labkit.errors import LabError
from labkit.lesson import Lesson, ending
from labkit.show import output as show
from labkit.show.panels import Panel, teaching
from labkit.show.text import clean

if TYPE_CHECKING:
    from labkit.virtualbox.snapshots import Graph

_WIDE = {"description_width": "initial"}
_TEXT = "font-size:13px;line-height:1.5;color:var(--jp-content-font-color1,#111)"
_CELL = "padding:1px 6px;white-space:nowrap;text-align:"


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


def real(image: Image) -> list[int]:
    """Where among an image's steps its real layers are; the others (ENV, CMD, …) hold no files."""
    return [number for number, layer in enumerate(image.layers, 1) if not layer.empty]


def stack_html(image: Image, at: int, other: Image | None = None) -> str:
    """An image's layers, newest on top as on a shelf; those above the ``at``-th are not laid yet."""
    shared = _chains(other) if other else set()
    rows = []
    for number, step in enumerate(real(image), 1):
        layer = image.layers[step - 1]
        both = layer.chain_id in shared
        sign = ("▶" if number == at else "") + ("=" if both else "")
        style = ("" if number <= at else "opacity:.5;") + (
            "font-weight:600;" if number == at else ""
        )
        style += f"border-left:5px {'double #0072B2' if both else 'solid transparent'}"
        said = clean(instruction(layer.created_by))
        what = f"+{len(layer.added)} ~{len(layer.changed)} −{len(layer.removed)}"
        rows.append(
            f'<tr style="{style}"><td style="{_CELL}right;width:3.2em">{sign} {number}</td>'
            f'<td style="{_CELL}left;overflow:hidden;text-overflow:ellipsis" title="{escape(said)}">'
            f'<code>{escape(said)}</code></td><td style="{_CELL}right;width:5em">{humanise(layer.size)}</td>'
            f'<td style="{_CELL}right;width:8.5em">{what}</td></tr>'
        )
    empty = len(image.layers) - len(rows)
    return (
        f'<table style="{_TEXT};border-collapse:collapse;table-layout:fixed;width:100%">'
        f'<caption style="text-align:left;caption-side:bottom">{humanise(image.size)}, of which '
        f"{humanise(image.wasted)} can no longer be seen; {empty} more steps (ENV, CMD, …) hold no files.</caption>"
        f"{''.join(reversed(rows))}</table>"
    )


def tree_html(image: Image, at: int, depth: int = 3, most: int = 60) -> str:
    """The root file system after the first ``at`` layers as folders that open (Space)."""
    steps = real(image)
    layer = image.layers[steps[at - 1] - 1] if at else None
    added, changed = (set(layer.added), set(layer.changed)) if layer else (set(), set())
    kids: dict[str, dict[str, Any]] = {}
    below: dict[str, list[int]] = {}
    tree = image.tree(steps[at - 1] if at else 0)
    linked = {inode for inode, names in Counter(map(id, tree.values())).items() if names > 1}
    counted = set[tuple[str, int]]()
    for path, node in sorted(tree.items()):
        (kind, size, link, _), inode = node, id(node)
        folder, _slash, name = path.rpartition("/")
        kids.setdefault(folder, {})[name] = (path, kind, size, link)
        while kind != "d":
            total = below.setdefault(folder, [0, 0])
            again = (folder, inode) in counted  # busybox is one file of 400 names
            total[0], total[1] = total[0] + 1, total[1] + (0 if again else size)
            if inode in linked:
                counted.add((folder, inode))
            if not folder:
                break
            folder = folder.rpartition("/")[0]
    touched = set[str]()
    for path in added | changed:
        while (path := path.rpartition("/")[0]) and path not in touched:
            touched.add(path)

    def listing(folder: str, level: int) -> str:
        items = sorted(kids.get(folder, {}).items())
        lines = []
        for name, (path, kind, size, link) in items[:most]:
            sign = "+ " if path in added else "~ " if path in changed else ""
            style = ' style="font-weight:600"' if sign else ""
            if kind == "d":
                files, size = below.get(path, (0, 0))
                seen = level < depth or (
                    path in touched and level < 60 and len(touched) < 5000
                )  # or no end of it
                inside = listing(path, level + 1) if seen else "<div>…</div>"
                opened = " open" if path in touched and len(touched) < 12 else ""
                lines.append(
                    f"<details{opened}><summary{style}>{sign}{escape(clean(name))}/ <small>{files} "
                    f"file{'s' * (files != 1)}, {humanise(size)}</small></summary>"
                    f'<div style="margin-left:1.2em">{inside}</div></details>'
                )
            else:
                target = f" → {escape(clean(link))}" if link else ""
                lines.append(
                    f"<div{style}>{sign}{escape(clean(name))}{target} <small>{humanise(size)}</small></div>"
                )
        if len(items) > most:
            lines.append(f"<div>… and {len(items) - most} more</div>")
        return "".join(lines)

    gone = "".join(
        f"<div>− <s>{escape(clean(path))}</s></div>"
        for path in (layer.removed[:20] if layer else ())
    )
    return (
        f'<div style="{_TEXT};max-height:320px;overflow:auto;font-family:var(--jp-code-font-family,monospace);'
        'border-top:1px solid var(--jp-border-color2,#ccc);padding-top:4px">'
        f"{gone}{listing('', 1) or '(empty)'}</div>"
    )


def explorer(lesson: Lesson, names: Sequence[str]) -> Panel:
    """The layer explorer: pick an image, slide through its layers, watch the merged tree; two side by side."""
    if not 1 <= len(names) <= 2:
        raise LabError("Name one image, or two to compare: `%explore busybox httpd`.")
    images = [lesson.layers(name) for name in names]
    options = sorted(
        {str(tag) for image in lesson.world()["images"] for tag in image["tags"]} | set(names)
    )
    columns: list[w.Widget] = []
    views: list[tuple[w.Dropdown, w.IntSlider, w.HTML, w.HTML]] = []

    def draw(_: object = None) -> None:
        for index, (_pick, slider, stack, tree) in enumerate(views):
            image = images[index]
            stack.value = stack_html(
                image, slider.value, images[1 - index] if len(images) == 2 else None
            )
            tree.value = tree_html(image, slider.value)

    def column(index: int, name: str) -> None:
        pick = w.Dropdown(options=options, value=name, description="Image", layout={"width": "98%"})
        most = len(real(images[index]))
        slider = w.IntSlider(
            min=0, max=most, value=most, description="Layers", layout={"width": "98%"}
        )
        stack, tree = w.HTML(), w.HTML()
        views.append((pick, slider, stack, tree))

        def picked(change: dict[str, Any]) -> None:
            tree.value = ""
            with teaching(stack, lesson):
                images[index] = lesson.layers(change["new"])
                slider.max = slider.value = len(real(images[index]))
                draw()

        pick.observe(picked, "value")
        slider.observe(draw, "value")
        columns.append(
            w.VBox([pick, slider, stack, tree], layout={"flex": "1 1 340px", "min_width": "320px"})
        )

    for index, name in enumerate(names):
        column(index, name)
    draw()
    text = "\n".join(
        [
            "Layer explorer (needs JupyterLab): " + " and ".join(names),
            *(
                [f"shared layers: {len(_chains(images[0]) & _chains(images[1]))}"]
                if len(images) == 2
                else []
            ),
        ]
    )
    return Panel(
        [w.HTML(show.badge_html(lesson.badge)), w.HBox(columns, layout={"flex_flow": "row wrap"})],
        text,
    )


def _chains(image: Image) -> set[str]:
    return {layer.chain_id for layer in image.layers if layer.chain_id and not layer.empty}


def before_after(lesson: Lesson, line: str) -> Panel:
    """Run a command and see the forest change; Undo removes what it made, so the lesson goes on unharmed."""

    def typed(text: str) -> list[str]:
        words = shellwords.split(text)
        if words[:1] != ["docker"]:
            raise LabError("Name the command to try: `%before_after docker commit NAME IMAGE`.")
        return words

    argv = typed(line)
    command = w.Text(value=line, description="Command", style=_WIDE, layout={"width": "80%"})
    run, undo = w.Button(description="Run"), w.Button(description="Undo", disabled=True)
    view = w.HTML()
    if lesson.tape.mode == "record":
        tasks.enter(lesson, line, [line])
        lesson.forest()
        lesson.command(argv)
        lesson.forest()
        tasks.leave(lesson)

    def go(_: object) -> None:
        with teaching(view, lesson):
            argv = typed(command.value)
            tasks.enter(lesson, line, [line])
            before = lesson.forest()
            result = lesson.command(argv)
            undo.disabled, run.disabled = False, True
            note = f"exit code {result.code}" if result.code else ""
            said = show.output(lesson.badge, result.text, note)["text/html"]
            after = lesson.forest().tree(before).html()
            was = before.tree().html()
            view.value = f"{said}<b>Before</b>{was}<b>After</b>{after}"

    def back(_: object) -> None:
        notes = tasks.leave(lesson)
        undo.disabled, run.disabled = True, False
        view.value = show.message("note", "\n".join(["Undone.", *notes]), lesson.badge)["text/html"]

    run.on_click(go)
    undo.on_click(back)
    return Panel(
        [command, w.HBox([run, undo]), view], f"Before and after (needs JupyterLab): {line}"
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
    from labkit.disks.strip import StripFigure

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
        scale = max(StripFigure(disk).scale for disk in disks.values())
        for name, disk in disks.items():
            parts.append(StripFigure(disk, drawn.get(name), name, scale).html())
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
