"""Tars of every format, hostile ones, and listings that keep every name."""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import archives as c
from samples.archives import base_256, header, padded, raw_member, with_checksum
from samples.reading import Tree, one_layer, refused, tree

from labkit.docker.tar import LayerEntry, clean_path, read_listing, write_listing
from labkit.errors import LabError


def layer_tree(layer: bytes) -> Tree:
    return tree(one_layer(layer))


def archive(layer: bytes) -> bytes:
    """An image of that one layer."""
    return c.tar(c.oci(c.image(layer)))


@pytest.mark.parametrize(
    ("form", "folders", "longest"),
    [
        (tarfile.USTAR_FORMAT, ["directory" * 5] * 4, 100),
        (tarfile.GNU_FORMAT, ["directory" * 20] * 9, 3000),
        (tarfile.PAX_FORMAT, ["directory" * 20] * 9, 3000),
    ],
)
def test_formats(form: int, folders: list[str], longest: int) -> None:
    deep = "/".join([*folders, "file"])
    names = [deep, "ñandú/ü", "with space", "-dash", "new\nline", "quo'te\"s", "x" * longest]
    files = [c.file(name, 3) for name in names]
    raw = c.tar([*files, c.symlink("l", "t" * 100), c.hardlink("h", "x" * longest)], form)
    found = layer_tree(raw)
    assert {found[name] for name in [*names, "h"]} == {("f", 3, "")}
    assert found["l"] == ("l", 0, "t" * 100)
    assert one_layer(raw).size == 3 * len(names)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_that_are_not_utf8(form: int) -> None:
    name = b"caf\xe9/\xff\xfe".decode("utf-8", "surrogateescape")
    image = one_layer(c.tar([c.file(name, 2), c.file(name + "x" * 200, 1)], form))
    assert tree(image)[name] == ("f", 2, "")
    json.dumps(image.to_json()).encode("ascii")
    str(image).encode("utf-8")
    assert "\\udce9" in "".join(next(iter(image.listings().values())))


def test_base_256_sizes_and_old_folders() -> None:
    raw = header(b"big", base_256(600)) + padded(b"z" * 600) + header(b"old/", flag=b"\0")
    assert layer_tree(raw) == {"big": ("f", 600, ""), "old": ("d", 0, "")}
    assert layer_tree(header(b"odd", b"     600 \0") + padded(b"z" * 384))["odd"][1] == 384


def test_pax_size_beats_the_header() -> None:
    files = header(b"f") + padded(b"z" * 700) + header(b"g")
    found = layer_tree(raw_member(b"p", b"12 size=700\n", b"x") + files)
    assert found == {"f": ("f", 700, ""), "g": ("f", 0, "")}


def test_global_pax_header_is_ignored_as_docker_does() -> None:
    assert list(layer_tree(raw_member(b"g", b"12 path=xyz\n", b"g") + header(b"f"))) == ["f"]


def test_unknown_types_are_files_and_devices_have_no_data() -> None:
    raw = raw_member(b"v", b"abc", b"Z") + header(b"c", 5, b"3") + header(b"f", flag=b"6")
    assert layer_tree(raw) == {"v": ("f", 3, ""), "c": ("c", 0, ""), "f": ("p", 0, "")}


def has_gnu_tar() -> bool:
    if not shutil.which("tar"):
        return False
    return b"GNU tar" in subprocess.run(["tar", "--version"], capture_output=True).stdout


@pytest.mark.skipif(not has_gnu_tar(), reason="needs GNU tar")
@pytest.mark.parametrize(
    "form", ["gnu", *(f"posix --sparse-version={version}" for version in ("0.0", "0.1", "1.0"))]
)
def test_sparse_files_have_the_size_that_ls_shows(form: str, tmp_path: Path) -> None:
    name = "holes" * 30  # longer than a header holds
    with (tmp_path / name).open("wb") as file:
        for start in range(0, 60 << 20, 1 << 20):  # sixty stretches: more than a GNU header holds
            file.seek(start)
            file.write(b"x" * 5000)
    (tmp_path / "after").write_bytes(b"12345")
    command = ["tar", *f"--format={form}".split(), "--sparse", "-C", tmp_path, "-c", name, "after"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    assert len(raw) < 1 << 20
    assert layer_tree(raw) == {name: ("f", (59 << 20) + 5000, ""), "after": ("f", 5, "")}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("etc/passwd", "etc/passwd"),
        ("./etc/", "etc"),
        ("/etc", "etc"),
        ("../../etc", "etc"),
        ("a/../../b", "b"),
        ("a/./b", "a/b"),
        ("a//b///", "a/b"),
        (".", ""),
        ("./", ""),
        ("/", ""),
        ("..", ""),
        ("", ""),
        (".hidden", ".hidden"),
        ("a/.hidden", "a/.hidden"),
        ("a/..b", "a/..b"),
        ("....", "...."),
        ("./..", ""),
        ("././a", "a"),
        ("a/..", ""),
    ],
)
def test_paths_stay_below_the_root(name: str, path: str) -> None:
    assert clean_path(name) == path


