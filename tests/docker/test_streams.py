"""Bytes read forwards: peeked at, skipped, limited, inflated."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import archives as c
from samples.reading import refused

from labkit.docker.streams import Inflater, Source
from labkit.errors import LabError

DATA = bytes(range(200))
STEPS = st.lists(st.tuples(st.sampled_from(["read", "peek", "skip"]), st.integers(0, 60)))


@given(STEPS, st.booleans(), st.integers(0, 200))
def test_a_source_reads_like_a_file_of_its_size(
    steps: list[tuple[str, int]], seekable: bool, size: int
) -> None:
    file, whole = io.BytesIO(DATA[:size]), io.BytesIO(DATA)
    source = Source("x", whole.read, size, whole.seek if seekable else None)
    for step, count in steps:
        start = file.tell()
        expected = file.read(count)
        if step == "skip" and len(expected) < count:
            with pytest.raises(LabError, match="ends in the middle"):
                source.skip(count)
            return
        if step == "skip":
            source.skip(count)
        else:
            assert getattr(source, step)(count) == expected
        if step == "peek":
            file.seek(start)
        assert source.position == file.tell()


@pytest.mark.parametrize("pack", [bytes, c.gz, c.zstd])
def test_whatever_is_packed_is_inflated(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(DATA[:100]) + pack(DATA[100:])  # gzip in several members, zstd in several frames
    inflater = Inflater()
    source = inflater.open(Source("x", io.BytesIO(packed).read))
    assert source.read(200) == DATA
    assert inflater.inflated == (0 if pack is bytes else 200)


def test_damaged_compression() -> None:
    for pack in (c.gz, c.zstd):
        packed = bytearray(pack(c.tar(c.oci(c.image([c.file("a", 5000)])))))
        packed[len(packed) // 2] ^= 0xFF
        refused(bytes(packed))
    broken = c.image([c.file("a", 5000)], pack=lambda data: b"\x1f\x8b" + bytes(50))
    refused(c.tar(c.oci(broken)), "is damaged")
