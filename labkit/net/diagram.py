"""How a topology looks: switches in a row, their hosts below, cables in the look of their VLANs.

A VLAN has a colour and a dash of its own; its number is always written too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape

from labkit.messages import _
from labkit.net.network import Step
from labkit.net.topology import Cable, Plug, Port, Topology, ranges
from labkit.show.look import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, Look, ink
from labkit.show.markup import Figure, macro, render
from labkit.show.text import shorten

MOST_DRAWN = 60  # hosts
# Lengths in px.
COLUMN = 104  # of a host, at least
MARGIN = 16
GAP = 80  # between switches
LETTER = 7  # an address's, wide
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


class CablePath(NamedTuple):
    """A cable as drawn: its path as in SVG, its middle, and how it looks.

    ``labels``: x, y, words, their class, and what is told under the cursor.
    """

    path: str
    x: float
    y: float
    look: Look
    broad: bool
    labels: Sequence[tuple[float, float, str, str, str]]


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
            for plug, other in cables:
                host = made.hosts.get(other.device)
                line = _(
                    "  port {number:<3} {does:<22} {other}",
                    number=plug.port,
                    does=str(made.port(plug)),
                    other=f"{other} {host.address}" if host else other,
                )
                lines.append(line)
        for vlan, name in sorted(made.vlan_names.items()):
            lines.append(_("VLAN {vlan} is {name}", vlan=vlan, name=name))
        for number, (start, end, *_rest) in enumerate(self.steps, self.first):
            lines.append(_("frame {number}: {start} → {end}", number=number, start=start, end=end))
        return "\n".join(lines)

    def html(self) -> Markup:
        """The picture, if it is not too large for one."""
        hosts = len(self.topology.hosts)
        if hosts <= MOST_DRAWN:
            return macro("net/picture.html", "drawing", self.svg())
        note = escape(_("{hosts} hosts are too many to draw; {command} groups them."))
        note = note.format(hosts=hosts, command=Markup("<code>%net reach</code>"))
        return macro("net/picture.html", "note", note)

    def svg(self) -> Markup:
        """One self-contained <svg>, with a description for those who do not see it."""
        plan = _Plan(self)
        numbers: dict[Cable, list[str]] = {}  # of the frames that crossed a cable, either way
        for number, step in enumerate(self.steps, self.first):
            there, back = (step.start, step.end), (step.end, step.start)
            cable = there if there in plan.cables else back
            numbers.setdefault(cable, []).append(str(number))
        marks = [(plan.cables[cable], shorten(",".join(its), 11)) for cable, its in numbers.items()]
        return render(
            "net/diagram.svg",
            title=_("Network"),
            about=self.about(),
            made=self.topology,
            plan=plan,
            marks=marks,
            ink=ink,
            orange=ORANGE,
        )


class _Plan:
    """Where all of a diagram is: the middle of each device; from a switch's to its side, cables."""

    switch_top = 78
    switch_high = 40
    row = 234  # of the hosts
    line = 15  # of an address

    def __init__(self, diagram: TopologyDiagram) -> None:
        self.diagram = diagram
        self.made = diagram.topology
        self.places = dict[str, float]()
        self.halves = dict[str, float]()
        self._order = {name: number for number, name in enumerate(self.made.switches)}
        self.wide = self._devices()
        self.cables = dict(self._cables())
        bow = any(cable.y < self.switch_top for cable in self.cables.values())
        self.top = 0 if bow else HEADROOM
        addresses = [len(router.addresses) for router in self.made.routers.values()]
        self.tall = self.row + 36 + self.line * max(addresses, default=0) - self.top

    def _devices(self) -> int:
        """Place switches in a row, what is plugged into them below; the width of all."""
        lengths = [len(str(host.address)) for host in self.made.hosts.values()]
        for router in self.made.routers.values():  # in a list, so they may be a little wider
            lengths += [len(f"{vlan}: {address}") - 4 for vlan, address in router.addresses.items()]
        column = max(COLUMN, LETTER * max(lengths, default=0))
        left = float(MARGIN)
        for switch, cables in self.made.plugged().items():
            ends = [other.device for _plug, other in cables if not other.port]
            for number, name in enumerate(ends):
                self.places[name] = left + column * (number + 0.5)
            wide = max(len(ends), 1) * column
            self.places[switch] = left + wide / 2
            self.halves[switch] = wide / 2 - 6
            left += wide + GAP
        return round(max(left - GAP + MARGIN, 300))

    def _cables(self) -> Iterator[tuple[Cable, CablePath]]:
        """Cables between switches, the short ones first; then those down to hosts and routers."""

        def place(plug: Plug) -> float:
            return self.places[plug.device]

        links = [sorted(link, key=place) for link in self.made.links()]
        for left, right in sorted(links, key=lambda link: place(link[1]) - place(link[0])):
            yield (left, right), self._link(left, right)
        for plug, other in self.made.cables.items():
            if plug.port and not other.port:
                yield (plug, other), self._drop(plug, other)

    def _link(self, left: Plug, right: Plug) -> CablePath:
        """Straight between neighbours, else in a bow above the switches between."""
        top = self.switch_top
        first, last = self.places[left.device], self.places[right.device]
        start, stop = first + self.halves[left.device], last - self.halves[right.device]
        if abs(self._order[left.device] - self._order[right.device]) == 1:
            x, y = (start + stop) / 2, top + self.switch_high / 2
            path = f"M{start:g} {y:g}H{stop:g}"
        else:
            x, y = (first + last) / 2, 34.0
            path = f"M{first:g} {top}C{first:g} 20 {last:g} 20 {last:g} {top}"
        ends = self.made.port(left), self.made.port(right)
        tip = f"{left}: {ends[0]} — {right}: {ends[1]}"
        # What both ends say where they differ.
        carried = [ranges(port.allowed) if port.trunk else str(port.vlan) for port in ends]
        natives = [str(port.vlan or _("none")) for port in ends if port.trunk]
        between = (start + stop) / 2
        text = shorten(" | ".join(dict.fromkeys(carried)), 14)
        labels = [(between, y - 13, text, "small", tip)]
        if any(port.vlan for port in ends if port.trunk):
            text = _("native {vlans}", vlans=" | ".join(dict.fromkeys(natives)))
            labels.append((between, y + 21, text, "small", tip))
        broad = any(port.trunk for port in ends)
        look = self.diagram.look(None if ends[0].trunk else ends[0].vlan)
        return CablePath(path, x, y, look, broad, labels)

    def _drop(self, plug: Plug, other: Plug) -> CablePath:
        x, port = self.places[other.device], self.made.port(plug)
        top, bottom = self.switch_top + self.switch_high, self.row - 22
        number = _("port {number}", number=plug.port)
        vlan = str(Port(None, port.allowed)) if port.trunk else _("VLAN {vlan}", vlan=port.vlan)
        labels = [
            (x + 6, top + 16, number, "small left", f"{plug}: {port}"),
            (x + 6, self.row - 30, shorten(vlan, 15), "small left", ""),
        ]
        path = f"M{x:g} {top}V{bottom}"
        look = self.diagram.look(None if port.trunk else port.vlan)
        return CablePath(path, x, (top + bottom) / 2, look, port.trunk, labels)
