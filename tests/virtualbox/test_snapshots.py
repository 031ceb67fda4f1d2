"""The graph of machines, snapshots and disks: two witnesses, hostile settings, and what a command really does."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.machines import HDDS, ROOT, attached, chain, disks, home, machine, uuid

from labkit.commands import Result
from labkit.commands import Interrupted
from labkit.errors import LabError
from labkit.virtualbox.engine import Bench
from labkit.virtualbox.snapshots import (
    Graph,
    Machine,
    Medium,
    Snapshot,
    parse_hdds,
    parse_machinereadable,
    read,
)

# -- VBoxManage's words -------------------------------------------------------------------------


def test_hdds() -> None:
    for text in (HDDS, HDDS.replace("\n", "\r\n")):
        first, second = parse_hdds(text)
        assert first["Location"] == "/lab/a:b.vdi" and first["Parent UUID"] == "base"
        assert first["Child UUIDs"].split() == [
            second["UUID"],
            "86fd104d-c104-4703-a4c4-5d6fedaa3fbb",
        ]


def test_machinereadable() -> None:
    text = (
        'name="my "vm" \\ x"\nmemory=1024\n"SATA-0-0"="/a b.vdi"\nSnapshotDescription="one\ntwo "three""\n'
        'VMState="poweroff"\nVMState="forged"\n'
    )
    for lines in (text, text.replace("\n", "\r\n")):
        found = parse_machinereadable(lines)
        assert (
            found["name"] == 'my "vm" \\ x'
            and found["memory"] == "1024"
            and found["SATA-0-0"] == "/a b.vdi"
        )
        assert found["SnapshotDescription"] == 'one\ntwo "three"' and found["VMState"] == "poweroff"


@given(st.text(st.sampled_from('abU:"=\n\r\\ {}-é☃'), max_size=200) | st.text(max_size=100))
def test_no_words_are_too_strange(text: str) -> None:
    parse_hdds(text)
    parse_machinereadable(text)
    parse_hdds(f"UUID: {text}")
    parse_machinereadable(f'name="{text}"')


# -- records ------------------------------------------------------------------------------------

TEXTS = st.text(max_size=20)
SNAPSHOTS = st.builds(
    Snapshot,
    TEXTS,
    TEXTS,
    st.none() | TEXTS,
    TEXTS,
    st.booleans(),
    TEXTS,
    st.booleans(),
    st.lists(TEXTS, max_size=2),
)
MACHINES = st.builds(
    Machine,
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    st.booleans(),
    st.lists(SNAPSHOTS, max_size=3),
    st.lists(TEXTS, max_size=2),
    st.none() | st.dictionaries(TEXTS, TEXTS, max_size=2),
)
MEDIA = st.builds(
    Medium,
    TEXTS,
    st.none() | TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    st.none() | st.integers(0, 1 << 60),
    st.none() | st.integers(0, 1 << 60),
    st.lists(TEXTS, max_size=2),
)
KEYS = st.sampled_from(["machines", "media", "notes", "snapshots", "name", "uuid"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(MACHINES, max_size=2), st.lists(MEDIA, max_size=3), st.lists(TEXTS, max_size=2))
def test_a_record_is_the_same_graph(
    machines: list[Machine], media: list[Medium], notes: list[str]
) -> None:
    graph = Graph(machines, media, notes)
    again = Graph.from_json(json.loads(json.dumps(graph.to_json())))
    assert (again.machines, again.media, again.notes) == (machines, media, notes)


@given(JSON)
def test_what_is_no_record_is_refused_in_one_line(data: dict[str, object]) -> None:
    try:
        Graph.from_json(data)
    except LabError as refused:
        assert "\n" not in str(refused)


NAMES = st.sampled_from(["m", "s", "m @ s", "now", "", 'x"\ny', "é😀", "n" * 300, "\x1b[31m\u202e"])


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any machines with any trees of snapshots, on any disks that stand on each other; names may be the same."""

    def parent(number: int, first: int = 0) -> str | None:
        return (
            draw(st.none() | st.integers(first, number - 1).map(uuid)) if number > first else None
        )

    media = [
        Medium(
            uuid(n),
            parent(n),
            "VDI",
            draw(st.sampled_from(["normal", "shareable"])),
            f"/{draw(st.integers(0, 9))}/{draw(st.sampled_from('ab'))}.vdi",
            None,
            draw(st.sampled_from([1, 2, 3, 4, None])),
        )
        for n in range(draw(st.integers(0, 7)))
    ]
    some = st.lists(st.integers(0, len(media)).map(uuid), max_size=3)  # one more than there are
    machines = [
        Machine(
            draw(NAMES),
            uuid(100 + n),
            "/m",
            draw(st.sampled_from(["poweroff", "saved", "running"])),
            draw(st.booleans()),
            [],
            draw(some),
        )
        for n in range(draw(st.integers(0, 3)))
    ]
    for first, one in enumerate(machines, 2):
        one.snapshots = [
            Snapshot(
                draw(NAMES),
                uuid(100 * first + n),
                parent(100 * first + n, 100 * first),
                "",
                online=draw(st.booleans()),
                media=draw(some),
            )
            for n in range(draw(st.integers(0, 4)))
        ]
        if one.snapshots:
            draw(st.sampled_from(one.snapshots)).current = True
        base = draw(st.sampled_from(machines))
        if base.snapshots and draw(st.booleans()):
            one.linked_to = {"machine": base.name, "snapshot": "s", "uuid": base.snapshots[0].uuid}
    for one in machines:
        for user, used in one.attached().items():
            for medium in media:
                medium.used_by += [user] * (medium.uuid in used)
    return Graph(machines, media)


