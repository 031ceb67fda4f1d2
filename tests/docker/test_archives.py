"""Archives of every shape, those that real tools write, and hostile ones: each of these is one line of error."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tarfile
import time
import uuid
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import archives as c
from samples.images import model, some_image

from labkit.docker import archives
from labkit.docker.archives import clean_path, read_image, read_stream
from labkit.docker.layers import Image
from labkit.errors import LabError

DEMO = c.image(
    [
        c.folder("etc"),
        c.file("etc/passwd", 100),
        c.file("etc/b", 50),
        c.hardlink("etc/h", "etc/b"),
        c.symlink("e", "etc"),
    ],
    [c.whiteout("etc/passwd"), c.whiteout("etc/b"), c.file("etc/new", 10)],
    [c.folder("opt", mode=0o700, uid=3), c.opaque("etc"), c.file("etc/new", 1)],
    history=[
        {"created_by": "ADD x"},
        {"created_by": "CMD x", "empty_layer": True},
        {"created_by": "RUN y"},
        {"comment": "imported"},
    ],
)
SHAPES: dict[str, Callable[..., list[c.Member]]] = {
    "docker-old": c.docker_old,
    "docker-new": lambda *images: c.oci(*images, docker=True),
    "oci": c.oci,
    "oci-nested": lambda *images: c.oci(*images, nested=True),
}
PACKS = {"plain": bytes, "gzip": c.gz, "zstd": c.zstd}


def check_demo(image: Image) -> None:
    assert (image.size, image.wasted) == (161, 160)
    assert image.image == "demo:latest"
    assert image.id == c.digest(DEMO.raw)
    assert [layer.created_by for layer in image.layers] == ["ADD x", "CMD x", "RUN y", "imported"]
    assert [layer.diff_id for layer in image.layers if not layer.empty] == DEMO.config["rootfs"][
        "diff_ids"
    ]
    assert image.layers[2].removed == ["etc/b", "etc/passwd"]
    assert (image.layers[3].added, image.layers[3].changed, image.layers[3].removed) == (
        ["opt"],
        ["etc/new"],
        ["etc/h"],
    )
    assert image.tree() == {
        "e": ("l", 0, "etc", 0),
        "etc": ("d", 0, "", 0),
        "etc/new": ("f", 1, "", 3),
        "opt": ("d", 0, "", 3),
    }


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_and_packing(shape: str, pack: str, tmp_path: Path) -> None:
    path = c.write(tmp_path / "x.tar", SHAPES[shape](DEMO), PACKS[pack])
    image = read_image(path)
    check_demo(image)
    raw = path.read_bytes()
    for step in (1 << 20, 1000):
        streamed = read_stream((raw[at : at + step] for at in range(0, len(raw), step)), "stream")
        assert streamed.to_json() == image.to_json()
        assert streamed.tree(2) == image.tree(2)
        assert streamed.listings() == image.listings()


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_as_a_folder(shape: str, tmp_path: Path) -> None:
    check_demo(read_image(c.spread(tmp_path, SHAPES[shape](DEMO))))
    check_demo(read_image(str(tmp_path) + os.sep))


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("nested", [False, True])
def test_compressed_layers(pack: str, nested: bool, tmp_path: Path) -> None:
    members = c.oci(c.Built(DEMO.layers, DEMO.config, DEMO.tag, PACKS[pack]), nested=nested)
    check_demo(read_image(c.write(tmp_path / "x.tar", members)))
    check_demo(read_image(c.write(tmp_path / "x.tgz", members, c.gz)))
    check_demo(read_image(c.spread(tmp_path / "layout", members)))


def test_gzip_in_several_members_and_zstd_in_several_frames() -> None:
    def halves(pack: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
        return lambda data: pack(data[:700]) + pack(data[700:])

    for pack in (c.gz, c.zstd):
        check_demo(
            read_stream(
                [c.tar(c.oci(c.Built(DEMO.layers, DEMO.config, DEMO.tag, halves(pack))))], "x"
            )
        )


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


@pytest.mark.parametrize("shape", ["docker-old", "docker-new", "oci"])
def test_one_of_several_images(shape: str, tmp_path: Path) -> None:
    one, two = (
        c.image([c.file("a", 1)], tag="docker.io/library/one:latest"),
        c.image([c.file("b", 2)], tag="reg:5000/two:v2"),
    )
    path = c.write(tmp_path / "x.tar", SHAPES[shape](one, two))
    assert read_image(path).size == 1
    for ref in ("one", "one:latest", "library/one", "docker.io/library/one"):
        assert read_image(path, ref).size == 1
    assert read_image(path, "reg:5000/two:v2").size == 2
    if shape != "oci":
        assert (
            read_image(path, c.digest(two.raw)).size
            == read_image(path, c.digest(two.raw)[7:19]).size
            == 2
        )
    for ref in ("two", "reg:5000/two", "v2", "", "o", "sha256:"):
        with pytest.raises(
            LabError,
            match=r"has no image .*; choose one of: docker.io/library/one:latest, reg:5000/two:v2\.$",
        ):
            read_image(path, ref)
    assert read_stream([path.read_bytes()], "x", "reg:5000/two:v2").size == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_a_stream(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    raw = c.tar(c.oci(DEMO))
    writer = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; open(sys.argv[1], 'wb').write(sys.stdin.buffer.read())",
            str(pipe),
        ],
        stdin=subprocess.PIPE,
    )
    assert writer.stdin
    writer.stdin.write(raw)
    writer.stdin.close()
    check_demo(read_image(pipe))
    assert writer.wait(10) == 0


# -- tar formats --------------------------------------------------------------------------------------------------


def one_layer(layer: bytes) -> Image:
    return read_stream([c.tar(c.oci(c.image(layer)))], "x")


def tree(layer: bytes) -> dict[str, tuple[str, int, str, int]]:
    return one_layer(layer).tree()


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_formats(form: int) -> None:
    long = form != tarfile.USTAR_FORMAT
    deep = "/".join(["directory" * 5] * 4) if not long else "/".join(["directory" * 20] * 9)
    names = [f"{deep}/file", "ñandú/ü", "with space", "-dash", "new\nline", "quo'te\"s"] + [
        "x" * 3000
    ] * long
    raw = c.tar(
        [
            *(c.file(name, 3) for name in names),
            c.symlink("l", "t" * (300 if long else 100)),
            c.hardlink("h", names[0 if long else 1]),
        ],
        form,
    )
    found = tree(raw)
    assert [found[name] for name in names] == [("f", 3, "", 0)] * len(names)
    assert found["l"] == ("l", 0, "t" * (300 if long else 100), 0)
    assert one_layer(raw).size == 3 * len(names)


def test_names_that_are_not_utf8() -> None:
    name = b"caf\xe9/\xff\xfe".decode("utf-8", "surrogateescape")
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        image = one_layer(c.tar([c.file(name, 2), c.file(name + "x" * 200, 1)], form))
        assert image.tree()[name] == ("f", 2, "", 0)
        json.dumps(image.to_json()).encode("ascii")
        str(image).encode("utf-8")
        assert "\\udce9" in "".join(next(iter(image.listings().values())))


def header(
    name: bytes = b"x",
    size: bytes = b"%011o\0" % 0,
    flag: bytes = b"0",
    magic: bytes = b"ustar\x0000",
    link: bytes = b"",
) -> bytes:
    block = bytearray(512)
    for at, field in (
        (0, name),
        (100, b"0000644\0"),
        (108, b"0000000\0"),
        (116, b"0000000\0"),
        (124, size),
        (136, b"%011o\0" % 0),
        (148, b" " * 8),
        (156, flag),
        (157, link),
        (257, magic),
    ):
        block[at : at + len(field)] = field
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 512)


def test_base_256_sizes_and_old_folders() -> None:
    raw = (
        header(b"big", b"\x80" + struct.pack(">3xQ", 600))
        + padded(b"z" * 600)
        + header(b"old/", flag=b"\0")
    )
    assert tree(raw) == {"big": ("f", 600, "", 0), "old": ("d", 0, "", 0)}
    assert tree(header(b"odd", b"     600 \0")[:512] + padded(b"z" * 384))["odd"][1] == 384


def test_pax_size_beats_the_header() -> None:
    record = b"12 size=700\n"
    raw = (
        header(b"p", b"%011o\0" % len(record), b"x")
        + padded(record)
        + header(b"f")
        + padded(b"z" * 700)
        + header(b"g")
    )
    assert {path: node[1] for path, node in tree(raw).items()} == {"f": 700, "g": 0}


def test_global_pax_header_is_ignored_as_docker_does() -> None:
    record = b"12 path=xyz\n"
    assert list(
        tree(header(b"g", b"%011o\0" % len(record), b"g") + padded(record) + header(b"f"))
    ) == ["f"]


def test_unknown_types_are_files_and_devices_have_no_data() -> None:
    raw = (
        header(b"v", b"%011o\0" % 3, b"Z")
        + padded(b"abc")
        + header(b"c", b"%011o\0" % 5, b"3")
        + header(b"f", flag=b"6")
    )
    assert tree(raw) == {"v": ("f", 3, "", 0), "c": ("c", 0, "", 0), "f": ("p", 0, "", 0)}


@pytest.mark.skipif(
    not shutil.which("tar")
    or "GNU tar"
    not in subprocess.run(["tar", "--version"], capture_output=True, text=True, check=False).stdout,
    reason="needs GNU tar",
)
@pytest.mark.parametrize(
    "form",
    [
        "gnu",
        "posix --sparse-version=0.0",
        "posix --sparse-version=0.1",
        "posix --sparse-version=1.0",
    ],
)
def test_sparse_files_have_the_size_that_ls_shows(form: str, tmp_path: Path) -> None:
    name = "holes" * 30  # longer than a header holds
    with (tmp_path / name).open("wb") as file:
        for at in range(0, 60 << 20, 1 << 20):  # sixty stretches: more than one GNU header holds
            file.seek(at)
            file.write(b"x" * 5000)
    (tmp_path / "after").write_bytes(b"12345")
    raw = subprocess.run(
        ["tar", *f"--format={form}".split(), "--sparse", "-C", tmp_path, "-c", name, "after"],
        capture_output=True,
        check=True,
    ).stdout
    assert len(raw) < 1 << 20
    found = tree(raw)
    assert found == {name: ("f", (59 << 20) + 5000, "", 0), "after": ("f", 5, "", 0)}


@settings(derandomize=True, deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(
    some_image,
    st.sampled_from(sorted(SHAPES)),
    st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_archives_are_as_in_the_model(layers: list[list[Any]], shape: str, form: int) -> None:
    def member(kind: str, path: str, size: int, text: str) -> c.Member:
        if kind == "d":
            mode, uid, _ = text.split(":")
            return c.folder(f"./{path}/", int(mode, 8), int(uid))
        return {
            "f": lambda: c.file(path, size),
            "l": lambda: c.symlink(path, text),
            "h": lambda: c.hardlink(path, text),
        }[kind]()

    raw = c.tar(
        SHAPES[shape](
            c.image(*(c.tar([member(*entry) for entry in layer], form) for layer in layers))
        )
    )
    image, truth = read_stream([raw], "x"), model(layers)
    assert (image.size, image.wasted) == (truth["size"], truth["wasted"])
    assert {path: node[:2] for path, node in image.tree().items()} == truth["layers"][-1]["tree"]
    assert [layer.changed for layer in image.layers] == [
        layer["changed"] for layer in truth["layers"]
    ]


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


# -- archives made by real tools ----------------------------------------------------------------------------------


def tool(name: str) -> str:
    found = shutil.which(name)
    if not found and os.environ.get("CI"):
        pytest.fail(f"{name} is missing: apt-get install {name}")
    return found or pytest.skip(f"{name} is not installed")


def test_skopeo_copies_read_the_same(tmp_path: Path) -> None:
    skopeo = tool("skopeo")
    source = c.write(tmp_path / "source.tar", c.docker_old(DEMO))
    truth = read_image(source).to_json()["layers"]
    for kind, more in (
        ("oci", []),
        ("oci", ["--dest-compress-format=zstd"]),
        ("oci-archive", []),
        ("docker-archive", []),
    ):
        target = tmp_path / f"{kind}{len(more)}"
        place = f"{kind}:{target}:demo:latest" if kind != "oci" else f"{kind}:{target}:latest"
        subprocess.run(
            [
                skopeo,
                "--insecure-policy",
                "copy",
                "--quiet",
                *more,
                f"docker-archive:{source}",
                place,
            ],
            check=True,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )
        image = read_image(target)
        assert image.to_json()["layers"] == truth, kind
        assert image.wasted == 160
        if target.is_file():
            assert read_stream([target.read_bytes()], "x").to_json() == image.to_json()
    assert any(
        path.read_bytes()[:4] == archives.ZSTD
        for path in (tmp_path / "oci1").glob("blobs/sha256/*")
    )


def test_umoci_layers_with_whiteouts(tmp_path: Path) -> None:
    umoci = tool("umoci")

    def do(*argv: str | Path) -> None:
        subprocess.run([umoci, *map(str, argv)], check=True, capture_output=True)

    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    do("init", "--layout", layout)
    do("new", "--image", f"{layout}:x")
    for step in range(3):
        shutil.rmtree(bundle, ignore_errors=True)
        do("unpack", *rootless, "--image", f"{layout}:x", bundle)
        root = bundle / "rootfs"
        if step == 0:
            (root / "app/sub").mkdir(parents=True)
            (root / "app/big").write_bytes(b"x" * 5000)
            (root / "app/sub/small").write_bytes(b"x" * 30)
            (root / "a").write_bytes(b"x" * 700)
            os.link(root / "a", root / "b")
        elif step == 1:
            shutil.rmtree(root / "app")
            (root / "new").write_bytes(b"x" * 10)
        else:
            (root / "a").unlink()
            (root / "new").unlink()
            (root / "new").mkdir()
            (root / "new/x").write_bytes(b"x")
        do("repack", "--image", f"{layout}:x", bundle)
    image = read_image(layout)
    real = [layer for layer in image.layers if not layer.empty]
    assert [layer.size for layer in real] == [5730, 10, 701], (
        "umoci packs b again when a, its other name, goes"
    )
    assert real[1].removed == ["app", "app/big", "app/sub", "app/sub/small"]
    assert (real[2].added, real[2].changed, real[2].removed) == (["new/x"], ["b", "new"], ["a"])
    assert image.wasted == 5000 + 30 + 10 + 700
    shutil.rmtree(bundle)
    do("unpack", *rootless, "--image", f"{layout}:x", bundle)
    seen = {
        str(path.relative_to(bundle / "rootfs")): path.stat().st_size
        for path in (bundle / "rootfs").rglob("*")
        if path.is_file()
    }
    assert {path: node[1] for path, node in image.tree().items() if node[0] == "f"} == seen


# -- the engine as the judge --------------------------------------------------------------------------------------


def docker(*argv: str, data: bytes | None = None) -> bytes:
    return subprocess.run(["docker", *argv], input=data, capture_output=True, check=True).stdout


def random_image(seed: int, tag: str) -> c.Built:
    """Layers as builders make them: links lead to files of their own layer, nothing is both there and whited out."""
    dice, layers = random.Random(seed), []
    for _ in range(dice.randint(2, 5)):
        members: dict[str, c.Member] = {}
        files: list[str] = []
        for _ in range(dice.randint(1, 12)):
            path = "/".join(dice.choice("abcd") for _ in range(dice.randint(1, 3)))
            above = ["/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 1)]
            if path in members or any(
                members.get(parent, c.folder(""))[0].type != tarfile.DIRTYPE for parent in above
            ):
                continue
            for parent in above:
                members.setdefault(parent, c.folder(parent))
            kind = dice.choice("fffdlhwo")
            if kind == "f" or (kind == "h" and not files):
                members[path] = c.file(path, dice.randint(0, 3000))
                files.append(path)
            elif kind == "h":
                members[path] = c.hardlink(path, dice.choice(files))
            elif kind == "l":
                members[path] = c.symlink(path, "x/y")
            elif kind == "w":
                members[path] = c.whiteout(path)
            else:
                members[path] = c.folder(path)
                if kind == "o":
                    members[f"{path}/.wh..wh..opq"] = c.opaque(path)
        layers.append(list(members.values()))
    return c.image(*layers, tag=tag)


@pytest.mark.docker
@pytest.mark.parametrize("seed", range(8))
def test_the_tree_is_what_the_engine_mounts(seed: int, tmp_path: Path) -> None:
    tag = f"labkit-test-{uuid.uuid4().hex[:12]}:oracle"
    path = c.write(tmp_path / "x.tar", c.docker_old(random_image(seed, tag)))
    docker("load", "--input", str(path))
    try:
        container = docker("create", tag, "/none").decode().strip()
        try:
            exported = docker("export", container)
        finally:
            docker("rm", "--force", "--volumes", container)
        saved = docker("save", tag)
    finally:
        docker("rmi", "--force", tag)
    mounted = {}
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        for info in archive:
            target = archive.getmember(info.linkname) if info.islnk() else info
            mounted[info.name.strip("/")] = (
                "d" if info.isdir() else "l" if info.issym() else "f",
                target.size,
            )
    made = {
        ".dockerenv",
        "dev",
        "dev/console",
        "dev/pts",
        "dev/shm",
        "etc",
        "etc/hostname",
        "etc/hosts",
        "etc/mtab",
        "etc/resolv.conf",
        "proc",
        "sys",
    }  # by the engine, in every container
    image = read_image(path)
    assert {path: node[:2] for path, node in image.tree().items()} == {
        path: node for path, node in mounted.items() if path not in made
    }
    again = read_stream([saved], tag)
    assert [layer.diff_id for layer in again.layers] == [layer.diff_id for layer in image.layers]
    assert (again.image, again.size, again.wasted) == (tag, image.size, image.wasted)
    assert [(x.added, x.removed) for x in again.layers] == [
        (x.added, x.removed) for x in image.layers
    ]


# -- hostile archives ---------------------------------------------------------------------------------------------


def refused(source: Path | bytes, *words: str, ref: str | None = None) -> str:
    """The error: one short printable line with these words, from the file and from a stream, soon and without waste."""
    started = time.process_time()
    said = []
    readers: list[Callable[[], Image]] = []
    if isinstance(source, Path):
        readers.append(lambda: read_image(source, ref))
    if isinstance(source, bytes) or source.is_file():
        raw = source if isinstance(source, bytes) else source.read_bytes()
        readers.append(
            lambda: read_stream(
                [raw[at : at + (1 << 16)] for at in range(0, len(raw), 1 << 16)], "x", ref
            )
        )
    for reader in readers:
        with pytest.raises(LabError) as error:
            reader()
        line = str(error.value)
        assert line.isprintable() and len(line) < 500, line
        line.encode("utf-8")
        for word in words:
            assert word in line
        said.append(line)
    assert time.process_time() - started < 20
    return said[0]


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    for shape in ("docker-old", "oci"):
        raw = c.tar(SHAPES[shape](DEMO))
        end = raw.rstrip(b"\0")
        for at in range(0, len(end) - 100, 311):
            path = tmp_path / "cut.tar"
            path.write_bytes(raw[:at])
            refused(path)
        for pack in (c.gz, c.zstd):
            packed = pack(raw)
            for at in range(0, len(packed) - 40, len(packed) // 20):
                refused(packed[:at])
            layer = c.image([c.file("a", os.urandom(5000))])
            layer.pack = lambda data, pack=pack: pack(data)[:-300]  # type: ignore[misc]
            refused(c.tar(c.oci(layer)))


def test_every_flipped_bit_is_an_image_or_an_error() -> None:
    raw, dice = c.tar(c.oci(DEMO, docker=True)), random.Random(3)
    for pack in (bytes, c.gz, c.zstd):
        packed = pack(raw)
        for _ in range(150):
            bad = bytearray(packed)
            bad[dice.randrange(len(packed))] ^= 1 << dice.randrange(8)
            try:
                str(read_stream([bytes(bad)], "x"))
            except LabError as error:
                assert str(error).isprintable()


@settings(
    derandomize=True, deadline=None, max_examples=300, suppress_health_check=list(HealthCheck)
)
@given(st.data())
def test_any_header_is_an_image_or_an_error(data: st.DataObject) -> None:
    block = bytearray(header(b"name"))
    for _ in range(data.draw(st.integers(1, 4))):
        field = data.draw(st.binary(min_size=1, max_size=14))
        at = data.draw(st.sampled_from([0, 100, 108, 116, 124, 156, 157, 257, 263, 345, 482, 483]))
        block[at : at + len(field)] = field
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 256)
    raw = bytes(block) + data.draw(st.binary(max_size=1200))
    try:
        one_layer(raw).tree()
    except LabError as error:
        assert str(error).isprintable()


def test_corrupt_header(tmp_path: Path) -> None:
    bad = bytearray(DEMO.layers[0])
    bad[512 + 20] ^= 1
    refused(c.tar(c.oci(c.image(bytes(bad)))), "damaged at byte 512", "save or copy")
    raw = bytearray(c.tar(c.oci(DEMO)))
    raw[1024 + 3] ^= 1
    (tmp_path / "x").write_bytes(raw)
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
    refused(c.tar(c.oci(c.image(header(b"x", size)))), "makes no sense")
    refused(header(b"x", size), "makes no sense")


def test_a_file_longer_than_its_archive(tmp_path: Path) -> None:
    raw = header(b"x", b"\x80" + struct.pack(">3xQ", (1 << 63) - 1)) + bytes(2000)
    refused(c.tar(c.oci(c.image(raw))), "ends in the middle")
    (tmp_path / "x").write_bytes(raw)
    refused(tmp_path / "x", "ends in the middle")


@pytest.mark.parametrize("flag", [b"x", b"g", b"L", b"K"])
def test_names_of_gigabytes(flag: bytes) -> None:
    refused(
        c.tar(c.oci(c.image(header(b"x", b"%011o\0" % (1 << 30), flag)))),
        "more than any system takes",
    )


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
    ],
)
def test_broken_pax_records(record: bytes) -> None:
    raw = header(b"p", b"%011o\0" % len(record), b"x") + padded(record) + header(b"f")
    refused(c.tar(c.oci(c.image(raw))), "makes no sense")


def test_a_negative_size_behind_a_sparse_one() -> None:
    record = b"11 size=-9\n" + b"26 GNU.sparse.realsize=20\n"
    raw = header(b"p", b"%011o\0" % len(record), b"x") + padded(record) + header(b"f")
    refused(c.tar(c.oci(c.image(raw))), "makes no sense")


def test_a_long_pax_header_takes_no_long_time() -> None:
    record = b"5 a=\n" * 200_000
    raw = header(b"p", b"%011o\0" % len(record), b"x") + padded(record) + header(b"f")
    assert list(tree(raw)) == ["f"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_paths_longer_than_any(form: int) -> None:
    refused(c.tar(c.oci(c.image(c.tar([c.file("x" * 5000)], form)))), "longer than the 4096 bytes")
    refused(
        c.tar(c.oci(c.image(c.tar([c.symlink("x", "y" * 10_000)], form)))),
        "longer than the 4096 bytes",
    )


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
    found = tree(raw)
    assert found == {
        "tmp": ("d", 0, "", 0),
        "tmp/evil": ("f", 1, "", 0),
        "abs": ("f", 2, "", 0),
        "out": ("d", 0, "", 0),
        "out/passwd": ("f", 3, "", 0),
        "h": ("f", 2, "", 0),
        "b": ("f", 4, "", 0),
    }
    assert sorted(tmp_path.rglob("*")) == before


def manifest(layers: list[Any], config: str = "config.json", tags: Any = ("x:1",)) -> c.Member:
    return c.file(
        "manifest.json",
        json.dumps([{"Config": config, "RepoTags": tags, "Layers": layers}]).encode(),
    )


CONFIG = c.file("config.json", c.image([]).raw)


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
    def index(name: str) -> bytes:
        return json.dumps({"manifests": [{"digest": f"sha256:{name}", "mediaType": "x"}]}).encode()

    refused(
        c.tar(
            [
                c.file("index.json", index("a")),
                c.file("blobs/sha256/a", index("b")),
                c.file("blobs/sha256/b", index("a")),
            ]
        ),
        "in a circle",
    )


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([], "no image archive"),
        ([c.file("etc/passwd", 5)], "no image archive"),
        ([manifest(["none.tar"]), CONFIG], "none.tar is named in it but is not there"),
        ([manifest(["a"])], "config.json is named in it but is not there"),
        ([manifest(["config.json"]), CONFIG], "config.json"),
        (
            [manifest(["a", "a"]), CONFIG, c.file("a", c.tar([]))],
            "has 2 layers, but its config names 1",
        ),
        ([manifest([]), CONFIG], "has 0 layers, but its config names 1"),
        ([manifest(["a"]), CONFIG, c.file("a", b"no tar at all" * 100)], "a"),
        ([manifest([1]), CONFIG], "Layers is not the JSON str"),
        ([manifest(["a"], tags=[7]), CONFIG], "RepoTags is not the JSON str"),
        ([manifest(["a"], config=7), CONFIG], "Config is not the JSON str"),  # type: ignore[arg-type]
        ([c.file("manifest.json", b"[]")], "none at all"),
        ([c.file("manifest.json", b"{}")], "not the JSON list"),
        ([c.file("manifest.json", b"[1]")], "not the JSON"),
        ([c.file("manifest.json", b"[" * 200_000)], "not the JSON"),
        ([c.file("manifest.json", b"[" + b"9" * 100_000 + b"]")], "not the JSON"),
        ([c.file("manifest.json", b"")], "not the JSON"),
        ([c.file("manifest.json", b"[\xff\xfe]")], "not the JSON"),
        ([c.file("manifest.json", b"[" + b" " * (17 << 20) + b"]")], "longer than any description"),
        ([c.file("index.json", b"{}")], "manifests is not the JSON list"),
        ([c.file("index.json", b'{"manifests": []}')], "none at all"),
        (
            [c.file("index.json", b'{"manifests": [{"digest": "sha256:a", "platform": 5}]}')],
            "platform is not",
        ),
        (
            [
                c.file(
                    "index.json",
                    b'{"manifests": [{"digest": "sha256:a", "platform": {"os": "unknown"}}]}',
                )
            ],
            "has no image",
        ),
        ([c.file("index.json", b'{"manifests": [{"digest": "../../x"}]}')], "is not there"),
        (
            [
                c.file("index.json", b'{"manifests": [{"digest": "sha256:a"}]}'),
                c.file("blobs/sha256/a", b"{}"),
            ],
            "config is not",
        ),
        ([manifest([]), c.file("config.json", b"{}")], "rootfs is not"),
        ([manifest([]), c.file("config.json", b'{"rootfs": {"diff_ids": {}}}')], "diff_ids is not"),
        (
            [
                manifest([]),
                c.file("config.json", b'{"rootfs": {}, "history": [{"created_by": 5}]}'),
            ],
            "created_by is not",
        ),
        (
            [
                manifest([]),
                c.file("config.json", b'{"rootfs": {}, "history": [{"empty_layer": "yes"}]}'),
            ],
            "empty_layer is not",
        ),
        ([manifest(["a\x1b[31m\n\u202e" * 500]), CONFIG], "is not there"),
        ([manifest(["\ud800"]), CONFIG], "is not there"),
        (
            [
                manifest(["a"] * 2000),
                c.file("config.json", c.image(*[b""] * 2000).raw),
                c.file("a", c.tar([])),
            ],
            "has 2000 layers",
        ),
    ],
)
def test_broken_descriptions(members: list[c.Member], words: str, tmp_path: Path) -> None:
    refused(c.write(tmp_path / "x", members), words)
    if not any(info.name.startswith("etc") for info, _ in members):
        refused(c.spread(tmp_path / "folder", [*members, c.folder(".")]), words)


def test_lone_surrogates_in_ids_and_words() -> None:
    built = c.image(
        [c.file("a")],
        [c.file("b")],
        history=[{"created_by": "\ud800"}, {"created_by": "\x1b[2J"}],
        tag="\ud800\n",
    )
    built.config["rootfs"]["diff_ids"] = ["\ud800", "\udfff"]
    image = read_stream([c.tar(c.docker_old(built))], "x")
    json.dumps(image.to_json()).encode()
    str(image).encode()
    assert "\x1b" not in str(image)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_history_that_does_not_fit_names_no_layer(steps: int) -> None:
    built = c.image(
        [c.file("a", 1)],
        [c.file("b", 2)],
        history=[{"created_by": f"RUN {n}"} for n in range(steps)],
    )
    image = read_stream([c.tar(c.oci(built))], "x")
    assert [(layer.created_by, layer.size) for layer in image.layers] == [("", 1), ("", 2)]


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


def test_the_file_vanishes_after_it_was_read(tmp_path: Path) -> None:
    path = c.write(tmp_path / "x.tar", c.oci(DEMO))
    image = read_image(path)
    path.unlink()
    with pytest.raises(LabError, match="cannot be read"):
        image.tree()


def test_damaged_compression() -> None:
    for pack in (c.gz, c.zstd):
        packed = bytearray(pack(c.tar(c.oci(DEMO))))
        packed[len(packed) // 2] ^= 0xFF
        refused(bytes(packed))
    built = c.image([c.file("a", 5000)])
    built.pack = lambda data: b"\x1f\x8b" + bytes(50)
    refused(c.tar(c.oci(built)), "is damaged")


@pytest.fixture(scope="module")
def zeros() -> bytes:
    """gzip of a tar with one file of zeros of more than 1 GiB, about a thousand times smaller."""
    pack, count = zlib.compressobj(9, zlib.DEFLATED, 31), 1100
    size = b"\x80" + struct.pack(">3xQ", count << 20)
    return b"".join(
        [
            pack.compress(header(b"zeros", size)),
            *(pack.compress(bytes(1 << 20)) for _ in range(count)),
            pack.flush(),
        ]
    )


PEAK = """
import time  # of this process alone, for the machine may be busy

