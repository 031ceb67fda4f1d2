"""Lesson 02, VLANs: its tasks, and how it knows that they are solved."""

from __future__ import annotations

from labkit.engine import Session
from labkit.material import NotYet, Task, Try, whole_number
from labkit.messages import _
from labkit.net.headers import dissect
from labkit.net.network import Network, crafted
from labkit.net.reach import Reach

NEEDS = {"docker": ["docker"], "net": ["net"]}

CLASSROOM, SECRETARIAT = ("pc1", "pc2"), ("sec1", "sec2")
TAG = 0x6014  # the 16 bits behind 8100 in the frame of the task read-tag


def reach(lesson: Session, *needed: str) -> Reach:
    """Who reaches whom in the network of the lesson, which must have these hosts."""
    made = lesson.engine("net").topology
    if lost := [name for name in needed if name not in made.hosts]:
        raise NotYet(
            "This is another network than the task's, without {hosts}: start the task again.",
            hosts=", ".join(lost),
        )
    return Reach(made)


def must(found: Reach, one: str, other: str) -> None:
    if why := found.why_not(one, other):
        raise NotYet("{one} no longer reaches {other}: {why}.", one=one, other=other, why=why)


def check_separate(lesson: Session, answer: str) -> str:
    found = reach(lesson, *CLASSROOM, *SECRETARIAT, "printer")
    for one in (*CLASSROOM, "printer"):
        for other in SECRETARIAT:
            if not found.why_not(one, other):
                raise NotYet(
                    "{one} still reaches {other}. Ports in one VLAN are one network: give the "
                    "secretariat's ports a VLAN of their own, on both switches.",
                    one=one,
                    other=other,
                )
    must(found, *SECRETARIAT)
    must(found, *CLASSROOM)
    must(found, "pc2", "printer")
    return _(
        "Two networks on the same two switches and one cable: whoever sits in a classroom cannot "
        "even ask for the secretariat's addresses."
    )


def check_tag(lesson: Session, answer: str) -> str:
    said, vlan = whole_number(answer, "read-tag 7", _("the number of the VLAN")), TAG & 0xFFF
    if said == vlan:
        return _(
            "VLAN {vlan}, with priority {priority}: 0x{tag:04x} is {priority:03b} 0 {vlan:012b} "
            "in bits.",
            vlan=vlan,
            priority=TAG >> 13,
            tag=TAG,
        )
    if said == TAG:
        raise NotYet(
            "{said} is all sixteen bits. The upper four are priority and drop eligible; the VLAN "
            "is the lower twelve.",
            said=said,
        )
    if said == 14:
        raise NotYet("14 is how the last byte looks in hex. In decimal 0x14 is 1 × 16 + 4.")
    if said == 0x8100:
        raise NotYet("0x8100 says that a tag follows; the VLAN is in the two bytes after it.")
    raise NotYet(
        "Not {said}. Find 81 00 after the two addresses, take the next two bytes, and of them the "
        "lower twelve bits.",
        said=said,
    )


def check_printer(lesson: Session, answer: str) -> str:
    found = reach(lesson, *CLASSROOM, *SECRETARIAT, "printer")
    for one in (*CLASSROOM, *SECRETARIAT):
        must(found, one, "printer")
    must(found, *CLASSROOM)
    must(found, *SECRETARIAT)
    for one in CLASSROOM:
        for other in SECRETARIAT:
            if not found.why_not(one, other):
                raise NotYet(
                    "Both print, but {one} still reaches {other}: the router passes on whatever "
                    "it has a route for, until it is told not to (`deny`).",
                    one=one,
                    other=other,
                )
            steps = Network(found.topology).ping(one, other)[1]
            if any(
                step.taken
                and step.end.device == other
                and "IPv4" in {header.name for header in dissect(step.frame)}
                for step in steps
            ):
                raise NotYet(
                    "{one} gets no answer, but its packets still arrive at {other}, and one can "
                    "do harm enough. Stop them on the way there, not on the way back.",
                    one=one,
                    other=other,
                )
    return _(
        "All print, and no packet from the classrooms gets to the secretariat. That rule is a "
        "firewall."
    )


