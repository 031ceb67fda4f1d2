"""Archives that real tools write, and the engine as the judge of what they hold."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest
from samples import archives as c
from samples.reading import tree

from labkit.docker.archives import read_image, read_stream
from labkit.docker.streams import ZSTD


@pytest.mark.live("skopeo")
def test_skopeo_copies_read_the_same(tmp_path: Path) -> None:
    source = c.write(tmp_path / "source.tar", c.docker_old(c.DEMO))
    truth = read_image(source).to_json()["layers"]
    for kind, more in (
        ("oci", []),
        ("oci", ["--dest-compress-format=zstd"]),
        ("oci-archive", []),
        ("docker-archive", []),
    ):
        target = tmp_path / f"{kind}{len(more)}"
        place = f"{kind}:{target}:demo:latest" if kind != "oci" else f"{kind}:{target}:latest"
        argv = ["skopeo", "--insecure-policy", "copy", "--quiet", *more]
        argv += [f"docker-archive:{source}", place]
        subprocess.run(argv, check=True, env={**os.environ, "TMPDIR": str(tmp_path)})
        image = read_image(target)
        assert image.to_json()["layers"] == truth, kind
        assert image.wasted == 160
        if target.is_file():
            assert read_stream([target.read_bytes()], "x").to_json() == image.to_json()
    assert any(path.read_bytes()[:4] == ZSTD for path in (tmp_path / "oci1").glob("blobs/sha256/*"))


@pytest.mark.live("umoci")
def test_umoci_layers_with_whiteouts(tmp_path: Path) -> None:
    def do(*argv: str | Path) -> None:
        subprocess.run(["umoci", *map(str, argv)], check=True, capture_output=True)

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
    _, second, third = image.filled
    # umoci packs b again when a, its other name, goes
    assert [layer.size for layer in image.filled] == [5730, 10, 701]
    assert second.removed == ["app", "app/big", "app/sub", "app/sub/small"]
    assert (third.added, third.changed, third.removed) == (["new/x"], ["b", "new"], ["a"])
    assert image.wasted == 5000 + 30 + 10 + 700
    shutil.rmtree(bundle)
    do("unpack", *rootless, "--image", f"{layout}:x", bundle)
    seen = {
        str(path.relative_to(bundle / "rootfs")): path.stat().st_size
        for path in (bundle / "rootfs").rglob("*")
        if path.is_file()
    }
    assert {path: node[1] for path, node in tree(image).items() if node[0] == "f"} == seen


def docker(*argv: str) -> bytes:
    return subprocess.run(["docker", *argv], capture_output=True, check=True).stdout


def random_image(seed: int, tag: str) -> c.Built:
    """Layers as builders make them.

    Links lead to files of their own layer; nothing is both there and whited out.
    """
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


def mounted(exported: bytes) -> dict[str, tuple[str, int]]:
    """Kind and size of each path in what `docker export` gives."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(exported)) as archive:
        for info in archive:
            kind = "d" if info.isdir() else "l" if info.issym() else "f"
            target = archive.getmember(info.linkname) if info.islnk() else info
            found[info.name.strip("/")] = (kind, target.size)
    return found


# What the engine makes in every container.
MADE = set(
    ".dockerenv dev dev/console dev/pts dev/shm proc sys"  # noqa: SIM905
    " etc etc/hostname etc/hosts etc/mtab etc/resolv.conf".split()
)


@pytest.mark.live("docker")
@pytest.mark.usefixtures("on_engine")
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
    image = read_image(path)
    found = {path: node[:2] for path, node in tree(image).items()}
    assert found == {path: node for path, node in mounted(exported).items() if path not in MADE}
    again = read_stream([saved], tag)
    assert [layer.diff_id for layer in again.layers] == [layer.diff_id for layer in image.layers]
    assert (again.name, again.size, again.wasted) == (tag, image.size, image.wasted)
    for layer, expected in zip(again.layers, image.layers, strict=True):
        assert (layer.added, layer.removed) == (expected.added, expected.removed)
