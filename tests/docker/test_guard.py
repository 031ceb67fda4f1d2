"""What a lesson's commands may touch: each rule, and what a student would lose without it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from live import Lab, Student, inventory, plain
from samples.errors import refused

from labkit.docker import guard
from labkit.docker.command_line import parse
from labkit.docker.guard import BEYOND, RULES, Alters
from labkit.words import split

# -- the table, without an engine ---------------------------------------------------------------


@pytest.mark.parametrize(
    "typed,kind,names",
    [
        ("rm a b", "containers", "a b"),
        ("container rm a -f b", "containers", "a b"),
        ("stop -t 5 a", "containers", "a"),
        ("stop -s HUP a", "containers", "a"),
        ("restart -s HUP a", "containers", "a"),
        ("update --memory 64m a", "containers", "a"),
        ("exec -it a sh", "containers", "a"),
        ("rename a b", "containers", "a"),
        ("cp x a:/y", "containers", "a"),
        ("cp - a:/y", "containers", "a"),
        ("cp a:/y x", "containers", ""),
        ("network connect n a", "containers", "a"),
        ("network disconnect -f n a", "containers", "a"),
        ("rmi a b:1", "images", "a b:1"),
        ("image rm a", "images", "a"),
        ("volume rm a b", "volumes", "a b"),
        ("network rm a", "networks", "a"),
        ("run a", "", ""),
        ("pull a", "", ""),
        ("ps a", "", ""),
        ("commit a b", "", ""),
    ],
)
def test_which_things_a_command_alters(typed: str, kind: str, names: str) -> None:
    words = parse(typed.split())
    rule = RULES.get(words.name, Alters())
    assert (rule.kind, rule.things(words)) == (kind, names.split())


@pytest.mark.parametrize(
    "typed,tags",
    [
        ("tag a b:1", "b:1"),
        ("image tag a b", "b"),
        ("commit a b", "b"),
        ("commit -m x a b", "b"),
        ("commit a", ""),
        ("commit a -m x b", "b"),
        ("build -t a --tag=b:2 .", "a b:2"),
        ("build --force-rm -t a .", "a"),
        ("build --compress -t a .", "a"),
        ("builder build -t a .", "a"),
        ("import x.tar b", "b"),
        ("run -t a", ""),
        ("exec -t a b", ""),
    ],
)
def test_which_names_of_images_it_moves(typed: str, tags: str) -> None:
    words = parse(typed.split())
    assert RULES.get(words.name, Alters()).tags(words) == tags.split()


# -- each rule on a real engine: with it nothing happens, without it something is lost ----------

RUNNING = "run -d --name theirs busybox sleep 1d"
IMAGE = "tag hello-world theirs:1"
LOGIN = "127.0.0.1:5000"


class Loss(NamedTuple):
    """What the student ``made``, a lesson's ``command`` that takes it, and where it is ``seen``."""

    rule: str
    made: str
    command: str
    seen: str
    stdin: str | None = None


def of_container(rule: str, command: str, about: str, made: str = RUNNING) -> Loss:
    return Loss(rule, made, command, f"inspect --format '{{{{{about}}}}}' theirs")


def of_name(rule: str, command: str, stdin: str | None = None) -> Loss:
    return Loss(rule, IMAGE, command, "inspect --format {{.Id}} theirs:1", stdin)


LOSSES = [
    Loss("rm", RUNNING, "rm -f theirs", "ps -aq"),
    of_container("stop", "stop -t 0 theirs", ".State.Status"),
    of_container("kill", "kill theirs", ".State.Status"),
    of_container("restart", "restart -t 0 theirs", ".State.StartedAt"),
    of_container("pause", "pause theirs", ".State.Status"),
    of_container("unpause", "unpause theirs", ".State.Status", f"{RUNNING}\npause theirs"),
    of_container("start", "start theirs", ".State.Status", "create --name theirs busybox sleep 1d"),
    of_container("update", "update --restart always theirs", ".HostConfig.RestartPolicy.Name"),
    Loss("exec", RUNNING, "exec theirs touch /lost", "diff theirs"),
    Loss("cp", RUNNING, "cp /etc/hostname theirs:/lost", "diff theirs"),
    Loss("rename", RUNNING, "rename theirs lost", "ps --format {{.Names}}"),
    of_container("network connect", "network connect n theirs", "len .NetworkSettings.Networks"),
    of_container(
        "network disconnect", "network disconnect bridge theirs", "len .NetworkSettings.Networks"
    ),
    Loss("rmi", IMAGE, "rmi theirs:1", "images -q theirs"),
    Loss("volume rm", "volume create theirs", "volume rm theirs", "volume ls -q"),
    Loss("network rm", "network create theirs", "network rm theirs", "network ls -q"),
    of_name("tag", "tag busybox theirs:1"),
    of_name("commit", "commit lessons theirs:1"),
    of_name("import", "import - theirs:1", "\0" * 1024),
    of_name("build", "build -t theirs:1 -", "FROM busybox\nLABEL a=b\n"),
    Loss("prune", "create --name theirs busybox", "container prune -f", "ps -aq"),
    Loss("plugin", "plugin create theirs PLUGIN", "plugin rm theirs", "plugin ls -q"),
    Loss(
        "context",
        "context create theirs --docker host=tcp://x:1",
        "context rm theirs",
        "context ls",
    ),
    Loss("login", "", f"login -u lesson -p x {LOGIN}", "SETTINGS"),
    Loss("logout", f"login -u theirs -p x {LOGIN}", f"logout {LOGIN}", "SETTINGS"),
]


