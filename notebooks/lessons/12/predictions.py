"""Lesson 12, Docker images and layers: what students predict, and what is right."""

from __future__ import annotations

from labkit.docker import reads as docker
from labkit.engine import Session
from labkit.errors import LabError
from labkit.material import Prediction
from labkit.messages import _

from .tasks import shared


def right_pull(lesson: Session) -> str:
    return "B" if shared(lesson, "debian:bookworm-slim", "httpd") else "A"


def right_see(lesson: Session) -> str:
    two = docker.container(lesson, "lab12-two")
    if not two:
        raise LabError("The container lab12-two is missing: run the cells above this one first.")
    return (
        "A"
        if any(change["path"] == "/notes.txt" for change in docker.changes(lesson, two))
        else "C"
    )


def right_shrink(lesson: Session) -> str:
    one, two = (docker.image(lesson, f"lab12/big:{n}") for n in (1, 2))
    if not one or not two:
        raise LabError("lab12/big:1 or lab12/big:2 is missing: run the cells above this one first.")
    return "A" if two["size"] < one["size"] - 10**6 else "B"


PREDICTIONS = [
    Prediction(
        "pull-again",
        _(
            "You have just pulled debian:bookworm-slim. httpd was built on top of a Debian. What "
            "will the pull of httpd say about its first layer?"
        ),
        {
            "A": _("Pull complete: an image is one file, so all of it comes."),
            "B": _("Already exists: that layer is here, under another image's name."),
            "C": _("Nothing: a layer that is here is not mentioned."),
        },
        {
            "A": _(
                "An image is a list of layers, and each layer is asked for by its own digest; it "
                "comes only if it is missing, as when this httpd was built on another Debian than "
                "the one you have."
            ),
            "B": _(
                "A layer is known by the hash of what it holds, so the engine knows it has that "
                "one, whoever brought it."
            ),
            "C": _("Every layer of the image gets its line, those already here too."),
        },
        right_pull,
    ),
    Prediction(
        "two-containers",
        _(
            "Two containers run from the same image. One writes /notes.txt. What does `cat "
            "/notes.txt` say in the other?"
        ),
        {
            "A": _("It prints the note: they run from the same image."),
            "B": _("It prints the note only after the second container is restarted."),
            "C": _("No such file: each container writes into a layer of its own."),
        },
        {
            "A": _(
                "The image is read-only, so the write went elsewhere: into the first container's "
                "own layer."
            ),
            "B": _("A restart keeps the container's own layer and still shows it nobody else's."),
            "C": _(
                "The image below is shared and never changes; what differs is the thin writable "
                "layer on top."
            ),
        },
        right_see,
    ),
    Prediction(
        "shrink",
        _(
            "lab12/big:1 holds a file of 20 MB. A container of it removes that file and is "
            "committed as lab12/big:2. Which image is smaller?"
        ),
        {
            "A": _("lab12/big:2, by 20 MB: the file is gone."),
            "B": _("Neither: lab12/big:2 is as large, or a little larger."),
            "C": _("lab12/big:1 shrinks too: they share the layer the file was in."),
        },
        {
            "A": _(
                "The new layer can only say that the file is to be hidden; the layer that holds "
                "the bytes is read-only and still belongs to the image."
            ),
            "B": _(
                "Layers only add up. The file's bytes stay in the layer below; the new one holds "
                "a mark that hides them."
            ),
            "C": _("They do share that layer, and just because of it nothing in it may change."),
        },
        right_shrink,
    ),
]
