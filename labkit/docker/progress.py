"""How far a command is, read from its words so far."""

from __future__ import annotations

import re

from labkit.show.progress import Bar

# How far a layer is at each word of `docker pull`, and a build at "Step 2/5" or "[2/5]".
_STAGES = {
    "Pulling": 5,
    "Waiting": 5,
    "Retrying": 5,
    "Downloading": 30,
    "Verifying": 60,
    "Download": 65,
    "Extracting": 80,
    "Pull": 100,
    "Already": 100,
}
_LAYER = re.compile(r"^([0-9a-f]{12}): ((\w+).*)$", re.M)
_PERCENT = re.compile(r"(?:^|\.\.\.)(\d+)%(?!.*\d%)", re.M)  # VBoxManage: 0%...10%...20%...
_STEP = re.compile(
    r"^(?:Step (\d{1,4})/([1-9]\d{0,3}) : |#\d+ \[(?:.* )?(\d{1,4})/([1-9]\d{0,3})\] )(.*)$", re.M
)


def bars(text: str) -> list[Bar]:
    """Progress read from a command's words so far: (name, percent, what it is doing), one a layer or build."""
    found = {
        match[1]: Bar(match[1], _STAGES.get(match[3], 50), match[2][:60])
        for match in _LAYER.finditer(text)
    }
    steps = list(_STEP.finditer(text))
    if steps:
        at, of = (int(steps[-1][i] or steps[-1][i + 2]) for i in (1, 2))
        found["build"] = Bar(f"step {at}/{of}", 100 * (at - 1) // of, steps[-1][5][:60])
    if not found and (percent := _PERCENT.search(text.rpartition("\n")[2] or text.rstrip())):
        found["progress"] = Bar("progress", int(percent[1]))
    return list(found.values())
