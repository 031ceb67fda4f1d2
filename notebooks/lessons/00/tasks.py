"""Lesson 00, start here: its tasks, and how it knows that they are solved."""

from __future__ import annotations

from labkit.docker import reads as docker
from labkit.docker.client import Thing
from labkit.engine import Session
from labkit.material import NotYet, Task, Try
from labkit.messages import _

NEEDS = {"docker": ["docker"]}


def ours(lesson: Session) -> list[Thing]:
    """This lesson's containers of hello-world, not those a student may have besides."""
    return [
        c
        for c in lesson.world()["containers"]
        if c["image"].startswith("hello-world") and c["lesson"] == lesson.name
    ]


def check_greeting(lesson: Session, answer: str) -> str:
    container = docker.container(lesson, "lab00-hello")
    if not container:
        if len(ours(lesson)) > 1:
            raise NotYet(
                "You made another container of hello-world, but it is not called `lab00-hello`: "
                "put `--name lab00-hello` between `run` and the image's name."
            )
        raise NotYet(
            "There is no container called `lab00-hello` yet: `docker run --name lab00-hello …`. A "
            "container run with `--rm` is gone when it ends."
        )
    if not container["image"].startswith("hello-world"):
        raise NotYet(
            "`lab00-hello` is there, but it runs {image}: the image's name comes last, and it is "
            "hello-world.",
            image=container["image"],
        )
    return _(
        "`lab00-hello` is there; its state is {state}, for its program has nothing more to do.",
        state=container["state"],
    )


TASKS = [
    Task(
        "greeting",
        check_greeting,
        solution=Try(["docker run --name lab00-hello hello-world"]),
        wrong=[
            Try(["docker run hello-world"], hint="not called"),
            Try(["docker run --rm --name lab00-hello hello-world"], hint="`--rm` is gone"),
            Try(["docker run --name lab00-hello busybox"], hint="image's name comes last"),
        ],
        hints=[
            _("Every container has a name; Docker makes one up unless `--name` gives it."),
            _("Options come between `run` and the image: `docker run --name NAME IMAGE`."),
        ],
    ),
]
