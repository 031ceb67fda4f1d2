"""How far a command of VBoxManage is."""

from __future__ import annotations

import pytest

from labkit.virtualbox.progress import bars


@pytest.mark.parametrize(
    ("text", "percents"),
    [
        ("", []),
        ("Waiting for the machine\n", []),
        ("0%", [0]),
        ("0%...10%...20%...", [20]),
        ("0%...10%...100%\n", [100]),
        ("Clone medium: 50% of it\n0%...30%", [30]),
        ("0%...10%\nMachine has been cloned", []),
    ],
)
def test_the_last_percent_counts(text: str, percents: list[int]) -> None:
    assert bars(text) == [("progress", percent, "") for percent in percents]
