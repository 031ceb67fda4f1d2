"""The words that lay a network's cables in containers: for ip(8) and ovs-vsctl(8).

Pure text, made from a topology; who runs it is :mod:`labkit.net.live`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from labkit.net.network import AGEING
from labkit.net.topology import Host, Port, Router, Topology, ranges


class Cables(NamedTuple):
    """``ip``: a batch for ip(8); ``ovs``: words for ovs-vsctl(8)."""

    ip: list[str]
    ovs: list[str]


def bridges(topology: Topology) -> list[str]:
    """What Open vSwitch has: the switches, and a bridge for each router."""
    return [*topology.switches, *(f"{name}-r" for name in topology.routers)]


def cables(topology: Topology, pids: Mapping[str, str]) -> Cables:
    """The bridges, all cables, and the ports that they are plugged into.

    ``pids``: the process of each host and router, by which its network namespace is known.
    """
    ip = [f"link add {one} type veth peer name {other}" for one, other in topology.links()]
    ovs: list[str] = []
    settings = ["datapath_type=netdev", f"other-config:mac-aging-time={AGEING}"]
    for name in bridges(topology):
        ovs += ["--", "add-br", name, "--", "set", "bridge", name, *settings]
    for host in topology.hosts.values():
        end = f"eth0 address {host.mac.hex(':')} netns {pids[host.name]}"
        ip.append(f"link add {host.plug} type veth peer name {end}")
    for name, router in topology.routers.items():
        # Its stick ends in a bridge that takes the tags off: Linux here may know no 802.1Q.
        ip += [f"link add {router.plug} type veth peer name {name}-in", f"link set {name}-in up"]
        trunks = f"trunks={ranges(frozenset(router.addresses))}"
        ovs += ["--", "add-port", f"{name}-r", f"{name}-in", trunks]
        for vlan in router.addresses:
            end = f"eth{vlan} address {router.mac.hex(':')} netns {pids[name]}"
            ip += [
                f"link add {name}-{vlan} type veth peer name {end}",
                f"link set {name}-{vlan} up",
            ]
            ovs += ["--", "add-port", f"{name}-r", f"{name}-{vlan}", f"tag={vlan}"]
    for plug in topology.switch_ports():
        ip.append(f"link set {plug} up")
        ovs += ["--", "add-port", plug.device, str(plug), *_settings(topology.port(plug))]
    return Cables(ip, ovs)


def _settings(port: Port) -> list[str]:
    """A port as Open vSwitch knows it: ovs-vswitchd.conf.db(5)."""
    if not port.trunk:
        return [f"tag={port.vlan}", "vlan_mode=access"]
    trunks = f"trunks={','.join(map(str, sorted(port.allowed)))}"
    if port.vlan:
        return [f"tag={port.vlan}", "vlan_mode=native-untagged", trunks]
    return ["vlan_mode=trunk", trunks]


def addresses(station: Host | Router) -> list[str]:
    """What gives a host or router its addresses and routes: a batch for ip(8)."""
    lines = ["link set lo up"]
    for vlan, address in station.addresses.items():
        lines += [
            f"addr add {address} dev eth{vlan}",
            f"link set eth{vlan} up",
            # Ask for a MAC once, not each second: a trial is over before the second time.
            f"ntable change name arp_cache dev eth{vlan} retrans 20000",
        ]
    if isinstance(station, Host):
        if station.via and station.via in station.address.network:  # Linux takes no other gateway
            lines.append(f"route add default via {station.via}")
        return lines
    lines.append("route add blackhole default")  # what leads nowhere is dropped in silence
    for one, other in sorted(station.denied):
        target = station.addresses[other].network
        lines.append(f"rule add iif eth{one} to {target} blackhole")
    return lines
