"""Machines and disks in a notebook.

``%folder`` ``%disk`` ``%guest_read`` ``%snapshots`` ``%what_if``
"""

from __future__ import annotations

from IPython.core.magic import line_magic, magics_class

from labkit.disks import Disk, human
from labkit.disks.strip import StripFigure
from labkit.engine import spelled
from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.magics import LessonMagics, shown
from labkit.messages import _
from labkit.show import output as show
from labkit.show.text import clean
from labkit.virtualbox import preview, reads
from labkit.virtualbox.snapshots import machine_tree
from labkit.words import split


@magics_class
class MAGICS(LessonMagics):
    """The bench's magics, beside those of its programs."""

    @line_magic
    @shown()
    def folder(self, line: str) -> None:
        """``%folder``: the files in the lesson's own folder and their sizes."""
        lesson = self.now()
        if line.strip():
            raise LabError("Use it as `%folder`: it lists all files of the lesson.")
        sizes = {clean(name): human(size) for name, size in reads.files(lesson).items()}
        wide = max(map(len, sizes.values()), default=0)
        lines = [f"{size:>{wide}}  {name}" for name, size in sizes.items()]
        show.put(show.output(lesson.badge, "\n".join(lines) or _("(empty)")))

    @line_magic
    @shown()
    def guest_read(self, line: str) -> None:
        """``%guest_read MACHINE``: the texts at the start of the pages of its disk.

        As its guest would read them.
        """
        lesson = self.now()
        texts = reads.guest(lesson, self.one(line, "%guest_read MACHINE"))
        lines = [
            _("page {number}: {text}", number=page, text=clean(text))
            for page, text in enumerate(texts)
            if text
        ]
        show.put(show.output(lesson.badge, "\n".join(lines) or _("(nothing but zeros)")))

    @line_magic
    @shown()
    def snapshots(self, line: str) -> None:
        """``%snapshots [MACHINE …]``: machines, snapshots, disks, linked clones in one picture."""
        lesson = self.now()
        names = tuple(split(line))
        graph = reads.graph(lesson)
        if names:
            graph = graph.only(*names)
        before = lesson.memory.get(("snapshots", names))
        show.put(show.figure(lesson.badge, machine_tree(graph, before)))
        lesson.memory["snapshots", names] = graph
        for note in graph.notes:
            self.say("note", note, badge=False)

    @line_magic
    @shown()
    def what_if(self, line: str) -> None:
        """``%what_if VBoxManage snapshot M delete|restore S``: what that would merge or lose."""
        lesson, words = self.now(), split(line)
        asked = len(words) == 5 and spelled(words[0], ["VBoxManage"]) and words[1] == "snapshot"
        if not asked or words[3] not in ("delete", "restore"):
            raise LabError(
                "Ask about a command that deletes or restores a snapshot: "
                "`%what_if VBoxManage snapshot MACHINE delete SNAPSHOT`."
            )
        graph = reads.graph(lesson)
        foretell = preview.deleting if words[3] == "delete" else preview.restoring
        told = foretell(graph, words[2], words[4])
        text = "\n".join([_("Nothing has been done yet."), *told.lines])
        show.put(show.message("ask", text, lesson.badge))

    @line_magic
    @shown()
    def disk(self, line: str) -> None:
        """``%disk FILE [FILE …]``: what a disk file says of itself, and where the blocks are."""
        lesson, names = self.now(), split(line, ("PWD",))
        if not names:
            raise LabError(
                "Name a disk file of the lesson: `%disk lab07.vdi`; `%folder` lists them."
            )
        disks = {name: reads.disk(lesson, name) for name in names}
        # One for all, so that lengths can be compared.
        scale = max(StripFigure(disk).scale for disk in disks.values())
        for name, disk in disks.items():
            _show_disk(lesson, name, disk, scale, alone=len(disks) == 1)


def _show_disk(lesson: Lesson, name: str, disk: Disk, scale: int, alone: bool) -> None:
    """Show a disk's strip; if it is shown alone, with the fields of its file."""
    before = lesson.memory.get(("disk drawn", name))
    strip = StripFigure(disk, before, name, scale)
    lesson.memory["disk drawn", name] = disk
    text, table = "", ""
    if alone:
        text = str(disk)
        head, *rows = disk.table()
        table = show.table(head, rows)
    html = "".join([show.badge_html(lesson.badge), table, strip.html()])
    show.put(
        {
            "text/plain": "\n".join(filter(None, [lesson.badge, text, str(strip)])),
            "text/html": f"<div>{html}</div>",
        }
    )
