"""Listings keep every name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.docker.listing import LayerEntry, read_listing, write_listing
from labkit.errors import LabError

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
