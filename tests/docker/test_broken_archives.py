"""Broken and hostile archives: each is one line of error."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from samples import archives as c
from samples.reading import refused

from labkit.docker.archives import read_stream
from labkit.errors import LabError


@pytest.mark.parametrize("shape", ["docker-old", "oci"])
def test_every_cut_is_noticed(shape: str, tmp_path: Path) -> None:
    raw = c.tar(c.SHAPES[shape](c.DEMO))
    path = tmp_path / "cut.tar"
    for end in range(0, len(raw.rstrip(b"\0")) - 100, 311):
        path.write_bytes(raw[:end])
        refused(path)


@pytest.mark.parametrize("pack", [c.gz, c.zstd])
def test_every_cut_of_what_is_packed_is_noticed(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(c.tar(c.oci(c.DEMO)))
    for end in range(0, len(packed) - 40, len(packed) // 20):
        refused(packed[:end])
    cut_layer = c.image([c.file("a", os.urandom(5000))], pack=lambda data: pack(data)[:-300])
    refused(c.tar(c.oci(cut_layer)))


def test_every_flipped_bit_is_an_image_or_an_error() -> None:
    raw, dice = c.tar(c.oci(c.DEMO, docker=True)), random.Random(3)
    for pack in (bytes, c.gz, c.zstd):
        packed = pack(raw)
        for _ in range(150):
            bad = bytearray(packed)
            bad[dice.randrange(len(packed))] ^= 1 << dice.randrange(8)
            try:
                str(read_stream([bytes(bad)], "x"))
            except LabError as error:
                assert str(error).isprintable()


def described(path: str, value: object) -> c.Member:
    return c.file(path, value if isinstance(value, bytes) else json.dumps(value).encode())


def manifest(layers: list[Any], config: Any = "config.json", tags: Any = ("x:1",)) -> c.Member:
    return described("manifest.json", [{"Config": config, "RepoTags": tags, "Layers": layers}])


def index(*descriptors: dict[str, Any]) -> c.Member:
    return described("index.json", {"manifests": descriptors})


def config(value: object) -> c.Member:
    return described("config.json", value)


CONFIG = config(c.image([]).raw)


@pytest.mark.parametrize(
    "outside",
    ["../secret.tar", "/etc/passwd", "link.tar", "sub/../../secret.tar", "C:\\x", "up/secret.tar"],
)
def test_a_layout_cannot_read_outside_its_folder(outside: str, tmp_path: Path) -> None:
    (tmp_path / "secret.tar").write_bytes(c.tar([c.file("secret", 1)]))
    folder = c.spread(tmp_path / "layout", [manifest([outside]), CONFIG])
    (folder / "link.tar").symlink_to("../secret.tar")
    (folder / "up").symlink_to("..")
    refused(folder, "is not there")


def test_links_in_a_circle(tmp_path: Path) -> None:
    members = [
        manifest(["a/layer.tar"]),
        CONFIG,
        c.symlink("a/layer.tar", "../b/layer.tar"),
        c.symlink("b/layer.tar", "../a/layer.tar"),
        c.symlink("self", "self"),
        c.hardlink("hard", "hard"),
    ]
    refused(c.write(tmp_path / "x.tar", members), "a/layer.tar is named in it but is not there")
    refused(c.spread(tmp_path / "x", members[:4]), "is not there")
    for name in ("self", "hard", "a", "manifest.json/x", ""):
        refused(c.tar([manifest([name]), *members[1:]]), "is not there" if name != "" else "")


def test_an_index_in_a_circle() -> None:
    a, b = ({"digest": f"sha256:{name}", "mediaType": "x"} for name in "ab")
    blobs = [
        described("blobs/sha256/a", {"manifests": [b]}),
        described("blobs/sha256/b", {"manifests": [a]}),
    ]
    refused(c.tar([index(a), *blobs]), "in a circle")


TOO_MANY = [manifest(["a"] * 2000), config(c.image(*[b""] * 2000).raw), c.file("a", c.tar([]))]
A = "sha256:a"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([], "no image archive"),
        ([c.file("etc/passwd", 5)], "no image archive"),
        ([manifest(["none.tar"]), CONFIG], "none.tar is named in it but is not there"),
        ([manifest(["a"])], "config.json is named in it but is not there"),
        ([manifest(["config.json"]), CONFIG], "config.json"),
        ([manifest(["a", "a"]), CONFIG], "has 2 layers, but its config names 1"),
        ([manifest([]), CONFIG], "has 0 layers, but its config names 1"),
        ([manifest(["a"]), CONFIG, c.file("a", b"no tar at all" * 100)], "a"),
        ([manifest([1]), CONFIG], "Layers is not the JSON str"),
        ([manifest(["a"], tags=[7]), CONFIG], "RepoTags is not the JSON str"),
        ([manifest(["a"], config=7), CONFIG], "Config is not the JSON str"),
        ([described("manifest.json", [])], "none at all"),
        ([described("manifest.json", {})], "not the JSON list"),
        ([described("manifest.json", [1])], "not the JSON"),
        ([described("manifest.json", b"[" * 200_000)], "not the JSON"),
        ([described("manifest.json", b"[" + b"9" * 100_000 + b"]")], "not the JSON"),
        ([described("manifest.json", b"")], "not the JSON"),
        ([described("manifest.json", b"[\xff\xfe]")], "not the JSON"),
        ([described("manifest.json", b"[" + b" " * (17 << 20) + b"]")], "longer than any"),
        ([described("index.json", {})], "manifests is not the JSON list"),
        ([index()], "none at all"),
        ([index({"digest": A, "platform": 5})], "platform is not"),
        ([index({"digest": A, "platform": {"os": "unknown"}})], "has no image"),
        ([index({"digest": "../../x"})], "is not there"),
        ([index({"digest": A}), described("blobs/sha256/a", {})], "config is not"),
        ([manifest([]), config({})], "rootfs is not"),
        ([manifest([]), config({"rootfs": {"diff_ids": {}}})], "diff_ids is not"),
        ([manifest([]), config({"rootfs": {}, "history": [{"created_by": 5}]})], "created_by is"),
        (
            [manifest([]), config({"rootfs": {}, "history": [{"empty_layer": "yes"}]})],
            "empty_layer",
        ),
        ([manifest(["a\x1b[31m\n\u202e" * 500]), CONFIG], "is not there"),
        ([manifest(["\ud800"]), CONFIG], "is not there"),
        (TOO_MANY, "has 2000 layers"),
    ],
)
def test_broken_descriptions(members: list[c.Member], words: str, tmp_path: Path) -> None:
    refused(c.write(tmp_path / "x", members), words)
    if not any(info.name.startswith("etc") for info, _ in members):
        refused(c.spread(tmp_path / "folder", [*members, c.folder(".")]), words)


def test_not_an_archive(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("hello\n" * 500)
    (tmp_path / "gz").write_bytes(c.gz(b"hello\n" * 500))
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "empty", "no image archive")
    refused(tmp_path / "text", "no tar archive")
    refused(tmp_path / "gz", "no tar archive")
    refused(tmp_path / "folder", "no image archive", "docker save")
    refused(tmp_path / "none\n\x1b", "cannot be read: No such file")
    refused(b"", "no image archive")
    if os.geteuid():
        (tmp_path / "text").chmod(0)
        refused(tmp_path / "text", "cannot be read")


def test_a_device_does_not_hang() -> None:
    if not os.path.exists("/dev/zero"):
        pytest.skip("no devices here")
    refused(Path("/dev/zero"), "no image archive")
    refused(Path("/dev/null"), "no image archive")
