"""Networks: a flood, who reaches whom, a port that changes its VLAN, a network in containers"""

from __future__ import annotations

from statistics import median

from machines import seconds

from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.net.diagram import TopologyDiagram
from labkit.net.network import Network
from labkit.net.packets import BROADCAST, ethernet
from labkit.net.reach import Reach
from labkit.net.statements import changed, parse
from labkit.net.topology import Topology


def office(hosts: int, vlans: int, switches: int) -> Topology:
    """Hosts spread over VLANs, a network and a router's address each, on switches in a row."""
    used = range(101, 101 + vlans)
    lines = [
        "switch " + " ".join(f"s{n}" for n in range(switches)),
        "router r s0.9997 " + " ".join(f"{vlan}:10.{vlan}.255.254/16" for vlan in used),
        f"trunk {used[0]}-{used[-1]} s0.9997",
    ]
    lines += [
        f"link s{n}.9998 s{n + 1}.9999\ntrunk {used[0]}-{used[-1]} s{n}.9998 s{n + 1}.9999"
        for n in range(switches - 1)
    ]
    for n in range(hosts):
        plug, vlan = f"s{n % switches}.{n // switches + 1}", used[n // switches % vlans]
        lines += [
            f"host h{n} 10.{vlan}.{n + 1 >> 8}.{n + 1 & 255}/16 {plug} via 10.{vlan}.255.254",
            f"access {vlan} {plug}",
        ]
    return parse("\n".join(lines))


def flood() -> None:
    """Broadcasts, so each frame gets to all 50 hosts over all 5 switches."""
    made = office(50, 1, 5)

    def send() -> None:
        network, heard = Network(made), 0
        for n in range(1000):
            host = made.hosts[f"h{n % 50}"]
            steps = network.send(host.name, ethernet(BROADCAST, host.mac, 0x88B5, bytes(46)))
            heard += sum(step.end.device in made.hosts for step in steps)
        assert heard == 1000 * 49

    print(f"| 1,000 broadcasts to 50 hosts over 5 switches | {seconds(send, 5):.2f} s | 1 s |")


def reach() -> None:
    for hosts in 250, 500, 1000, 2000:
        made = office(hosts, 20, 10)
        took = seconds(lambda made=made: Reach(made).pairs, 7)  # type: ignore[misc]
        print(
            f"| {hosts:,} hosts in 20 VLANs: who reaches whom, and why not | {took:.3f} s |"
            f"{' 1 s' if hosts == 500 else ''} |"
        )


def change() -> None:
    """What a click in the explorer costs: the new VLANs, then matrix and picture made anew."""
    network = Network(office(24, 4, 3))
    vlans = [101, 102]

    def click() -> None:
        vlans.reverse()
        network.change(changed(network.topology, f"access {vlans[0]} s0.1"))
        str(Reach(network.topology))
        TopologyDiagram(network.topology).svg()

    took = seconds(click, 31) * 1e3
    what = "a port of 24 hosts changes its VLAN: switches, matrix and picture"
    print(f"| {what} | {took:.1f} ms | 100 ms |")


def up() -> None:
    """The network of lesson 02 in containers; an image that was not there is removed again."""
    try:
        lesson = Lesson("02", "live")
    except LabError as error:
        print(f"| live topology up: skipped, for {error} | | |")
        return
    lesson.engine("docker").keeps = lesson.name
    took = []
    try:
        lesson.command(["net", "open", "school"])
        for _ in range(6):  # the first has to build the image
            took.append(seconds(lambda: lesson.command(["net", "up"]), 1))
            lesson.command(["net", "down"])
        made = lesson.engine("net").topology
    finally:
        lesson.reset()
    what = f"{len(made.hosts)} hosts, {len(made.switches)} switches, a router"
    print(f"| live topology up ({what}), its image present | {median(took[1:]):.1f} s | 5 s |")


def main() -> None:
    print("| what | labkit | limit |\n|---|---|---|")
    flood()
    reach()
    change()
    up()


if __name__ == "__main__":
    main()
