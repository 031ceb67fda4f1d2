"""Draw a virtual disk: the guest's bytes above, the bytes of its file below, and where in the file each block lies.

Both strips have one scale, which follows from the capacity unless the file is far longer: so disks of one capacity
compare at a glance, and the file of a dynamic one is short and grows to the right in the order of writing. Blocks too
many to tell apart share a cell. Takes time linear in the pieces of the map, plus sorting them by their place.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from textwrap import wrap
from typing import Any

from labkit.disks import Disk, Extent, human
from labkit.show.figure import Figure
from labkit.show.look import MARKS, PAD, Look, ink
from labkit.show.text import clean, shorten

# Colours as in trees; what is not in the file has none. Dash: of the stripes across it, for grey printers.
LOOKS = {
    "data": Look("#0072B2", "█"),
    "compressed": Look("#56B4E9", "▓", "3 3"),
    "header": Look("#CC79A7", "▒", "1 2"),
    "map": Look("#E69F00", "░", "1.4 4"),
    "other": Look("#F0E442", "▚", "1 6"),
    "free": Look("", "·"),
    "zero": Look("", "0"),
    "parent": Look("", "^"),
    "not allocated": Look("", "·"),
}
STORED, LEVELS = ("data", "compressed"), "▁▂▃▄▅▆▇█"
FILE, LINES, LABELS = 72, 256, 7  # at most: cells of a file, lines between the strips, labels below
GUEST, LONG, CELL, LEAST = 512, 536, 8, 6  # px: longest guest and file, a cell, the narrowest
LEFT, HIGH, DROP, LINE = (
    PAD + 72,
    32,
    72,
    20,
)  # px: where strips begin, a strip, between strips, a line of text
WIDE = LEFT + LONG + LABELS * LEAST + PAD  # px
_CSS = f"""
@text{{white-space:pre;unicode-bidi:isolate;font:13px system-ui,sans-serif;fill:{ink("fill")}}}
@text.title{{font-size:15px}}@text.title,@text.name,@text.sign{{font-weight:600}}@text.end{{text-anchor:end}}
@text.note,@text.number{{opacity:.78;font-variant-numeric:tabular-nums}}
@text.number,@text.sign,@text.kind{{font-size:12px;text-anchor:middle}}
@text.sign{{fill:#fff;stroke:#000;stroke-width:2.5;paint-order:stroke}}
@rect{{fill:none;stroke:{ink("stroke")};stroke-opacity:.45;pointer-events:all}}@rect.free{{stroke-dasharray:2 2}}
@rect.new{{stroke:#009E73;stroke-width:2.4;stroke-opacity:1}}@.stripes{{stroke:#000;stroke-opacity:.55}}
@.lead,@.line{{fill:none}}@.lead{{stroke:#808080;stroke-width:1.2}}
@.line{{stroke:#0072B2;stroke-opacity:.8}}@.line.new{{stroke:#009E73;stroke-opacity:.9}}
""".strip().replace("@", ".lk-strip ")


@dataclass
class Cell:
    """`size` bytes from `start` on drawn as one, `x` and `wide` px; `parts`: how many bytes are of each kind."""

    start: int
    size: int
    kind: str
    parts: Counter[str]
    label: str = ""  # drawn below; a cell that has one stays a cell of its own
    mark: str = ""
    x: float = 0
    wide: float = 0

    @property
    def sign(self) -> str:
        """The cell in text; of data, how full it is."""
        return (
            LEVELS[-(-8 * self.parts["data"] // self.size) - 1]
            if self.kind == "data"
            else LOOKS[self.kind].sign
        )


def runs(disk: Disk, step: int) -> Iterator[Extent]:
    """The disk's extents, cut at every `step` bytes of the guest."""
    for start, length, kind, at in disk.extents():
        while length > 0 and start < disk.capacity:
            size = min(length, step - start % step, disk.capacity - start)
            yield Extent(
                start, size, kind if disk.parent or kind != "parent" else "not allocated", at
            )
            start, length, at = start + size, length - size, None if at is None else at + size


def spans(pairs: Iterable[tuple[int, int]], limit: int) -> str:
    """Numbers from first to last in the order given as "10, 3–7"; what takes more characters is an ellipsis."""
    found: list[list[int]] = []
    for first, last in pairs:
        if found and found[-1][0] <= first <= found[-1][1] + 1:
            found[-1][1] = max(last, found[-1][1])
        elif 2 * len(found) <= limit:
            found.append([first, last])
    texts = ["–".join(map(str, sorted({*pair}))) for pair in found]
    while len(text := ", ".join(texts)) > limit and len(texts) > 1:
        texts[-2:] = ["…"]
    return text


class Strip(Figure):
    """The figure of a disk. Since `before`, an earlier look at it, new blocks are marked.

    `scale`: bytes a px, more where they would not fit; give that of another figure to compare. LabError as the disk's.
    """

    def __init__(
        self, disk: Disk, before: Disk | None = None, title: str = "", scale: int = 1
    ) -> None:
        self.disk, self.title, self.unit = disk, clean(title), shorten(clean(disk.kind), 9)
        block = disk.block_size or 1
        self.scale = max(
            1,
            scale,
            *(
                -(-size // px)
                for one in (disk, before or disk)
                for size, px in ((one.capacity, GUEST), (one.file_size, LONG))
            ),
        )
        self.step = -(-CELL * self.scale // block) * block
        found, old = list(runs(disk, self.step)), set(runs(before, self.step) if before else ())
        self.found = sorted(
            (run for run in found if run.kind in STORED), key=lambda run: run.at or 0
        )
        self.new = {run for run in self.found if run not in old} if before else set[Extent]()
        self.sizes = Counter[str]()  # bytes of the file by label
        self.guest, self.file = self._guest(found), self._file()
        for cells in (self.guest, self.file):
            x = 0.0
            for cell in cells:
                cell.x, cell.wide = round(x, 1), round(max(LEAST, cell.size / self.scale), 1)
                x += max(LEAST, cell.size / self.scale)
        self.lines = self._lines(before.file_size if before else disk.file_size)
        share, grown = (
            100 * disk.file_size / max(disk.capacity, 1),
            disk.file_size - (before or disk).file_size,
        )
        self.summary = (
            f"{clean(disk.summary())}. The file is {share:.{'0f' if share >= 10 else '2g'}} % as long as "
            "the disk" + f", {human(abs(grown))} more than before" * (grown > 0) + "."
        )
        used = {word for cell in self.guest + self.file for word in (*+cell.parts, cell.mark)} - {
            ""
        }
        self.legend = [word for word in (*LOOKS, *MARKS) if word in used]
        self.labels = list[
            tuple[int, str, bool]
        ]()  # cell, text, to its right? Last first: no lead crosses a text
        blocks = [(run.start // block, (run.start + run.length - 1) // block) for run in self.found]
        for n, cell in reversed([*enumerate(self.file)]):
            text, limit = (
                f"{shorten(cell.label, 20)} {human(self.sizes[cell.label])}",
                max(FILE - n, n) - 1,
            )
            if cell.kind == "data" and disk.block_size:
                text = (
                    f"{text}: {self.unit} {spans(blocks, limit - len(text) - len(self.unit) - 3)}"
                )
            self.labels += [(n, text := shorten(text, limit), len(text) < FILE - n)] * bool(
                cell.label
            )

    def _guest(self, found: list[Extent]) -> list[Cell]:
        rest, end = "parent" if self.disk.parent else "not allocated", self.disk.capacity
        cells = [
            Cell(at, min(self.step, end - at), rest, Counter()) for at in range(0, end, self.step)
        ]
        for run in found:
            cell = cells[run.start // self.step]
            cell.parts[run.kind] += run.length
            cell.mark = "new" if run in self.new else cell.mark
        for cell in cells:  # the map of a record may be cut short
            cell.parts[rest] += cell.size - cell.parts.total()
            cell.kind = max(
                cell.parts, key=lambda kind: cell.size * (kind in STORED) + cell.parts[kind]
            )
        return cells

    def _file(self) -> list[Cell]:
        """The file's regions, cut where a cell of the guest begins; then joined, small ones first, until they fit."""
        first = {run.start // self.step: run.at or 0 for run in reversed(self.found)}
        edges, cells, regions = sorted({*first.values()}), list[Cell](), self.disk.regions()
        total = sum(region.size for region in regions)  # the file's, but a record may say anything
        for at, length, kind, text in regions:
            label, inside = (
                clean(text) or kind,
                edges[bisect_right(edges, at) : bisect_left(edges, at + length)],
            )
            fresh = label not in self.sizes and len(self.sizes) < LABELS
            self.sizes[label] += length
            for low, high in pairwise([at, *inside, at + length]):
                part = max(
                    1, -(-(high - low) // max(1, round((high - low) / self.step)))
                )  # about a cell of the guest
                cells += [
                    Cell(start, size, kind, Counter({kind: size}), label * (fresh and start == at))
                    for start in range(low, high, part)
                    for size in [min(part, high - start)]
                ]
        limit, room = (
            2 * total // max(len(cells), 1),
            max(total / self.scale, 8 * CELL) + LABELS * LEAST,
        )
        while len(cells) > FILE or sum(max(LEAST, cell.size / self.scale) for cell in cells) > room:
            joined = cells[:1]
            for cell in cells[1:]:
                last, alike = (
                    joined[-1],
                    cell.kind == joined[-1].kind or cell.size <= joined[-1].size or limit > total,
                )
                if alike and not cell.label and last.size + cell.size <= limit:
                    last.size, last.parts = last.size + cell.size, last.parts + cell.parts
                else:
                    joined.append(cell)
            cells, limit = joined, 2 * limit + 1
        return cells

    def _lines(self, old: int) -> list[tuple[int, int, int, bool]]:
        """From cell to cell, the strongest ones: how many bytes, and is any new? Marks what is new in the file."""
        starts, sizes, new = (
            [cell.start for cell in self.file],
            Counter[tuple[int, int]](),
            set[tuple[int, int]](),
        )
        for cell in self.file:
            cell.mark = "new" * (cell.start >= old and cell.kind != "free")
        for run in self.found:
            at, end = run.at or 0, (run.at or 0) + (run.length if run.kind == "data" else 1)
            for n in range(
                max(bisect_right(starts, at) - 1, 0),
                bisect_left(starts, min(end, self.disk.file_size)),
            ):
                pair, cell = (run.start // self.step, n), self.file[n]
                if (
                    size := min(end, cell.start + cell.size) - max(at, cell.start)
                ) > 0:  # the file may be cut short
                    sizes[pair] += size
                    cell.mark = "new" if run in self.new else cell.mark
                    new |= {pair} if run in self.new else set()
        self.pairs = len(sizes)
        return [(*pair, size, pair in new) for pair, size in sorted(sizes.most_common(LINES))]

    def data(self) -> dict[str, Any]:
        """Plain values for tests and JSON; lines are [cell of the guest, cell of the file, bytes, new or not]."""
        guest, file = (
            [vars(cell) | {"parts": dict(+cell.parts)} for cell in cells]
            for cells in (self.guest, self.file)
        )
        return {
            "title": self.title,
            "scale": self.scale,
            "guest": guest,
            "file": file,
            "lines": [*map(list, self.lines)],
        }

    def __str__(self) -> str:
        lines, leads = (
            [*filter(None, [self.title]), *wrap(self.summary, 80), ""],
            {n for n, *_ in self.labels},
        )
        for name, cells in (("guest", self.guest), ("file", self.file)):
            marks = "".join(MARKS[cell.mark].sign for cell in cells).rstrip()
            lines += [f"{'':7}{marks}"] * bool(marks) + [
                f"{name:7}{''.join(cell.sign for cell in cells)}"
            ]
        for n, text, right in self.labels:
            row = "".join("│" if x in leads else " " for x in range(n))
            leads.remove(n)
            lines.append(
                f"{'':7}" + (f"{row}└ {text}" if right else f"{row[: n - len(text) - 1]}{text} ┘")
            )
        legend = "   ".join(f"{(LOOKS | MARKS)[word].sign} {word}" for word in self.legend)
        return "\n".join(
            [*lines, "", *wrap(legend, 80), f"A sign of the guest is {human(self.step)}."]
        )

    def _box(self, cell: Cell, x: float, y: float, wide: float, high: float, tip: str) -> str:
        """A cell, filled from below as far as its parts go, with its sign."""
        out, bottom, middle = "", y + high, round(x + wide / 2, 2)
        for kind, look in LOOKS.items():
            if look.colour and cell.parts[kind]:
                tall = min(max(2, round(high * cell.parts[kind] / cell.size, 1)), bottom - y)
                bottom -= tall
                line = f'stroke-width="{wide:g}" d="M{middle:g} {bottom:g}v{tall:g}"/>'
                out += f'<path stroke="{look.colour}" {line}'
                out += f'<path class="stripes" stroke-dasharray="{look.dash}" {line}' * bool(
                    look.dash
                )
        out += (
            f'<rect class="{cell.kind} {cell.mark}" x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}">'
            f"<title>{escape(tip)}</title></rect>"
        )
        cls, sign = (
            ("sign", MARKS[cell.mark].sign)
            if cell.mark
            else ("kind", cell.sign if cell.sign in "0^" else "")
        )
        return (
            out
            + f'<text class="{cls}" x="{middle:g}" y="{y + high / 2 + 4.5:g}">{sign}</text>'
            * bool(sign)
        )

    def svg(self) -> str:
        """One self-contained <svg>: for light and dark pages, grey printers and screen readers."""
        disk, block, out, x, free = self.disk, self.disk.block_size, list[str](), float(PAD), 0.0
        words = [(self.title, "title")] * bool(self.title) + [
            (line, "") for line in wrap(self.summary, 90)
        ]
        texts = [
            (float(PAD), PAD + 14.0 + LINE * n, cls, text) for n, (text, cls) in enumerate(words)
        ]
        top = PAD + LINE * len(words) + 56
        low, end = top + HIGH + DROP, top + 2 * HIGH + DROP + LINE * len(self.labels) + 52
        for word in self.legend:
            kind, mark = (word, "") if word in LOOKS else ("data", word)
            out.append(
                self._box(
                    Cell(0, 1, kind, Counter({kind: 1}), mark=mark), x, top - 50, 12, 14, word
                )
            )
            texts.append((x + 20, top - 38.5, "", word))
            x = round(x + 6.8 * len(word) + 44, 1)
        for a, b, size, new in self.lines:
            x0, x1 = (
                round(LEFT + cell.x + (cell.wide - 1) / 2, 2)
                for cell in (self.guest[a], self.file[b])
            )
            thick = min(max(1.2, size / self.scale - 1), 4)
            y0, y, y1 = top + HIGH + 2, top + HIGH + DROP // 2, low - 2
            out.append(
                f'<path class="line{" new" * new}" stroke-width="{thick:.3g}" '
                f'd="M{x0:g} {y0}C{x0:g} {y} {x1:g} {y} {x1:g} {y1}"/>'
            )
        for y, cells, name, size in (
            (top, self.guest, "guest", disk.capacity),
            (low, self.file, "file", disk.file_size),
        ):
            texts += [(PAD, y + 13, "name", name), (PAD, y + 30, "note", human(size))]
            for cell in cells:
                x, wide, first = (
                    round(LEFT + cell.x, 1),
                    round(cell.wide - 1, 1),
                    cell.start // max(block, 1),
                )
                last = (cell.start + cell.size - 1) // max(block, 1)
                numbered = block and cells is self.guest
                what = (
                    f"{self.unit} {spans([(first, last)], 99)}"
                    if numbered
                    else f"from byte {cell.start}"
                )
                parts = ", ".join(f"{human(size)} {kind}" for kind, size in (+cell.parts).items())
                out.append(self._box(cell, x, y, wide, HIGH, f"{what}: {parts}"))
                if numbered and first == last and cell.kind in STORED and x >= free:
                    texts.append((x + wide / 2, y - 7, "number", str(first)))
                    free = x + 18  # px: two digits
        for row, (n, text, right) in enumerate(self.labels):
            x, y = (
                round(LEFT + self.file[n].x + (self.file[n].wide - 1) / 2, 1),
                low + HIGH + 16 + LINE * row,
            )
            out.append(f'<path class="lead" d="M{x:g} {low + HIGH + 3}V{y}h{6 if right else -6}"/>')
            texts.append((x + (10 if right else -10), y + 4.5, "" if right else "end", text))
        note = f"1 px is {human(self.scale)}; what is too small is {LEAST} px wide." + (
            f" Of {self.pairs} lines the {LINES} for most bytes are drawn." * (self.pairs > LINES)
        )
        texts.append((PAD, end - PAD, "note", note))
        out += [
            f'<text class="{cls}" x="{x:g}" y="{y:g}">{escape(text)}</text>'
            for x, y, cls, text in texts
        ]
        about = (
            f"{self.summary} In the file: {'; '.join(text for _, text, _ in self.labels[::-1])}."
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" class="lk-strip" role="img" width="{WIDE}" '
                f'height="{end}" viewBox="0 0 {WIDE} {end}"><title>{escape(self.title or "Disk")}</title>'
                f"<desc>{escape(about)}</desc><style>{_CSS}</style>",
                *out,
                "</svg>",
            ]
        )

    def html(self) -> str:
        """The picture; one too wide scrolls."""
        return f'<div style="overflow:auto" tabindex="0">{self.svg()}</div>'
