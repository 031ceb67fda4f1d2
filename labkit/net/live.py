"""The same topology for real: each host a container, the switches Open vSwitch in one more, tcpdump on every port.

A network namespace cannot be made with CAP_NET_ADMIN alone (unshare(2) asks for CAP_SYS_ADMIN, which is all but root of
the machine), so Docker makes them: a container a host, all without any network but these cables. They share the process
IDs of the switches' container, which may therefore lay cables into them, and all end when that one ends. Their rights
are RIGHTS and /dev/net/tun, nothing else. Nothing leaves them.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import re
import tarfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit.commands import Result, run
from labkit.docker import command_line as syntax
from labkit.docker.engine import PREFETCHED, find_thing
from labkit.errors import LabError
from labkit.net import capture
from labkit.net.engine import Answer, Text, crafted
from labkit.net.headers import summary, vlans
from labkit.net.network import Network, Step, steps_at
from labkit.net.topology import Host, Plug, Topology, ranges

if TYPE_CHECKING:
    from labkit.docker.engine import Docker

EYE = "/tmp/eye"  # where the captures are, a file a port
TUN = "/dev/net/tun"  # by which Open vSwitch moves frames outside the kernel
RIGHTS = [
    "NET_ADMIN",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SYS_CHROOT",
]  # by the last three tcpdump and sshd give up others
MOST = 24  # hosts and routers: each is a container
PATIENCE = 20  # seconds that tcpdump has to start
_SWITCHES = f"""
mkdir -p /run/openvswitch /etc/openvswitch {EYE}
ovsdb-tool create /etc/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema
ovsdb-server /etc/openvswitch/conf.db --remote=punix:/run/openvswitch/db.sock --detach --pidfile \
  --unixctl=/run/openvswitch/db.ctl
