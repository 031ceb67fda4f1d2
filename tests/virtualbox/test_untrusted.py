"""Appliances and settings from anywhere are looked at first; VirtualBox is not asked.

That VirtualBox would do what is refused here is in test_appliances.py.
"""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import pytest
from samples.appliances import DAMAGED, DISK, ELSEWHERE, OVF, Appliance

from labkit.errors import LabError
from labkit.virtualbox.guard import Asked, guard
from labkit.virtualbox.untrusted import PATH_ATTRIBUTES, examine_appliance, examine_settings

GOOD = Appliance(OVF, b"a disk", Path("/home/me"))
OUTSIDE = r"^m\.ova is not imported: .* outside the new machine's folder\. .*$"


def examined(folder: Path, data: bytes, name: str = "m.ova") -> None:
    (folder / name).write_bytes(data)
    examine_appliance(folder / name)


def test_a_good_appliance_passes(tmp_path: Path) -> None:
    examined(tmp_path, GOOD.edited())
    examined(tmp_path, GOOD.moved("sub/disk.vmdk"))
    examined(tmp_path, OVF.encode(), "m.ovf")


@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_would_lead_outside_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match=OUTSIDE):
        examined(tmp_path, ELSEWHERE[name](GOOD))


def test_every_attribute_that_is_a_path_is_in_a_sample() -> None:
    samples = b"".join(build(GOOD) for build in ELSEWHERE.values()).decode()
    assert {
        name for name in PATH_ATTRIBUTES if re.search(rf'\b{name}="(/|\.\.)', samples)
    } == PATH_ATTRIBUTES


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_no_sound_appliance_is_refused_with_little_memory(
    tmp_path: Path, name: str
) -> None:
    data = DAMAGED[name](GOOD)
    tracemalloc.start()
    try:
        with pytest.raises(LabError, match=r"^m\.ova is damaged, or no appliance: .*$"):
            examined(tmp_path, data)
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"m\.ova cannot be read \(No such file"):
        examine_appliance(tmp_path / "m.ova")


def test_one_unpacked_is_looked_at_before_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "m.OVF").write_text(OVF.replace(DISK, "../77/m-disk001.vmdk"))
    for words in (["import", "m.OVF"], ["import", "--dry-run", f"{tmp_path}/m.OVF"]):
        with pytest.raises(LabError, match="outside the new machine's folder"):
            guard(Asked("VBoxManage", words, tmp_path))


# -- settings -----------------------------------------------------------------------------------

SETTINGS = '<VirtualBox xmlns="http://www.virtualbox.org/">{}</VirtualBox>'


def examined_settings(folder: Path, inside: str, changed: int = 0) -> None:
    path = folder / "m" / "m.vbox"
    path.parent.mkdir(exist_ok=True)
    path.write_text(SETTINGS.format(inside))
    examine_settings(path, folder, changed)


@pytest.mark.parametrize(
    "inside",
    [
        '<HardDisk location="m.vdi"/>',
        '<HardDisk location="../m.vdi"/>',
        '<HardDisk location="HERE/m.vdi"/>',
        '<Group name="/lab"/><Machine name="../m"/>',
        '<GuestProperty name="/x" value="/home/me"/>',
        "<damaged",
    ],
)
def test_settings_may_name_what_is_inside(tmp_path: Path, inside: str) -> None:
    examined_settings(tmp_path, inside.replace("HERE", str(tmp_path)))


@pytest.mark.parametrize(
    "value",
    ["/home/me/m.vdi", "../../m.vdi", "C:\\m.vdi", "C:m.vdi", "\\\\server\\share\\m.vdi", "../.."],
)
def test_settings_may_not_name_what_is_outside(tmp_path: Path, value: str) -> None:
    with pytest.raises(LabError, match=r"^m\.vbox names .* outside this lesson's folder.*$"):
        examined_settings(tmp_path, f'<Any attribute="{value}"/>')


def test_settings_with_a_document_type_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.vbox"
    path.write_text(f'<!DOCTYPE x [<!ENTITY y "/home">]>{SETTINGS}')
    with pytest.raises(LabError, match=r"^m\.vbox has parts that no settings of VirtualBox have"):
        examine_settings(path, tmp_path, 0)


def test_settings_are_read_again_once_they_have_changed(tmp_path: Path) -> None:
    examined_settings(tmp_path, "")
    examined_settings(tmp_path, '<Any path="/etc"/>')
    with pytest.raises(LabError):
        examined_settings(tmp_path, '<Any path="/etc"/>', changed=1)