@given(graphs(), graphs())
def test_any_graph_can_be_recorded_and_drawn(graph: Graph, other: Graph) -> None:
    assert Graph.from_json(json.loads(json.dumps(graph.to_json()))).to_json() == graph.to_json()
    assert len(set(graph.labels().values())) == len(graph.media)
    for before in (None, graph, other):
        tree = graph.tree(before)
        now = [node for node in tree.data()["nodes"] if node["mark"] != "gone"]
        assert len(now) == len(graph.media) + sum(
            2 + len(machine.snapshots) for machine in graph.machines
        )
        assert str(tree) and "</svg>" in tree.svg()
        disks = [
            node["label"] for node in tree.data()["nodes"] if node["label"].startswith("diff ")
        ]
        assert len({label.split()[1] for label in disks}) == len(disks)


@given(graphs(), st.randoms(use_true_random=False))
def test_numbers_stay_when_a_graph_is_read_again(graph: Graph, chance: random.Random) -> None:
    labels, again = graph.labels(), Graph.from_json(graph.to_json())
    chance.shuffle(again.media)
    again.numbers = graph.numbers
    assert again.labels() == labels == graph.labels()
    for name in (machine.uuid for machine in graph.machines):
        part = again.only(name)
        assert {
            (u, label) for u, label in part.labels().items() if label.startswith("diff ")
        } <= labels.items()
        assert {medium.parent for medium in part.media} <= {None, *part._media}


@given(graphs())
def test_previews_of_any_graph(graph: Graph) -> None:
    """They refuse, or tell of disks that are there; a name that is ambiguous is the only error."""
    every = [(owner, snapshot) for owner in graph.machines for snapshot in owner.snapshots]
    for (owner, snapshot), ask in itertools.product(every, (graph.deleting, graph.restoring)):
        done = ask(owner.uuid, snapshot.uuid)
        assert done.lines and not any("\n" in line for line in done.lines)
        assert {source for source, _, _ in done.merges} <= set(done.removed) <= graph._media.keys()
        assert {target for _, target, _ in done.merges} <= graph._media.keys()
        assert not done.refused or not (done.removed or done.merges or done.lost)
        with contextlib.suppress(LabError):
            ask(owner.name, snapshot.name)


