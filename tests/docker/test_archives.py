"""Image archives of every shape and packing."""

from __future__ import annotations

import json
import os
import re
import tarfile
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import archives as c
from samples.archives import header
from samples.images import model, some_image
from samples.reading import tree

from labkit.docker.archives import read_image, read_stream
from labkit.docker.layers import Image
from labkit.docker.tar import LayerEntry
from labkit.errors import LabError

PACKS = {"plain": bytes, "gzip": c.gz, "zstd": c.zstd}


def check_demo(image: Image) -> None:
    assert (image.size, image.wasted) == (161, 160)
    assert image.name == "demo:latest"
    assert [layer.created_by for layer in image.layers] == ["ADD x", "CMD x", "RUN y", "imported"]
    diff_ids = [layer.diff_id for layer in image.filled]
    assert diff_ids == c.DEMO.config["rootfs"]["diff_ids"]
    _, second, third = image.filled
    assert second.removed == ["etc/b", "etc/passwd"]
    assert (third.added, third.changed, third.removed) == (["opt"], ["etc/new"], ["etc/h"])
    assert tree(image) == {
        "e": ("l", 0, "etc"),
        "etc": ("d", 0, ""),
        "etc/new": ("f", 1, ""),
        "opt": ("d", 0, ""),
    }


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("shape", c.SHAPES)
def test_every_shape_and_packing(shape: str, pack: str, tmp_path: Path) -> None:
    path = c.write(tmp_path / "x.tar", c.SHAPES[shape](c.DEMO), PACKS[pack])
    image = read_image(path)
    check_demo(image)
    raw = path.read_bytes()
    for step in (1 << 20, 1000):
        streamed = read_stream((raw[at : at + step] for at in range(0, len(raw), step)), "stream")
        assert streamed.to_json() == image.to_json()
        assert tree(streamed, 2) == tree(image, 2)
        assert streamed.listings() == image.listings()


@pytest.mark.parametrize("shape", c.SHAPES)
def test_every_shape_as_a_folder(shape: str, tmp_path: Path) -> None:
    check_demo(read_image(c.spread(tmp_path, c.SHAPES[shape](c.DEMO))))
    check_demo(read_image(str(tmp_path) + os.sep))


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("nested", [False, True])
def test_compressed_layers(pack: str, nested: bool, tmp_path: Path) -> None:
    members = c.oci(replace(c.DEMO, pack=PACKS[pack]), nested=nested)
    check_demo(read_image(c.write(tmp_path / "x.tar", members)))
    check_demo(read_image(c.write(tmp_path / "x.tgz", members, c.gz)))
    check_demo(read_image(c.spread(tmp_path / "layout", members)))


def test_a_layer_used_twice_is_a_link(tmp_path: Path) -> None:
    layer = [c.file("a", 5)]
    built = c.image(layer, [c.file("b", 1)], layer)
    members = c.docker_old(built)
    assert any(info.issym() for info, _ in members)
    path = c.write(tmp_path / "x.tar", members)
    for image in (
        read_image(path),
        read_stream([path.read_bytes()], "x"),
        read_image(c.spread(tmp_path / "x", members)),
    ):
        assert (image.size, image.wasted) == (11, 5)
    hard = [
        c.hardlink(info.name, os.path.normpath(f"{os.path.dirname(info.name)}/{info.linkname}"))
        if info.issym()
        else (info, data)
        for info, data in members
    ]
    assert read_image(c.write(tmp_path / "h.tar", hard)).wasted == 5


ONE = c.image([c.file("a", 1)], tag="docker.io/library/one:latest")
TWO = c.image([c.file("b", 2)], tag="reg:5000/two:v2")
OF_TWO = "reg:5000/two:v2", c.digest(TWO.raw), c.digest(TWO.raw)[7:19]
KNOWN = "choose one of: docker.io/library/one:latest, reg:5000/two:v2."


@pytest.mark.parametrize("shape", ["docker-old", "docker-new", "oci"])
def test_one_of_several_images(shape: str, tmp_path: Path) -> None:
    path = c.write(tmp_path / "x.tar", c.SHAPES[shape](ONE, TWO))
    for ref in (None, "one", "one:latest", "library/one", "docker.io/library/one"):
        assert read_image(path, ref).size == 1
    for ref in OF_TWO[:1] if shape == "oci" else OF_TWO:  # an OCI index tells no ID
        assert read_image(path, ref).size == 2
        assert read_stream([path.read_bytes()], "x", ref).size == 2
    for ref in ("two", "reg:5000/two", "v2", "", "o", "sha256:"):
        with pytest.raises(LabError, match=r"has no image .*; " + re.escape(KNOWN)):
            read_image(path, ref)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_a_stream(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    raw = c.tar(c.oci(c.DEMO))
    writer = Thread(target=pipe.write_bytes, args=[raw])
    writer.start()
    check_demo(read_image(pipe))
    writer.join()


@given(
    some_image,
    st.sampled_from(sorted(c.SHAPES)),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_archives_are_as_in_the_model(
    layers: list[list[LayerEntry]], shape: str, form: int
) -> None:
    def member(entry: LayerEntry) -> c.Member:
        if entry.kind == "d":
            mode, uid, _gid = entry.detail.split(":")
            return c.folder(f"./{entry.path}/", int(mode, 8), int(uid))
        if entry.kind == "f":
            return c.file(entry.path, entry.size)
        return {"l": c.symlink, "h": c.hardlink}[entry.kind](entry.path, entry.detail)

    tars = [c.tar(map(member, layer), form) for layer in layers]
    image, truth = read_stream([c.tar(c.SHAPES[shape](c.image(*tars)))], "x"), model(layers)
    assert (image.size, image.wasted) == (truth["size"], truth["wasted"])
    assert {path: node[:2] for path, node in tree(image).items()} == truth["layers"][-1]["tree"]
    for layer, expected in zip(image.layers, truth["layers"], strict=True):
        assert layer.changed == expected["changed"]


def test_what_is_no_layer_may_be_anything() -> None:
    odd = [
        c.file("notes.gz", c.gz(b"no tar")[:-9]),
        c.file("cut.tar", header(b"x", 9999)),
        c.file("text", b"hi"),
    ]
    check_demo(read_stream([c.tar([*odd, *c.oci(c.DEMO)])], "x"))


def test_lone_surrogates_in_ids_and_words() -> None:
    history = [{"created_by": "\ud800"}, {"created_by": "\x1b[2J"}]
    built = c.image([c.file("a")], [c.file("b")], history=history, tag="\ud800\n")
    built.config["rootfs"]["diff_ids"] = ["\ud800", "\udfff"]
    image = read_stream([c.tar(c.docker_old(built))], "x")
    json.dumps(image.to_json()).encode()
    str(image).encode()
    assert "\x1b" not in str(image)


def test_the_file_vanishes_after_it_was_read(tmp_path: Path) -> None:
    path = c.write(tmp_path / "x.tar", c.oci(c.DEMO))
    image = read_image(path)
    path.unlink()
    with pytest.raises(LabError, match="cannot be read"):
        image.root()
