"""The words that lay a network's cables in containers: for ip(8), ovs-vsctl(8) and their kin.

Pure text, made from a topology; who runs it is :mod:`labkit.net.live`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface
from typing import NamedTuple

from labkit.net.topology import Host, Plug, Router, Topology, ranges

AGEING = 300  # seconds that a switch remembers an address, as in the model


class Job(NamedTuple):
    """A command for one device, and its input."""

    device: str
    argv: list[str]
    stdin: str | None = None


class Cables(NamedTuple):
    """``ip``: a batch for ip(8); ``ports``: words for ovs-vsctl(8)."""

    ip: list[str]
    ports: list[str]


def cables(topology: Topology, pids: Mapping[str, str]) -> Cables:
    """All cables, and the switches' ports that they are plugged into.

    ``pids``: the process of each host and router, by which its network namespace is known.
    """
    ip: list[str] = []
    ports: list[str] = []
    to_routers: list[str] = []
    for plug, other in topology.cables.items():
        if not plug.port:
            continue  # it is laid from its other end
        if other.port:
            if plug < other:
                ip.append(f"link add {plug} type veth peer name {other}")
        elif other.device in topology.hosts:
            mac = topology.hosts[other.device].mac.hex(":")
            end = f"eth0 address {mac} netns {pids[other.device]}"
            ip.append(f"link add {plug} type veth peer name {end}")
        else:
            ip.append(f"link add {plug} type veth peer name {other.device}-in")
            stick = _stick(other.device, topology.routers[other.device], pids[other.device])
            ip += stick.ip
            to_routers += stick.ports
        ip.append(f"link set {plug} up")
        ports += ["--", "add-port", plug.device, str(plug), *_settings(topology, plug)]
    return Cables(ip, ports + to_routers)


def _stick(name: str, router: Router, pid: str) -> Cables:
    """A router's stick ends in a bridge that takes the tags off: Linux here may know no 802.1Q."""
    ip = [f"link set {name}-in up"]
    trunks = f"trunks={ranges(frozenset(router.addresses))}"
    ports = ["--", "add-port", f"{name}-r", f"{name}-in", trunks]
    for vlan in router.addresses:
        end = f"eth{vlan} address {router.mac.hex(':')} netns {pid}"
        ip.append(f"link add {name}-{vlan} type veth peer name {end}")
        ip.append(f"link set {name}-{vlan} up")
        ports += ["--", "add-port", f"{name}-r", f"{name}-{vlan}", f"tag={vlan}"]
    return Cables(ip, ports)


def bridges(topology: Topology) -> list[str]:
    """Words for ovs-vsctl(8) that make the switches, and a bridge for each router."""
    settings = ["datapath_type=netdev", f"other-config:mac-aging-time={AGEING}"]
    names = [*topology.switches, *(f"{name}-r" for name in topology.routers)]
    words: list[str] = []
    for name in names:
        words += ["--", "add-br", name, "--", "set", "bridge", name, *settings]
    return words


def _settings(topology: Topology, plug: Plug) -> list[str]:
    """A port as Open vSwitch knows it: ovs-vswitchd.conf.db(5)."""
    port = topology.port(plug)
    if not port.trunk:
        return [f"tag={port.vlan}", "vlan_mode=access"]
    trunks = f"trunks={','.join(map(str, sorted(port.allowed)))}"
    if port.vlan:
        return [f"tag={port.vlan}", "vlan_mode=native-untagged", trunks]
    return ["vlan_mode=trunk", trunks]


def addresses(topology: Topology) -> Iterator[Job]:
    """What gives hosts and routers their addresses and routes."""
    for host in topology.hosts.values():
        yield _batch(host.name, _host(host))
        # Open vSwitch in user space computes no checksums, so hosts must.
        yield Job(host.name, ["ethtool", "-K", "eth0", "tx", "off"])
    for router in topology.routers.values():
        yield _batch(router.name, _router(router))


def _batch(device: str, lines: list[str]) -> Job:
    return Job(device, ["ip", "-batch", "-"], "\n".join(lines) + "\n")


def _host(host: Host) -> list[str]:
    lines = [f"addr add {host.address} dev eth0", "link set lo up", "link set eth0 up"]
    lines.append(_asks_once("eth0"))
    if host.via and host.via in host.address.network:  # Linux takes no other gateway
        lines.append(f"route add default via {host.via}")
    return lines


def _router(router: Router) -> list[str]:
    lines: list[str] = []
    for vlan, address in router.addresses.items():
        lines += [f"addr add {address} dev eth{vlan}", f"link set eth{vlan} up"]
        lines.append(_asks_once(f"eth{vlan}"))
    lines.append("route add blackhole default")  # what leads nowhere is dropped in silence
    for one, other in sorted(router.denied):
        target: IPv4Interface = router.addresses[other]
        lines.append(f"rule add iif eth{one} to {target.network} blackhole")
    return lines


def _asks_once(interface: str) -> str:
    """Asks for a MAC once, not each second: a trial is over before the second time."""
    return f"ntable change name arp_cache dev {interface} retrans 20000"
