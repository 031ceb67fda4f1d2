"""How frames look: their way through a network, their bytes, packets in packets.

Each figure is an object with text and HTML of the same content. A header has a colour and a line
of its own; its name is always written too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from textwrap import wrap
from typing import NamedTuple

from markupsafe import Markup

from labkit.messages import _
from labkit.net.headers import Header, dissect, summary
from labkit.net.layouts import LAYOUTS
from labkit.net.network import Step
from labkit.show.figure import Figure
from labkit.show.look import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from labkit.show.markup import macro
from labkit.show.output import table
from labkit.show.text import clean

WIDTH = 110  # letters of a line that tells a header's fields
PREVIEW = 64  # bytes told as text
ROW = 16  # bytes
_part = partial(macro, "net/picture.html")


class HeaderLook(NamedTuple):
    """A header's colour, and the line that tells it in grey, as in CSS."""

    colour: str
    line: str


_LINK = HeaderLook(BLUE, "solid")
_TAG = HeaderLook(VERMILION, "dashed")
_NETWORK = HeaderLook(GREEN, "dotted")
_CONTROL = HeaderLook(PURPLE, "double")
_TRANSPORT = HeaderLook(ORANGE, "solid")
_TUNNEL = HeaderLook(SKY, "dashed")
_LOOKS = {
    "Ethernet": _LINK,
    "type": _LINK,
    "802.1Q": _TAG,
    "ARP": _NETWORK,
    "IPv4": _NETWORK,
    "ICMP": _CONTROL,
    "UDP": _TRANSPORT,
    "TCP": _TRANSPORT,
    "GRE": _TUNNEL,
    "VXLAN": _TUNNEL,
    "ESP": _TUNNEL,
    "WireGuard": _TUNNEL,
    "OpenVPN": _TUNNEL,
}


def _look(header: Header) -> HeaderLook:
    return _LOOKS.get(header.name, HeaderLook(GREY, "dotted"))


class Journey(Figure):
    """A frame's way, step by step, as a table.

    ``names`` stand for addresses; steps are numbered from ``first`` on.
    """

    def __init__(self, steps: Sequence[Step], names: Mapping[str, str], first: int = 1) -> None:
        self._head = ("", _("cable"), _("tag"), _("frame"), _("what becomes of it"))
        self.rows = [
            (
                str(number),
                f"{step.start} → {step.end}",
                ", ".join(map(str, step.vlans)) or "-",
                summary(step.frame, names),
                _with_names(step.does, names),
            )
            for number, step in enumerate(steps, first)
        ]

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


def _with_names(text: str, names: Mapping[str, str]) -> str:
    for address, name in names.items():
        text = text.replace(address, name)
    return text


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
        cells = [
            (offset, header)
            for header in self.headers
            for offset in range(header.offset, header.offset + header.size)
        ]
        rows = [cells[start : start + ROW] for start in range(0, len(cells), ROW)]
        return _part("bytes", self, rows, _look)

    def fields(self, header: Header) -> str:
        """What a header's fields say; of what has none, the bytes as text."""
        told = ", ".join(map(str, header.values))
        return told or _readable(self.frame[header.offset : header.offset + header.size])

    def size(self, header: Header) -> str:
        """A header's."""
        return _("{size} bytes", size=header.size)

    def tip(self, header: Header, offset: int) -> str:
        """Of a byte: the fields that have a bit of it."""
        fields = [
            str(value)
            for value in header.values
            if value.bit < 8 * offset + 8 and value.bit + value.bits > 8 * offset
        ]
        told = ", ".join(fields) or _("not a field")
        return _("byte {offset}, {name}: {fields}", offset=offset, name=header.label, fields=told)


def _readable(data: bytes) -> str:
    """Bytes as text, a point for what is no letter; what is long is cut."""
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data[:PREVIEW])
    return f"{text}…" if len(data) > PREVIEW else text


class Boxes(Figure):
    """A packet in a packet: ``outside`` crosses the wire; ``inside`` is for who has the key."""

    def __init__(self, outside: bytes, inside: bytes, title: str = "") -> None:
        self.title = clean(title)
        self.wire = dissect(outside, "IPv4")
        self._hidden = dissect(inside, "IPv4") if self.wire[-1].sealed else []
        self._sizes = {"outside": len(outside), "inside": len(inside)}

    def __str__(self) -> str:
        lines = [self.title] if self.title else []
        wire = _(
            "on the wire  {outside:>5} bytes: {headers}", **self._sizes, headers=_row(self.wire)
        )
        lines.append(wire)
        if self._hidden:
            hidden = _(
                "in it        {inside:>5} bytes: {headers}, then padding and a tag",
                **self._sizes,
                headers=_row(self._hidden),
            )
            lines.append(hidden)
        return "\n".join(lines)

    def html(self) -> Markup:
        """Each header a box that holds the next one."""
        if self._hidden:
            about = _(
                "{outside} bytes on the wire for {inside} inside; hatched: only who has the key "
                "sees what is in it.",
                **self._sizes,
            )
        else:
            about = _(
                "{outside} bytes on the wire for {inside} inside; nothing in it is hidden.",
                **self._sizes,
            )
        return _part("boxes", self, about, [*self.wire, *self._hidden], _look, _source)


def _row(headers: Sequence[Header]) -> str:
    return " | ".join(f"{header.label} {header.size}" for header in headers)


def _source(header: Header) -> str:
    return LAYOUTS[header.name].source if header.name in LAYOUTS else ""