def test_each_rule_has_its_loss() -> None:
    assert sorted(loss.rule for loss in LOSSES) == sorted([*RULES, *BEYOND, "prune"])


def without(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take one rule away."""
    if rule in RULES:
        monkeypatch.delitem(RULES, rule)
    elif rule in BEYOND:
        monkeypatch.setattr(guard, "BEYOND", BEYOND - {rule})
    else:
        monkeypatch.setattr(guard, "_refuse_beyond", lambda words: None)


@pytest.fixture
def plugin(tmp_path: Path, student: Student) -> Iterator[Path]:
    """A plug-in that does nothing, as a folder to make one of."""
    folder = tmp_path / "plugin"
    (folder / "rootfs").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"entrypoint": ["/x"], "interface": {}}))
    yield folder
    for left in plain("plugin", "ls", "-q").split():
        plain("plugin", "rm", "-f", left)


@pytest.mark.live("docker")
@pytest.mark.parametrize("loss", LOSSES, ids=[loss.rule for loss in LOSSES])
def test_what_would_be_lost_without_a_rule(
    loss: Loss, lab: Lab, student: Student, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen() -> str:
        if loss.seen == "SETTINGS":
            settings = Path(os.environ["DOCKER_CONFIG"], "config.json")
            return settings.read_text() if settings.exists() else ""
        return plain(*split(loss.seen))

    for image in ("busybox", "hello-world"):
        student("pull", "-q", image)
    for line in loss.made.splitlines():
        student(*split(line.replace("PLUGIN", str(plugin))))
    lab("create --name lessons busybox")
    lab("network create n")
    before = seen()
    refused(lab, loss.command, "12", loss.stdin)
    assert seen() == before
    without(loss.rule, monkeypatch)
    lab(loss.command, stdin=loss.stdin)
    assert seen() != before
    lab.clean()
    for kind, now in inventory().items():  # the student has lost it, and has only what is left
        student.own[kind] = now - student.before[kind]


# -- spellings ----------------------------------------------------------------------------------


@pytest.mark.live("docker")
def test_however_it_is_spelt_what_is_the_students_is_left_alone(lab: Lab, student: Student) -> None:
    student("pull", "busybox")
    container = student("run", "-d", "--name", "s1", "busybox", "sleep", "1d")
    image = student.image("s/img:1", "LABEL a=b", base="busybox")
    network = student("network", "create", "s-network")
    student("volume", "create", "s-volume")
    student("tag", "busybox", "localhost:5000/s:1")
    mine = lab("run -d --name m1 busybox sleep 1d")
    digest = plain("inspect", "--format", "{{index .RepoDigests 0}}", "busybox")
    before = {**student.inspected(), "mine": plain("inspect", mine)}
    commands = {
        "rm -f": ["s1", container, container[:12], container[:4], "/s1", "m1 s1", "-- s1"],
        "container stop -t 1": ["s1"],
        "container exec -e A=1": ["s1 true"],
        "rmi -f": [
            *("s/img:1", image, image[7:19], image[7:12], "busybox", "busybox:latest", digest),
            *("library/busybox", "docker.io/library/busybox", "docker.io/busybox:latest"),
            *(f"docker.io/library/{digest}", "index.docker.io/library/busybox"),
            "localhost:5000/s:1",
        ],
        "image remove": ["s/img:1"],
        "tag m1": ["s/img:1", "busybox", "docker.io/library/busybox:latest"],
        "container commit --author=x m1": ["s/img:1"],
        "image import -": ["s/img:1"],
        "build": ["--tag=s/img:1 .", "-t new:1 -t s/img:1 .", ". -t s/img:1"],
        "image build": ["-ts/img:1 ."],
        "builder build": ["-t s/img:1 ."],
        "volume remove -f": ["s-volume"],
        "network remove": ["s-network", network, network[:12]],
    }
    for command, names in commands.items():
        for name in names:
            said = refused(lab, f"{command} {name}", "12", "")
            assert "your own" in said, (command, name, said)
    for line in ("system", "image", "volume", "network", "builder"):
        assert "never prunes" in refused(lab, f"{line} prune -f")
    assert "set up on your machine" in refused(lab, "context use default")
    assert {**student.inspected(), "mine": plain("inspect", mine)} == before


@pytest.mark.live("docker")
def test_the_lessons_own_may_be_altered(lab: Lab, student: Student) -> None:
    student("pull", "busybox")
    mine = lab("run -d --name a1 busybox sleep 1d")
    lab("exec a1 true")
    lab(f"exec {mine[:12]} true")
    lab("cp a1:/etc/passwd -")
    lab("rename a1 a2")
    lab(f"stop -t 0 {mine}")
    lab("start a2")
    lab("kill a2")
    lab("commit a2 a/img:1")
    lab("commit a2 a/img:1")
    lab("tag busybox a/other:1")
    lab("tag a/img:1 a/other:1")
    lab("build -t a/img:1 -", stdin="FROM busybox\nLABEL a=1\n")
    lab("image rm a/img:1")
    lab("rmi a/other:1")
    lab("volume create a-volume")
    lab("volume rm a-volume")
    lab("network create a-network")
    lab("network connect a-network a2")
    lab("network disconnect a-network a2")
    lab("network rm a-network")
    lab(f"container rm {mine[:7]}")
    assert plain("inspect", "--format", "{{.RepoTags}}", "busybox") == "[busybox:latest]"