try:
    run()
finally:
    try:  # not ru_maxrss, which starts with that of the process that started this one
        peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    except FileNotFoundError:
        peak = 0
    print(time.process_time(), int(peak) / 1024)
"""


def peak(code: str, *argv: str | Path) -> tuple[float, float]:
    """Seconds and peak resident MB (0 where it is not known) of `run()` in a Python process of its own."""
    out = subprocess.run(
        [sys.executable, "-c", code + PEAK, *map(str, argv)],
        cwd=Path(__file__).parents[2],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    seconds, memory = map(float, out.split())
    return seconds, memory


REFUSED = """
import sys
from labkit.docker.archives import read_image
from labkit.errors import LabError

def run():
    try:
        read_image(sys.argv[1])
    except LabError as error:
        assert sys.argv[2] in str(error), error
    else:
        sys.exit("it was read")
"""


@pytest.mark.parametrize("where", ["whole", "layer", "layer in whole"])
def test_gzip_bomb(where: str, zeros: bytes, tmp_path: Path) -> None:
    bomb = zeros
    if where != "whole":
        built = c.image([c.file("x", 1)])
        built.pack = lambda data: bomb
        bomb = c.tar(c.oci(built))
    (tmp_path / "bomb").write_bytes(c.gz(bomb) if where == "layer in whole" else bomb)
    seconds, memory = peak(REFUSED, tmp_path / "bomb", "as a bomb does")
    assert seconds < 10
    assert memory < 60


def test_zstd_that_asks_for_memory(tmp_path: Path) -> None:
    frame = (
        b"\x28\xb5\x2f\xfd\x00" + bytes([(31 - 10) << 3]) + b"\x01\x00\x00"
    )  # a window of 2 GiB; RFC 8878, 3.1.1.1.2
    (tmp_path / "x").write_bytes(frame)
    _, memory = peak(REFUSED, tmp_path / "x", "is damaged")
    assert memory < 60


MANY = """
import sys
from labkit.docker.archives import read_image

