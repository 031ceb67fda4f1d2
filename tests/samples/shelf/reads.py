"""What a lesson reads of the shelf."""

from __future__ import annotations

from labkit.engine import Session


def text(session: Session, name: str) -> str | None:
    """What is on the shelf under a name; None if nothing is. Raises LabError."""
    session.requires("shelf")
    found: str | None = session.world()["things"].get(name)
    return found
