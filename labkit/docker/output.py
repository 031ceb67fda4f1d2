"""What docker prints, read: what to do about a failure, how far a pull or a build is."""

from __future__ import annotations

import re

from labkit.messages import N_, _
from labkit.show.progress import Bar

# The engine's own line is always shown above ours.
_ADVICE = {
    r"permission denied while trying to connect|dial unix .*permission denied": N_(
        "Your user may not use Docker's socket: `sudo usermod -aG docker $USER`, then log out "
        "and in again."
    ),
    r"Cannot connect to the Docker daemon|error during connect|connection refused|"
    r"error reading from server|: EOF$|waiting for container: unexpected EOF|connection reset": N_(
        "The Docker engine does not answer (any more): start Docker Desktop or `sudo systemctl "
        "start docker`, then run the %lesson cell again; what you made is kept."
    ),
    r"no space left on device": N_(
        "The engine's disk is full: `docker system df` shows what uses it; free some space and "
        "run the cell again."
    ),
    r"toomanyrequests|rate limit": N_(
        "The hub limits pulls per address: wait, sign in, or use a mirror (README, For "
        "instructors)."
    ),
    r"port is already allocated|address already in use": N_(
        "Another program has that port: choose another number before the colon of -p."
    ),
    r"(lookup|dial tcp|Get \"http).*(no such host|timeout|refused|unreachable|misbehaving|"
    r"forbidden|exceeded)|TLS handshake timeout": N_(
        "The hub cannot be reached: check the network; before a class, `labkit prefetch` "
        "fetches all a lesson needs."
    ),
    r"No such image|manifest unknown|pull access denied|repository does not exist|"
    r"not found: does not exist": N_(
        "No image of that name, here or on the hub: check the spelling; `docker images` lists "
        "what you have."
    ),
    r"No such container": N_(
        "No container of that name: `docker ps -a` lists all, running or not."
    ),
}

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
_LAYER = re.compile(
    r"^(?P<layer>[0-9a-f]{12}): (?P<doing>(?P<stage>[A-Z][a-z]+)[A-Za-z0-9 ]*)(?:\n|\Z)", re.M
)
_STEP = re.compile(
    r"^(?:(?P<classic>Step )|#\d+ \[(?:.* )?)"  # else BuildKit
    r"(?P<step>\d{1,4})/(?P<steps>[1-9]\d{0,3})(?(classic) : |\] )(?P<doing>.*)$",
    re.M,
)
_LONGEST = 60  # characters of what it is doing


def because(words: str) -> str:
    """One line on what to do about the engine's ``words``; "" if they are enough."""
    matches = (advice for pattern, advice in _ADVICE.items() if re.search(pattern, words, re.I))
    return _(next(matches, ""))


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


def settle(text: str) -> str:
    """A pull as the terminal leaves it: one final line a layer, in layer order, however it went."""
    last = {layer["layer"]: layer[0] for layer in _LAYER.finditer(text)}
    return _LAYER.sub(lambda layer: last.pop(layer["layer"], ""), text)