@settings(max_examples=300)
@given(st.data())
def test_any_header_is_an_image_or_an_error(data: st.DataObject) -> None:
    block = bytearray(header(b"name"))
    for _ in range(data.draw(st.integers(1, 4))):
        field = data.draw(st.binary(min_size=1, max_size=14))
        start = data.draw(
            st.sampled_from([0, 100, 108, 116, 124, 156, 157, 257, 263, 345, 482, 483])
        )
        block[start : start + len(field)] = field
    raw = with_checksum(bytes(block)) + data.draw(st.binary(max_size=1200))
    try:
        layer_tree(raw)
    except LabError as error:
        assert str(error).isprintable()


def test_a_corrupt_header(tmp_path: Path) -> None:
    layer = bytearray(c.tar([c.folder("etc"), c.file("etc/b", 50)]))
    layer[512 + 20] ^= 1
    refused(archive(bytes(layer)), "damaged at byte 512", "save or copy")
    whole = bytearray(c.tar(c.oci(c.image([c.file("b", 50)]))))
    whole[1024 + 3] ^= 1
    (tmp_path / "x").write_bytes(whole)
    refused(tmp_path / "x", "damaged at byte 1024")


@pytest.mark.parametrize(
    "size",
    [
        b"\xff" * 12,
        b"\x80" + b"\xff" * 11,
        b"\x80\0\0\0\x80" + b"\0" * 7,
        b"-0000000001\0",
        b"9" * 11 + b"\0",
    ],
)
def test_senseless_sizes(size: bytes) -> None:
    refused(archive(header(b"x", size)), "makes no sense")
    refused(header(b"x", size), "makes no sense")


def test_a_file_longer_than_its_archive(tmp_path: Path) -> None:
    raw = header(b"x", base_256((1 << 63) - 1)) + bytes(2000)
    refused(archive(raw), "ends in the middle")
    (tmp_path / "x").write_bytes(raw)
    refused(tmp_path / "x", "ends in the middle")


@pytest.mark.parametrize("flag", [b"x", b"g", b"L", b"K"])
def test_names_of_gigabytes(flag: bytes) -> None:
    refused(archive(header(b"x", 1 << 30, flag)), "more than any system takes")


@pytest.mark.parametrize(
    "record",
    [
        b"x",
        b"12 path",
        b"999 path=x\n",
        b"0 path=x\n",
        b"-5 path=x\n",
        b"5 a\n",
        b"12 size=abc\n",
        b"11 size=-1\n",
        b"12345678901 path=x\n",
        b"9 path=x\n\n",
        b"11 path=xyz\n",
        b"11 size=-9\n26 GNU.sparse.realsize=20\n",
    ],
)
def test_broken_pax_records(record: bytes) -> None:
    refused(archive(raw_member(b"p", record, b"x") + header(b"f")), "makes no sense")


def test_a_long_pax_header() -> None:
    assert list(layer_tree(raw_member(b"p", b"5 a=\n" * 200_000, b"x") + header(b"f"))) == ["f"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_paths_longer_than_any(form: int) -> None:
    for member in (c.file("x" * 5000), c.symlink("x", "y" * 10_000)):
        refused(archive(c.tar([member], form)), "longer than the 4096 bytes")


def test_names_that_climb_out_stay_inside(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    raw = c.tar(
        [
            c.file("../../../tmp/evil", 1),
            c.file("/abs", 2),
            c.symlink("out", "/etc"),
            c.file("out/passwd", 3),
            c.hardlink("h", "../../abs"),
            c.whiteout("../../../x"),
            c.file("a/../../b", 4),
        ]
    )
    assert layer_tree(raw) == {
        "tmp": ("d", 0, ""),
        "tmp/evil": ("f", 1, ""),
        "abs": ("f", 2, ""),
        "out": ("d", 0, ""),
        "out/passwd": ("f", 3, ""),
        "h": ("f", 2, ""),
        "b": ("f", 4, ""),
    }
    assert sorted(tmp_path.rglob("*")) == before


# -- listings ------------------------------------------------------------------------------------

NOT_UTF8 = st.binary(min_size=1).map(
    lambda raw: raw.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
NAME = st.text(st.characters(exclude_characters="\0"), min_size=1) | NOT_UTF8
ENTRY = st.builds(
    LayerEntry, st.sampled_from("fdlhcbp"), NAME, st.integers(0, 1 << 62), NAME | st.just("")
)


@settings(max_examples=400)
@given(st.lists(ENTRY))
def test_a_listing_keeps_every_name(entries: list[LayerEntry]) -> None:
    lines = list(write_listing(entries))
    assert list(read_listing(lines)) == entries
    assert all(line.isprintable() or "\t" in line for line in lines)
    assert all("\n" not in line and line.encode() for line in lines), "one line of valid UTF-8 each"


@pytest.mark.parametrize("line", ["", "f", "f x y", "f 1", "f 1 \\x", "f 1 ñ\\n"])
def test_a_broken_listing_is_one_line(line: str) -> None:
    with pytest.raises(LabError, match="record the lesson again"):
        list(read_listing([line]))
