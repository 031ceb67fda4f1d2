"""Sizes and numbers as text."""

from __future__ import annotations

import pytest
from disks.asking import MIB

from labkit.disks.values import human, spans


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (MIB, "1 MiB"),
        (5 * MIB + 1, "5.0 MiB"),
        (1 << 63, "8 EiB"),
        ((1 << 64) - 1, "16.0 EiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert human(size) == text


@pytest.mark.parametrize(
    ("pairs", "limit", "text"),
    [
        ([(10, 10), (3, 3), (4, 5), (9, 9)], 99, "10, 3–5, 9"),
        ([(0, 63)], 99, "0–63"),
        ([], 9, ""),
        ([(7, 7), (7, 7), (8, 8)], 99, "7–8"),  # two pieces of one block
        ([(n, n) for n in range(0, 10_000, 2)], 20, "0, 2, 4, 6, 8, 10, …"),
        ([(123456, 123456)], 0, "123456"),
    ],
)
def test_spans(pairs: list[tuple[int, int]], limit: int, text: str) -> None:
    assert spans(pairs, limit) == text
