"""Panels over a lesson's network: VLANs of ports, a journey frame by frame."""

from __future__ import annotations

import ipywidgets as w
from markupsafe import Markup

from labkit.errors import LabError
from labkit.messages import _
from labkit.messages import _ as labkit_says
from labkit.net.diagram import TopologyDiagram
from labkit.net.engine import MODEL, Console
from labkit.net.picture import Bytes, Journey
from labkit.net.reach import Reach
from labkit.net.statements import changed
from labkit.net.topology import Host, Topology
from labkit.show import output as show
from labkit.show.markup import render
from labkit.show.panels import Panel, teaching

MOST = 12  # hosts in a matrix one can read
REASONS = 8  # that are told below it
_WRAPPED = {"flex_flow": "row wrap"}


def matrix_html(topology: Topology) -> Markup:
    """Who reaches whom, row to column; why not is told below, and under the cursor."""
    reach, names = Reach(topology), list(topology.hosts)[:MOST]
    why = {(one, other): reach.why_not(one, other) for one in names for other in names}
    rows = [(one, [(_sign(one, other, why), why[one, other]) for other in names]) for one in names]
    reasons = _reasons(why)
    more = len(reasons) - REASONS
    told = reasons[:REASONS]
    if more > 0:
        told.append(_("… and {count} more", count=more))
    return render("net/matrix.html", names=names, rows=rows, reasons=told)


def _sign(one: str, other: str, why: dict[tuple[str, str], str]) -> str:
    if one == other:
        return "·"
    return _("✘ no") if why[one, other] else _("✔ yes")


def _reasons(why: dict[tuple[str, str], str]) -> list[str]:
    """Why some do not reach others; of both ways one will do."""
    told: dict[tuple[str, str], str] = {}
    for (one, other), reason in why.items():
        if reason and (other, one) not in told:
            told[one, other] = f"{one} → {other}: {reason}"
    return list(told.values())


def _drawn(*parts: str) -> str:
    """Figures in a column, below the model's badge."""
    return "".join([show.badge_html(labkit_says(MODEL)), *parts])


class NetPanel(Panel):
    """A VLAN for each host's port: picture and matrix follow at once.

    The lesson's own network stays as it is.
    """

    def __init__(self, console: Console) -> None:
        self.topology = console.topology
        self.hosts = [
            host for host in self.topology.hosts.values() if self._vlan(host) is not None
        ][:MOST]
        if not self.hosts:
            raise LabError(
                "No host of this network is on an access port, so there is nothing to choose."
            )
        self.picks = {host.name: self._pick(host) for host in self.hosts}
        undo = w.Button(description=_("As it was"))
        self.view = w.HTML()
        title = _("Ports and VLANs (needs JupyterLab): {hosts}", hosts=", ".join(self.picks))
        super().__init__(
            [w.HBox([*self.picks.values(), undo], layout=_WRAPPED), self.view],
            f"{title}\n{Reach(self.topology)}",
        )
        undo.on_click(self._back)
        self._draw()

    def _vlan(self, host: Host) -> int | None:
        """The VLAN of a host's port; None for a trunk."""
        port = self.topology.port(host.plug)
        return None if port.trunk else port.vlan

    def _pick(self, host: Host) -> w.Dropdown:
        vlans = [(_("VLAN {number}", number=vlan), vlan) for vlan in self.topology.used()]
        pick = w.Dropdown(
            options=vlans,
            value=self._vlan(host),
            description=host.name,
            layout={"width": "180px"},
        )
        pick.observe(self._draw, "value")
        return pick

    def _draw(self, _change: object = None) -> None:
        topology = self.topology
        with teaching(self.view, labkit_says(MODEL)):
            for host in self.hosts:
                vlan = self.picks[host.name].value
                if vlan != self._vlan(host):
                    topology = changed(topology, f"access {vlan} {host.plug}")
            self.view.value = _drawn(TopologyDiagram(topology).svg(), matrix_html(topology))

    def _back(self, _button: object) -> None:
        for host in self.hosts:
            self.picks[host.name].value = self._vlan(host)


class StepsPanel(Panel):
    """The last journey, a step at a time: where the frame is, what it holds, what is done there."""

    def __init__(self, console: Console) -> None:
        self.topology, self.steps = console.topology, console.steps
        if not self.steps:
            raise LabError("No frame has been sent yet: `%net ping HOST HOST`, then this.")
        self.slider = w.IntSlider(
            min=1,
            max=len(self.steps),
            value=1,
            description=_("Step"),
            layout={"width": "60%"},
        )
        before, after = w.Button(description=_("Back")), w.Button(description=_("Next"))
        self.view = w.HTML()
        title = _("Step by step (needs JupyterLab), {count} steps:", count=len(self.steps))
        journey = Journey(self.steps, self.topology.names())
        super().__init__([w.HBox([before, after, self.slider]), self.view], f"{title}\n{journey}")
        self.slider.observe(self._draw, "value")
        before.on_click(lambda _button: self._move(-1))
        after.on_click(lambda _button: self._move(1))
        self._draw()

    def _draw(self, _change: object = None) -> None:
        number: int = self.slider.value
        step = self.steps[number - 1 : number]
        self.view.value = _drawn(
            TopologyDiagram(self.topology, step, first=number).svg(),
            Journey(step, self.topology.names(), number).html(),
            Bytes(step[0].frame).html(),
        )

    def _move(self, by: int) -> None:
        self.slider.value = min(max(self.slider.value + by, 1), len(self.steps))