ovs-vsctl --no-wait init
exec ovs-vswitchd --pidfile
"""
# IPv6 talks unasked, which is another lesson; Linux answers ARP for all its addresses on any cable, and tells hosts of
# better ways; and what the machine thinks of packets from unlikely cables would be inherited.
_SYSCTLS = {
    "net.ipv6.conf.all.disable_ipv6": "1",
    "net.ipv6.conf.default.disable_ipv6": "1",
    "net.ipv4.conf.all.arp_ignore": "1",
    **{
        f"net.ipv4.conf.{where}.{what}": "0"
        for where in ("all", "default")
        for what in ("send_redirects", "rp_filter")
    },
}
_EYES = f"exec 2>/tmp/said; for p; do tcpdump -Z root -i $p --immediate-mode -U -w {EYE}/$p.pcap & done; wait"
_WATCH = f"""[ $(pgrep -fc '^tcpdump .* {EYE}/') -ge $1 ] || {{ grep -sv listening /tmp/said; exit 1; }}"""
# Flows that Open vSwitch has cached would go on without learning.
_FORGET = "for s; do ovs-appctl fdb/flush $s || exit; done; ovs-appctl revalidator/purge"
# Send a frame as it is: packet(7). A struct sockaddr_ll needs only family and interface.
_SEND = (
    'socket(S, 17, 3, 0) or die $!; open F, "</sys/class/net/eth0/ifindex"; '
    'send(S, pack("H*", $ARGV[0]), 0, pack("SnlSCCa8", 17, 0, <F>, 0, 0, 0, "")) or die $!'
)
_YES = {True: "yes", False: "no"}
_HOST = "while :; do sleep 86400; done"


def image(lesson: str, recipe: Path) -> str:
    """The image of a recipe, the folder with a Dockerfile: another recipe is another image. Raises LabError."""
    try:
        text = (recipe / "Dockerfile").read_bytes().replace(b"\r\n", b"\n")
    except OSError:
        raise LabError(
            "There is no live network in this lesson: use `%net up` in the lessons 02 and 03."
        ) from None
    return f"lab{lesson}/net:{hashlib.sha256(text).hexdigest()[:12]}"


def build(
    docker: Docker,
    lesson: str,
    recipe: Path,
    on_text: Callable[[str], None] | None = None,
    kept: str = PREFETCHED,
) -> str:
    """Make the image of a recipe if it is not there; it stays till ``kept`` is reset. Raises :class:`LabError`."""
    if not docker.has_image(name := image(lesson, recipe)):
        # The engine's own network fetches the packages, also where containers get none or no names.
        argv = ["build", "--force-rm", "--network", "host", "--tag", name, str(recipe)]
        result = docker.run(argv, syntax.parse(argv), kept, on_text=on_text)
        if result.code:
            failed = (
                re.findall(r"(?:E: |ERROR: |[Ff]ailure ).*", result.text)
                or [line for line in result.text.splitlines()[-1:] if line]
                or ["no reason given"]
            )
            raise LabError(
                f"The image for the live network could not be built: {failed[0][:200]}. It needs the "
                "Internet once (`labkit prefetch` before class); without it read the recorded outputs."
            )
    return name


class Lab:
    """A topology in containers of an engine, for a lesson; ``recipe`` is the folder with its Dockerfile.

    The image stays till ``kept`` is reset.
    """

    def __init__(
        self, docker: Docker, topology: Topology, lesson: str, recipe: Path, kept: str = PREFETCHED
    ) -> None:
        self.docker, self.topology, self.lesson, self.recipe, self.kept = (
            docker,
            topology,
            lesson,
            recipe,
            kept,
        )
        self.sysctls = _SYSCTLS

    def name(self, device: str) -> str:
        """A device's container."""
        return f"lab{self.lesson}-{device}"

    @property
    def image(self) -> str:
        """The image's name."""
        return image(self.lesson, self.recipe)

    def up(self, on_text: Callable[[str], None] | None = None) -> Result:
        """Bring it up, instead of what this lesson has up. Raises :class:`LabError`, and leaves nothing then."""
        made = self.topology
        if (number := len(made.hosts) + len(made.routers)) > MOST:
            raise LabError(
                f"{number} hosts and routers are too many for containers; up to {MOST} are fine."
            )
        self._names()
        self.down()
        build(self.docker, self.lesson, self.recipe, on_text, self.kept)
        try:
            self._start()
            self._wire()
            self._configure()
        except BaseException as error:
            why = self._ended() if isinstance(error, LabError) else ""
            self.down()
            if why:
                raise LabError(why) from None
            raise
        count = {
            "switches": len(made.switches),
            "hosts": len(made.hosts),
            "routers": len(made.routers),
        }
        said = f"Up: {', '.join(f'{what}: {number}' for what, number in count.items() if number)}."
        return Result(("net", "up"), 0, (("out", said + "\n"),))

    def down(self) -> Result:
        """Remove the containers of this lesson's networks, as far as labkit made them. Raises :class:`LabError`."""
        noted = {entry[1] for entry in self.docker.ledger.entries(self.lesson)}
        mine = {
            thing["name"]
            for thing in self.docker.world()["containers"]
            if thing["id"] in noted and thing["image"].startswith(f"lab{self.lesson}/net:")
        }
        if notes := self.docker.clean(self.lesson, 0, mine) if mine else []:
            raise LabError(" ".join(notes))
        return Result(("net", "down"), 0, (("out", f"{len(mine)} containers are gone.\n"),))

    # -- how it comes up ------------------------------------------------------------------------

    def _names(self) -> None:
        """Raise :class:`LabError` for a device that is called like something of the live network's own."""
        made = self.topology
        own = {"net", "lo", "ovs-netdev"} | {
            f"{name}-{what}"
            for name, router in made.routers.items()
            for what in ("r", "in", *router.addresses)
        }
        for name in (*made.switches, *made.hosts, *made.routers):
            if name in own:
                raise LabError(
                    f"The live network has a {name} of its own: give that device another name."
                )

    def _start(self) -> None:
        net = self._container("net", ["sh", "-c", _SWITCHES])
        try:
            self.docker.start(net)
        except LabError as error:
            if (
                "/proc/sys/net/ipv6" in str(error) and self.sysctls is _SYSCTLS
            ):  # a kernel without IPv6
                self.down()
                self.sysctls = {
                    name: value for name, value in _SYSCTLS.items() if "ipv6" not in name
                }
                return self._start()
            if TUN not in str(error):
                raise
            raise LabError(
                f"The live network needs {TUN}, which the engine's machine lacks: `sudo modprobe tun` "
                "there, or use the recorded outputs."
            ) from None
        made = [
            self._container(device, ["sh", "-c", _HOST, device], pid_mode=f"container:{net}")
            for device in (*self.topology.hosts, *self.topology.routers)
        ]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self.docker.start, made))

    def _container(self, device: str, command: Sequence[str], **options: Any) -> str:
        forward = {"net.ipv4.ip_forward": str(int(device in self.topology.routers))}
        return self.docker.create(
            self.lesson,
            self.name(device),
            self.image,
            command,
            device,
            network_mode="none",
            devices=[TUN],
            cap_drop=["ALL"],
            cap_add=RIGHTS,
            security_opt=["no-new-privileges"],
            sysctls=self.sysctls | forward,
            **options,
        )

    def _ended(self) -> str:
        """Why the switches have ended; "" if they have not."""
        net = find_thing(self.docker.world()["containers"], self.name("net"))
        if not net or net["state"] != "exited" or not self.docker.owns("containers", net):
            return ""
        said = (
            run(["docker", "logs", "--tail", "1", net["id"]], timeout=60).text.strip() or "nothing"
        )
        return f"Open vSwitch has ended in the live network; it said: {said[:200]}. {_advice(said)}"

    def inside(
        self, device: str, *argv: str, stdin: str | None = None, detach: bool = False
    ) -> str:
        """What a command says in a device's container. Raises :class:`LabError` with its own words if it fails."""
        how = ["-d"] if detach else ["-i"] if stdin is not None else []
        result = run(["docker", "exec", *how, self.name(device), *argv], stdin, timeout=60)
        if result.code and re.search(
            "No such container|is not running|container has stopped", result.err
        ):
            raise LabError(
                f"The live network is not up, for {self.name(device)} is not running: `%net up`, then this "
                "again."
            )
        if result.code:
            spoken = [
                line
                for line in result.text.strip().splitlines()
                if not line.startswith("Command failed")
            ]
            said = (spoken or ["nothing"])[-1]  # `ip -batch` adds but a line's number
            raise LabError(
                f"The live network fails: `{' '.join(argv)[:60]}` in {self.name(device)} says: "
                f"{said[:200]}. {_advice(said)}"
            )
        return result.out

    def _wire(self) -> None:
        """Lay the cables, and plug them into the switches."""
        found = re.findall(
            r"^\s*(\d+) sh -c while .* ([a-z][a-z0-9-]*)$",
            self.inside("net", "ps", "-eo", "pid,args"),
            re.M,
        )
        made, pids = self.topology, {name: pid for pid, name in found}
        cables, ports, helpers = list[str](), list[str](), list[str]()
        for plug, other in made.cables.items():
            if other.port and plug.port and plug < other:  # between switches
                cables.append(f"link add {plug} type veth peer name {other}")
            elif plug.port and other.device in made.hosts:
                mac = made.hosts[other.device].mac.hex(":")
                cables.append(
                    f"link add {plug} type veth peer name eth0 address {mac} netns {pids[other.device]}"
                )
            elif plug.port and not other.port:
                cables.append(f"link add {plug} type veth peer name {other.device}-in")
                helpers += self._router(other.device, pids[other.device], cables)
            if plug.port:
                cables.append(f"link set {plug} up")
                ports += ["--", "add-port", plug.device, str(plug), *_settings(made, plug)]
        self.inside("net", "ip", "-batch", "-", stdin="\n".join(cables) + "\n")
        bridges = [
            word
            for name in [*made.switches, *(f"{name}-r" for name in made.routers)]
            for word in (
                "--",
                "add-br",
                name,
                "--",
                "set",
                "bridge",
                name,
                "datapath_type=netdev",
                "other-config:mac-aging-time=300",
            )
        ]
        self.inside("net", "ovs-vsctl", "--retry", "--timeout=20", *bridges, *ports, *helpers)

    def _router(self, name: str, pid: str, cables: list[str]) -> list[str]:
        """A router's stick ends in a bridge that takes the tags off: Linux here may know no 802.1Q of its own."""
        router, ports = self.topology.routers[name], list[str]()
        cables.append(f"link set {name}-in up")
        allowed = ranges(frozenset(router.addresses))
        ports += ["--", "add-port", f"{name}-r", f"{name}-in", f"trunks={allowed}"]
        for vlan in router.addresses:
            cables.append(
                f"link add {name}-{vlan} type veth peer name eth{vlan} address {router.mac.hex(':')} "
                f"netns {pid}"
            )
            cables.append(f"link set {name}-{vlan} up")
            ports += ["--", "add-port", f"{name}-r", f"{name}-{vlan}", f"tag={vlan}"]
        return ports

    def _configure(self) -> None:
        """Addresses and routes; then an eye on every port."""
        made = self.topology
        jobs: list[tuple[str, list[str], str | None]] = []
        for host in made.hosts.values():
            batch = [
                f"addr add {host.address} dev eth0",
                "link set lo up",
                "link set eth0 up",
                _once("eth0"),
            ]
            if host.via and host.via in host.address.network:  # Linux takes no other gateway
                batch.append(f"route add default via {host.via}")
            jobs += [
                (host.name, ["ip", "-batch", "-"], "\n".join(batch) + "\n"),
                (host.name, ["ethtool", "-K", "eth0", "tx", "off"], None),
            ]  # OVS here computes no checksums
        for router in made.routers.values():
            batch = [
                line
                for vlan, address in router.addresses.items()
                for line in (
                    f"addr add {address} dev eth{vlan}",
                    f"link set eth{vlan} up",
                    _once(f"eth{vlan}"),
                )
            ]
            batch.append(
                "route add blackhole default"
            )  # what leads nowhere is dropped in silence, as in the model
            batch += [
                f"rule add iif eth{one} to {router.addresses[other].network} blackhole"
                for one, other in sorted(router.denied)
            ]
            jobs.append((router.name, ["ip", "-batch", "-"], "\n".join(batch) + "\n"))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda job: self.inside(job[0], *job[1], stdin=job[2]), jobs))
        ports = [str(plug) for plug in made.cables if plug.port]
        self.inside("net", "sh", "-c", _EYES, "eyes", *ports, detach=True)
        deadline = time.monotonic() + PATIENCE
        while len(self.captures()) < len(ports):
            if time.monotonic() > deadline:
                self._watch()
                raise LabError(
                    "tcpdump does not start in the live network: run `%net up` again, on a quieter machine."
                )
            time.sleep(0.05)

    def _watch(self) -> None:
        """Raise :class:`LabError` if there is not a tcpdump at each port."""
        ports = sum(plug.port > 0 for plug in self.topology.cables)
        result = run(
            ["docker", "exec", self.name("net"), "sh", "-c", _WATCH, "watch", str(ports)],
            timeout=60,
        )
        if result.code:
            said = (result.out.strip().splitlines() or ["nothing"])[-1]
            raise LabError(
                f"tcpdump is not running at each port of the live network; it said: {said[:200]}. "
                f"{_advice(said)}"
            )

    # -- what is seen ---------------------------------------------------------------------------

    def captures(self) -> dict[Plug, list[bytes]]:
        """All frames seen at each switch's port, in order. Raises :class:`LabError`."""
        found: dict[Plug, list[bytes]] = {}
        with tarfile.open(fileobj=io.BytesIO(self.docker.fetch(self.name("net"), EYE))) as archive:
            for member in archive:
                data = archive.extractfile(member)
                device, _, port = Path(member.name).stem.rpartition(".")
                if data and port.isdigit() and member.size:  # else tcpdump is just about to begin
                    found[Plug(device, int(port))] = capture.read(data.read())
        return found

    def _settled(self) -> dict[Plug, list[bytes]]:
        """All frames seen, once no more come: tcpdump may be a moment behind."""
        now, last = self.captures(), dict[Plug, list[bytes]]()
        while now != last:
            time.sleep(0.05)
            now, last = self.captures(), now
        return now

    def trial(self, start: str, target: str, *tags: str) -> Result:
        """An echo request, or with ``tags`` one frame that carries them, with nothing learned before it.

        What each port saw, a frame a line; exit code 0 if the echo was answered, or the frame was heard by the target.
        Raises :class:`LabError`.
        """
        made = self.topology
        one, other = made.host(start), made.host(target)
        with ThreadPoolExecutor(8) as pool:
            list(
                pool.map(
                    lambda device: self.inside(device, "ip", "neigh", "flush", "all"),
                    [*made.hosts, *made.routers],
                )
            )
        self.inside(
            "net",
            "sh",
            "-c",
            _FORGET,
            "forget",
            *made.switches,
            *(f"{name}-r" for name in made.routers),
        )
        self._watch()
        before = {
            plug: len(frames) for plug, frames in self._settled().items()
        }  # a router reports what it gave up
        if tags:
            self.inside(start, "perl", "-e", _SEND, crafted(made, start, target, tags).hex())
        else:
            argv = ["ping", "-n", "-c", "1", "-W", "1", str(other.address.ip)]
            pinged = run(["docker", "exec", self.name(one.name), *argv], timeout=30)
        found = {plug: frames[before.get(plug, 0) :] for plug, frames in self._settled().items()}
        ok = any(map(_heard(other), found[other.plug])) if tags else not pinged.code
        return Result(
            ("net", start, target, *tags),
            int(not ok),
            (
                (
                    "out",
                    "".join(
                        f"{line}\n"
                        for plug in sorted(found)
                        for line in lines(plug, found[plug], made)
                    ),
                ),
            ),
        )


