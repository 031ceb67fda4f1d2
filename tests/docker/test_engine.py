"""Docker at work for a lesson: commands before they run, labels, what an interrupt leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from engines.dockerd import Dockerd
from live import Lab, Student, plain
from samples.docker_lesson import lesson_folder
from samples.errors import refused

from labkit.docker.client import LABEL
from labkit.docker.engine import Docker
from labkit.errors import LabError
from labkit.lesson import Lesson
from labkit.rehearse import Rehearsal
from labkit.words import split

# -- a command, before it runs ------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed,effect,slow",
    [
        ("ps -a", "none", False),
        ("", "none", False),
        ("run --help", "none", False),
        ("images", "none", False),
        *((f"{name} x", "seen", True) for name in ("run", "pull", "build", "push")),
        ("load -i x.tar", "seen", True),
        ("image build .", "seen", True),
        *((f"{name} x", "seen", False) for name in ("rm", "rmi", "create", "stop", "commit")),
        ("volume create v", "seen", False),
        *((f"{name} x y", "unseen", False) for name in ("exec", "cp", "rename", "update")),
        *((f"container {name} x", "unseen", False) for name in ("start", "restart")),
    ],
)
def test_what_a_command_does_and_whether_it_takes_long(typed: str, effect: str, slow: bool) -> None:
    argv = ["docker", *split(typed)]
    command = Docker.parse(argv)
    assert (command.argv, command.effect, command.slow) == (tuple(argv), effect, slow)


@pytest.mark.parametrize(
    "typed,said",
    [
        ("run -it busybox", "`run -it` waits for a keyboard"),
        ("run -i -t busybox sh", "waits for a keyboard"),
        ("container run --interactive --tty --rm busybox", "waits for a keyboard"),
        ("container exec -ti x sh", "`exec -it` waits for a keyboard"),
        ("events", "`docker events` never ends, and a cell must; `docker ps -a`"),
        ("stats x", "add `--no-stream`"),
        ("logs x --follow", "leave out -f"),
        ("container logs -ft x", "leave out -f"),
        ("attach x", "`docker exec NAME command`"),
        ("-H tcp://1.2.3.4 ps", "labkit talks to one engine"),
    ],
)
def test_what_no_cell_can_run_is_refused(typed: str, said: str) -> None:
    assert said in refused(Docker.parse, ["docker", *typed.split()])


@pytest.mark.parametrize(
    "typed",
    [
        "run -dit busybox",
        "run --detach -it busybox",
        "run -t busybox",
        "logs x",
        "stats --no-stream",
        "events --until 0s",
        "logs -f --help",
        "attach --help",
        "exec x ls -it",
    ],
)
def test_what_ends_by_itself_is_not_refused(typed: str) -> None:
    assert Docker.parse(["docker", *typed.split()])


# -- running it ---------------------------------------------------------------------------------


@pytest.mark.live("docker")
def test_labels_all_that_docker_can_label(lab: Lab) -> None:
    def label(kind: str, name: str) -> str:
        labels = ".Labels" if kind in ("volume", "network") else ".Config.Labels"
        return plain(
            "inspect", "--type", kind, "--format", f'{{{{index {labels} "{LABEL}"}}}}', name
        )

    lab("run --name l1 busybox true")
    lab("container create --name l2 busybox true")
    lab("commit l1 l/img:1")
    lab("build -t l/img:2 -", stdin="FROM busybox\nRUN echo hi > /hi\n")
    lab("volume create l-volume")
    lab("network create l-network")
    made = ["container l1", "container l2", "image l/img:1", "image l/img:2"]
    for thing in (*made, "volume l-volume", "network l-network"):
        assert label(*thing.split()) == "12", thing


@pytest.mark.live("docker")
def test_containers_of_our_own_are_labelled_and_noted_even_in_an_interrupt(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab("pull -q busybox")
    made = lab.docker.create("o1", "busybox", ["sleep", "1d"], "host", cap_add=["NET_ADMIN"])
    lab.docker.start(made)
    about = "{{.State.Running}} {{.Config.Hostname}} {{.HostConfig.CapAdd}} {{.Config.Labels}}"
    said = plain("inspect", "--format", about, "o1")
    assert said.startswith("true host [") and "NET_ADMIN" in said and f"{LABEL}:12" in said

    def cut_short(*args: Any, **options: Any) -> Any:
        create(*args, **options)
        raise KeyboardInterrupt

    create = lab.client.api.create_container
    monkeypatch.setattr(lab.client.api, "create_container", cut_short)
    with pytest.raises(KeyboardInterrupt):
        lab.docker.create("o2", "busybox", ["true"], "host")
    noted = {entry[1] for entry in lab.made() if entry[0] == "container"}
    assert noted == set(plain("ps", "-aq", "--no-trunc").split()) and len(noted) == 2
    assert "no-such" in refused(lab.docker.create, "o3", "no-such", ["true"], "host")


@pytest.mark.live("docker")
def test_a_detached_container_has_a_moment_to_be_seen_as_ended(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []
    monkeypatch.setattr(lab.client.api, "wait", lambda name, timeout: waited.append(name))
    lab("run --name e1 busybox true")
    made = [lab(f"run {option} busybox true") for option in ("-d", "--detach")]
    assert waited == made


@pytest.mark.live("docker")
def test_a_command_that_runs_while_something_else_fails_is_no_interrupt(lab: Lab) -> None:
    try:
        raise LabError("Something else.")
    except LabError:
        lab("run -d --name e2 busybox sleep 1d")
    assert [each["state"] for each in lab.docker.world()["containers"]] == ["running"]


@pytest.mark.live("docker")
def test_a_pull_is_shown_as_a_terminal_leaves_it(lab: Lab) -> None:
    pulled = lab("pull busybox").splitlines()
    layers = [line for line in pulled if line[12:14] == ": "]
    assert layers and all(line.endswith(": Pull complete") for line in layers)
    assert pulled[-1] == "docker.io/library/busybox:latest"


# -- in a notebook ------------------------------------------------------------------------------

NOTEBOOK = """
import sys, IPython
shell = IPython.core.interactiveshell.InteractiveShell.instance()
shell.run_cell("%load_ext labkit\\n%lesson 12")
print("ready", flush=True)
for line in sys.argv[1:]:
    shell.run_cell(line)
