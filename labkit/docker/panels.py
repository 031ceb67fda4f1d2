"""Panels about images: slide through an image's layers; try a command and compare the forest.

Only ipywidgets' own controls are used, so every panel works from the keyboard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import ipywidgets as w
from markupsafe import Markup

from labkit import tasks, words
from labkit.docker import reads
from labkit.docker.history import decimal_size
from labkit.docker.layers import Image
from labkit.docker.rootfs import File, FileOrFolder, Folder
from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.messages import _
from labkit.show import output as show
from labkit.show.look import BLUE
from labkit.show.markup import macro
from labkit.show.panels import Panel, teaching
from labkit.show.text import clean

_TEMPLATE = "docker/panels.html"
# Of the tree is shown, so that there is an end to it:
_DEPTH = 3  # levels of folders
_TOUCHED_DEPTH = 60  # levels of folders in which the last layer wrote
_TOUCHED = 5000  # if it wrote into no more folders than these
_OPENED = 12  # and fewer than these are open at once
_NAMES = 60  # of one folder
_REMOVED = 20  # paths that the last layer removed


def stack_html(image: Image, at: int, other: Image | None = None) -> Markup:
    """An image's layers, newest on top as on a shelf; those above the ``at``-th are not laid yet.

    Layers that ``other`` has too are marked.
    """
    shared = _chain(other) if other else set()
    caption = _(
        "{size}, of which {wasted} can no longer be seen; "
        "{count} more steps (ENV, CMD, …) hold no files.",
        size=decimal_size(image.size),
        wasted=decimal_size(image.wasted),
        count=len(image.layers) - len(image.filled),
    )
    return macro(_TEMPLATE, "stack", image.filled[::-1], at, shared, caption, BLUE)


def _chain(image: Image) -> set[str | None]:
    return {layer.chain_id for layer in image.filled}


class TreeRow(NamedTuple):
    """A file in the tree or, with a ``listing``, a folder; ``note``: its size, or what it holds.

    ``sign``: what the last layer did to it.
    """

    sign: str
    name: str
    note: str
    listing: Listing | None = None
    open: bool = False


class Listing(NamedTuple):
    """What is shown of a folder; ``rest``: that there is more."""

    rows: list[TreeRow]
    rest: str = ""


class _Below:
    """All that lies below a folder: how many names of files, and the files, each once."""

    def __init__(self) -> None:
        self.names = 0
        self.files: set[File] = set()

    def __str__(self) -> str:
        size = decimal_size(sum(file.size for file in self.files))
        return _.many("{n} file, {size}", "{n} files, {size}", self.names, size=size)


def _all_below(root: Folder) -> dict[str, _Below]:
    """The same of each folder that has files below it, by path."""
    folders: dict[str, _Below] = {}
    for path, node in root.walk():
        if isinstance(node, File):
            for folder in _folders_above(path):
                below = folders.setdefault(folder, _Below())
                below.names += 1
                below.files.add(node)
    return folders


class TreeView:
    """The root file system after the first ``at`` layers that hold files, as far as it is shown."""

    def __init__(self, image: Image, at: int) -> None:
        top = image.filled[at - 1] if at else None
        self.removed = [clean(path) for path in top.removed[:_REMOVED]] if top else []
        self._added = set(top.added) if top else set()
        self._changed = set(top.changed) if top else set()
        self._touched: set[str] = set()  # folders that the top layer wrote into
        for path in self._added | self._changed:
            self._touched.update(_folders_above(path))
        self._root = image.root(at)
        self._below = _all_below(self._root)

    def html(self) -> Markup:
        listing = self._listing("", self._root, 1)
        return macro(_TEMPLATE, "tree", self.removed, listing, _("(empty)"))

    def _listing(self, path: str, folder: Folder, level: int) -> Listing:
        nodes = sorted(folder.children.items())
        rows = [
            self._row(f"{path}/{name}".removeprefix("/"), clean(name), node, level)
            for name, node in nodes[:_NAMES]
        ]
        hidden = len(nodes) - len(rows)
        return Listing(rows, _("… and {count} more", count=hidden) if hidden else "")

    def _row(self, path: str, name: str, node: FileOrFolder, level: int) -> TreeRow:
        sign = "+ " if path in self._added else "~ " if path in self._changed else ""
        if isinstance(node, File):
            target = f" → {clean(node.link)}" if node.link else ""
            return TreeRow(sign, name + target, decimal_size(node.size))
        listing = Listing([], "…")
        if self._is_shown(path, level):
            listing = self._listing(path, node, level + 1)
        is_open = path in self._touched and len(self._touched) < _OPENED
        return TreeRow(sign, name, str(self._below.get(path, _Below())), listing, is_open)

    def _is_shown(self, path: str, level: int) -> bool:
        if level < _DEPTH:
            return True
        return path in self._touched and level < _TOUCHED_DEPTH and len(self._touched) < _TOUCHED


def _folders_above(path: str) -> Iterator[str]:
    """The folders that a path is in, nearest first, without the root."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