def _once(interface: str) -> str:
    """Asks for a MAC once, not each second: a trial is over before the second time."""
    return f"ntable change name arp_cache dev {interface} retrans 20000"


def _heard(host: Host) -> Callable[[bytes], bool]:
    """Whether a frame on a host's cable is one that it takes: to its MAC, and in no VLAN, for it knows none."""
    return lambda frame: frame[:6] == host.mac and vlans(frame) in ((), (0,))


def _settings(made: Topology, plug: Plug) -> list[str]:
    """A port as Open vSwitch knows it: ovs-vswitchd.conf.db(5)."""
    port = made.port(plug)
    if not port.trunk:
        return [f"tag={port.vlan}", "vlan_mode=access"]
    trunks = f"trunks={','.join(map(str, sorted(port.allowed)))}"
    return (
        [f"tag={port.vlan}", "vlan_mode=native-untagged", trunks]
        if port.vlan
        else ["vlan_mode=trunk", trunks]
    )


def lines(plug: Plug, frames: Sequence[bytes], made: Topology) -> list[str]:
    """Frames at a port, one a line: the port, the tags, what it is."""
    names = made.names()
    return [
        f"{plug!s:<6} {','.join(map(str, vlans(frame))) or '-':<5} {summary(frame, names)}"
        for frame in frames
    ]


