"""How a topology looks: switches in a row, their hosts below, cables in the look of their VLANs.

A VLAN has a colour and a dash of its own; its number is always written too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from labkit.messages import _
from labkit.net.network import Step
from labkit.net.topology import Cable, Plug, Port, Topology, ranges
from labkit.show.figure import Figure
from labkit.show.look import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, Look, ink
from labkit.show.markup import macro, render
from labkit.show.text import shorten

MOST_DRAWN = 60  # hosts
# Lengths in px.
COLUMN = 104  # of a host, at least
MARGIN = 16
GAP = 80  # between switches
TOP = 78  # of the switches
HIGH = 40  # a switch
ROW = 234  # of the hosts
LETTER = 7  # an address's, wide
LINE = 15  # an address's, high
HEADROOM = 40  # that a picture does without if no cable passes above switches
_VLAN_LOOKS = (
    Look(BLUE, ""),
    Look(VERMILION, "", "7 3"),
    Look(GREEN, "", "2 3"),
    Look(PURPLE, "", "9 3 2 3"),
    Look(ORANGE, "", "1 2"),
    Look(SKY, "", "12 4"),
    Look(GREY, "", "4 4"),
)


class Label(NamedTuple):
    """Words in the picture; ``tip`` is told under the cursor."""

    x: float
    y: float
    text: str
    style: str = "small"
    tip: str = ""


class CablePath(NamedTuple):
    """A cable as drawn: its path as in SVG, its middle, how it looks, and what is said of it."""

    path: str
    x: float
    y: float
    look: Look
    broad: bool
    labels: list[Label]


class TopologyDiagram(Figure):
    """A topology as a picture; ``steps`` are drawn on its cables, numbered from ``first`` on."""

    def __init__(self, topology: Topology, steps: Sequence[Step] = (), first: int = 1) -> None:
        self.topology = topology
        self.steps = steps
        self.first = first
        access = {port.vlan for port in topology.ports.values() if not port.trunk}
        self.vlans = sorted(vlan for vlan in access | {1} if vlan)

    def look(self, vlan: int | None) -> Look:
        """How a VLAN looks; None for what carries several."""
        if vlan not in self.vlans:
            return _VLAN_LOOKS[-1]
        return _VLAN_LOOKS[self.vlans.index(vlan) % len(_VLAN_LOOKS)]

    def __str__(self) -> str:
        return "" if self.steps else self.about()  # a journey tells its steps itself

    def about(self) -> str:
        """The picture in words, for those who do not see it."""
        made = self.topology
        lines = list[str]()
        for switch, cables in made.plugged().items():
            lines.append(switch)
            lines += [self._port_line(*cable) for cable in cables]
        for vlan, name in sorted(made.vlan_names.items()):
            lines.append(_("VLAN {vlan} is {name}", vlan=vlan, name=name))
        for number, step in enumerate(self.steps, self.first):
            lines.append(
                _("frame {number}: {start} → {end}", number=number, start=step.start, end=step.end)
            )
        return "\n".join(lines)

    def _port_line(self, plug: Plug, other: Plug) -> str:
        host = self.topology.hosts.get(other.device)
        return _(
            "  port {number:<3} {does:<22} {other}",
            number=plug.port,
            does=str(self.topology.port(plug)),
            other=f"{other} {host.address}" if host else other,
        )

    def html(self) -> Markup:
        """The picture, if it is not too large for one."""
        hosts = len(self.topology.hosts)
        if hosts <= MOST_DRAWN:
            return macro("net/picture.html", "drawing", self.svg())
        told = escape(_("{hosts} hosts are too many to draw; {command} groups them."))
        told = told.format(hosts=hosts, command=Markup("<code>%net reach</code>"))
        return macro("net/picture.html", "note", told)

    def svg(self) -> Markup:
        """One self-contained <svg>, with a description for those who do not see it."""
        plan = _Plan(self)
        return render(
            "net/diagram.svg",
            title=_("Network"),
            about=self.about(),
            made=self.topology,
            plan=plan,
            marks=self._marks(plan.cables),
            ink=ink,
            orange=ORANGE,
        )

    def _marks(self, cables: dict[Cable, CablePath]) -> list[tuple[CablePath, str]]:
        """The numbers of the frames that crossed each cable, in either direction."""
        numbers: dict[Cable, list[str]] = {}
        for number, step in enumerate(self.steps, self.first):
            cable = step.start, step.end
            if cable not in cables:
                cable = step.end, step.start
            if cable in cables:
                numbers.setdefault(cable, []).append(str(number))
        return [(cables[cable], shorten(",".join(seen), 11)) for cable, seen in numbers.items()]


class _Plan:
    """Where all of a diagram is. ``places``: the middle of each device."""

    switch_top = TOP
    switch_high = HIGH
    row = ROW
    line = LINE

    def __init__(self, diagram: TopologyDiagram) -> None:
        self.diagram = diagram
        self.made = diagram.topology
        self._order = {name: number for number, name in enumerate(self.made.switches)}
        self.places = dict[str, float]()
        self.widths = dict[str, int]()
        self.wide = self._devices()
        self.cables = self._links() | self._drops()
        bow = any(cable.y < TOP for cable in self.cables.values())
        self.top = 0 if bow else HEADROOM
        addresses = [len(router.addresses) for router in self.made.routers.values()]
        self.tall = ROW + 36 + LINE * max(addresses, default=0) - self.top

    def _devices(self) -> int:
        """Place switches in a row, what is plugged into them below; the width of all."""
        column = max(COLUMN, LETTER * self._longest_address())
        left = float(MARGIN)
        for switch, cables in self.made.plugged().items():
            ends = [other.device for _plug, other in cables if not other.port]
            for number, name in enumerate(ends):
                self.places[name] = left + column * (number + 0.5)
            wide = max(len(ends), 1) * column
            self.places[switch] = left + wide / 2
            self.widths[switch] = wide
            left += wide + GAP
        return round(max(left - GAP + MARGIN, 300))

    def _longest_address(self) -> int:
        """In letters. A router's stand in a list, so they may be a little wider than a column."""
        lengths = [len(str(host.address)) for host in self.made.hosts.values()]
        for router in self.made.routers.values():
            lengths += [len(f"{vlan}: {way}") - 4 for vlan, way in router.addresses.items()]
        return max(lengths, default=0)

    def half(self, switch: str) -> float:
        """From a switch's middle to its side."""
        return self.widths[switch] / 2 - 6

    def _place(self, plug: Plug) -> float:
        return self.places[plug.device]

    def _look(self, port: Port) -> Look:
        return self.diagram.look(None if port.trunk else port.vlan)

    def _links(self) -> dict[Cable, CablePath]:
        """Cables between switches, the short ones first."""
        links = [tuple(sorted(link, key=self._place)) for link in self.made.links()]
        links.sort(key=lambda link: self._place(link[1]) - self._place(link[0]))
        return {(left, right): self._link(left, right) for left, right in links}

    def _link(self, left: Plug, right: Plug) -> CablePath:
        """Straight between neighbours, else in a bow above the switches between."""
        first, last = self._place(left), self._place(right)
        start, stop = first + self.half(left.device), last - self.half(right.device)
        if abs(self._order[left.device] - self._order[right.device]) == 1:
            x, y = (start + stop) / 2, TOP + HIGH / 2
            path = f"M{start:g} {y:g}H{stop:g}"
        else:
            x, y = (first + last) / 2, 34.0
            path = f"M{first:g} {TOP}C{first:g} 20 {last:g} 20 {last:g} {TOP}"
        here, there = self.made.port(left), self.made.port(right)
        tip = f"{left}: {here} — {right}: {there}"
        between = (start + stop) / 2
        labels = [Label(between, y - 13, shorten(_carried(here, there), 14), tip=tip)]
        if natives := _natives(here, there):
            labels.append(Label(between, y + 21, natives, tip=tip))
        return CablePath(path, x, y, self._look(here), here.trunk or there.trunk, labels)

    def _drops(self) -> dict[Cable, CablePath]:
        """Cables from a switch down to a host or router."""
        cables = self.made.cables.items()
        return {ends: self._drop(*ends) for ends in cables if ends[0].port and not ends[1].port}

    def _drop(self, plug: Plug, other: Plug) -> CablePath:
        x, port = self._place(other), self.made.port(plug)
        top, bottom = TOP + HIGH, ROW - 22
        number = _("port {number}", number=plug.port)
        vlan = str(Port(None, port.allowed)) if port.trunk else _("VLAN {vlan}", vlan=port.vlan)
        labels = [
            Label(x + 6, top + 16, number, "small left", f"{plug}: {port}"),
            Label(x + 6, ROW - 30, shorten(vlan, 15), "small left"),
        ]
        path = f"M{x:g} {top}V{bottom}"
        return CablePath(path, x, (top + bottom) / 2, self._look(port), port.trunk, labels)


def _carried(here: Port, there: Port) -> str:
    """The VLANs of a link; those of both ends where they differ."""
    carried = [ranges(port.allowed) if port.trunk else str(port.vlan) for port in (here, there)]
    return " | ".join(dict.fromkeys(carried))


def _natives(here: Port, there: Port) -> str:
    """The native VLANs of a link, "" without any; those of both ends where they differ."""
    trunks = [port for port in (here, there) if port.trunk]
    if not any(port.vlan for port in trunks):
        return ""
    natives = dict.fromkeys(str(port.vlan or _("none")) for port in trunks)
    return _("native {vlans}", vlans=" | ".join(natives))
