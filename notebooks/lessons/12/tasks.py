"""Lesson 12, Docker images and layers: its tasks, and how it knows that they are solved."""

from __future__ import annotations

from labkit.docker import reads as docker
from labkit.docker.client import Thing
from labkit.docker.layers import Image
from labkit.engine import Session
from labkit.errors import LabError
from labkit.material import NotYet, Task, Try, whole_number
from labkit.messages import _

NEEDS = {"docker": ["docker"]}


def need_image(lesson: Session, name: str, how: str) -> Thing:
    image = docker.image(lesson, name)
    if not image:
        raise NotYet("There is no image `{name}` yet: {how}", name=name, how=how)
    return image


def diff_ids(lesson: Session, name: str) -> list[str]:
    image = docker.image(lesson, name)
    if not image:
        raise LabError(
            "The image {name} is missing: run the cells above this one first.", name=name
        )
    return list(docker.about(lesson, image)["diff_ids"])


def shared(lesson: Session, one: str, other: str) -> int:
    """How many layers two images have in common, counted from the bottom."""
    count = 0
    for a, b in zip(diff_ids(lesson, one), diff_ids(lesson, other), strict=False):
        if a != b:
            break
        count += 1
    return count


def visible(image: Image) -> set[str]:
    return {path for path, _node in image.root().walk()}


def check_shared(lesson: Session, answer: str) -> str:
    debian, httpd = len(diff_ids(lesson, "debian:bookworm-slim")), len(diff_ids(lesson, "httpd"))
    right = shared(lesson, "debian:bookworm-slim", "httpd")
    said = whole_number(answer, "shared-layers 3")
    if said == right:
        return _.many(
            "Yes: {n} of httpd's {httpd} layers is Debian's, kept once on disk and used by both.",
            "Yes: {n} of httpd's {httpd} layers are Debian's, kept once on disk and used by both.",
            right,
            httpd=httpd,
        )
    if said == httpd:
        raise NotYet(
            "{httpd} is how many layers httpd has in all. Which of them does debian:bookworm-slim "
            "have too?",
            httpd=httpd,
        )
    if said == 0:
        raise NotYet(
            "Look at the picture: the rail of httpd starts in a box that already has a name."
        )
    raise NotYet(
        "Not {said}. debian:bookworm-slim has {debian} in all, so it cannot share more than that; "
        "count the boxes both rails pass through.",
        said=said,
        debian=debian,
    )


def check_own_container(lesson: Session, answer: str) -> str:
    container = docker.container(lesson, "lab12-mine")
    if not container:
        raise NotYet(
            "There is no container called `lab12-mine` yet: `docker run -d --name lab12-mine "
            "busybox …`."
        )
    busybox = docker.image(lesson, "busybox")
    if not busybox or container["image_id"] != busybox["id"]:
        raise NotYet(
            "`lab12-mine` runs the image {image}, not busybox. Start again with `%task "
            "own-container`.",
            image=container["image"],
        )
    if container["state"] != "running":
        raise NotYet(
            "`lab12-mine` has already ended: a container lives as long as its first process. Give "
            "it one that lasts, such as `sleep 1d`, after the image's name."
        )
    paths = {change["path"] for change in docker.changes(lesson, container)}
    if "/etc/motd" not in paths:
        raise NotYet(
            "`lab12-mine` runs, but its writable layer has no `/etc/motd`. Write it with `docker "
            'exec lab12-mine sh -c "echo hello > /etc/motd"`: the quotes keep the `>` for the '
            "container's shell."
        )
    return _(
        "Its writable layer holds {count} paths, /etc/motd among them; the image busybox is "
        "exactly what it was.",
        count=len(paths),
    )


def check_one_layer(lesson: Session, answer: str) -> str:
    made = need_image(
        lesson, "lab12/greet:1", _("`docker commit CONTAINER lab12/greet:1` makes it.")
    )
    base, mine = diff_ids(lesson, "busybox"), diff_ids(lesson, "lab12/greet:1")
    if "busybox:latest" in made["tags"]:
        raise NotYet(
            "`lab12/greet:1` is another name for busybox itself. A tag adds no layer, a commit "
            "does."
        )
    if mine == base:
        raise NotYet(
            "`lab12/greet:1` has exactly busybox's layers: the container you committed had "
            "written nothing, and where nothing is written there is no layer to add."
        )
    if mine[: len(base)] != base:
        raise NotYet(
            "`lab12/greet:1` does not stand on busybox: start the container you commit from "
            "busybox."
        )
    if len(mine) > len(base) + 1:
        raise NotYet(
            "`lab12/greet:1` has {count} layers of its own; one was asked for. Every commit adds "
            "one: commit once.",
            count=len(mine) - len(base),
        )
    image = docker.layers(lesson, "lab12/greet:1")
    if "hello.txt" not in visible(image):
        raise NotYet(
            "The new layer is there, but it holds no `/hello.txt`: what is written before the "
            "commit, in that container, is what the layer will hold."
        )
    return _("One layer on top of busybox: {paths}.", paths=", ".join(image.layers[-1].added))


