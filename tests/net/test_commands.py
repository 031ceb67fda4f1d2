"""`labkit net`: who reaches whom in a network that a file describes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from conftest import Told

NET = """\
switch s1
host ana 10.0.0.1/24 s1.1
host ben 10.0.0.2/24 s1.2
host eva 10.0.0.3/24 s1.3
access 20 s1.3
"""
WHY = (
    "port s1.1 is in VLAN 1, port s1.3 in VLAN 20, and switches pass nothing from one VLAN to "
    "another: that takes a router"
)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_net(mark: str, tmp_path: Path, told: Told) -> None:
    path = tmp_path / "school.net"
    path.write_text(mark + NET, "utf-8")
    *table, why, other = told("net", str(path)).splitlines()
    assert table == ["        ana +1  eva", "ana +1  yes     no", "eva     no      ·"]
    assert why == f"ana → eva: {WHY}"
    assert other.startswith("eva → ben: port s1.3 is in VLAN 20, ")
    data = json.loads(told("net", str(path), "--json"))
    assert data["groups"] == [["ana", "ben"], ["eva"]]
    pairs = [(pair["from"], pair["to"], pair["reaches"]) for pair in data["reach"]]
    assert pairs == [(0, 0, True), (0, 1, False), (1, 0, False)]
    assert data["reach"][1]["why"] == WHY and data["reach"][0]["why"] == ""


@pytest.mark.parametrize(
    "name, data, line",
    [
        ("missing.net", None, "missing.net cannot be read: No such file or directory."),
        (".", None, "cannot be read: Is a directory."),
        ("missing\0.net", None, "cannot be read: embedded null byte."),
        ("two\nlines.net", None, "two lines.net cannot be read"),
        ("x" * 300, None, "cannot be read: File name too long."),
        ("binary.net", b"\x7fELF\xff\xfe\0", "binary.net is no text: a topology has lines as"),
        ("utf16.net", NET.encode("utf-16"), "utf16.net is no text"),
        ("long.net", b"#" * 5_000_000, "long.net is longer than 4,194,304 letters"),
        ("bad.net", b"switch s1\n\n# a host\nhoost ana", "labkit: Line 4: 'hoost' is no statement"),
        (
            "bad.net",
            b"host ana 10.0.0.1/24 s1.1\nswitch s1\nhost ben 10.0.0.1/24 s1.2",
            "Line 3: the address 10.0.0.1",
        ),
        ("bad.net", b"switch a b\nlink a.1 b.1\nlink a.2 b.2", "runs in a ring"),
        (
            "many.net",
            b"switch " + b" ".join(b"s%d" % n for n in range(10_001)),
            "Line 1: more than 10,000 devices",
        ),
    ],
)
@pytest.mark.parametrize("json", [[], ["--json"]])
@pytest.mark.skipif(sys.platform == "win32", reason="words of POSIX")
def test_net_of_what_is_no_network(
    name: str, data: bytes | None, line: str, json: list[str], tmp_path: Path, told: Told
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    assert line in told("net", f"{tmp_path}/{name}", *json, code=1)


def test_net_of_nothing(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "empty.net"
    path.write_bytes(b"")
    assert told("net", str(path)) == "(no hosts)\n"
    assert json.loads(told("net", str(path), "--json")) == {"groups": [], "reach": []}


def test_net_of_five_thousand_hosts(tmp_path: Path, told: Told) -> None:
    lines = ["switch " + " ".join(f"s{n}" for n in range(51))]
    lines += [f"link s0.{n} s{n}.999\ntrunk 10,20 s0.{n} s{n}.999" for n in range(1, 51)]
    for n in range(5000):
        plug = f"s{1 + n % 50}.{1 + n // 50}"
        lines.append(f"host h{n} 10.0.{n // 250}.{n % 250 + 1}/16 {plug}")
        lines.append(f"access {10 + n % 2 * 10} {plug}")
    path = tmp_path / "big.net"
    path.write_text("\n".join(lines), "utf-8")
    head, *rows = told("net", str(path)).splitlines()[:3]
    assert head == "          h0 +2499  h1 +2499"
    assert rows == ["h0 +2499  yes       no", "h1 +2499  no        yes"]
    data = json.loads(told("net", str(path), "--json"))
    assert [len(group) for group in data["groups"]] == [2500, 2500]
