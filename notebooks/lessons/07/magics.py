"""``%disk_panel``: write into a dynamic and a fixed disk, and watch their files."""

from __future__ import annotations

from functools import partial
from itertools import permutations

import ipywidgets as w
from IPython.core.magic import line_magic, magics_class

from labkit.disks import Disk
from labkit.disks.strip import StripFigure
from labkit.lesson import Lesson
from labkit.magics import LessonMagics, put, shown
from labkit.messages import _
from labkit.show import output as show
from labkit.show.panels import Panel, teaching
from labkit.tasks import aside, run_or_raise
from labkit.virtualbox import reads
from labkit.words import number

FILES = {"panel-dynamic.vdi": "Standard", "panel-fixed.vdi": "Fixed"}


class DiskPanel(Panel):
    """Write at a place in the guest's disk of ``size`` MiB.

    What becomes of a file that grows, and of one that is reserved at once?
    """

    def __init__(self, lesson: Lesson, size: int) -> None:
        lesson.requires("virtualbox")
        self.lesson = lesson
        self.size = size
        self.drawn: dict[str, Disk] = {}
        setup = [
            f"VBoxManage createmedium disk --filename {name} --size {size} --variant {variant}"
            for name, variant in FILES.items()
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
        self.teaching = partial(teaching, self.view, lambda: lesson.badge)
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
            command = f'qemu-io -f vdi -c "write -P 0xab {place}M 64k"'
            run_or_raise(self.lesson, [f"{command} {name}" for name in FILES])

    def _draw(self, text: str) -> None:
        note = show.message("note", text, self.lesson.badge)["text/html"]
        disks = {name: reads.disk(self.lesson, name) for name in FILES}
        scale = max(StripFigure(disk).scale for disk in disks.values())
        strips = [
            StripFigure(disk, self.drawn.get(name), name, scale).html()
            for name, disk in disks.items()
        ]
        self.drawn = disks
        self.view.value = "".join([note, *strips])

    def _started(self, _button: object) -> None:
        with self.teaching():
            self.drawn = {}
            self.start()
            self.begin.description = _("Start over")
            self.button.disabled = False
            self._draw(_("Two disks of {size} MiB, new and empty.", size=self.size))

    def _written(self, _button: object) -> None:
        place: int = self.where.value
        with self.teaching():
            self._write(place)
            text = _("64 KiB written at {place} MiB of the guest's disk, in both.", place=place)
            self._draw(text)


@magics_class
class MAGICS(LessonMagics):
    """What only this lesson has."""

    @line_magic
    @shown()
    def disk_panel(self, line: str) -> None:
        """``%disk_panel [SIZE]``: write at a place in the guest's disk, and watch files grow."""
        usage = _("Use it as `%disk_panel` or `%disk_panel 32`: the size in MiB, from 8 to 256.")
        put(DiskPanel(self.now(), number(line.strip() or "16", 8, 256, usage)))