# -- settings -----------------------------------------------------------------------------------


def test_one_machine(tmp_path: Path) -> None:
    text = machine(
        "m", 1, chain(2), currentSnapshot=f"{{{uuid(1001)}}}", currentStateModified="false"
    )
    graph = read(home(tmp_path, m=text))
    (found,) = graph.machines
    assert [(s.name, s.parent, s.current) for s in found.snapshots] == [
        ("s0", None, False),
        ("s1", uuid(1000), True),
    ]
    assert found.media == [uuid(2)] and not found.changed and found.linked_to is None
    assert [m.parent for m in graph.media] == [None, uuid(0), uuid(1)]
    assert [m.used_by for m in graph.media] == [["m @ s0"], ["m @ s1"], ["m"]]
    assert (
        graph.media[0].location == str(tmp_path / "Snapshots/0.vdi")
        and graph.media[0].size_on_disk is None
    )
    assert any("missing" in note for note in graph.notes)
    assert "current state" in str(graph) and "m @ s0" in str(graph)


def test_a_linked_clone_hangs_from_its_snapshot(tmp_path: Path) -> None:
    base = machine("base", 1, chain(1), currentSnapshot=f"{{{uuid(1000)}}}")
    other = f'<HardDisk uuid="{{{uuid(77)}}}" location="/c/77.vdi" format="VDI"/>'
    base = base.replace(f'<HardDisk uuid="{{{uuid(1)}}}"', f'{other}<HardDisk uuid="{{{uuid(1)}}}"')
    graph = read(home(tmp_path, base=base, clone=machine("clone", 2, attached(77))))
    assert graph.machine("clone").linked_to == {
        "machine": "base",
        "snapshot": "s0",
        "uuid": uuid(1000),
    }
    assert [m.name for m in graph.only("clone").machines] == ["base", "clone"]
    assert graph.tree().data()["links"] == [
        {"from": uuid(2), "to": f"{uuid(1)} {uuid(1000)}", "label": "linked to"}
    ]
    assert "2 disks stand on 0.vdi" in graph.deleting("base", "s0").refused


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"no xml",
        b"<a/>",
        machine("m", 1, chain(2)).encode()[:-200],
        b"\xff\xfe\x00",
        b"<VirtualBox/>",
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
        b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        b'<?xml version="1.0" encoding="nosuch"?><x/>',
        ROOT.format("<MachineEncrypted/>").encode(),
    ],
)
def test_a_damaged_machine_is_noted_and_the_rest_is_there(tmp_path: Path, text: bytes) -> None:
    graph = read(home(tmp_path, bad=text, good=machine("good", 2)))
    assert [(m.name, m.state) for m in graph.machines] == [
        ("bad", "inaccessible"),
        ("good", "poweroff"),
    ]
    assert any("bad.vbox" in note and "\n" not in note for note in graph.notes)
    assert "passwd" not in "".join(graph.notes)
    (tmp_path / "VirtualBox.xml").write_bytes(text)
    if b"Encrypted" in text:  # sound settings, only not of a machine
        return
    with pytest.raises(LabError) as refused:
        read(tmp_path)
    assert "VirtualBox.xml" in str(refused.value) and "\n" not in str(refused.value)


def test_a_missing_and_a_far_too_large_file(tmp_path: Path) -> None:
    where = home(tmp_path, gone=machine("gone", 1), large=b"")
    (where / "gone.vbox").unlink()
    with (where / "large.vbox").open("wb") as file:
        file.truncate(100 << 20)
    assert [m.state for m in read(where).machines] == ["inaccessible"] * 2
    (where / "gone.vbox").mkdir()
    (where / "large.vbox").unlink()
    if hasattr(os, "mkfifo"):
        os.mkfifo(where / "large.vbox")  # reading it would never end
    assert [m.state for m in read(where).machines] == ["inaccessible"] * 2
    assert read(tmp_path / "nowhere").machines == []


