"""A VirtualBox home as one graph: settings, states, and what is hostile in them."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples.disks import vdi
from samples.machines import attached, chain, deep, disks, home, machine, uuid

from labkit.errors import LabError
from labkit.virtualbox.inventory import read_home
from labkit.virtualbox.preview import deleting, restoring
from labkit.virtualbox.snapshots import Graph, Origin, machine_tree

# -- settings -----------------------------------------------------------------------------------


def test_no_virtualbox(tmp_path: Path) -> None:
    assert read_home(tmp_path / "nowhere").to_json() == {"machines": [], "media": [], "notes": []}


def test_one_machine(tmp_path: Path) -> None:
    graph = read_home(home(tmp_path, m=deep(2)))
    (owner,) = graph.machines
    assert [(s.name, s.parent, s.current) for s in owner.snapshots] == [
        ("s0", None, False),
        ("s1", uuid(1000), True),
    ]
    assert (owner.media, owner.linked_to) == ([uuid(2)], None)
    assert [medium.parent for medium in graph.media] == [None, uuid(0), uuid(1)]
    assert [medium.used_by for medium in graph.media] == [["m @ s0"], ["m @ s1"], ["m"]]
    assert graph.notes[0] == "The file of 0.vdi is missing: was it moved or deleted?"


def test_a_linked_clone_hangs_from_its_snapshot(tmp_path: Path) -> None:
    upper = f'<HardDisk uuid="{{{uuid(1)}}}"'
    other = f'<HardDisk uuid="{{{uuid(77)}}}" location="/c/77.vdi" format="VDI"/>'
    base = machine("base", 1, chain(1).replace(upper, other + upper))
    graph = read_home(home(tmp_path, base=base, clone=machine("clone", 2, attached(77))))
    assert graph.machine("clone").linked_to == Origin("base", "s0", uuid(1000))
    assert [m.name for m in graph.only("clone").machines] == ["base", "clone"]
    links = [(uuid(2), f"{uuid(1)} {uuid(1000)}", "linked to")]
    assert machine_tree(graph).layout.links == links
    assert "2 disks stand on 0.vdi" in deleting(graph, "base", "s0").refused


def test_capacities_from_the_disks_themselves(tmp_path: Path) -> None:
    where = home(tmp_path, m=machine("m", 1, disks(4)))
    (where / "Snapshots").mkdir()
    for number, data in enumerate((vdi([None], [], 4096), vdi([None], [], 8192), b"")):
        (where / f"Snapshots/{number}.vdi").write_bytes(data)
    graph = read_home(where)
    assert [medium.capacity for medium in graph.media] == [4096, 8192, None, None]
    missing, damaged = graph.notes
    assert missing == "The file of diff 3 {00000003} is missing: was it moved or deleted?"
    assert damaged.startswith("2.vdi: ")


def test_what_is_used_and_not_there(tmp_path: Path) -> None:
    same = machine("same", 2, disks(1) + attached(5))
    graph = read_home(home(tmp_path, a=machine("same", 1, disks(1) + attached(0)), b=same))
    assert [medium.used_by for medium in graph.media] == [["same"]]
    place = str(tmp_path / "Snapshots/0.vdi")[-60:]
    assert graph.notes[:2] == [
        f"Two disks have the UUID {uuid(0)}; {place} is left out.",
        "same uses a disk that is not in the registry.",
    ]


@given(st.integers(0, 2000), st.integers(0, 300), st.binary(max_size=20), st.booleans())
def test_settings_cut_and_mixed(at: int, length: int, put: bytes, twice: bool) -> None:
    """Whatever happens to a machine's settings, there is a graph, and a picture of it."""
    text = deep(3).encode()
    at %= len(text)
    middle = text[at : at + length] if twice else put
    damaged = text[:at] + middle + text[at + length :]
    with tempfile.TemporaryDirectory() as folder:
        graph = read_home(home(Path(folder), m=damaged, n=text.replace(b"-4000-", b"-5000-")))
    assert len(graph.machines) == 2 and machine_tree(graph).svg()
    assert not any("\n" in note for note in graph.notes)
    for name in "s0", "s1", "s2":
        with contextlib.suppress(LabError):
            assert deleting(graph, "m", name).lines and restoring(graph, "m", name).lines


def test_hard_names_are_exact_in_data_and_clean_in_the_picture(tmp_path: Path) -> None:
    names = ['a "b"', "x/y\\z", "two\nlines", "😀", "n" * 1024, 'x"\nSnapshotName-9="forged']
    inside = disks(1)
    for number, name in enumerate(names):
        escaped = name.replace('"', "&quot;").replace("\n", "&#10;")
        inside += f'<Snapshot uuid="{{{uuid(1000 + number)}}}" name="{escaped}"/>'
    graph = read_home(home(tmp_path, m=machine("m", 1, inside)))
    assert [s.name for s in graph.machines[0].snapshots] == names
    assert all(len(line) < 200 for line in str(machine_tree(graph)).splitlines())
    again = Graph.from_json(json.loads(json.dumps(graph.to_json())))
    assert again.machines == graph.machines and again.media == graph.media
    for ask in (deleting, restoring):
        with pytest.raises(LabError, match=r"^m has no snapshot 'two\\nwords'.{,400}$"):
            ask(graph, "m", "two\nwords")
        assert all("\n" not in line for line in ask(graph, "m", "two\nlines").lines)


# -- many snapshots -----------------------------------------------------------------------------


def test_a_deep_chain(tmp_path: Path) -> None:
    graph = read_home(home(tmp_path, m=deep(1000)))
    assert len(graph.machines[0].snapshots) == 1000 and len(graph.media) == 1001
    assert len(machine_tree(graph).layout.rows) == 2003


def calls(does: Callable[[], object]) -> int:
    """How much Python has to do."""
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
        where = home(tmp_path, m=deep(depth))
        return calls(lambda: machine_tree(read_home(where).only("m")).svg())

    work(10)  # imports
    assert work(400) < 2.1 * work(200)


# -- states ------------------------------------------------------------------------------------


def test_what_runs(tmp_path: Path) -> None:
    where = home(tmp_path, m=machine("m", 1), saved=machine("saved", 2, stateFile="x"))
    assert [m.state for m in read_home(where).machines] == ["poweroff", "saved"]
    assert [m.state for m in read_home(where, [uuid(1)]).machines] == ["running", "saved"]
