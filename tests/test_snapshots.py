"""The graph of machines, snapshots and disks: two witnesses, hostile settings, and what a command really does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.bench import Bench
from labkit.commands import LabError
from labkit.snapshots import Graph, Machine, Medium, Snapshot, parse_hdds, parse_machinereadable, read

ROOT = '<?xml version="1.0"?><VirtualBox xmlns="http://www.virtualbox.org/" version="1.19-linux">{}</VirtualBox>'
HDDS = """UUID:           e59b2468-97e3-4a6a-9241-a1daa29f84c1
Parent UUID:    base
State:          created
Location:       /lab/a:b.vdi
Capacity:       64 MBytes
Child UUIDs:    8b807f56-02d7-400a-bf6d-774ece139d68
                86fd104d-c104-4703-a4c4-5d6fedaa3fbb

UUID:           8b807f56-02d7-400a-bf6d-774ece139d68
Parent UUID:    e59b2468-97e3-4a6a-9241-a1daa29f84c1
Capacity:       64 MBytes
"""


def uuid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def disks(count: int, folder: str = "Snapshots") -> str:
    """A registry with a chain of disks, 0 the base."""
    text = "".join(f'<HardDisk uuid="{{{uuid(n)}}}" location="{folder}/{n}.vdi" format="VDI" type="Normal">'
                   for n in range(count))
    return f"<MediaRegistry><HardDisks>{text}{'</HardDisk>' * count}</HardDisks></MediaRegistry>"


def attached(number: int) -> str:
    return ('<Hardware><StorageControllers><StorageController><AttachedDevice type="HardDisk">'
            f'<Image uuid="{{{uuid(number)}}}"/></AttachedDevice></StorageController></StorageControllers></Hardware>')


def machine(name: str, number: int, inside: str = "", **more: str) -> str:
    attributes = "".join(f' {key}="{value}"' for key, value in more.items())
    return ROOT.format(f'<Machine uuid="{{{uuid(number)}}}" name={quoteattr(name)}{attributes}>{inside}</Machine>')


def chain(depth: int) -> str:
    """Snapshots 1000, 1001, … each with the disk of its depth, and a current state on top."""
    opening = "".join(f'<Snapshot uuid="{{{uuid(1000 + n)}}}" name="s{n}" timeStamp="2026-01-01T00:00:00Z">'
                      f"{attached(n)}{'<Snapshots>' * (n < depth - 1)}" for n in range(depth))
    return disks(depth + 1) + opening + "</Snapshot></Snapshots>" * (depth - 1) + "</Snapshot>" + attached(depth)


def home(folder: Path, **machines: str | bytes) -> Path:
    """A VirtualBox home with these settings files."""
    entries = ""
    for number, (name, text) in enumerate(machines.items()):
        (folder / f"{name}.vbox").write_bytes(text if isinstance(text, bytes) else text.encode())
        entries += f'<MachineEntry uuid="{{{uuid(9000 + number)}}}" src="{name}.vbox"/>'
    (folder / "VirtualBox.xml").write_text(
        ROOT.format(f"<Global><MachineRegistry>{entries}</MachineRegistry></Global>"), "utf-8")
    return folder


# -- VBoxManage's words -------------------------------------------------------------------------


def test_hdds() -> None:
    for text in (HDDS, HDDS.replace("\n", "\r\n")):
        first, second = parse_hdds(text)
        assert first["Location"] == "/lab/a:b.vdi" and first["Parent UUID"] == "base"
        assert first["Child UUIDs"].split() == [second["UUID"], "86fd104d-c104-4703-a4c4-5d6fedaa3fbb"]


def test_machinereadable() -> None:
    text = ('name="my "vm" \\ x"\nmemory=1024\n"SATA-0-0"="/a b.vdi"\nSnapshotDescription="one\ntwo "three""\n'
            'VMState="poweroff"\nVMState="forged"\n')
    for lines in (text, text.replace("\n", "\r\n")):
        found = parse_machinereadable(lines)
        assert found["name"] == 'my "vm" \\ x' and found["memory"] == "1024" and found["SATA-0-0"] == "/a b.vdi"
        assert found["SnapshotDescription"] == 'one\ntwo "three"' and found["VMState"] == "poweroff"


@given(st.text(st.sampled_from('abU:"=\n\r\\ {}-é☃'), max_size=200) | st.text(max_size=100))
def test_no_words_are_too_strange(text: str) -> None:
    parse_hdds(text)
    parse_machinereadable(text)
    parse_hdds(f"UUID: {text}")
    parse_machinereadable(f'name="{text}"')


# -- settings -----------------------------------------------------------------------------------


def test_one_machine(tmp_path: Path) -> None:
    text = machine("m", 1, chain(2), currentSnapshot=f"{{{uuid(1001)}}}", currentStateModified="false")
    graph = read(home(tmp_path, m=text))
    (found,) = graph.machines
    assert [(s.name, s.parent, s.current) for s in found.snapshots] == [("s0", None, False), ("s1", uuid(1000), True)]
    assert found.media == [uuid(2)] and not found.changed and found.linked_to is None
    assert [m.parent for m in graph.media] == [None, uuid(0), uuid(1)]
    assert [m.used_by for m in graph.media] == [["m @ s0"], ["m @ s1"], ["m"]]
    assert graph.media[0].location == str(tmp_path / "Snapshots/0.vdi") and graph.media[0].size_on_disk is None
    assert any("missing" in note for note in graph.notes)
    assert "current state" in str(graph) and "m @ s0" in str(graph)


def test_a_linked_clone_hangs_from_its_snapshot(tmp_path: Path) -> None:
    base = machine("base", 1, chain(1), currentSnapshot=f"{{{uuid(1000)}}}")
    other = f'<HardDisk uuid="{{{uuid(77)}}}" location="/c/77.vdi" format="VDI"/>'
    base = base.replace(f'<HardDisk uuid="{{{uuid(1)}}}"', f'{other}<HardDisk uuid="{{{uuid(1)}}}"')
    graph = read(home(tmp_path, base=base, clone=machine("clone", 2, attached(77))))
    assert graph.machine("clone").linked_to == {"machine": "base", "snapshot": "s0", "uuid": uuid(1000)}
    assert [m.name for m in graph.only("clone").machines] == ["base", "clone"]
    assert graph.tree().data()["links"] == [
        {"from": uuid(2), "to": f"{uuid(1)} {uuid(1000)}", "label": "linked to"}]
    assert "2 disks stand on 0.vdi" in graph.deleting("base", "s0").refused


@pytest.mark.parametrize("text", [
    b"", b"no xml", b"<a/>", machine("m", 1, chain(2)).encode()[:-200], b"\xff\xfe\x00", b"<VirtualBox/>",
    b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>',
    b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
    b'<?xml version="1.0" encoding="nosuch"?><x/>', ROOT.format("<MachineEncrypted/>").encode()])
def test_a_damaged_machine_is_noted_and_the_rest_is_there(tmp_path: Path, text: bytes) -> None:
    graph = read(home(tmp_path, bad=text, good=machine("good", 2)))
    assert [(m.name, m.state) for m in graph.machines] == [("bad", "inaccessible"), ("good", "poweroff")]
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
    assert read(tmp_path / "nowhere").machines == []


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


@pytest.mark.parametrize("depth", [250, 1000])
def test_a_deep_chain(tmp_path: Path, depth: int) -> None:
    graph = read(home(tmp_path, m=machine("m", 1, chain(depth), currentSnapshot=f"{{{uuid(999 + depth)}}}")))
    assert len(graph.machines[0].snapshots) == depth and len(graph.media) == depth + 1
    assert len(graph.tree().data()["nodes"]) == 2 * depth + 3 and "</svg>" in graph.tree().svg()


def test_what_is_given_twice(tmp_path: Path) -> None:
    graph = read(home(tmp_path, a=machine("same", 1, disks(1) + attached(0)), b=machine("same", 2, disks(1)),
                      c=machine("third", 1)))
    assert len(graph.machines) == 2 and len(graph.media) == 1
    assert any("given twice" in note for note in graph.notes) and any("Two disks" in note for note in graph.notes)
    with pytest.raises(LabError, match="2 machines are called 'same'"):
        graph.machine("same")
    assert graph.machine(uuid(2)).uuid == uuid(2) and str(graph)


def test_the_settings_are_believed_and_a_contradiction_is_noted(tmp_path: Path) -> None:
    said = {"list": f"UUID: {uuid(1)}\nParent UUID: base\nCapacity: 8 MBytes\n",
            "showvminfo": f'VMState="poweroff"\nCurrentSnapshotUUID="{uuid(5)}"\nSnapshotName-7="forged"\n'}
    text = machine("m", 1, chain(1), currentSnapshot=f"{{{uuid(1000)}}}")
    graph = read(home(tmp_path, m=text), lambda argv: said[argv[0]])
    assert graph.media[1].parent == uuid(0) and graph.media[1].capacity == 8 << 20
    assert [s.name for s in graph.machines[0].snapshots] == ["s0"]
    assert sum("are believed" in note for note in graph.notes) == 2


def test_a_circle_of_parents_ends(tmp_path: Path) -> None:
    media = [Medium(uuid(n), uuid(1 - n), "VDI", "normal", "/x") for n in range(2)]
    graph = Graph([Machine("m", uuid(5), "/m", media=[uuid(0)])], media)
    assert len(graph.only("m").media) == 2
    with pytest.raises(LabError, match="circle of parents"):
        graph.tree()


@pytest.mark.parametrize("data", [{}, {"machines": [{}], "media": [], "notes": []}, {"machines": 1},
                                  {"machines": [], "media": [{"x": 1}], "notes": []}])
def test_no_record_of_machines(data: dict[str, object]) -> None:
    with pytest.raises(LabError, match="record the lesson again"):
        Graph.from_json(data)


def test_a_disk_keeps_its_number() -> None:
    def graph(*numbers: int) -> Graph:
        media = [Medium(uuid(n), uuid(0) if n else None, "VDI", "normal", f"/{n}.vdi", None, 1) for n in numbers]
        return Graph([], media)

    first = graph(0, 1, 2)
    assert list(first.labels().values()) == ["0.vdi", "diff 1 {00000001}", "diff 2 {00000002}"]
    later = graph(0, 2, 3)
    later.numbers = first.numbers
    assert list(later.labels().values()) == ["0.vdi", "diff 2 {00000002}", "diff 3 {00000003}"]
    marks = {node["key"]: node["mark"] for node in later.tree(first).data()["nodes"]}
    assert marks == {f"disk {uuid(n)}": mark for n, mark in ((0, ""), (1, "gone"), (2, ""), (3, "new"))}


def test_who_is_not_there() -> None:
    graph = Graph([Machine("m", uuid(1), "/m", snapshots=[Snapshot("s", uuid(2), None, "")])], [])
    with pytest.raises(LabError, match="no machine 'x' here; there are: m"):
        graph.machine("x")
    with pytest.raises(LabError, match="m has no snapshot 'x'; it has: s"):
        graph.deleting("m", "x")


# -- what a command really does -----------------------------------------------------------------


@pytest.fixture
def bench(own_home: Path) -> Iterator[Bench]:
    found = Bench.open("77", ("VBoxManage", "qemu-img", "qemu-io"))
    for line in ("createvm --name m --register", "createmedium disk --filename m.vmdk --size 16 --format VMDK",
                 "storagectl m --name SATA --add sata",
                 "storageattach m --storagectl SATA --port 0 --device 0 --type hdd --medium m.vmdk"):
        assert found.run(["VBoxManage", *line.split()]).code == 0
    yield found
    found.clean()


def grow(bench: Bench, machine: str = "m") -> None:
    """Make the current disk 2 MiB larger."""
    top = next(m for m in bench.graph().media if m.uuid == bench.graph().machine(machine).media[0])
    path = Path(top.location).relative_to(bench.folder).as_posix()
    assert bench.run(["qemu-io", "-f", "vmdk", "-c", "write -q 2M 2M", path]).code == 0


@pytest.mark.virtualbox
@pytest.mark.qemu
@pytest.mark.parametrize("before, command", [
    (["take a"], "delete a"),  # a base disk
    (["take a", "grow"], "delete a"),
    (["take a", "grow", "take b"], "delete b"),  # the larger below
    (["take a", "take b", "grow"], "delete b"),  # the smaller below
    (["take a", "take b"], "delete b"),  # of one size
    (["take a", "take b", "grow", "take c"], "delete b"),  # in the middle
    (["take a", "take b", "restore a"], "delete b"),  # a leaf that is not current
    (["take a", "take b", "restore a"], "delete a"),  # the current state and a snapshot stand on it
    (["take a", "take b", "restore a", "take c"], "delete a"),  # two snapshots stand on it
    (["take a", "link a"], "delete a"),  # a linked clone hangs from it
    (["take a", "grow"], "restore a"),
    (["take a", "take b", "grow"], "restore a"),
])
def test_the_preview_is_what_happens(bench: Bench, before: list[str], command: str) -> None:
    for step in before:
        verb, _, name = step.partition(" ")
        if verb == "grow":
            grow(bench)
        elif verb == "link":
            bench.run(["VBoxManage", "clonevm", "m", "--snapshot", name, "--options", "link", "--name", "l",
                       "--register"])
        else:
            assert bench.run(["VBoxManage", "snapshot", "m", verb, name]).code == 0
    old = bench.graph()
    texts = bench.guest("m")
    verb, name = command.split()
    preview = old.deleting("m", name) if verb == "delete" else old.restoring("m", name)
    result = bench.run(["VBoxManage", "snapshot", "m", verb, name])
    new = bench.graph()
    assert bool(result.code) == bool(preview.refused), (str(preview), result.text)
    gone = {m.uuid for m in old.media} - {m.uuid for m in new.media}
    assert gone == set(preview.removed), str(preview)
    assert {source for source, _, _ in preview.merges} <= gone and all(lines.strip() for lines in preview.lines)
    if verb == "delete":
        assert bench.guest("m") == texts
    assert not [note for note in new.notes if "believed" in note]


@pytest.mark.virtualbox
@pytest.mark.qemu
def test_both_witnesses_say_the_same(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.run(["VBoxManage", "snapshot", "m", "take", name, "--description", 'x"\nSnapshotName-9="forged'])
    asked, alone = bench.graph(), bench.graph(ask=False)
    assert asked.to_json() == alone.to_json() and asked.notes == []
    said = bench.run(["VBoxManage", "snapshot", "m", "list", "--machinereadable"]).out
    named = [value for key, value in parse_machinereadable(said).items() if re.match("SnapshotName", key)]
    assert {s.name for s in asked.machine("m").snapshots} <= set(named)