@given(st.integers(0, 2000), st.integers(0, 300), st.binary(max_size=20), st.booleans())
def test_settings_cut_and_mixed(at: int, length: int, put: bytes, twice: bool) -> None:
    """Whatever happens to a machine's settings, there is a graph, and a picture of it."""
    text = machine("m", 1, chain(3), currentSnapshot=f"{{{uuid(1002)}}}").encode()
    at %= len(text)
    with tempfile.TemporaryDirectory() as folder:
        graph = read(
            home(
                Path(folder),
                m=text[:at] + (text[at : at + length] if twice else put) + text[at + length :],
                n=text.replace(b"-4000-", b"-5000-"),
            )
        )
        assert len(graph.machines) == 2 and str(graph) and graph.tree().svg()
        assert not any("\n" in note for note in graph.notes)
        for name in "s0", "s1", "s2":
            with contextlib.suppress(LabError):
                assert str(graph.deleting("m", name)) and str(graph.restoring("m", name))


def test_where_disks_are(tmp_path: Path) -> None:
    inside = disks(1) + disks(1, "/far/away").replace(uuid(0), uuid(7)) + attached(0)
    inside = inside.replace("</HardDisks></MediaRegistry><MediaRegistry><HardDisks>", "")
    where = home(tmp_path, m=machine("m", 1, inside))
    (tmp_path / "Snapshots").mkdir()
    (tmp_path / "Snapshots/0.vdi").write_bytes(b"x" * 100)
    text = (where / "VirtualBox.xml").read_text("utf-8")
    floating = disks(1, "floating").replace(uuid(0), uuid(9))
    (where / "VirtualBox.xml").write_text(
        text.replace("</Global>", f"{floating}</Global>"), "utf-8"
    )
    graph = read(where)
    assert [(m.uuid, m.location, m.size_on_disk, m.used_by) for m in graph.media] == [
        (uuid(9), str(tmp_path / "floating/0.vdi"), None, []),
        (uuid(0), str(tmp_path / "Snapshots/0.vdi"), 100, ["m"]),
        (uuid(7), str(Path("/far/away/0.vdi")), None, []),
    ]
    assert [m.uuid for m in graph.only("m").media] == [uuid(0)]


def test_hard_names_are_exact_in_data_and_clean_in_the_picture(tmp_path: Path) -> None:
    names = ['a "b"', "x/y\\z", "two\nlines", "😀", "n" * 1024, 'x"\nSnapshotName-9="forged']
    inside = disks(1)
    for number, name in enumerate(names):
        value = quoteattr(name, {"\n": "&#10;"})
        inside += f'<Snapshot uuid="{{{uuid(1000 + number)}}}" name={value}/>'
    graph = read(home(tmp_path, m=machine("m", 1, inside)))
    assert [s.name for s in graph.machines[0].snapshots] == names
    assert all("\x00" not in line and len(line) < 200 for line in str(graph).splitlines())
    assert Graph.from_json(json.loads(json.dumps(graph.to_json()))).to_json() == graph.to_json()
    for ask in (graph.deleting, graph.restoring):
        with pytest.raises(LabError) as refused:
            ask("m", "two\nwords")
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 500
        assert all("\n" not in line for line in ask("m", "two\nlines").lines)


@pytest.mark.parametrize("depth", [250, 1000])
def test_a_deep_chain(tmp_path: Path, depth: int) -> None:
    graph = read(
        home(tmp_path, m=machine("m", 1, chain(depth), currentSnapshot=f"{{{uuid(999 + depth)}}}"))
    )
    assert len(graph.machines[0].snapshots) == depth and len(graph.media) == depth + 1
    assert len(graph.tree().data()["nodes"]) == 2 * depth + 3 and "</svg>" in graph.tree().svg()