def check_hopping(lesson: Session, answer: str) -> str:
    found = reach(lesson, "mallory", *CLASSROOM, *SECRETARIAT)
    must(found, *SECRETARIAT)
    must(found, *CLASSROOM)
    must(found, "mallory", "pc1")
    made = found.topology
    for tags in (["1", "20"], ["0", "20"], ["20"], ["20", "20"]):
        steps = Network(made).send("mallory", crafted(made, "mallory", "sec2", tags))
        if any(step.taken and step.end.device == "sec2" for step in steps):
            raise NotYet(
                "A frame of mallory's with the tags {tags} still gets to sec2. It hops where a "
                "switch takes the first tag off and sends the rest as it is.",
                tags=", ".join(tags),
            )
    return _(
        "Everybody works as before, and the frame with two tags ends in a VLAN where nobody is."
    )


TASKS = [
    Task(
        "separate",
        check_separate,
        setup=["net open flat"],
        solution=Try(["net access 20 s1.2 s2.2", "net trunk 1,20 s1.24 s2.24"]),
        wrong=[
            Try(["net access 20 s1.2"], hint="pc1 still reaches sec2"),
            Try(
                ["net access 20 s1.2 s2.2"],
                hint="sec1 no longer reaches sec2: VLAN 20 stops at s1.24",
            ),
            Try(
                ["net access 20 s1.2 s2.2", "net trunk 20 s1.24 s2.24"],
                hint="pc1 no longer reaches pc2",
            ),
            Try(
                ["net access 20 s1.2 s2.2 s1.3", "net trunk 1,20 s1.24 s2.24"],
                hint="printer still reaches sec1",
            ),
        ],
        hints=[
            _(
                "Two kinds of ports: `access` for those with a host, `trunk` for the cable "
                "between the switches."
            ),
            _(
                "A trunk carries the VLANs that are named, and only those: the classrooms are in "
                "VLAN 1, and need it too."
            ),
        ],
    ),
    Task(
        "read-tag",
        check_tag,
        solution=Try(answer="20"),
        wrong=[
            Try(answer="24596", hint="all sixteen bits"),
            Try(answer="14", hint="looks in hex"),
            Try(answer="33024", hint="a tag follows"),
            Try(answer="6", hint="Not 6"),
            Try(answer="0x14", hint="not a whole number in decimal"),
        ],
        hints=[
            _("The frame begins with six bytes of destination and six of source."),
            _("Paste the bytes into a cell under `%%bytes`, and look at the header 802.1Q."),
        ],
        on_paper=True,
    ),
    Task(
        "printer-for-both",
        check_printer,
        setup=["net open school"],
        solution=Try(["net deny r 10 20"]),
        wrong=[
            Try(
                ["net deny r 10 30"], hint="passes nothing on from VLAN 10 (classrooms) to VLAN 30"
            ),
            Try(["net trunk 10,30 s1.23"], hint="sec1 no longer reaches printer"),
            Try(["net trunk 10,20,30 s1.24"], hint="pc1 still reaches sec1"),
            Try(["net deny r 20 10"], hint="its packets still arrive at sec1"),
            Try(["net deny r 20 10", "net access 10 s1.2"], hint="does not get to its gateway"),
            Try(["net access 10 s2.3"], hint="r does not get to printer"),
        ],
        hints=[
            _("VLANs separate, the router joins again. So the rule belongs into the router."),
            _(
                "`%net deny r FROM TO` with the numbers of two VLANs; the picture names them "
                "under the router."
            ),
        ],
    ),
    Task(
        "stop-hopping",
        check_hopping,
        setup=["net open native"],
        solution=Try(["net trunk 1,20 native 999 s1.24 s2.24"]),
        wrong=[
            Try(["net trunk 20 native 999 s1.24 s2.24"], hint="pc1 no longer reaches pc2"),
            Try(["net trunk 1 native 1 s1.24 s2.24"], hint="sec1 no longer reaches sec2"),
            Try(["net access 20 s1.5"], hint="mallory no longer reaches pc1"),
            Try(["net trunk 1,20 native 1 s1.24 s2.24"], hint="tags 1, 20 still gets"),
        ],
        hints=[
            _("The attack needs a native VLAN on the trunk that is the attacker's own."),
            _(
                "Make the native VLAN one in which nobody is, and carry VLAN 1 with a tag like "
                "all others."
            ),
        ],
    ),
]
