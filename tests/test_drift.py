"""Drift: what a lesson's recording says is what a live engine says today."""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from live import ROOT, Student, plain
from sanitize import sanitised

from labkit.material import material
from labkit.rehearse import record

FOLDERS = sorted(path.parent for path in (ROOT / "notebooks" / "lessons").glob("*/recording.json"))
GIVEN = re.compile(r"\b[a-z]+_[a-z]+\d?(?=$|\")", re.M)  # a name Docker made up: adjective_surname
BUILT = re.compile(r"^.*\blab\d\d/net\b.*$", re.M)  # of Debian's packages of the day: of any size
ROOT_DIR = "/var/lib/docker"
LISTS = {
    "docker images": "\n",
    "docker ps": "\n",  # what is of the same second comes in any order
    "VBoxManage list vms": "\n",  # VBoxSVC's order changes when it restarts
    "VBoxManage list hdds": "\nout \n",
}
IN_ORDER = ("machines", "media", "notes")


def needing(name: str) -> list[Path]:
    """The lessons that need an engine."""
    return [folder for folder in FOLDERS if name in material(folder).needs]


def settled(text: str, root: str) -> str:
    """A text without what differs from run to run, or from one engine's folder to another's."""
    return sanitised(GIVEN.sub("A_NAME", text.replace(root, ROOT_DIR)))


def _output(step: dict[str, Any], root: str) -> str:
    said = BUILT.sub(lambda line: re.sub(r"\d+MB$", "A_SIZE", line[0]), "".join(step["output"]))
    output = settled(said, root)
    for start, between in LISTS.items():
        if step["key"].startswith(start):
            output = between.join(sorted(output.split(between)))
    return output


def _world(world: dict[str, Any], root: str) -> dict[str, Any]:
    """What is of no order in an order of its own, whatever random names there are in it."""
    for image in world.get("images", ()):
        image["size"] *= not any(map(BUILT.match, image["tags"]))

    def known(thing: Any) -> str:
        return settled(_undated(json.dumps(thing)), root)

    return {
        kind: things if kind in IN_ORDER else sorted(things, key=known)
        for kind, things in world.items()
    }


def _undated(text: str) -> str:
    return re.sub(r'"created": \d+', '"created": 0', text)


def facts(recording: dict[str, Any], root: str = ROOT_DIR) -> dict[str, str]:
    """What a recording states, one text for each thing stated."""
    recording = copy.deepcopy(recording)
    found: dict[str, str] = {}
    for step in recording["steps"]:
        ending = f"exit code {step['code']}\nnext state {step['next']}\n"
        found[f"`{settled(step['key'], root)}` at {step['at']}"] = ending + _output(step, root)
    for read in recording["reads"]:
        answer = read["value"]["is"]
        if read["what"] == "world":
            answer = _world(answer, root)
        text = _undated(json.dumps(answer, indent=1, sort_keys=True))
        found[f"reading {settled(read['what'], root)} at {read['at']}"] = settled(text, root)
    kinds = Counter(
        f"{settled(key.partition('sha256:')[0] or 'sha256', root)} {type(value).__name__}"
        for key, value in recording["contents"].items()
    )
    return {**found, "contents": json.dumps(kinds, sort_keys=True)}


def drift(stored: dict[str, str], now: dict[str, str]) -> str:
    """Where two recordings differ, for people to read; "" if nowhere."""
    lines: list[str] = []
    for what in dict.fromkeys([*stored, *now]):
        if what not in now:
            lines.append(f"no more: {what}")
        elif what not in stored:
            lines.append(f"new: {what}")
        elif stored[what] != now[what]:
            before, after = stored[what].splitlines(), now[what].splitlines()
            difference = difflib.unified_diff(before, after, lineterm="", n=1)
            lines += [f"changed: {what}", *list(difference)[2:]]
    return "\n".join(lines)


def load(path: Path) -> dict[str, Any]:
    recording: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return recording


def compare(folder: Path, now: Path, root: str = ROOT_DIR) -> None:
    """Record the lesson now, and compare."""
    record(folder.name).tape.recording.save(now)
    difference = drift(facts(load(folder / "recording.json")), facts(load(now), root))
    assert not difference, f"record lesson {folder.name} again, or mend it:\n{difference}"


@pytest.mark.live("docker")
@pytest.mark.parametrize("folder", needing("docker"), ids=lambda folder: folder.name)
def test_a_recording_is_what_docker_says_today(
    folder: Path, student: Student, tmp_path: Path
) -> None:
    compare(folder, tmp_path / "now.json", plain("info", "--format", "{{.DockerRootDir}}"))


