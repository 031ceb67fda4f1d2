"""What the tests of the bench share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from samples.benches import PROGRAMS, opened

from labkit.virtualbox.engine import Bench


@pytest.fixture
def plain(own_home: Path) -> Iterator[Bench]:
    """A bench without VirtualBox: enough for the guard, files and disks."""
    with opened() as bench:
        yield bench


@pytest.fixture
def bench(own_home: Path) -> Iterator[Bench]:
    """One with VirtualBox and QEMU."""
    with opened(*PROGRAMS) as bench:
        yield bench
