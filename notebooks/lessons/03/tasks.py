"""Lesson 03, VPNs and tunnels: its tasks, and how it knows that they are solved."""

from __future__ import annotations

from labkit.docker import reads as docker
from labkit.engine import Session
from labkit.errors import LabError
from labkit.material import NotYet, Task, Try, whole_number
from labkit.messages import _
from labkit.net.headers import dissect

from .tunnelling import packet
from .tunnels import TUNNEL_KINDS, Tunnel, largest

NEEDS = {"docker": ["docker"], "net": ["net"]}

DSL = 1492  # bytes: the MTU of a line with PPPoE (RFC 2516, 7)
CAUGHT = Tunnel("esp", counter=40).wrap(packet("GET /timetable"))[
    :36
]  # what the notebook shows in hex
OUTSIDE, INSIDE = "http://192.0.2.2:8081/", "http://10.66.0.2:8081/"


def check_mtu(lesson: Session, answer: str) -> str:
    right, said = (
        largest("wireguard", DSL),
        whole_number(answer, "through-dsl 1000", _("the number of bytes")),
    )
    if said == right:
        return _(
            "Yes: {right} and 60 of headers and tag are {most}. wg-quick would take 20 less, for "
            "IPv6 outside.",
            right=right,
            most=DSL,
        )
    if said == right - 20:
        raise NotYet(
            "{said} leaves room for an IPv6 header outside, as wg-quick does. Over IPv4 larger "
            "ones fit too.",
            said=said,
        )
    if said == largest("wireguard"):
        raise NotYet(
            "{said} is right for 1500 outside; this line takes {most}.", said=said, most=DSL
        )
    if said > right:
        raise NotYet(
            "A packet of {said} bytes is {outside} outside, and only {most} get through.",
            said=said,
            outside=said + 60,
            most=DSL,
        )
    raise NotYet(
        "{said} bytes get through, but larger ones too: `%tunnel mtu {most}`.", said=said, most=DSL
    )


def check_which(lesson: Session, answer: str) -> str:
    right = next(header.name for header in dissect(CAUGHT, "IPv4")[1:]).lower()
    said = answer.strip().lower()
    if not said:
        raise NotYet("Name the kind: `%check which-tunnel gre`.")
    if said in (right, "ipsec"):
        return _(
            "ESP, the part of IPsec that carries data: protocol 50 (0x32), then its SPI and the "
            "number of the packet. Those are for everybody to see; what follows is not."
        )
    numbers = {"ipip": 4, "gre": 47, "vxlan": 17, "openvpn": 17, "wireguard": 17}
    if said not in numbers:
        raise NotYet(
            "`{said}` is no kind that `%tunnel` knows: {kinds}.",
            said=said,
            kinds=", ".join(TUNNEL_KINDS),
        )
    if numbers[said] == 17:
        raise NotYet(
            "{said} travels in UDP, which is protocol 17, in hex 11. Look at the tenth byte.",
            said=said,
        )
    raise NotYet(
        "{said} is protocol {number}, in hex {number:02x}. Look at the tenth byte.",
        said=said,
        number=numbers[said],
    )


def gets(lesson: Session, address: str) -> bool:
    """Whether the laptop gets a page there."""
    if not docker.container(lesson, "lab03-laptop"):
        raise LabError(
            "The live network is not up: run the cells from `%net up` on, then this one."
        )
    code = docker.looks(lesson, "lab03-laptop", ["curl", "-s", "-S", "-m", "3", address])
    if code not in (0, 7, 28):  # 7: refused, 28: no answer
        raise LabError(
            "The laptop cannot be asked (curl says {code}): run the cells from `%net up` on.",
            code=code,
        )
    return not code


def check_service(lesson: Session, answer: str) -> str:
    outside, inside = gets(lesson, OUTSIDE), gets(lesson, INSIDE)
    if outside and inside:
        raise NotYet(
            "The laptop gets the page at 192.0.2.2 as well, without any tunnel: the server "
            "listens on all addresses, for everybody. Let it listen on one (`-p ADDRESS:8081`)."
        )
    if outside:
        raise NotYet(
            "It answers at 192.0.2.2, and so to everybody outside, but not in the tunnel: it "
            "listens on the wrong one of the school's addresses."
        )
    if not inside:
        raise NotYet(
            "Nobody answers at 10.66.0.2:8081, the school's address in the tunnel: the server "
            "does not run, or listens elsewhere."
        )
    return _(
        "Through the tunnel it answers, outside nobody does: no door that an attacker could even "
        "knock at."
    )


SERVE = "docker exec lab03-school busybox httpd -h /srv -p"
TASKS = [
    Task(
        "which-tunnel",
        check_which,
        solution=Try(answer="esp"),
        wrong=[
            Try(answer="wireguard", hint="wireguard travels in UDP"),
            Try(answer="gre", hint="protocol 47"),
            Try(answer="ipip", hint="protocol 4, in hex 04"),
            Try(answer="vpn", hint="no kind that"),
        ],
        hints=[
            _("An IPv4 header has 20 bytes; the tenth of them says what it carries."),
            _("Paste the bytes into a cell under `%%bytes ip`."),
        ],
        on_paper=True,
    ),
    Task(
        "through-dsl",
        check_mtu,
        solution=Try(answer="1432"),
        wrong=[
            Try(answer="1412", hint="an IPv6 header outside"),
            Try(answer="1440", hint="right for 1500 outside"),
            Try(answer="1492", hint="1492 bytes is 1552 outside"),
            Try(answer="1000", hint="larger ones too"),
            Try(answer="much", hint="not a whole number"),
        ],
        hints=[
            _("`%tunnel mtu` takes the MTU outside as its argument."),
            _(
                "WireGuard adds 60 bytes; it pads to a multiple of 16, but never beyond the MTU "
                "of its interface."
            ),
        ],
        on_paper=True,
    ),
    Task(
        "only-by-tunnel",
        check_service,
        setup=['docker exec lab03-school sh -c "pkill -f [h]ttpd.*8081; true"'],
        solution=Try([f"{SERVE} 10.66.0.2:8081"]),
        wrong=[
            Try([f"{SERVE} 8081"], hint="listens on all addresses"),
            Try([f"{SERVE} 127.0.0.1:8081"], hint="Nobody answers"),
            Try([f"{SERVE} 192.0.2.2:8081"], hint="not in the tunnel"),
        ],
        hints=[
            _(
                "A server listens on an address of its machine. Which of the school's addresses "
                "is only in the tunnel?"
            ),
            _("`%{command} ADDRESS:8081` with the address of `wg0`.", command=SERVE),
        ],
    ),
]
