"""Lesson 00, start here: what students predict, and what is right."""

from __future__ import annotations

from labkit.engine import Session
from labkit.errors import LabError
from labkit.material import Prediction
from labkit.messages import _

from .tasks import ours


def right_after(lesson: Session) -> str:
    found = ours(lesson)
    if not found:
        raise LabError(
            "The container of hello-world is missing: run the cells above this one first."
        )
    return {"exited": "B", "running": "A"}.get(found[0]["state"], "C")


PREDICTIONS = [
    Prediction(
        "after",
        _("hello-world has printed its text. What has become of its container?"),
        {
            "A": _("It is still running, in the background."),
            "B": _("It has ended, and is still there."),
            "C": _("It has ended, and nothing of it is left."),
        },
        {
            "A": _(
                "A container runs as long as its program, and this program has printed its text "
                "and ended."
            ),
            "B": _(
                "Its program is over, but the container stays, with its files and its output, "
                "until `docker rm`."
            ),
            "C": _("Docker removes a container by itself only if it was started with `--rm`."),
        },
        right_after,
    ),
]