def run():
    image = read_image(sys.argv[1])
    assert len(image.layers[0].added) == int(sys.argv[2])
"""


def many(count: int) -> bytes:
    """Empty files by the hundred in folders; quick to make: only name and checksum differ."""
    block = bytearray(header(b"d00000/f00"))
    base, out = sum(header(b"d00000/f00")[:148]) + sum(block[156:]) + 256, bytearray()
    zero = sum(b"d00000/f00")
    for n in range(count):
        name = b"d%05d/f%02d" % divmod(n, 100)
        block[:10] = name
        block[148:156] = b"%06o\0 " % (base - zero + sum(name))
        out += block
    return bytes(out)


@pytest.mark.slow
def test_a_million_entries(tmp_path: Path) -> None:
    path = c.write(tmp_path / "x.tar", c.oci(c.image(many(1_000_000))))
    seconds, memory = peak(MANY, path, "1010000")
    assert seconds < 40
    assert memory < 500


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with path.open("wb") as out:  # a sparse file: 20 GiB that no disk holds
        config = json.dumps({"rootfs": {"diff_ids": ["sha256:1"]}}).encode()
        rows = json.dumps([{"Config": "c", "Layers": ["l"]}]).encode()
        size = 20 << 30
        out.write(header(b"c", b"%011o\0" % len(config)) + padded(config))
        out.write(header(b"manifest.json", b"%011o\0" % len(rows)) + padded(rows))
        out.write(header(b"l", b"\x80" + struct.pack(">3xQ", size + 1024)))
        out.write(header(b"big", b"\x80" + struct.pack(">3xQ", size)))
        out.seek(size, 1)
        out.write(header(b"after") + bytes(1024))
    seconds, memory = peak(MANY, path, "2")
    assert seconds < 2
    assert memory < 40


def test_what_is_no_layer_may_be_anything() -> None:
    odd = [
        c.file("notes.gz", c.gz(b"no tar")[:-9]),
        c.file("cut.tar", header(b"x", b"%011o\0" % 9999)),
        c.file("text", b"hi"),
    ]
    check_demo(read_stream([c.tar([*odd, *c.oci(DEMO)])], "x"))