def calls(does: Callable[[], object]) -> int:
    count = 0

    def event(*_: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(event)
    try:
        does()
    finally:
        sys.setprofile(None)
    return count


def test_work_grows_with_the_snapshots_and_no_faster(tmp_path: Path) -> None:
    def work(depth: int) -> int:
        where = home(
            tmp_path, m=machine("m", 1, chain(depth), currentSnapshot=f"{{{uuid(999 + depth)}}}")
        )
        return calls(lambda: read(where).only("m").tree().svg())

    work(10)  # imports
    assert work(400) < 2.1 * work(200)


def test_clones_of_clones_of_clones() -> None:
    below = [
        {"machine": f"m{max(n - 1, 0)}", "snapshot": "", "uuid": ""} for n in range(400)
    ]  # m0 on itself: no end
    graph = Graph(
        [Machine(f"m{n}", uuid(n), "/m", linked_to=linked) for n, linked in enumerate(below)], []
    )
    assert [m.name for m in graph.only("m9", "m7", "m7").machines] == [f"m{n}" for n in range(10)]
    assert graph.only("m399").machines == graph.machines and graph.only().machines == []


def test_what_is_given_twice(tmp_path: Path) -> None:
    graph = read(
        home(
            tmp_path,
            a=machine("same", 1, disks(1) + attached(0)),
            b=machine("same", 2, disks(1)),
            c=machine("third", 1),
        )
    )
    assert len(graph.machines) == 2 and len(graph.media) == 1
    assert any("given twice" in note for note in graph.notes) and any(
        "Two disks" in note for note in graph.notes
    )
    with pytest.raises(LabError, match="2 machines are called 'same'"):
        graph.machine("same")
    assert graph.machine(uuid(2)).uuid == uuid(2) and str(graph)


def test_the_settings_are_believed_and_a_contradiction_is_noted(tmp_path: Path) -> None:
    said = {
        "list": f"UUID: {uuid(1)}\nParent UUID: base\nCapacity: 8 MBytes\n",
        "showvminfo": f'VMState="poweroff"\nCurrentSnapshotUUID="{uuid(5)}"\nSnapshotName-7="forged"\n',
    }
    text = machine("m", 1, chain(1), currentSnapshot=f"{{{uuid(1000)}}}")
    graph = read(home(tmp_path, m=text), lambda argv: said[argv[0]])
    assert graph.media[1].parent == uuid(0) and graph.media[1].capacity == 8 << 20
    assert [s.name for s in graph.machines[0].snapshots] == ["s0"]
    assert sum("are believed" in note for note in graph.notes) == 2


def test_a_machine_that_virtualbox_cannot_use_is_noted(tmp_path: Path) -> None:
    def say(argv: list[str]) -> str:
        if argv[:2] == ["showvminfo", uuid(1)]:
            raise LabError("VirtualBox says: The object functionality is limited")
        return 'VMState="saved"\n' if argv[0] == "showvminfo" else ""

    graph = read(home(tmp_path, bad=machine("bad", 1, chain(1)), good=machine("good", 2)), say)
    assert [m.state for m in graph.machines] == ["inaccessible", "saved"]
    assert "bad cannot be used. VirtualBox says: The object functionality is limited" in graph.notes
    assert all(
        "inaccessible" in ask("bad", "s0").refused for ask in (graph.deleting, graph.restoring)
    )


def test_snapshots_of_one_name_and_of_one_uuid(tmp_path: Path) -> None:
    inside = "".join(f'<Snapshot uuid="{{{uuid(n)}}}" name="s"/>' for n in (1000, 1001, 1000))
    graph = read(home(tmp_path, m=machine("m", 1, inside)))
    assert [s.uuid for s in graph.machines[0].snapshots] == [uuid(1000), uuid(1001)]
    assert graph.snapshot(graph.machine("m"), "s").uuid == uuid(1000)
    assert graph.snapshot(graph.machine("m"), uuid(1001)).uuid == uuid(1001)
    assert any("given twice" in note for note in graph.notes)


def test_a_name_does_not_forge_the_state(tmp_path: Path) -> None:
    name = 'm"\nVMState="running'
    text = machine("m", 1).replace('name="m"', f"name={quoteattr(name, {chr(10): '&#10;'})}")
    said = {"list": "", "showvminfo": f'name="{name}"\nVMState="poweroff"\n'}
    (found,) = read(home(tmp_path, m=text), lambda argv: said[argv[0]]).machines
    assert (found.name, found.state) == (name, "poweroff")


def test_an_interrupt_is_not_taken_for_a_broken_machine(tmp_path: Path) -> None:
    def ask(argv: list[str]) -> str:
        if argv[0] == "showvminfo":
            raise Interrupted(Result(("VBoxManage",), -2))
        return ""

    with pytest.raises(Interrupted):
        read(home(tmp_path, m=machine("m", 1)), ask)


def test_a_circle_of_parents_ends(tmp_path: Path) -> None:
    media = [Medium(uuid(n), uuid(1 - n), "VDI", "normal", "/x") for n in range(2)]
    graph = Graph([Machine("m", uuid(5), "/m", media=[uuid(0)])], media)
    assert len(graph.only("m").media) == 2
    with pytest.raises(LabError, match="circle of parents"):
        graph.tree()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"machines": [{}], "media": [], "notes": []},
        {"machines": 1},
        {"machines": [], "media": [{"x": 1}], "notes": []},
    ],
)
def test_no_record_of_machines(data: dict[str, object]) -> None:
    with pytest.raises(LabError, match="record the lesson again"):
        Graph.from_json(data)


