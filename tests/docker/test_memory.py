"""Memory stays small however big, crowded or hostile an archive is."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from samples import archives as c
from samples.archives import base_256, header, raw_member

READ = """
import sys
from labkit.docker.archives import read_image
from labkit.errors import LabError

try:
    print(len(read_image(sys.argv[1]).layers[0].added))
except LabError as error:
    print(error)
try:  # not ru_maxrss, which starts with that of the process that started this one
    with open("/proc/self/status") as status:
        print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
except FileNotFoundError:
    print(0)
"""


def read(path: Path) -> tuple[str, float]:
    """What a process of its own says of an archive, and its peak resident MB (0 if not known)."""
    out = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    said, peak = out.splitlines()
    return said, int(peak) / 1024


@pytest.fixture(scope="module")
def zeros() -> bytes:
    """gzip of a tar with one file of zeros of more than 1 GiB, about a thousand times smaller."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    mebibytes = 1100
    parts = [pack.compress(header(b"zeros", base_256(mebibytes << 20)))]
    parts += [pack.compress(bytes(1 << 20)) for _ in range(mebibytes)]
    return b"".join([*parts, pack.flush()])


@pytest.mark.parametrize("where", ["whole", "layer", "layer in whole"])
def test_gzip_bomb(where: str, zeros: bytes, tmp_path: Path) -> None:
    bomb = zeros
    if where != "whole":
        bomb = c.tar(c.oci(c.image([c.file("x", 1)], pack=lambda data: zeros)))
    (tmp_path / "bomb").write_bytes(c.gz(bomb) if where == "layer in whole" else bomb)
    said, peak = read(tmp_path / "bomb")
    assert "as a bomb does" in said and peak < 60


def test_zstd_that_asks_for_memory(tmp_path: Path) -> None:
    window = bytes([(31 - 10) << 3])  # of 2 GiB; RFC 8878, 3.1.1.1.2
    (tmp_path / "x").write_bytes(b"\x28\xb5\x2f\xfd\x00" + window + b"\x01\x00\x00")
    said, peak = read(tmp_path / "x")
    assert "is damaged" in said and peak < 60


def test_many_entries(tmp_path: Path) -> None:
    layer = b"".join(header(b"d%05d/f%02d" % divmod(n, 100)) for n in range(200_000))
    said, peak = read(c.write(tmp_path / "x.tar", c.oci(c.image(layer))))
    assert said == "202000" and peak < 100


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    with path.open("wb") as out:  # a sparse file: 20 GiB that no disk holds
        config = json.dumps({"rootfs": {"diff_ids": ["sha256:1"]}}).encode()
        rows = json.dumps([{"Config": "c", "Layers": ["l"]}]).encode()
        size = 20 << 30
        out.write(raw_member(b"c", config) + raw_member(b"manifest.json", rows))
        out.write(header(b"l", base_256(size + 1024)))
        out.write(header(b"big", base_256(size)))
        out.seek(size, 1)
        out.write(header(b"after") + bytes(1024))
    said, peak = read(path)
    assert said == "2" and peak < 40
