"""Panels over images: the layer explorer, and a command with the forest before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets as w

from labkit import tasks
from labkit.docker import reads
from labkit.docker.layers import Image, humanise, instruction
from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.show import output as show
from labkit.show.panels import Panel, teaching
from labkit.show.text import clean
from labkit.words import split

_WIDE = {"description_width": "initial"}
_TEXT = "font-size:13px;line-height:1.5;color:var(--jp-content-font-color1,#111)"
_CELL = "padding:1px 6px;white-space:nowrap;text-align:"


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
    images = [reads.layers(lesson, name) for name in names]
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
            with teaching(stack, lambda: lesson.badge):
                images[index] = reads.layers(lesson, change["new"])
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
        words = split(text)
        if words[:1] != ["docker"]:
            raise LabError("Name the command to try: `%before_after docker commit NAME IMAGE`.")
        return words

    argv = typed(line)
    command = w.Text(value=line, description="Command", style=_WIDE, layout={"width": "80%"})
    run, undo = w.Button(description="Run"), w.Button(description="Undo", disabled=True)
    view = w.HTML()

    def tried() -> None:
        reads.forest(lesson)
        lesson.command(argv)
        reads.forest(lesson)

    lesson.foresee(lambda: tasks.enter(lesson, line, [line]), [tried])

    def go(_: object) -> None:
        with teaching(view, lambda: lesson.badge):
            argv = typed(command.value)
            tasks.enter(lesson, line, [line])
            before = reads.forest(lesson)
            result = lesson.command(argv)
            undo.disabled, run.disabled = False, True
            note = f"exit code {result.code}" if result.code else ""
            said = show.output(lesson.badge, result.text, note)["text/html"]
            after = reads.forest(lesson).tree(before).html()
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