class Explorer(Panel):
    """The layer explorer: pick an image, slide through its layers, watch the merged tree.

    Of two images side by side it marks what they share. LabError if there is no such image.
    """

    def __init__(self, lesson: Lesson, names: Sequence[str]) -> None:
        if not 1 <= len(names) <= 2:
            raise LabError("Name one image, or two to compare: `%explore busybox httpd`.")
        images = [reads.layers(lesson, name) for name in names]
        tags = {str(tag) for image in lesson.world()["images"] for tag in image["tags"]}
        columns = [
            _Column(self, lesson, name, image, sorted(tags | set(names)))
            for name, image in zip(names, images, strict=True)
        ]
        boxes = w.HBox([column.box for column in columns], layout={"flex_flow": "row wrap"})
        super().__init__([w.HTML(show.badge_html(lesson.badge)), boxes], _in_words(names, images))
        self._columns = columns
        self.draw()

    def draw(self, _change: object = None) -> None:
        """Show in each column as many layers as its slider says."""
        for column in self._columns:
            others = [other.image for other in self._columns if other is not column]
            column.draw(others[0] if others else None)


class _Column:
    """One image of the explorer, and how many of its layers are laid."""

    def __init__(
        self, explorer: Explorer, lesson: Lesson, name: str, image: Image, options: list[str]
    ) -> None:
        self.image = image
        self._explorer = explorer
        self._lesson = lesson
        wide = {"width": "98%"}
        most = len(image.filled)
        self._pick = w.Dropdown(options=options, value=name, description=_("Image"), layout=wide)
        self._slider = w.IntSlider(
            min=0, max=most, value=most, description=_("Layers"), layout=wide
        )
        self._stack = w.HTML()
        self._tree = w.HTML()
        self.box = w.VBox(
            [self._pick, self._slider, self._stack, self._tree],
            layout={"flex": "1 1 340px", "min_width": "320px"},
        )
        self._pick.observe(self._picked, "value")
        self._slider.observe(explorer.draw, "value")

    def draw(self, other: Image | None) -> None:
        laid = self._slider.value
        self._stack.value = stack_html(self.image, laid, other)
        self._tree.value = TreeView(self.image, laid).html()

    def _picked(self, change: dict[str, Any]) -> None:
        self._tree.value = ""
        with teaching(self._stack, lambda: self._lesson.badge):
            self.image = reads.layers(self._lesson, change["new"])
            self._slider.max = self._slider.value = len(self.image.filled)
            self._explorer.draw()


def _in_words(names: Sequence[str], images: Sequence[Image]) -> str:
    """What stands for the explorer where there are no widgets."""
    named = _(" and ").join(names)
    lines = [_("Layer explorer (needs JupyterLab): {images}", images=named)]
    if len(images) == 2:
        count = len(_chain(images[0]) & _chain(images[1]))
        lines.append(_("shared layers: {count}", count=count))
    return "\n".join(lines)


class BeforeAfter(Panel):
    """Run a command of docker and see the forest change; Undo removes what it made. LabError."""

    def __init__(self, lesson: Lesson, line: str) -> None:
        argv = _docker_words(line)
        self._lesson = lesson
        self._line = line
        style = {"description_width": "initial"}
        self._command = w.Text(
            value=line, description=_("Command"), style=style, layout={"width": "80%"}
        )
        self._run = w.Button(description=_("Run"))
        self._undo = w.Button(description=_("Undo"), disabled=True)
        self._view = w.HTML()
        lesson.foresee(lambda: tasks.enter(lesson, line, [line]), [lambda: self._try(argv)])
        self._run.on_click(self._ran)
        self._undo.on_click(self._undone)
        super().__init__(
            [self._command, w.HBox([self._run, self._undo]), self._view],
            _("Before and after (needs JupyterLab): {line}", line=line),
        )

    def _try(self, argv: list[str]) -> None:
        """What a rehearsal does: run the command, and look at the forest before and after."""
        reads.forest(self._lesson)
        self._lesson.command(argv)
        reads.forest(self._lesson)

    def _ran(self, _button: object) -> None:
        lesson = self._lesson
        with teaching(self._view, lambda: lesson.badge):
            argv = _docker_words(self._command.value)
            tasks.enter(lesson, self._line, [self._line])
            before = reads.forest(lesson)
            result = lesson.command(argv)
            self._undo.disabled = False
            self._run.disabled = True
            note = _("exit code {code}", code=result.code) if result.code else ""
            output = show.output(lesson.badge, result.text, note)["text/html"]
            pictures = {
                _("Before"): Markup(before.tree().html()),
                _("After"): Markup(reads.forest(lesson).tree(before).html()),
            }
            self._view.value = macro(_TEMPLATE, "pictures", Markup(output), pictures)

    def _undone(self, _button: object) -> None:
        notes = tasks.leave(self._lesson)
        self._undo.disabled = True
        self._run.disabled = False
        said = show.message("note", "\n".join([_("Undone."), *notes]), self._lesson.badge)
        self._view.value = said["text/html"]


def _docker_words(line: str) -> list[str]:
    argv = words.split(line)
    if argv[:1] != ["docker"]:
        raise LabError("Name the command to try: `%before_after docker commit NAME IMAGE`.")
    return argv
