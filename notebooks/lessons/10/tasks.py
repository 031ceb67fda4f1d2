"""Lesson 10, clones, appliances and daily operations: its tasks, and how it knows."""

from __future__ import annotations

from typing import Any

from labkit.disks import human
from labkit.engine import Session
from labkit.errors import LabError
from labkit.material import NotYet, Task, Try
from labkit.messages import _
from labkit.virtualbox import reads as virtualbox
from labkit.virtualbox.snapshots import Graph

from .listing import parse_machinereadable

NEEDS = {"virtualbox": ["VBoxManage", "qemu-img", "qemu-io", "tar"]}
SEATS = ("seat-1", "seat-2", "seat-3")


def own_bytes(graph: Graph, name: str) -> int:
    """Bytes on disk of what only this machine uses."""
    users = (f"{name}", f"{name} @ ")
    return sum(
        medium.size_on_disk or 0
        for medium in graph.media
        if medium.used_by
        and all(user == users[0] or user.startswith(users[1]) for user in medium.used_by)
    )


def check_seats(lesson: Session, answer: str) -> str:
    graph = virtualbox.graph(lesson)
    names = {machine.name for machine in graph.machines}
    if missing := [name for name in SEATS if name not in names]:
        if any(path.startswith(f"{missing[0]}/") for path in virtualbox.files(lesson)):
            raise NotYet(
                "`{name}` is made, but `--register` was left out, so VirtualBox does not list it: "
                "`%VBoxManage registervm {name}/{name}.vbox`.",
                name=missing[0],
            )
        raise NotYet("There is no machine `{name}` yet.", name=missing[0])
    total = 0
    for name in SEATS:
        machine = graph.machine(name)
        if not machine.media:
            raise NotYet(
                "`{name}` has no disk: it was created, not cloned. Start again with `%task seats`.",
                name=name,
            )
        if not machine.linked_to:
            raise NotYet(
                "`{name}` is a full clone: its disk alone takes {size}. Linked clones share: "
                "`--options link`. Start again with `%task seats`.",
                name=name,
                size=human(own_bytes(graph, name)),
            )
        if machine.linked_to.machine != "lab10":
            raise NotYet(
                "`{name}` hangs from `{other}`, not from lab10: if that one goes, so does this.",
                name=name,
                other=machine.linked_to.machine,
            )
        total += own_bytes(graph, name)
    if total >= 1_000_000:
        raise NotYet(
            "Together they take {total}, and less than 1 MB was asked for.", total=human(total)
        )
    full = 3 * virtualbox.size(lesson, "lab10.vmdk")
    return _(
        "Three machines, {total} in all. Three full clones would take {full}.",
        total=human(total),
        full=human(full),
    )


def ovf(lesson: Session, name: str) -> Any:
    """The descriptor in an appliance (DMTF DSP0243), as XML."""
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    said = lesson.command(["tar", "-xOf", f"{name}.ova", f"{name}.ovf"])
    if said.code:
        raise NotYet(
            "`{name}.ova` is no appliance: no descriptor `{name}.ovf` is in it. Let `VBoxManage "
            "export` make it.",
            name=name,
        )
    try:
        return fromstring(said.out)
    except (ParseError, DefusedXmlException):
        raise LabError(
            "The descriptor in {name}.ova cannot be read; start the task again.", name=name
        ) from None


def check_appliance(lesson: Session, answer: str) -> str:
    if "colleague.ova" not in virtualbox.files(lesson):
        raise NotYet(
            "There is no `colleague.ova` yet: `%VBoxManage export MACHINE --output colleague.ova "
            "…`."
        )
    found = ovf(lesson, "colleague")
    systems = found.findall(".//{*}VirtualSystem")  # whichever version of OVF
    names = [value for system in systems for key, value in system.items() if key.endswith("}id")]
    if names != ["lab10-full"]:
        raise NotYet(
            "In it is the machine `{names}`; `lab10-full` alone was asked for. `%task appliance` "
            "starts again.",
            names="`, and `".join(names) or "none",
        )
    product = systems[0].findtext("{*}ProductSection/{*}Product")
    if product != "School server":
        named = f"the product {product}" if product else "no product"
        raise NotYet(
            'The descriptor names {named}: `--vsys 0 --product "School server"`. An existing file '
            "is not replaced: start again with `%task appliance`.",
            named=named,
        )
    return _("Machine, disk and a name that a human understands, in one file of an open standard.")


def check_web(lesson: Session, answer: str) -> str:
    said = lesson.command(["VBoxManage", "showvminfo", "lab10-web", "--machinereadable"])
    if said.code:
        raise LabError("The machine lab10-web is missing: start the task again with `%task web`.")
    about = parse_machinereadable(said.out)
    rules = [value.split(",") for key, value in about.items() if key.startswith("Forwarding(")]
    to_web = [rule for rule in rules if rule[3:4] == ["8080"]]
    if about.get("memory") != "512":
        raise NotYet(
            "It has {memory} MB of memory; 512 were asked for: `modifyvm lab10-web --memory …`.",
            memory=about.get("memory"),
        )
    if about.get("cpus") != "1":
        raise NotYet(
            "It has {cpus} processors; one was asked for: `modifyvm lab10-web --cpus …`.",
            cpus=about.get("cpus"),
        )
    if not rules:
        raise NotYet(
            "No port leads to it yet: `modifyvm lab10-web --nat-pf1 "
            '"NAME,tcp,ADDRESS,HERE,,THERE"`.'
        )
    if not to_web:
        raise NotYet(
            "The rule listens on port {port} of this computer, not on 8080. In a rule the host's "
            "port comes before the guest's.",
            port=rules[0][3],
        )
    if to_web[0][5:6] != ["80"]:
        raise NotYet(
            "Port 8080 here leads to port {port} of the guest, and the web server listens on 80.",
            port=to_web[0][5],
        )
    if to_web[0][1] != "tcp":
        raise NotYet(
            "The rule is for UDP, and web pages come over TCP. Remove it (`--nat-pf1 delete "
            "NAME`) and write it again."
        )
    if to_web[0][2] != "127.0.0.1":
        if to_web[0][2]:
            where = _("With the address {address} others reach it", address=to_web[0][2])
        else:
            where = _("Without an address it is open to the whole network")
        raise NotYet(
            "{where}, and *this computer only* was asked for: 127.0.0.1. Remove the rule "
            "(`--nat-pf1 delete NAME`) and write it again.",
            where=where,
        )
    return _("Who is at this computer reaches it at http://127.0.0.1:8080, nobody else does.")