def numbered(*numbers: int) -> Graph:
    """Disk 0 and, on it, the others."""
    return Graph(
        [],
        [
            Medium(uuid(n), uuid(0) if n else None, "VDI", "normal", f"/{n}.vdi", None, 1)
            for n in numbers
        ],
    )


def test_a_disk_keeps_its_number() -> None:
    first = numbered(0, 1, 2)
    assert list(first.labels().values()) == ["0.vdi", "diff 1 {00000001}", "diff 2 {00000002}"]
    later = numbered(0, 2, 3)
    later.numbers = first.numbers
    assert list(later.labels().values()) == ["0.vdi", "diff 2 {00000002}", "diff 3 {00000003}"]
    marks = {node["key"]: node["mark"] for node in later.tree(first).data()["nodes"]}
    assert marks == {
        f"disk {uuid(n)}": mark for n, mark in ((0, ""), (1, "gone"), (2, ""), (3, "new"))
    }


def test_graphs_that_share_no_numbers_still_number_no_two_disks_alike() -> None:
    first, later = numbered(0, 1, 2), numbered(0, 2, 3)
    assert later.labels()[uuid(2)].startswith("diff 1 ")  # as long as it stands alone
    assert {node["label"] for node in later.tree(first).data()["nodes"]} == {
        "0.vdi",
        "diff 1 {00000001}",
        "diff 2 {00000002}",
        "diff 3 {00000003}",
    }


def test_who_is_not_there() -> None:
    graph = Graph([Machine("m", uuid(1), "/m", snapshots=[Snapshot("s", uuid(2), None, "")])], [])
    with pytest.raises(LabError, match="no machine 'x' here, only: m"):
        graph.machine("x")
    with pytest.raises(LabError, match="m has no snapshot 'x'; it has: s"):
        graph.deleting("m", "x")


# -- what a command really does -----------------------------------------------------------------


