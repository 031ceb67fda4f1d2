"""`labkit disk`: what a disk's file says of itself, as text and as data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Told
from samples.disks import UUID, vdi


def test_disk(tmp_path: Path, told: Told) -> None:
    path = tmp_path / "two\nlines.vdi"
    path.write_bytes(vdi([None, b"x" * 4096, None], [1], 4096))
    text = told("disk", str(path))
    assert "VDI dynamic, capacity 12 KiB, 1 of 3 blocks of 4 KiB allocated" in text
    assert "signature" in text and "guest  ·█·" in text
    data = json.loads(told("disk", str(path), "--json"))
    known = {
        "name": "two lines.vdi",
        "format": "VDI",
        "variant": "dynamic",
        "capacity": 12288,
        "allocated": 4096,
        "block_size": 4096,
        "uuid": str(UUID),
        "parent": "",
    }
    assert {key: data[key] for key in known} == known
    fields = [list(field) for field in data["fields"]]
    assert all(names == ["offset", "size", "name", "value", "meaning"] for names in fields)
    places = {(field["offset"], field["size"], field["name"]) for field in data["fields"]}
    assert places >= {(64, 4, "signature"), (368, 8, "capacity")}


@pytest.mark.parametrize(
    "name, data",
    [
        ("missing.vdi", None),
        ("empty.vdi", b""),
        ("cut.vdi", vdi([b"x"], [0], 1)[:300]),
        (".", None),
        ("missing\0.vdi", None),
        ("x" * 300, None),
    ],
)
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_disk_of_what_is_no_disk(
    name: str, data: bytes | None, json: list[str], tmp_path: Path, told: Told
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    told("disk", f"{tmp_path}/{name}", *json, code=1)
