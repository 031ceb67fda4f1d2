"""What a command of a network shows: a frame's way, its bytes, text, several figures in a column.

A header has a colour and a line of its own; its name is always written too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from textwrap import wrap
from typing import NamedTuple

from markupsafe import Markup

from labkit.errors import LabError
from labkit.messages import _
from labkit.net.headers import Header, dissect, summary, vlans
from labkit.net.network import Step
from labkit.show.look import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from labkit.show.markup import Figure, macro
from labkit.show.output import pre, table
from labkit.show.text import clean

WIDTH = 110  # letters of a line that tells a header's fields
PREVIEW = 64  # bytes told as text
ROW = 16  # bytes
MOST_PASTED = 20_000  # digits
_OFFSET = re.compile(r"\s*(?:0x)?([0-9a-fA-F]{4})(:\s|\s\s)")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_part = partial(macro, "net/picture.html")


class HeaderLook(NamedTuple):
    """A header's colour, and the line that tells it in grey, as in CSS."""

    colour: str
    line: str


_LOOKS = {
    HeaderLook(BLUE, "solid"): ("Ethernet", "type"),
    HeaderLook(VERMILION, "dashed"): ("802.1Q",),
    HeaderLook(GREEN, "dotted"): ("ARP", "IPv4"),
    HeaderLook(PURPLE, "double"): ("ICMP",),
    HeaderLook(ORANGE, "solid"): ("UDP", "TCP"),
    HeaderLook(SKY, "dashed"): ("GRE", "VXLAN", "ESP", "WireGuard", "OpenVPN"),
}


def header_look(header: Header) -> HeaderLook:
    """How a header looks; grey if it is none of LAYOUTS."""
    looks = (look for look, names in _LOOKS.items() if header.name in names)
    return next(looks, HeaderLook(GREY, "dotted"))


class Answer(Figure):
    """Figures and texts in a column. ``ok``: False for a ping without reply, and the like."""

    def __init__(self, *parts: Figure | str, ok: bool = True) -> None:
        self.parts, self.ok = parts, ok

    def __str__(self) -> str:
        return "\n".join(filter(None, map(str, self.parts)))

    def html(self) -> Markup:
        """All of it as HTML; lines of text that are too long fold."""
        return Markup("").join(
            pre(part, fold=True) if isinstance(part, str) else part.html() for part in self.parts
        )


class Journey(Figure):
    """A frame's way, step by step, as a table.

    ``names`` stand for addresses; steps are numbered from ``first`` on.
    """

    def __init__(self, steps: Sequence[Step], names: Mapping[str, str], first: int = 1) -> None:
        self._head = ("", _("cable"), _("tag"), _("frame"), _("what becomes of it"))
        self.rows = list[tuple[str, ...]]()
        for number, step in enumerate(steps, first):
            does = step.does
            for address, name in names.items():
                does = does.replace(address, name)
            cable = f"{step.start} → {step.end}"
            tags = ", ".join(map(str, vlans(step.frame))) or "-"
            self.rows.append((str(number), cable, tags, summary(step.frame, names), does))

    def __str__(self) -> str:
        number, cable, tag, frame = (
            max(len(row[column]) for row in [self._head, *self.rows]) for column in range(4)
        )
        lines = [
            f"{row[0]:>{number}}  {row[1]:<{cable}}  {row[2]:<{tag}}  {row[3]:<{frame}}  {row[4]}"
            for row in self.rows
        ]
        return "\n".join(line.rstrip() for line in lines) or _("(no frame was sent)")

    def html(self) -> Markup:
        """The table, with a heading for each column."""
        return table(self._head, self.rows) or _part("note", _("(no frame was sent)"))


class Bytes(Figure):
    """A frame, byte by byte: which header each belongs to, and what its fields say.

    ``first``: the header that it begins with.
    """

    def __init__(self, frame: bytes, title: str = "", first: str = "Ethernet") -> None:
        self.frame = frame
        self.title = clean(title)
        self.headers = dissect(frame, first)

    def __str__(self) -> str:
        lines = [self.title] if self.title else []
        for offset in range(0, len(self.frame), ROW):
            lines.append(f"{offset:04x}  {self.frame[offset : offset + ROW].hex(' ')}")
        for header in self.headers:
            line = _(
                "{name}, {size} bytes from {offset}: {fields}",
                name=header.label,
                size=header.size,
                offset=header.offset,
                fields=self.fields(header),
            )
            lines += wrap(line, WIDTH, subsequent_indent="    ", break_on_hyphens=False)
        return "\n".join(lines)

    def html(self) -> Markup:
        """Rows of bytes, the field of each under the cursor; below, what all fields say."""
        cells = list[tuple[int, Header]]()  # of each byte
        for header in self.headers:
            cells += [(header.offset + place, header) for place in range(header.size)]
        rows = [cells[start : start + ROW] for start in range(0, len(cells), ROW)]
        return _part("bytes", self, rows, header_look)

    def fields(self, header: Header) -> str:
        """What a header's fields say; of what has none, the bytes as text, cut if it is long."""
        if header.values:
            return ", ".join(map(str, header.values))
        data = self.frame[header.offset : header.offset + header.size]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data[:PREVIEW])
        return f"{text}…" if len(data) > PREVIEW else text

    def size(self, header: Header) -> str:
        """A header's."""
        return _("{size} bytes", size=header.size)

    def tip(self, header: Header, offset: int) -> str:
        """Of a byte: the fields that have a bit of it."""
        fields = ", ".join(
            str(value)
            for value in header.values
            if value.bit < 8 * offset + 8 and value.bit + value.bits > 8 * offset
        )
        return _(
            "byte {offset}, {name}: {fields}",
            offset=offset,
            name=header.label,
            fields=fields or _("not a field"),
        )


def pasted(text: str, first: str) -> Bytes:
    """Bytes in hex, with or without offsets; ``first``: the header that they begin with.

    Raises :class:`LabError` for anything else.
    """
    digits = ""
    for row, line in enumerate(filter(str.strip, text.splitlines())):
        offset = _OFFSET.match(line)
        if offset and (offset[2][0] == ":" or int(offset[1], 16) == ROW * row):
            line = line[offset.end() :]  # tcpdump's, or as we print them
        digits += "".join(line.split())
    if not _HEX.fullmatch(digits) or len(digits) > MOST_PASTED:
        raise LabError(
            "That is no frame in hex: paste lines as `tcpdump -xx` prints them, two digits a "
            "byte, up to 10,000 bytes."
        )
    return Bytes(bytes.fromhex(digits), "", first)