def expected(made: Topology, steps: Sequence[Step]) -> list[str]:
    """What the model says each switch's port should see: to be compared with :meth:`Lab.ping`."""
    return [
        line
        for plug in sorted(plug for plug in made.cables if plug.port)
        for line in lines(plug, [step.frame for step in steps_at(steps, plug)], made)
    ]


def compared(made: Topology, words: Sequence[str], live: Result) -> Answer:
    """What the model says of a :meth:`Lab.trial` beside what the captures say."""
    network, (start, target, *tags) = Network(made), words
    if tags:
        steps = network.send(start, crafted(made, start, target, tags))
        ok = any(step.taken and step.end.device == target for step in steps)
    else:
        ok, steps = network.ping(start, target)
    wanted, seen = expected(made, steps), live.out.split("\n")[:-1]
    what = "arrives" if tags else "is answered"
    said = [f"It {what}: live {_YES[not live.code]}, model {_YES[ok]}."]
    same = wanted == seen and ok == (not live.code)
    if same:
        said += [f"The same {len(seen)} frames at the same ports, in the same order:", *seen]
    else:
        said += [
            "They differ; if a port has changed since, run `%net up` again. (- only in the model, + only live)",
            *(line for line in difflib.ndiff(wanted, seen) if line[0] != "?"),
        ]
    return Answer(Text("\n".join(said)), ok=same)


def _advice(said: str) -> str:
    if "not permitted" in said:
        return "This engine gives containers no NET_ADMIN (a rootless one, perhaps): use the recorded outputs."
    return "Run `%net up` again; if it stays so, use the recorded outputs."