@pytest.fixture
def bench(own_home: Path) -> Iterator[Bench]:
    found = Bench.open("77", ("VBoxManage", "qemu-img", "qemu-io"))
    for line in (
        "createvm --name m --register",
        "createmedium disk --filename m.vmdk --size 16 --format VMDK",
        "storagectl m --name SATA --add sata",
        "storageattach m --storagectl SATA --port 0 --device 0 --type hdd --medium m.vmdk",
    ):
        assert found.run(["VBoxManage", *line.split()]).code == 0
    yield found
    found.clean()


def grow(bench: Bench, machine: str = "m") -> None:
    """Make the current disk 2 MiB larger."""
    graph = bench.graph(ask=False)
    top = next(m for m in graph.media if m.uuid == graph.machine(machine).media[0])
    path = Path(top.location).relative_to(bench.folder).as_posix()
    assert bench.run(["qemu-io", "-f", "vmdk", "-c", "write -q 2M 2M", path]).code == 0


def do(bench: Bench, *steps: str) -> None:
    """`grow`, `lose SNAPSHOT` or `lose now`: a disk, `link SNAPSHOT CLONE`, or a command of VBoxManage."""
    for step in steps:
        verb, _, name = step.partition(" ")
        if verb == "grow":
            grow(bench, name or "m")
        elif verb == "lose":
            graph = bench.graph(ask=False)
            owner = graph.machine("m")
            (lost,) = owner.media if name == "now" else graph.snapshot(owner, name).media
            Path(graph._media[lost].location).rename(bench.folder / "lost")
        else:
            line = (
                f"snapshot m {step}"
                if verb in ("take", "restore")
                else step
                if verb != "link"
                else "clonevm m --snapshot {} --options link --name {} --register".format(
                    *name.split()
                )
            )
            result = bench.run(["VBoxManage", *line.split()])
            assert result.code == 0, result.text


SECOND = (
    "createmedium disk --filename 2.vmdk --size 16 --format VMDK",
    "storageattach m --storagectl SATA --port 1 --device 0 --type hdd --medium 2.vmdk",
)
NONE = ("storageattach m --storagectl SATA --port 0 --device 0 --medium none",)
AGAIN = ("storageattach m --storagectl SATA --port 0 --device 0 --type hdd --medium m.vmdk",)
SHARED = (*NONE, "modifymedium disk m.vmdk --type writethrough", *AGAIN)