def check_no_waste(lesson: Session, answer: str) -> str:
    need_image(lesson, "lab12/small:1", _("commit your container under that name."))
    image = docker.layers(lesson, "lab12/small:1")
    files = visible(image)
    if "report.txt" not in files:
        raise NotYet("`lab12/small:1` has no `/report.txt`.")
    if "big.bin" in files:
        raise NotYet("`/big.bin` is still there: remove it before the commit.")
    if image.wasted:
        raise NotYet(
            "`lab12/small:1` looks right from inside, but {size} MB of its layers can never be "
            "seen again: the file was already in a layer below. Make and remove it in one "
            "container.",
            size=image.wasted // 10**6,
        )
    return _("Nothing wasted: what is made and removed before the commit never becomes a layer.")


MAKE, REPORT = "head -c 20000000 /dev/zero > /big.bin", "wc -c < /big.bin > /report.txt"
TASKS = [
    Task(
        "shared-layers",
        check_shared,
        solution=Try(answer="1"),
        wrong=[
            Try(answer="7", hint="in all"),
            Try(answer="0", hint="rail of httpd"),
            Try(answer="4", hint="Not 4"),
            Try(answer="one", hint="whole number"),
        ],
        hints=[
            _(
                "Each box of the picture is a layer; an image is all boxes from the top of its "
                "rail down to its name."
            ),
            _("Two images share the boxes that both of their rails pass through."),
        ],
    ),
    Task(
        "own-container",
        check_own_container,
        solution=Try(
            [
                "docker run -d --name lab12-mine busybox sleep 1d",
                'docker exec lab12-mine sh -c "echo hello > /etc/motd"',
            ]
        ),
        wrong=[
            Try(["docker run -d --name lab12-mine busybox"], hint="already ended"),
            Try(["docker run -d --name lab12-mine busybox sleep 1d"], hint="no `/etc/motd`"),
            Try(
                ["docker run -d --name lab12-mine debian:bookworm-slim sleep 1d"],
                hint="not busybox",
            ),
        ],
        hints=[
            _("A container ends when its first process ends: `sleep 1d` lasts."),
            _('`docker exec NAME sh -c "…"` runs a shell inside a running container.'),
        ],
    ),
    Task(
        "one-layer",
        check_one_layer,
        solution=Try(
            [
                'docker run --name lab12-greet busybox sh -c "echo hello > /hello.txt"',
                "docker commit lab12-greet lab12/greet:1",
            ]
        ),
        wrong=[
            Try(["docker tag busybox lab12/greet:1"], hint="another name for busybox"),
            Try(["docker commit lab12-two lab12/greet:1"], hint="had written nothing"),
            Try(
                [
                    "docker commit lab12-one lab12/greet:0",
                    "docker run --name lab12-greet lab12/greet:0 touch /hello.txt",
                    "docker commit lab12-greet lab12/greet:1",
                ],
                hint="2 layers of its own",
            ),
            Try(
                [
                    "docker run --name lab12-greet debian:bookworm-slim touch /hello.txt",
                    "docker commit lab12-greet lab12/greet:1",
                ],
                hint="does not stand on busybox",
            ),
        ],
        hints=[
            _(
                "Two commands: `docker run --name … busybox …` to write the file, then `docker "
                "commit`."
            ),
            _("The container may have ended: its writable layer stays until `docker rm`."),
        ],
    ),
    Task(
        "no-waste",
        check_no_waste,
        solution=Try(
            [
                f'docker run --name lab12-once busybox sh -c "{MAKE}; {REPORT}; rm /big.bin"',
                "docker commit lab12-once lab12/small:1",
            ]
        ),
        wrong=[
            Try(
                [
                    'docker run --name lab12-once lab12/big:2 sh -c "echo 20000000 > /report.txt"',
                    "docker commit lab12-once lab12/small:1",
                ],
                hint="20 MB of its layers",
            ),
            Try(
                [
                    f'docker run --name lab12-once busybox sh -c "{MAKE}; {REPORT}"',
                    "docker commit lab12-once lab12/small:1",
                ],
                hint="still there",
            ),
            Try(
                [
                    f'docker run --name lab12-once busybox sh -c "{MAKE}; rm /big.bin"',
                    "docker commit lab12-once lab12/small:1",
                ],
                hint="no `/report.txt`",
            ),
        ],
        hints=[
            _(
                "A layer is the difference at the moment of the commit; what came and went before "
                "is not in it."
            ),
            _('One `sh -c "make; measure; remove"` in one container, then one commit.'),
        ],
    ),
]
