"""How far a pull or a build is, read from docker's words so far."""

from __future__ import annotations

import re

from labkit.show.progress import Bar

# How far a layer is, in percent, at the first of its words in `docker pull`.
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
_LAYER = re.compile(r"^(?P<layer>[0-9a-f]{12}): (?P<doing>(?P<stage>\w+).*)$", re.M)
_STEP = re.compile(
    r"^(?:(?P<classic>Step )|#\d+ \[(?:.* )?)"  # else BuildKit
    r"(?P<step>\d{1,4})/(?P<steps>[1-9]\d{0,3})(?(classic) : |\] )(?P<doing>.*)$",
    re.M,
)
_LONGEST = 60  # characters of what it is doing


def bars(text: str) -> list[Bar]:
    """A bar for each layer of a pull, and one for a build, at "Step 2/5 : …" or "#7 [2/5] …"."""
    by_name: dict[str, Bar] = {}
    for match in _LAYER.finditer(text):
        percent = _STAGES.get(match["stage"], 50)
        by_name[match["layer"]] = Bar(match["layer"], percent, match["doing"][:_LONGEST])
    for match in _STEP.finditer(text):  # the last counts
        step, steps = int(match["step"]), int(match["steps"])
        percent = 100 * (step - 1) // steps
        by_name["build"] = Bar(f"step {step}/{steps}", percent, match["doing"][:_LONGEST])
    return list(by_name.values())
