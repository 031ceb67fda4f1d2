"""Lesson 03, VPNs and tunnels: what students predict, and what is right."""

from __future__ import annotations

from labkit.engine import Session
from labkit.material import Prediction
from labkit.messages import _
from labkit.net.headers import dissect

from .tunnelling import SECRET, altered, packet
from .tunnels import Altered, Tunnel, largest


def right_read(lesson: Session) -> str:
    return "C" if SECRET.encode() in Tunnel("gre").wrap(packet(SECRET)) else "A"


def right_bit(lesson: Session) -> str:
    tunnel = Tunnel("wireguard")
    outside = tunnel.wrap(packet(SECRET))
    try:
        tunnel.unwrap(altered("wireguard", outside))
    except Altered:
        return "B"
    return "A"


def right_mtu(lesson: Session) -> str:
    return {1500: "A", 1468: "B", 1440: "C"}.get(largest("wireguard"), "?")


def right_seen(lesson: Session) -> str:
    outside = Tunnel("wireguard").wrap(packet(SECRET))
    names = [header.name for header in dissect(outside, "IPv4")]
    return "C" if SECRET.encode() in outside else "B" if names[:2] == ["IPv4", "UDP"] else "A"


PREDICTIONS = [
    Prediction(
        "read-gre",
        _(
            'The text "{secret}" goes through a GRE tunnel. What can the provider in between read?',
            secret=SECRET,
        ),
        {
            "A": _("Nothing: it is inside a tunnel."),
            "B": _("Only between which two networks it goes."),
            "C": _("Everything."),
        },
        {
            "A": _(
                "A tunnel is a packet in a packet: another envelope around it, and the envelope "
                "is of glass."
            ),
            "B": _("That would need encryption, and GRE does not encrypt."),
            "C": _(
                "GRE puts 24 bytes in front of the packet and leaves it as it is. Whoever carries "
                "it can read it, and change it."
            ),
        },
        right_read,
    ),
    Prediction(
        "one-bit",
        _(
            "On its way through WireGuard one bit of the encrypted part is turned over. What does "
            "the other end do?"
        ),
        {
            "A": _("It decrypts it, and one letter of the text is another one."),
            "B": _("It drops the packet, and says nothing."),
            "C": _("It asks for the packet once more."),
        },
        {
            "A": _(
                "With encryption alone it could be so, and that has broken many protocols. Hence "
                "the tag."
            ),
            "B": _(
                "The tag of 16 bytes is made from all that is encrypted, the number of the packet "
                "and the key. One bit changed, and it does not fit; and who cannot make a tag "
                "gets no answer at all."
            ),
            "C": _(
                "A tunnel carries packets and promises no more than IP does; TCP inside will send "
                "again by itself."
            ),
        },
        right_bit,
    ),
    Prediction(
        "largest",
        _(
            "Ethernet carries packets of 1500 bytes. How long may a packet inside WireGuard (over "
            "IPv4) be?"
        ),
        {
            "A": _("1500 bytes: what is encrypted is as long as before."),
            "B": _("1468 bytes: WireGuard's header and tag are 32 bytes."),
            "C": _("1440 bytes."),
        },
        {
            "A": _(
                "What is encrypted is, but headers come in front of it, and the outer packet may "
                "be 1500."
            ),
            "B": _("And the outer IP (20) and UDP (8) headers? They have to fit as well."),
            "C": _(
                "20 for IP, 8 for UDP, 16 for WireGuard's header, 16 for the tag: 60. (wg-quick "
                "takes 1420, so that IPv6 outside fits too.)"
            ),
        },
        right_mtu,
    ),
    Prediction(
        "still-seen",
        _("Everything goes through WireGuard now. What does the provider still see?"),
        {
            "A": _("Nothing at all."),
            "B": _("Who talks to whom outside, when, and how much."),
            "C": _("Also the names of the pages."),
        },
        {
            "A": _("It has to deliver the packets, so it needs their addresses."),
            "B": _(
                "The outer headers are as open as ever, sizes and times too: enough to tell a "
                "video from a chat."
            ),
            "C": _(
                "Those are inside. But the other end of the tunnel sees them, and whoever comes "
                "after it."
            ),
        },
        right_seen,
    ),
]
