"""Lesson 02, VLANs: what students predict, and what is right."""

from __future__ import annotations

from labkit.engine import Session
from labkit.material import Prediction
from labkit.messages import _
from labkit.net.headers import vlans
from labkit.net.network import PING, Network, crafted
from labkit.net.reach import Reach
from labkit.net.statements import changed, parse
from labkit.net.topology import Topology


def opened(lesson: Session, name: str) -> Topology:
    """A network of the lesson as its file says: a student may have gone on with another one."""
    return parse((lesson.folder / f"{name}.net").read_text("utf-8"))


def right_first(lesson: Session) -> str:
    made = opened(lesson, "flat")
    steps = Network(made).ping("pc1", "pc2")[1]
    heard = {step.end.device for step in steps if step.frame == steps[0].frame} & set(made.hosts)
    return "C" if len(heard) == len(made.hosts) - 1 else "B" if len(heard) > 1 else "A"


def right_across(lesson: Session) -> str:
    made = changed(opened(lesson, "flat"), "access 10 s1.1 s1.3 s2.1")
    return "A" if not Reach(made).why_not("pc1", "pc2") else "B"


def right_tags(lesson: Session) -> str:
    made = opened(lesson, "vlans")
    tagged = [step for step in Network(made).ping("pc1", "pc2")[1] if vlans(step.frame)]
    return (
        "A"
        if not tagged
        else "C"
        if any({step.start.device, step.end.device} & set(made.hosts) for step in tagged)
        else "B"
    )


def right_stick(lesson: Session) -> str:
    steps = Network(opened(lesson, "school")).ping("pc1", "printer")[1]
    crossings = sum(
        "r" in (step.start.device, step.end.device) and step.frame.endswith(PING) for step in steps
    )
    return {0: "A", 2: "B"}.get(crossings, "C")


def right_double(lesson: Session) -> str:
    made = opened(lesson, "native")
    steps = Network(made).send("mallory", crafted(made, "mallory", "sec2", ["1", "20"]))
    return "C" if any(step.taken for step in steps) else "B" if len(steps) > 1 else "A"


PREDICTIONS = [
    Prediction(
        "first-frame",
        _("pc1 wants to talk to pc2, for the first time. Who gets its very first frame?"),
        {
            "A": _("pc2 only: that is what a switch is for."),
            "B": _("All hosts on s1, the switch of pc1."),
            "C": _("Every host on both switches."),
        },
        {
            "A": _(
                "A switch can send to one port only when it knows behind which port an address "
                "is, and pc1 does not even know the address yet: it has to ask all."
            ),
            "B": _(
                "To a switch another switch is a port like any other: a frame for all goes there "
                "too."
            ),
            "C": _(
                "pc1 knows pc2's IP address but not its MAC address, so it asks everybody (ARP): "
                "all hosts whom such a frame reaches are one broadcast domain."
            ),
        },
        right_first,
    ),
    Prediction(
        "across",
        _(
            "pc1 (on s1) and pc2 (on s2) are both in VLAN 10 now. The cable between the switches "
            "has not been touched: its ports are as out of the box. Does pc1 reach pc2?"
        ),
        {
            "A": _("Yes: both are in VLAN 10."),
            "B": _("No: the cable carries VLAN 1 only."),
            "C": _("Yes, but only after the switches have learned the new VLAN."),
        },
        {
            "A": _("Being in the same VLAN is not enough: every port on the way has to carry it."),
            "B": _(
                "Each end of the cable is an access port of VLAN 1, so a frame of VLAN 10 does "
                "not leave through it."
            ),
            "C": _(
                "Switches learn addresses, not VLANs: which VLANs a port carries is set by hand "
                "(or by MVRP, seldom used)."
            ),
        },
        right_across,
    ),
    Prediction(
        "who-sees-tags",
        _(
            "With VLANs 10 and 20 on one cable something has to say which frame is whose: a tag "
            "of four bytes. Where will the tag be seen?"
        ),
        {
            "A": _("Nowhere: the switches agree on it among themselves."),
            "B": _("Only on the cable between the switches."),
            "C": _("Everywhere, at the hosts too."),
        },
        {
            "A": _(
                "The two switches know of each other only what is written in the frames, so it "
                "has to be in there."
            ),
            "B": _(
                "Access ports take it off: a host knows nothing of VLANs, and cannot tell in "
                "which one it is."
            ),
            "C": _(
                "A host's port is an access port: the tag is added when a frame leaves through a "
                "trunk, and taken off where it leaves to a host."
            ),
        },
        right_tags,
    ),
    Prediction(
        "on-a-stick",
        _(
            "pc1 (VLAN 10) pings the printer (VLAN 30). How often do the ping and its answer "
            "together cross the one cable of the router?"
        ),
        {
            "A": _("Never: the switches know both VLANs."),
            "B": _("Twice: once with the ping, once with the answer."),
            "C": _("Four times."),
        },
        {
            "A": _(
                "A switch passes nothing from one VLAN to another, even if both are on "
                "neighbouring ports."
            ),
            "B": _(
                "That would do if the router had a cable in each VLAN; this one has to send back "
                "through the same cable."
            ),
            "C": _(
                "Each of the two comes in with the tag of one VLAN and goes out on the same cable "
                "with the tag of the other. Hence the name, router on a stick, and hence its "
                "limit."
            ),
        },
        right_stick,
    ),
    Prediction(
        "two-tags",
        _(
            "mallory's port allows VLAN 1 only: a frame with tag 20 has just been dropped. Now "
            "the frame carries two tags, first 1, then 20. What becomes of it?"
        ),
        {
            "A": _("s1 drops it: two tags are never allowed."),
            "B": _("It stays in VLAN 1, and only the classrooms hear it."),
            "C": _("It arrives at sec2, in VLAN 20."),
        },
        {
            "A": _("A switch looks at the first tag only; what follows it may be anything."),
            "B": _(
                "So it is on s1. But VLAN 1 is the native VLAN of the trunk: its frames go out "
                "without a tag, so the first tag comes off, and then the second is the first."
            ),
            "C": _(
                "s1 takes the first tag off, for VLAN 1 crosses the trunk without one. What s2 "
                "gets begins with tag 20, and s2 believes it."
            ),
        },
        right_double,
    ),
]
