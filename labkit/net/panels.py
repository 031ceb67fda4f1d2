"""Panels over a lesson's network: VLANs of ports, a journey frame by frame, tunnels. A view owns no logic."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as w
from markupsafe import Markup

from labkit.errors import LabError
from labkit.net import tunnelling
from labkit.net.diagram import TopologyDiagram
from labkit.net.engine import MODEL
from labkit.net.picture import Bytes, Journey
from labkit.net.reach import Reach
from labkit.net.statements import changed
from labkit.net.topology import Topology
from labkit.net.tunnels import TUNNEL_KINDS
from labkit.show import output as show
from labkit.show.panels import Panel, teaching

if TYPE_CHECKING:
    from labkit.lesson import Lesson

MOST = 12  # hosts in a matrix one can read


def matrix_html(topology: Topology) -> str:
    """Who reaches whom, row to column; why not is told below, and under the cursor."""
    reach, names = Reach(topology), [*topology.hosts][:MOST]
    cell = 'style="text-align:center;padding:2px 8px;border:1px solid var(--jp-border-color2,#ccc)"'
    rows, reasons = (
        [f"<tr><th></th>{''.join(f'<th {cell}>{name}</th>' for name in names)}</tr>"],
        list[str](),
    )
    for one in names:
        cells = ""
        for other in names:
            why = reach.why_not(one, other)
            sign = "·" if one == other else "✘ no" if why else "✔ yes"
            cells += f'<td {cell} title="{escape(why)}">{sign}</td>'
            if why and not any(
                line.startswith(f"{other} → {one}: ") for line in reasons
            ):  # one of both ways will do
                reasons.append(f"{one} → {other}: {why}")
        rows.append(f"<tr><th {cell}>{one}</th>{cells}</tr>")
    said = "".join(f"<div>{escape(line)}</div>" for line in reasons[:8])
    more = f"<div>… and {len(reasons) - 8} more</div>" if len(reasons) > 8 else ""
    return (
        '<div style="font-size:13px;line-height:1.4;color:var(--jp-content-font-color1,#111)">'
        f'<table style="border-collapse:collapse">{"".join(rows)}</table>'
        f'<div style="margin-top:.5em">{said}{more}</div></div>'
    )


def net_panel(lesson: Lesson) -> Panel:
    """A VLAN for each host's port: picture and matrix follow at once. The lesson's own network stays as it is."""
    start = lesson.console.topology
    hosts = [host for host in start.hosts.values() if not start.port(host.plug).trunk][:MOST]
    if not hosts:
        raise LabError(
            "No host of this network is on an access port, so there is nothing to choose."
        )
    vlans = [(f"VLAN {vlan}", vlan) for vlan in start.used()]
    picks = {
        host.name: w.Dropdown(
            options=vlans,
            value=start.port(host.plug).vlan,
            description=host.name,
            layout={"width": "180px"},
        )
        for host in hosts
    }
    undo, view = w.Button(description="As it was"), w.HTML()

    def draw(_: object = None) -> None:
        made = start
        with teaching(view):
            for host in hosts:
                if picks[host.name].value != start.port(host.plug).vlan:
                    made = changed(made, f"access {picks[host.name].value} {host.plug}")
            view.value = f"{show.badge_html(MODEL)}{TopologyDiagram(made).svg()}{matrix_html(made)}"

    def back(_: object) -> None:
        for host in hosts:
            picks[host.name].value = start.port(host.plug).vlan

    for pick in picks.values():
        pick.observe(draw, "value")
    undo.on_click(back)
    draw()
    row = w.HBox([*picks.values(), undo], layout={"flex_flow": "row wrap"})
    return Panel(
        [row, view], f"Ports and VLANs (needs JupyterLab): {', '.join(picks)}\n{Reach(start)}"
    )


def net_steps(lesson: Lesson) -> Panel:
    """The last journey, a step at a time: where the frame is, what it holds, what the device there does."""
    made, steps = lesson.console.topology, lesson.console.steps
    if not steps:
        raise LabError("No frame has been sent yet: `%net ping HOST HOST`, then this.")
    names = made.names()
    slider = w.IntSlider(
        min=1, max=len(steps), value=1, description="Step", layout={"width": "60%"}
    )
    before, after, view = w.Button(description="Back"), w.Button(description="Next"), w.HTML()

    def draw(_: object = None) -> None:
        at = slider.value - 1
        step = steps[at : at + 1]
        view.value = show.badge_html(MODEL) + Markup().join(
            [
                TopologyDiagram(made, step, first=at + 1).svg(),
                Journey(step, names, at + 1).html(),
                Bytes(step[0].frame).html(),
            ]
        )

    def move(by: int) -> Any:
        def moved(_: object) -> None:
            slider.value = min(max(slider.value + by, 1), len(steps))

        return moved

    slider.observe(draw, "value")
    before.on_click(move(-1))
    after.on_click(move(1))
    draw()
    return Panel(
        [w.HBox([before, after, slider]), view],
        f"Step by step (needs JupyterLab), {len(steps)} steps:\n{Journey(steps, names)}",
    )


def tunnel_panel(lesson: Lesson) -> Panel:
    """Choose a tunnel and a text: the packet in its boxes, and the wire as an eavesdropper sees it."""
    kind = w.Dropdown(
        options=[*TUNNEL_KINDS], value="none", description="Tunnel", layout={"width": "240px"}
    )
    text = w.Text(value=tunnelling.SECRET, description="Text", layout={"width": "50%"})
    view = w.HTML()

    def draw(_: object = None) -> None:
        with teaching(view):
            view.value = (
                str(show.badge_html(MODEL)) + tunnelling.through(kind.value, text.value).html()
            )

    kind.observe(draw, "value")
    text.observe(draw, "value")
    draw()
    return Panel(
        [w.HBox([kind, text], layout={"flex_flow": "row wrap"}), view],
        f"Tunnels (needs JupyterLab): {', '.join(TUNNEL_KINDS)}",
    )