"""


def notebook(*cells: str) -> subprocess.Popen[str]:
    """Cells of a lesson in a process of their own, begun."""
    process = subprocess.Popen(
        [sys.executable, "-c", NOTEBOOK, *cells],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "LABKIT_PROGRESS": "off"},
    )
    assert process.stdout
    while "ready" not in process.stdout.readline():
        assert process.poll() is None
    return process


@pytest.mark.live("docker")
def test_a_name_that_is_taken_is_told_whose_it_is(lab: Lab, student: Student) -> None:
    student("pull", "busybox")
    taken = student("run", "-d", "--name", "taken", "busybox", "sleep", "1d")
    cells = ["%docker run --name taken busybox true", "%docker rm -f taken"]
    cells += ["%docker create --name ours busybox"] * 2
    said, _ = notebook(*cells).communicate(timeout=60)
    assert "exit code 125. taken is a container of your own: labkit does not touch it" in said
    assert "taken is your own" in said and "Traceback" not in said
    assert "This lesson already has a container ours: `docker rm -f ours` first" in said
    assert plain("inspect", "--format", "{{.State.Running}} {{.Id}}", "taken") == f"true {taken}"


@pytest.mark.live("docker")
@pytest.mark.parametrize("options", ["", "--rm -i "])
def test_an_interrupt_leaves_nothing_running(lab: Lab, student: Student, options: str) -> None:
    process = notebook(f"%docker run {options}--name stuck busybox sleep 600", "%docker ps")
    while "stuck" not in plain("ps", "--format", "{{.Names}}"):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)  # far less than the container would sleep
    assert said.count("Stopped by you") == 1 and "Traceback" not in said
    assert "stuck" not in plain("ps", "--format", "{{.Names}}")
    left = plain("ps", "-aq", "--no-trunc", "--filter", "name=stuck")
    noted = {entry[1] for entry in lab.made() if entry[0] == "container"}
    assert left == "" if "--rm" in options else noted == {left}
    running = ["pgrep", "-f", "docker run .*--name stuck"]
    assert subprocess.run(running, capture_output=True, text=True).stdout == ""


# -- what a lesson may ask, and before class ----------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return lesson_folder(tmp_path)


@pytest.mark.live("docker")
def test_a_rehearsal_asks_what_a_student_may_ask(lab: Lab, folder: Path) -> None:
    rehearsal = Rehearsal("77", folder=folder)
    rehearsal.reset()
    for line in ("pull -q busybox", "run --name r1 busybox touch /x", "start r1", "ps -a"):
        rehearsal.command(["docker", *split(line)])
    recording = rehearsal.tape.recording
    states = {state for state, _question in recording.reads}
    assert len(states) == 4  # at the start, with an image, with a container, started once more
    for state in states:
        for asked in ("docker images", "docker ps", "docker ps -a"):
            assert (state, asked) in recording.steps
    changes = [read for (_state, asked), read in recording.reads.items() if asked == "changes r1"]
    assert changes == [[{"kind": "A", "path": "/x"}]] * 2
    assert rehearsal.reset() == []


@pytest.mark.live("docker")
def test_an_engine_with_things_of_others_is_crowded(lab: Lab, student: Student) -> None:
    assert lab.docker.crowded == ""
    empty = lab.docker.fingerprint()
    student("pull", "-q", "busybox")
    student("create", "busybox")
    assert lab.docker.crowded.startswith("this one has 2 images and containers of its own")
    assert lab.docker.fingerprint() != empty


@pytest.mark.live("docker")
def test_a_lesson_opens_on_the_engine_there_is(lab: Lab, folder: Path) -> None:
    lesson = Lesson("77", "live", folder)
    assert lesson.tape.header.engines == {"docker": str(lab.client)}
    assert lesson.engine("docker").keeps == "prefetched"
    assert Rehearsal("77", folder=folder).engine("docker").keeps == "77"  # leaves nothing behind


@pytest.mark.live("docker")
def test_the_doctors_line(on_engine: Dockerd, monkeypatch: pytest.MonkeyPatch) -> None:
    [finding] = Docker.examine()
    assert finding.fine and finding.text.endswith(": lessons run live")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    [finding] = Docker.examine()
    assert not finding.fine and "replay their recordings" in finding.text


@pytest.mark.live("docker")
def test_a_sweep_without_an_engine(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def without_docker() -> list[str]:
        with monkeypatch.context() as patch:
            patch.setenv("PATH", str(tmp_path))
            return Docker.sweep([])

    assert without_docker() == []  # none was ever used here
    lab("volume create s-volume")
    [note] = without_docker()
    assert "Docker is not installed" in note
    assert Docker.sweep(["13"]) == [] and lab.made()
    assert Docker.sweep([]) == [] and not lab.made()
