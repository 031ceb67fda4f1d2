"""What a student meets when something cannot be done: one line that teaches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit.errors import LabError


def refused(call: Callable[..., object], *args: Any) -> str:
    """What is said instead: a LabError of one short line."""
    with pytest.raises(LabError) as caught:
        call(*args)
    line = str(caught.value)
    assert line and "\n" not in line and "Traceback" not in line and len(line) < 600, line
    return line
