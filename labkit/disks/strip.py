"""The figure of a virtual disk: the guest's bytes, those of its file, and where each block lies."""

from __future__ import annotations

from textwrap import wrap

from markupsafe import Markup

from labkit.disks.cells import MOST_CELLS, STRIP_LOOKS, DiskStrips, StripCell
from labkit.disks.disk import Disk
from labkit.disks.drawing import StripLabel, StripPicture
from labkit.disks.values import human, spans
from labkit.messages import _
from labkit.show.figure import Figure
from labkit.show.look import MARKS
from labkit.show.text import clean, shorten

_LOOKS = STRIP_LOOKS | MARKS
_SCROLLING = Markup('<div style="overflow:auto" tabindex="0">{}</div>')


class StripFigure(Figure):
    """The figure of a disk. Since ``before``, an earlier look at it, new blocks are marked.

    ``scale``: bytes a px, more where they would not fit; give that of another figure to compare.
    LabError as the disk's.
    """

    def __init__(
        self, disk: Disk, before: Disk | None = None, title: str = "", scale: int = 1
    ) -> None:
        self.disk = disk
        self.title = clean(title)
        self.unit = shorten(clean(_(disk.kind)), 9)
        self.strips = DiskStrips(disk, before, scale)
        self.scale = self.strips.scale
        self.summary = _summary(disk, before or disk)
        self.legend = self._legend()
        self.labels = self._labels()

    def _legend(self) -> list[str]:
        used: set[str] = set()
        for cell in self.strips.guest + self.strips.file:
            used.add(cell.mark)
            used.update(+cell.parts)  # + leaves out what there is none of
        return [word for word in _LOOKS if word and word in used]

    def _labels(self) -> list[StripLabel]:
        """The last one first, so that no lead crosses a text."""
        labels = []
        for number, cell in reversed(list(enumerate(self.strips.file))):
            if cell.label:
                limit = max(MOST_CELLS - number, number) - 1
                text = self._label(cell, limit)
                labels.append(StripLabel(number, text, len(text) < MOST_CELLS - number))
        return labels

    def _label(self, cell: StripCell, limit: int) -> str:
        """The text of a label, in at most so many characters."""
        text = f"{shorten(_(cell.label), 20)} {human(self.strips.sizes[cell.label])}"
        block = self.disk.block_size
        if cell.kind == "data" and block:
            blocks = [
                (run.start // block, (run.start + run.length - 1) // block)
                for run in self.strips.stored
            ]
            room = limit - len(text) - len(self.unit) - 3
            text = f"{text}: {self.unit} {spans(blocks, room)}"
        return shorten(text, limit)

    # -- as text

    def __str__(self) -> str:
        lines = [self.title] if self.title else []
        lines += [*wrap(self.summary, 80), ""]
        lines += _text_strip(_("guest"), self.strips.guest)
        lines += _text_strip(_("file"), self.strips.file)
        lines += self._text_labels()
        legend = "   ".join(f"{_LOOKS[word].sign} {_(word)}" for word in self.legend)
        scale = _("A sign of the guest is {size}.", size=human(self.strips.step))
        return "\n".join([*lines, "", *wrap(legend, 80), scale])

    def _text_labels(self) -> list[str]:
        """A line for each label, with the leads of those that follow."""
        lines = []
        leads = {label.cell for label in self.labels}
        for cell, text, right in self.labels:
            leads.remove(cell)
            row = "".join("│" if x in leads else " " for x in range(cell))
            left = row[: cell - len(text) - 1]
            lines.append(f"{'':7}" + (f"{row}└ {text}" if right else f"{left}{text} ┘"))
        return lines

    # -- as a picture

    def svg(self) -> Markup:
        """One self-contained <svg>: for light and dark pages, grey printers, screen readers."""
        picture = StripPicture(self.strips, self.unit)
        return picture.svg(self.title, self.summary, self.legend, self.labels)

    def html(self) -> Markup:
        """The picture; one too wide scrolls."""
        return _SCROLLING.format(self.svg())


def _summary(disk: Disk, before: Disk) -> str:
    share = 100 * disk.file_size / max(disk.capacity, 1)
    grown = disk.file_size - before.file_size
    about = {
        "disk": clean(disk.summary()),
        "share": f"{share:.0f}" if share >= 10 else f"{share:.2g}",
    }
    if grown <= 0:
        return _("{disk}. The file is {share} % as long as the disk.", **about)
    return _(
        "{disk}. The file is {share} % as long as the disk, {grown} more than before.",
        **about,
        grown=human(grown),
    )


def _text_strip(name: str, cells: list[StripCell]) -> list[str]:
    """A strip in signs and, above them, what is new."""
    lines = [f"{name:7}{''.join(cell.sign for cell in cells)}"]
    marks = "".join(MARKS[cell.mark].sign for cell in cells).rstrip()
    if marks:
        lines.insert(0, f"{'':7}{marks}")
    return lines
