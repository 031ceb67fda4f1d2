"""The layer explorer: slide through an image's layers, and see what the merged tree holds.

Only ipywidgets' own controls are used, so it works from the keyboard.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from functools import partial
from typing import Any

import ipywidgets as w
from markupsafe import Markup

from labkit.docker import reads
from labkit.docker.layers import Image, Layer, decimal_size
from labkit.docker.rootfs import File, Folder
from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.messages import _
from labkit.show.look import BLUE
from labkit.show.markup import macro
from labkit.show.output import badge_html
from labkit.show.panels import Panel, teaching
from labkit.show.text import clean

_part = partial(macro, "docker/panels.html")
_MORE = Markup("<div>{}</div>")
# Of the tree is shown, so that there is an end to it:
_DEPTH = 3  # levels of folders
_TOUCHED_DEPTH = 60  # levels of folders in which the last layer wrote
_TOUCHED = 5000  # if it wrote into no more folders than these
_OPENED = 12  # and fewer than these are open at once
_NAMES = 60  # of one folder
_REMOVED = 20  # paths that the last layer removed


def stack_html(image: Image, at: int, shared: Container[str | None] = ()) -> Markup:
    """An image's layers, newest on top; pale above the ``at``-th; ``shared`` ChainIDs marked."""
    caption = _(
        "{size}, of which {wasted} can no longer be seen; "
        "{count} more steps (ENV, CMD, …) hold no files.",
        size=decimal_size(image.size),
        wasted=decimal_size(image.wasted),
        count=len(image.layers) - len(image.filled),
    )
    return _part("stack", image.filled[::-1], at, shared, caption, BLUE, decimal_size)


class TreeView:
    """The root file system after the first ``at`` layers that hold files, as far as it is shown."""

    def __init__(self, image: Image, at: int) -> None:
        top = image.filled[at - 1] if at else Layer(None, None, "", empty=True)
        self._root = image.root(at)
        self._removed = [clean(path) for path in top.removed[:_REMOVED]]
        self._signs = dict.fromkeys(top.changed, "~ ") | dict.fromkeys(top.added, "+ ")
        touched = {folder for path in self._signs for folder in _folders_above(path)}
        self._followed = touched if len(touched) < _TOUCHED else set()
        self._opened = touched if len(touched) < _OPENED else set()

    def html(self) -> Markup:
        inside = self._inside("", self._root, 1)
        return _part("tree", self._removed, inside or _("(empty)"))

    def _inside(self, above: str, folder: Folder, level: int) -> Markup:
        """What is in a folder."""
        nodes = sorted(folder.children.items())
        rows = []
        for name, node in nodes[:_NAMES]:
            path = above + name
            sign = self._signs.get(path, "")
            if isinstance(node, File):
                target = f" → {clean(node.link)}" if node.link else ""
                rows.append(_part("file", sign, clean(name) + target, decimal_size(node.size)))
                continue
            inside = _MORE.format("…")
            if level < (_TOUCHED_DEPTH if path in self._followed else _DEPTH):
                inside = self._inside(path + "/", node, level + 1)
            files = [below for _path, below in node.walk() if isinstance(below, File)]
            size = decimal_size(sum(file.size for file in set(files)))
            note = _.many("{n} file, {size}", "{n} files, {size}", len(files), size=size)
            rows.append(_part("folder", sign, clean(name), note, inside, path in self._opened))
        hidden = len(nodes) - len(rows)
        if hidden:
            rows.append(_MORE.format(_("… and {count} more", count=hidden)))
        return Markup("").join(rows)


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
        lesson.requires("docker")
        if not 1 <= len(names) <= 2:
            raise LabError("Name one image, or two to compare: `%explore busybox httpd`.")
        tags = {str(tag) for image in lesson.world()["images"] for tag in image["tags"]}
        options = sorted(tags | set(names))
        self._columns = [_Column(self, lesson, name, options) for name in names]
        text = _("Layer explorer (needs JupyterLab): {images}", images=_(" and ").join(names))
        if len(names) == 2:
            text += "\n" + _("shared layers: {count}", count=len(self._shared()))
        boxes = w.HBox([column.box for column in self._columns], layout={"flex_flow": "row wrap"})
        super().__init__([w.HTML(badge_html(lesson.badge)), boxes], text)
        self.draw()

    def draw(self, _change: object = None) -> None:
        """Show in each column as many layers as its slider says."""
        for column in self._columns:
            laid = column.slider.value
            column.stack.value = stack_html(column.image, laid, self._shared())
            column.tree.value = TreeView(column.image, laid).html()

    def _shared(self) -> set[str | None]:
        """The ChainIDs that two images have in common; of one alone none."""
        chains = [{layer.chain_id for layer in column.image.filled} for column in self._columns]
        return chains[0] & chains[1] if len(chains) == 2 else set()


class _Column:
    """One image of the explorer, and how many of its layers are laid."""

    def __init__(self, explorer: Explorer, lesson: Lesson, name: str, options: list[str]) -> None:
        self._explorer = explorer
        self._lesson = lesson
        self.image = reads.layers(lesson, name)
        wide = {"width": "98%"}
        most = len(self.image.filled)
        pick = w.Dropdown(options=options, value=name, description=_("Image"), layout=wide)
        self.slider = w.IntSlider(min=0, max=most, value=most, description=_("Layers"), layout=wide)
        self.stack = w.HTML()
        self.tree = w.HTML()
        self.box = w.VBox(
            [pick, self.slider, self.stack, self.tree],
            layout={"flex": "1 1 340px", "min_width": "320px"},
        )
        pick.observe(self._picked, "value")
        self.slider.observe(explorer.draw, "value")

    def _picked(self, change: dict[str, Any]) -> None:
        self.tree.value = ""
        with teaching(self.stack, lambda: self._lesson.badge):
            self.image = reads.layers(self._lesson, change["new"])
            self.slider.max = self.slider.value = len(self.image.filled)
            self._explorer.draw()
