"""What Docker says when something fails, and what to do about it."""

from __future__ import annotations

import re

from labkit.messages import N_, _

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


def because(words: str) -> str:
    """One line on what to do about the engine's ``words``; "" if they are enough."""
    matches = (advice for pattern, advice in _ADVICE.items() if re.search(pattern, words, re.I))
    return _(next(matches, ""))
