"""How networks look: the topology, a frame's way through it, a frame's bytes, a packet in a packet.

Each figure is an object with text and HTML of the same content. A VLAN has a colour and a dash of its own everywhere, a
header a colour and an underline; numbers and names are always written too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from textwrap import wrap

from labkit.net.headers import Header, dissect, summary
from labkit.net.layouts import LAYOUTS
from labkit.net.network import Step
from labkit.net.topology import Plug, Port, Topology, ranges
from labkit.show.figure import Figure
from labkit.show.look import ink
from labkit.show.output import table
from labkit.show.text import clean, shorten

# Okabe and Ito, "Color Universal Design" (2008); the dash tells VLANs apart in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#808080")
DASHES = ("", "7 3", "2 3", "9 3 2 3", "1 2", "12 4", "4 4")
UNDERLINES = ("solid", "dashed", "dotted", "double")
HEADERS = {
    "Ethernet": 0,
    "type": 0,
    "802.1Q": 1,
    "ARP": 2,
    "IPv4": 2,
    "ICMP": 3,
    "UDP": 4,
    "TCP": 4,
    "GRE": 5,
    "VXLAN": 5,
    "ESP": 5,
    "WireGuard": 5,
    "OpenVPN": 5,
}  # index into COLOURS; others have none
HOST, HIGH, TOP, DROP, PAD, GAP = (
    104,
    40,
    78,
    116,
    16,
    80,
)  # px: a column at least, a switch, rows, margin, between
MOST = 60  # hosts drawn
_CSS = f"""
@text{{font:13px system-ui,sans-serif;fill:{ink("fill")};text-anchor:middle}}
@.name{{font-weight:600}}@.small{{font-size:12px;opacity:.85;font-variant-numeric:tabular-nums}}
@.left{{text-anchor:start}}
@.device{{fill:none;stroke:{ink("stroke")};stroke-width:1.5}}@.cable{{fill:none;stroke-width:2}}
@.trunk{{fill:none;stroke:{ink("stroke")};stroke-width:5;stroke-opacity:.28}}
@.way{{fill:none;stroke:#E69F00;stroke-width:5;stroke-opacity:.75}}@.head{{fill:#E69F00}}
@.mark{{stroke:#000;stroke-width:.6;fill:#E69F00}}@text.number{{font-size:12px;font-weight:700;fill:#000}}
""".strip().replace("@", ".lk-net ")


def _table(*parts: Any) -> str:
    return str(table(*parts))


class Map(Figure):
    """A topology as a picture; ``steps`` are drawn on its cables, numbered from ``first`` on."""

    def __init__(self, topology: Topology, steps: Sequence[Step] = (), first: int = 1) -> None:
        self.topology, self.steps, self.first = topology, steps, first
        vlans = {port.vlan for port in topology.ports.values() if not port.trunk} | {1}
        self.vlans = sorted(vlan for vlan in vlans if vlan)
        longest = [len(str(host.address)) for host in topology.hosts.values()]
        longest += [
            len(f"{vlan}: {way}") - 4
            for router in topology.routers.values()  # most hosts' are shorter
            for vlan, way in router.addresses.items()
        ]
        self.column = max(HOST, 7 * max(longest, default=0))  # px

    def look(self, vlan: int | None) -> tuple[str, str]:
        """Colour and dash of a VLAN."""
        at = self.vlans.index(vlan) % len(COLOURS) if vlan in self.vlans else -1
        return COLOURS[at], DASHES[at]

    def __str__(self) -> str:
        return "" if self.steps else self.about()  # a journey tells its steps itself

    def about(self) -> str:
        """The picture in words, for those who do not see it."""
        made, lines = self.topology, list[str]()
        for name in made.switches:
            ports = {
                plug: other for plug, other in sorted(made.cables.items()) if plug.device == name
            }
            lines.append(name)
            for plug, other in ports.items():
                host = made.hosts.get(other.device)
                lines.append(
                    f"  port {plug.port:<3} {made.port(plug)!s:<22} {other}"
                    + (f" {host.address}" if host else "")
                )
        lines += [f"VLAN {vlan} is {name}" for vlan, name in sorted(made.vlan_names.items())]
        for number, step in enumerate(self.steps, self.first):
            lines.append(f"frame {number}: {step.start} → {step.end}")
        return "\n".join(lines)

    def _places(self) -> tuple[dict[str, float], int]:
        """The middle of each device, left to right, and the width of all."""
        made, x, places = self.topology, float(PAD), dict[str, float]()
        for switch in made.switches:
            ends = [
                other.device
                for plug, other in sorted(made.cables.items())
                if plug.device == switch and not other.port
            ]
            wide = max(len(ends), 1) * self.column
            for number, name in enumerate(ends):
                places[name] = x + self.column * (number + 0.5)
            places[switch] = x + wide / 2
            x += wide + GAP
        return places, round(max(x - GAP + PAD, 300))

    def svg(self) -> str:
        """One self-contained <svg>, with a description for those who do not see it."""
        made, (places, wide) = self.topology, self._places()
        out, rows = list[str](), TOP + HIGH + DROP
        top = 40  # without the room for cables that pass above
        links = sorted(
            made.links(), key=lambda link: abs(places[link[0].device] - places[link[1].device])
        )
        ways: dict[
            tuple[Plug, Plug], tuple[str, float, float]
        ] = {}  # cable → its path, and the middle of it
        for one, other in links:
            a, b = places[one.device], places[other.device]
            if a > b:
                one, other, a, b = other, one, b, a
            near = abs(made.switches.index(one.device) - made.switches.index(other.device)) == 1
            ax, bx = a + self._half(one.device), b - self._half(other.device)
            if near:
                y = TOP + HIGH / 2
                ways[one, other] = f"M{ax:g} {y:g}H{bx:g}", (ax + bx) / 2, y
            else:
                y, top = 34.0, 0
                ways[one, other] = f"M{a:g} {TOP}C{a:g} 20 {b:g} 20 {b:g} {TOP}", (a + b) / 2, y
            port, far = made.port(one), made.port(other)
            out += self._cable(ways[one, other][0], port, port.trunk or far.trunk)
            ends = dict.fromkeys(
                ranges(end.allowed) if end.trunk else str(end.vlan) for end in (port, far)
            )
            native = dict.fromkeys(str(end.vlan or "none") for end in (port, far) if end.trunk)
            tip = f"{one}: {port} — {other}: {far}"
            out.append(
                self._text((ax + bx) / 2, y - 13, shorten(" | ".join(ends), 14), "small", tip)
            )
            if [*native] not in ([], ["none"]):
                out.append(
                    self._text((ax + bx) / 2, y + 21, f"native {' | '.join(native)}", "small", tip)
                )
        for plug, other in made.cables.items():
            if plug.port and not other.port:
                x, port = places[other.device], made.port(plug)
                path = f"M{x:g} {TOP + HIGH}V{rows - 22}"
                ways[plug, other] = path, x, (TOP + HIGH + rows - 22) / 2
                out += self._cable(path, port, port.trunk)
                vlan = f"trunk {ranges(port.allowed)}" if port.trunk else f"VLAN {port.vlan}"
                out.append(
                    self._text(
                        x + 6, TOP + HIGH + 16, f"port {plug.port}", "small left", f"{plug}: {port}"
                    )
                )
                out.append(self._text(x + 6, rows - 30, shorten(vlan, 15), "small left"))
        for switch in made.switches:
            half = self._half(switch)
            out.append(
                f'<rect class="device" x="{places[switch] - half:g}" y="{TOP}" width="{2 * half:g}" '
                f'height="{HIGH}" rx="4"/>'
            )
            out.append(self._text(places[switch], TOP + 25, switch, "name"))
        for name, host in made.hosts.items():
            x = places[name]
            out.append(
                f'<rect class="device" x="{x - 44:g}" y="{rows - 22}" width="88" height="26" rx="13"/>'
            )
            out.append(self._text(x, rows - 4.5, name, "name"))
            out.append(
                self._text(x, rows + 20, str(host.address), "small", f"MAC {host.mac.hex(':')}")
            )
        for name, router in made.routers.items():
            x = places[name]
            out.append(
                f'<path class="device" d="M{x - 44:g} {rows - 9}l12 -13h64l12 13l-12 13h-64z"/>'
            )
            out.append(self._text(x, rows - 4.5, name, "name"))
            for row, (number, address) in enumerate(router.addresses.items()):
                out.append(self._text(x, rows + 20 + 15 * row, f"{number}: {address}", "small"))
        out += self._ways(ways)
        tall = (
            rows
            + 36
            + 15 * max((len(router.addresses) for router in made.routers.values()), default=0)
        )
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" class="lk-net" role="img" width="{wide}" '
                f'height="{tall - top}" viewBox="0 {top} {wide} {tall - top}">'
                f"<title>Network</title><desc>{escape(self.about())}</desc><style>{_CSS}</style>",
                *out,
                "</svg>",
            ]
        )

    def _half(self, switch: str) -> float:
        ends = sum(
            plug.device == switch and not other.port for plug, other in self.topology.cables.items()
        )
        return max(ends, 1) * self.column / 2 - 6

    def _cable(self, path: str, port: Port, trunk: bool) -> list[str]:
        """A cable in the look of a port's VLAN; broad if it is a trunk."""
        colour, dash = self.look(None if port.trunk else port.vlan)
        broad = [f'<path class="trunk" d="{path}"/>'] * trunk
        return [
            *broad,
            f'<path class="cable" stroke="{colour}" stroke-dasharray="{dash}" d="{path}"/>',
        ]

    def _ways(self, ways: Mapping[tuple[Plug, Plug], tuple[str, float, float]]) -> list[str]:
        """The frames: a broad line on each cable, with their numbers."""
        found: dict[tuple[Plug, Plug], list[str]] = {}
        for number, step in enumerate(self.steps, self.first):
            pair = (
                (step.start, step.end) if (step.start, step.end) in ways else (step.end, step.start)
            )
            found.setdefault(pair, []).append(f"{number}")
        out = list[str]()
        for pair, numbers in found.items():
            if pair in ways:
                path, x, y = ways[pair]
                text = shorten(",".join(numbers), 11)
                half = max(9, 5 + 3.6 * len(text))
                out += [
                    f'<path class="way" d="{path}"/>',
                    f'<rect class="mark" x="{x - half:g}" y="{y - 9:g}" width="{2 * half:g}" height="18" rx="9"/>',
                    self._text(x, y + 4.5, text, "number"),
                ]
        return out

    @staticmethod
    def _text(x: float, y: float, text: str, cls: str, tip: str = "") -> str:
        title = f"<title>{escape(tip)}</title>" if tip else ""
        return f'<text class="{cls}" x="{x:g}" y="{y:g}">{escape(text)}{title}</text>'

    def html(self) -> str:
        """The picture, if it is not too large for one."""
        if len(self.topology.hosts) > MOST:
            return f"<p>{len(self.topology.hosts)} hosts are too many to draw; <code>%net reach</code> groups them.</p>"
        return f'<div style="overflow:auto" tabindex="0">{self.svg()}</div>'


class Journey(Figure):
    """A frame's way, step by step, as a table; ``names`` for addresses, numbered from ``first`` on."""

    def __init__(self, steps: Sequence[Step], names: Mapping[str, str], first: int = 1) -> None:
        self.rows = [
            (
                str(number),
                f"{step.start} → {step.end}",
                ", ".join(map(str, step.vlans)) or "-",
                summary(step.frame, names),
                _named(step.does, names),
            )
            for number, step in enumerate(steps, first)
        ]

    def __str__(self) -> str:
        heads = ("", "cable", "tag", "frame")
        wide = [
            max(len(row[at]) for row in [heads, *(r[:4] for r in self.rows)]) for at in range(4)
        ]
        lines = []
        for row in self.rows:
            head = "  ".join(
                f"{text:>{n}}" if at == 0 else f"{text:<{n}}"
                for at, (text, n) in enumerate(zip(row[:4], wide, strict=True))
            )
            lines.append(f"{head}  {row[4]}".rstrip())
        return "\n".join(lines) or "(no frame was sent)"

    def html(self) -> str:
        """The table, with a heading for each column."""
        return (
            _table(("", "cable", "tag", "frame", "what becomes of it"), self.rows)
            or "<p>(no frame was sent)</p>"
        )


def _named(text: str, names: Mapping[str, str]) -> str:
    for address, name in names.items():
        text = text.replace(address, name)
    return text


class Bytes(Figure):
    """A frame, byte by byte: which header each belongs to, and what its fields say. ``first``: what it begins with."""

    def __init__(self, frame: bytes, title: str = "", first: str = "Ethernet") -> None:
        self.frame, self.title, self.headers = frame, clean(title), dissect(frame, first)

    def _fields(self, header: Header) -> str:
        shown = ", ".join(f"{value.name} {value.text}" for value in header.values)
        return shown or _readable(self.frame[header.offset : header.offset + header.size])

    def __str__(self) -> str:
        lines = [self.title] * bool(self.title)
        lines += [
            f"{at:04x}  {self.frame[at : at + 16].hex(' ')}" for at in range(0, len(self.frame), 16)
        ]
        for header in self.headers:
            where = f"{header.name}, {header.size} bytes from {header.offset}"
            lines += wrap(
                f"{where}: {self._fields(header)}",
                110,
                subsequent_indent="    ",
                break_on_hyphens=False,
            )
        return "\n".join(lines)

    def html(self) -> str:
        """Rows of sixteen bytes; the field of each is told under the cursor, and all of them below."""
        cells = list[str]()
        for header in self.headers:
            style = _style(header.name)
            for at in range(header.offset, header.offset + header.size):
                fields = [
                    f"{value.name} {value.text}"
                    for value in header.values
                    if value.bit < 8 * at + 8 and value.bit + value.bits > 8 * at
                ]
                tip = escape(f"byte {at}, {header.name}: {', '.join(fields) or 'not a field'}")
                cells.append(f'<span title="{tip}" style="{style}">{self.frame[at]:02x}</span>')
        rows = "".join(
            f'<div><span style="opacity:.7;padding-right:1em">{at:04x}</span>{"".join(cells[at : at + 16])}'
            "</div>"
            for at in range(0, len(cells), 16)
        )
        heads = "".join(
            f'<tr><td style="padding:2px 1em 2px 0;white-space:nowrap;text-align:left"><span style="'
            f'{_style(header.name)};width:auto;padding:0 .5em">{escape(header.name)}</span> '
            f'{header.size} bytes</td><td style="text-align:left">{escape(self._fields(header))}</td></tr>'
            for header in self.headers
        )
        title = f"<b>{escape(self.title)}</b>" if self.title else ""
        return (
            f'<div style="{_FONT}">{title}<div style="font-family:var(--jp-code-font-family,monospace);'
            f'line-height:1.75">{rows}</div><table style="border-collapse:collapse;margin-top:.4em;font-size:13px">'
            f"{heads}</table></div>"
        )


_FONT = "margin-top:.4em;font-size:13px;line-height:1.4;color:var(--jp-content-font-color1,#111)"


def _style(name: str) -> str:
    """Of a byte: the colour of its header, faint, with an underline that tells it in grey."""
    at = HEADERS.get(name, 6)
    secret = (
        "background-image:repeating-linear-gradient(45deg,transparent 0 4px,#80808055 4px 6px);"
        if (name == "encrypted")
        else ""
    )
    return (
        f"display:inline-block;width:2.1em;text-align:center;background-color:{COLOURS[at]}2e;{secret}"
        f"border-bottom:3px {UNDERLINES[at % 4]} {COLOURS[at]}"
    )


def _readable(data: bytes) -> str:
    """Bytes as text, a point for what is no letter; at most 64."""
    text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data[:64])
    return text + "…" * (len(data) > 64)


class Boxes(Figure):
    """A packet in a packet: ``outside`` as it crosses the wire, and what is ``inside`` for who has the key."""

    def __init__(self, outside: bytes, inside: bytes, title: str = "") -> None:
        self.outside, self.inside, self.title = outside, inside, clean(title)
        self.out, self.within = dissect(outside, "IPv4"), dissect(inside, "IPv4")

    def __str__(self) -> str:
        def line(headers: Sequence[Header]) -> str:
            return " | ".join(f"{header.name} {header.size}" for header in headers)

        lines = [self.title] * bool(self.title)
        lines.append(f"on the wire  {len(self.outside):>5} bytes: {line(self.out)}")
        if self.out[-1].name == "encrypted":
            lines.append(
                f"in it        {len(self.inside):>5} bytes: {line(self.within)}, then padding and a tag"
            )
        return "\n".join(lines)

    def html(self) -> str:
        """Each header a box that holds the next one."""
        sealed = self.out[-1].name == "encrypted"
        text = ""
        if sealed:
            for header in reversed(self.within):
                text = _box(header, text)
        for header in reversed(self.out):
            text = _box(header, text)
        title = f"<div><b>{escape(self.title)}</b></div>" if self.title else ""
        note = (
            "hatched: only who has the key sees what is in it"
            if sealed
            else "nothing in it is hidden"
        )
        about = f"{len(self.outside)} bytes on the wire for {len(self.inside)} inside; {note}."
        return (
            f'<div style="{_FONT};overflow:auto" tabindex="0" role="img" aria-label="{escape(str(self))}">{title}'
            f'<div style="display:inline-flex">{text}</div><div style="opacity:.8">{about}</div></div>'
        )


def _box(header: Header, inside: str) -> str:
    style, at = (
        _style(header.name).replace("display:inline-block;width:2.1em;", ""),
        HEADERS.get(header.name, 6),
    )
    border = f"border:2px {UNDERLINES[at % 4]} {COLOURS[at]}"
    source = LAYOUTS[header.name].source if header.name in LAYOUTS else ""
    shape = "border-radius:4px;padding:4px 6px;margin:2px;display:flex;align-items:center"
    return (
        f'<div style="{style};{border};{shape}" '
        f'title="{escape(source)}"><span style="margin-right:4px;white-space:nowrap">{escape(header.name)} '
        f"{header.size}</span>{inside}</div>"
    )