@pytest.mark.live("virtualbox", "qemu-img")
@pytest.mark.parametrize("folder", needing("virtualbox"), ids=lambda folder: folder.name)
def test_a_recording_is_what_virtualbox_says_today(folder: Path, tmp_path: Path) -> None:
    compare(folder, tmp_path / "now.json")


# -- the comparison itself ----------------------------------------------------------------------


def stored(name: str = "12") -> dict[str, Any]:
    return load(ROOT / "notebooks" / "lessons" / name / "recording.json")


def a_step(recording: dict[str, Any], start: str) -> dict[str, Any]:
    return next(step for step in recording["steps"] if step["key"].startswith(start))


def a_world(recording: dict[str, Any], kind: str) -> dict[str, Any]:
    worlds = (read["value"]["is"] for read in recording["reads"] if read["what"] == "world")
    return next(world for world in worlds if world[kind])


def edit_output(recording: dict[str, Any]) -> None:
    a_step(recording, "docker pull")["output"][0] = "out Using another tag\n"


def drop_line(recording: dict[str, Any]) -> None:
    a_step(recording, "docker history")["output"].pop()


def swap_streams(recording: dict[str, Any]) -> None:
    output = a_step(recording, "docker pull")["output"]
    output[0] = output[0].replace("out ", "err ", 1)


def drop_step(recording: dict[str, Any]) -> None:
    recording["steps"].remove(a_step(recording, "docker diff"))


def add_step(recording: dict[str, Any]) -> None:
    recording["steps"].append({**a_step(recording, "docker ps"), "at": "another"})


def edit_code(recording: dict[str, Any]) -> None:
    a_step(recording, "docker run")["code"] = 7


def edit_state(recording: dict[str, Any]) -> None:
    a_step(recording, "docker run")["next"] = "00000000"


def edit_read(recording: dict[str, Any]) -> None:
    a_world(recording, "containers")["containers"][0]["state"] = "paused"


def edit_size(recording: dict[str, Any]) -> None:
    a_world(recording, "images")["images"][0]["size"] += 1


def drop_read(recording: dict[str, Any]) -> None:
    recording["reads"].pop()


def drop_content(recording: dict[str, Any]) -> None:
    recording["contents"].popitem()


@pytest.mark.parametrize(
    "change",
    [
        edit_output,
        drop_line,
        swap_streams,
        drop_step,
        add_step,
        edit_code,
        edit_state,
        edit_read,
        edit_size,
        drop_read,
        drop_content,
    ],
)
def test_a_change_is_red(change: Callable[[dict[str, Any]], None]) -> None:
    recording = stored()
    changed = copy.deepcopy(recording)
    change(changed)
    assert changed != recording
    assert drift(facts(recording), facts(changed)) and drift(facts(changed), facts(recording))


def test_what_varies_is_not_drift() -> None:
    """Other IDs, dates and durations; another order of what is of the same second."""
    recording = stored()
    text = json.dumps(recording, ensure_ascii=False)
    other = json.loads(re.sub(r"[0-9a-f]{64}", lambda digest: digest[0][::-1], text))
    for step in other["steps"]:
        step["seconds"] += 1
        ages = re.compile(r"\b\d+ seconds? ago")
        step["output"] = [ages.sub("2 minutes ago", line) for line in step["output"]]
        if step["key"].startswith("docker images"):
            step["output"][1:] = step["output"][:0:-1]
    for read in other["reads"]:
        if read["what"] == "world":
            for thing in read["value"]["is"]["images"]:
                thing["created"] += 10
            read["value"]["is"]["images"].reverse()
    assert other != recording and drift(facts(recording), facts(other)) == ""


def test_disks_in_another_order_are_not_drift() -> None:
    """As after a restart of VBoxSVC, for which a pause of five seconds is enough."""
    recording = stored("09")
    other = copy.deepcopy(recording)
    listed = [step for step in other["steps"] if step["key"] == "VBoxManage list hdds"]
    lists = [step for step in listed if step["output"]]
    for step in lists:
        disks = "".join(step["output"]).split("out \n")[:-1]
        step["output"] = [f"{disk}out \n" for disk in reversed(disks)]
    assert other != recording and drift(facts(recording), facts(other)) == ""
    lists[-1]["output"].pop()
    assert drift(facts(recording), facts(other))


def test_the_difference_can_be_read() -> None:
    recording = stored()
    changed = copy.deepcopy(recording)
    edit_code(changed)
    step = a_step(recording, "docker run")
    assert drift(facts(recording), facts(changed)).splitlines() == [
        f"changed: `{sanitised(step['key'])}` at {step['at']}",
        "@@ -1,2 +1,2 @@",
        f"-exit code {step['code']}",
        "+exit code 7",
        f" next state {step['next']}",
    ]