@pytest.mark.virtualbox
@pytest.mark.qemu
@pytest.mark.parametrize(
    "before, command, goes",
    [
        (["take a"], "delete a", "merged"),  # into a base disk
        (["take a", "grow"], "delete a", "merged"),
        (["take a", "grow", "take b"], "delete b", "merged"),  # the larger below
        (["take a", "take b", "grow"], "delete b", "merged"),  # the smaller below
        (["take a", "take b"], "delete b", "merged"),  # of one size
        (["take a", "take b", "grow", "take c"], "delete b", "merged"),  # in the middle
        (["take a", "grow", "take b", "take c"], "delete b", "merged"),
        (["take a", "take b", "restore a"], "delete b", "lost"),  # a leaf that is not current
        (["take a", "take b", "restore a"], "delete a", "b and the current state stand on it"),
        (["take a", "take b", "restore a", "take c"], "delete a", "b, c stand on it"),
        (["take a", "link a l"], "delete a", "2 disks stand on m.vmdk"),
        (["take a", "take b", "link a l"], "delete a", "2 disks stand on m.vmdk"),
        (
            ["take a", "take b", "restore a", "link b l"],
            "delete b",
            "merged",
        ),  # the clone's disk takes it in
        (
            ["take a", "grow", "take b", "restore a", "link b l"],
            "delete b",
            "merged",
        ),  # the clone's disk goes
        (
            ["take a", "take b", "restore a", "link b l", "link b k"],
            "delete b",
            "2 disks stand on diff",
        ),
        ([*NONE, "take a", *AGAIN, "take b", "restore a"], "delete b", ""),  # a leaf on a base disk
        (["take a", *NONE, "take b"], "delete a", "merged"),  # detached since
        ([*SHARED, "take a", "take b", "restore a"], "delete b", ""),  # no snapshot covers it
        ([*NONE, "take a"], "delete a", ""),  # no disk at all
        ([*SECOND, "take a", "grow", "take b"], "delete b", "merged, merged"),
        (["take a", "take b", "lose a"], "delete b", "the file of m.vmdk is missing"),
        (["take a", "take b", "lose now"], "delete a", "the file of diff"),
        (["take a", "take b", "restore a", "lose b"], "delete b", "lost"),
        (["take a", "grow"], "restore a", "lost"),
        (["take a", "take b", "grow"], "restore a", "lost"),
        ([*SECOND, "take a", "grow"], "restore a", "lost, lost"),
        (["take a", "lose now"], "restore a", "lost"),
        (["take a", "lose a"], "restore a", "the file of m.vmdk is missing"),
        ([*SHARED, "take a"], "restore a", ""),
        ([*NONE, "take a"], "restore a", ""),
    ],
)
def test_the_preview_is_what_happens(
    bench: Bench, before: list[str], command: str, goes: str
) -> None:
    do(bench, *before)
    old = bench.graph()
    texts = bench.guest("m") if old.machine("m").media and "lose" not in str(before) else []
    verb, name = command.split()
    preview = old.deleting("m", name) if verb == "delete" else old.restoring("m", name)
    result = bench.run(["VBoxManage", "snapshot", "m", verb, name])
    new = bench.graph()
    assert bool(result.code) == bool(preview.refused), (str(preview), result.text)
    if preview.refused:
        assert preview.refused.startswith(goes), str(preview)
        return
    gone = {m.uuid for m in old.media} - {m.uuid for m in new.media}
    assert gone == set(preview.removed), str(preview)
    merged = [source for source, _, _ in preview.merges]
    assert ", ".join("merged" if uuid in merged else "lost" for uuid in preview.removed) == goes
    assert {m.uuid for m in new.media} >= {target for _, target, _ in preview.merges}
    if texts and verb == "delete":
        assert bench.guest("m") == texts
    empty = {m.uuid for m in new.media} - {m.uuid for m in old.media}
    assert bool(empty) == any("A new, empty" in line for line in preview.lines)
    assert not [note for note in new.notes if "believed" in note]
    if "link b l" in before:  # what VirtualBox says once it has read its settings again
        assert bench.virtualbox
        bench.virtualbox.end()
        broken = bench.graph().machine("l").state == "inaccessible"
        assert broken == bool(preview.lost) == any("l, a clone" in line for line in preview.lines)


@pytest.mark.virtualbox
@pytest.mark.qemu
def test_of_snapshots_of_one_name_virtualbox_takes_the_first_as_we_do(bench: Bench) -> None:
    do(bench, "take a", "take b", "take twin", "restore a", "take twin", "restore a")
    graph = bench.graph()
    ours = graph.snapshot(graph.machine("m"), "twin").uuid
    do(bench, "snapshot m delete twin")
    left = [
        snapshot.uuid
        for snapshot in bench.graph().machine("m").snapshots
        if snapshot.name == "twin"
    ]
    assert len(left) == 1 and ours not in left


@pytest.mark.virtualbox
@pytest.mark.qemu
def test_both_witnesses_say_the_same(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.run(
            [
                "VBoxManage",
                "snapshot",
                "m",
                "take",
                name,
                "--description",
                'x"\nSnapshotName-9="forged',
            ]
        )
    asked, alone = bench.graph(), bench.graph(ask=False)
    assert asked.to_json() == alone.to_json() and asked.notes == []
    said = bench.run(["VBoxManage", "snapshot", "m", "list", "--machinereadable"]).out
    named = [
        value for key, value in parse_machinereadable(said).items() if re.match("SnapshotName", key)
    ]
    assert {s.name for s in asked.machine("m").snapshots} <= set(named)