TASKS = [
    Task(
        "seats",
        check_seats,
        solution=Try(
            [
                f"VBoxManage clonevm lab10 --snapshot clean --name {name} --options link --register"
                for name in SEATS
            ]
        ),
        wrong=[
            Try(
                [
                    f"VBoxManage clonevm lab10 --name {name} --mode machine --register"
                    for name in SEATS
                ],
                hint="is a full clone",
            ),
            Try(
                [
                    "VBoxManage clonevm lab10 --snapshot clean --name seat-1 --options link "
                    "--register"
                ],
                hint="no machine `seat-2`",
            ),
            Try(
                ["VBoxManage clonevm lab10 --snapshot clean --name seat-1 --options link"],
                hint="`--register` was left out",
            ),
            Try(
                [f"VBoxManage createvm --name {name} --register" for name in SEATS],
                hint="created, not cloned",
            ),
            Try(
                [
                    "VBoxManage clonevm lab10 --snapshot clean --name seat-1 --options link "
                    "--register",
                    "VBoxManage snapshot seat-1 take mine",
                    *(
                        f"VBoxManage clonevm seat-1 --snapshot mine --name {name} --options link "
                        f"--register"
                        for name in SEATS[1:]
                    ),
                ],
                hint="hangs from `seat-1`",
            ),
        ],
        hints=[
            _("A linked clone is made of a snapshot: lab10 has one, `clean`."),
            _(
                "`%VBoxManage clonevm lab10 --snapshot clean --name seat-1 --options link "
                "--register`, three times."
            ),
        ],
    ),
    Task(
        "appliance",
        check_appliance,
        solution=Try(
            [
                'VBoxManage export lab10-full --output colleague.ova --vsys 0 --product "School '
                'server"'
            ]
        ),
        wrong=[
            Try(["VBoxManage export lab10-full --output colleague.ova"], hint="names no product"),
            Try(
                [
                    'VBoxManage export lab10 --output colleague.ova --vsys 0 --product "School '
                    'server"'
                ],
                hint="In it is the machine `lab10`;",
            ),
            Try(
                [
                    "VBoxManage export lab10-full lab10 --output colleague.ova --vsys 0 --product "
                    '"School server"'
                ],
                hint="`lab10-full`, and `lab10`",
            ),
            Try(
                ["qemu-img convert -f vmdk -O vmdk lab10-full/lab10-full.vmdk colleague.ova"],
                hint="is no appliance",
            ),
        ],
        hints=[
            _('`%VBoxManage export MACHINE --output FILE --vsys 0 --product "…"`.'),
            _("`--vsys 0` says which machine of the appliance what follows is about: the first."),
        ],
    ),
    Task(
        "web",
        check_web,
        setup=[
            "VBoxManage createvm --name lab10-web --ostype Debian_64 --register",
            "VBoxManage modifyvm lab10-web --cpus 2 --memory 1024",
        ],
        solution=Try(
            [
                "VBoxManage modifyvm lab10-web --cpus 1 --memory 512",
                'VBoxManage modifyvm lab10-web --nat-pf1 "web,tcp,127.0.0.1,8080,,80"',
            ]
        ),
        wrong=[
            Try(
                ["VBoxManage modifyvm lab10-web --cpus 1 --memory 512"], hint="No port leads to it"
            ),
            Try(
                [
                    "VBoxManage modifyvm lab10-web --cpus 1 --memory 512",
                    'VBoxManage modifyvm lab10-web --nat-pf1 "web,tcp,,8080,,80"',
                ],
                hint="open to the whole network",
            ),
            Try(
                [
                    "VBoxManage modifyvm lab10-web --cpus 1 --memory 512",
                    'VBoxManage modifyvm lab10-web --nat-pf1 "web,tcp,127.0.0.1,80,,8080"',
                ],
                hint="not on 8080",
            ),
            Try(
                [
                    "VBoxManage modifyvm lab10-web --cpus 1",
                    'VBoxManage modifyvm lab10-web --nat-pf1 "web,tcp,127.0.0.1,8080,,80"',
                ],
                hint="of memory",
            ),
            Try(
                [
                    "VBoxManage modifyvm lab10-web --memory 512",
                    'VBoxManage modifyvm lab10-web --nat-pf1 "web,tcp,127.0.0.1,8080,,80"',
                ],
                hint="2 processors",
            ),
        ],
        hints=[
            _("`modifyvm` takes `--cpus`, `--memory` (in MB) and `--nat-pf1`."),
            _(
                "A rule: name, tcp, address and port of this computer, address (may be empty) and "
                "port of the guest."
            ),
        ],
    ),
]
