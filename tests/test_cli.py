"""The `labkit` command: exit codes, one line when something is wrong, and how little importing it costs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from samples.archives import digest, file, tar
from samples.disks import UUID, vdi
from samples.machines import ORACLE, attached, chain, home, machine, uuid

from labkit import cli
from labkit.docker.engine import Docker
from labkit.docker.ledger import Ledger
from labkit.errors import LabError
from labkit.virtualbox.engine import Bench

NOWHERE = {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", NOWHERE["DOCKER_HOST"])


def labkit(*argv: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "labkit", *argv],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        **options,
    )  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A `docker save` archive of one layer, made here."""
    layer = tar([file("a/one.txt", 10), file("two.txt", 20)])
    config = json.dumps(
        {
            "rootfs": {"type": "layers", "diff_ids": [digest(layer)]},
            "history": [{"created_by": "COPY . /"}],
            "os": "linux",
            "architecture": "amd64",
        }
    ).encode()
    manifest = json.dumps(
        [{"Config": "c.json", "RepoTags": ["mine:1"], "Layers": ["l/layer.tar"]}]
    ).encode()
    path = tmp_path / "mine.tar"
    path.write_bytes(
        tar([file("c.json", config), file("l/layer.tar", layer), file("manifest.json", manifest)])
    )
    return str(path)


# -- what it says -------------------------------------------------------------------------------


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert done.value.code == 0
    for name in ("doctor", "reset", "prefetch", "record", "layers", "forest", "snapshots", "disk"):
        assert re.search(rf"^    {name}\b", text, re.M)
        with pytest.raises(SystemExit) as done:
            cli.main([name, "--help"])
        assert done.value.code == 0 and f"labkit {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nosuch"],
        ["layers"],
        ["record"],
        ["layers", "--nosuch", "x"],
        ["forest", "x"],
        ["disk"],
        ["disk", "a", "b"],
        ["snapshots", "--lesson"],
        ["snapshots", "--nosuch"],
    ],
)
def test_wrong_use_is_2_and_says_how(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        cli.main(argv)
    said = capsys.readouterr()
    assert done.value.code == 2 and said.out == "" and "usage: labkit" in said.err


@pytest.mark.parametrize(
    "argv",
    [["forest"], ["reset"], ["reset", "12"], ["prefetch"], ["record", "12"], ["layers", "busybox"]],
)
def test_without_an_engine_it_is_1_and_one_line(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(argv) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith(
        "labkit: No Docker engine answers at unix:///nonexistent/docker.sock. "
    )


def test_without_the_docker_command_it_says_where_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["forest"]) == 1
    said = capsys.readouterr().err
    assert "Docker is not installed here" in said and "https://docs.docker.com/get-started/" in said
    assert said.count("\n") == 1


def test_doctor_works_without_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("✔ Python 3.") and lines[1].startswith("✘ No Docker engine answers")
    assert (
        "replay" in lines[1]
        and lines[-1].startswith("✔ recordings of")
        and "07, 09, 10, 12" in lines[-1]
    )


@pytest.mark.skipif(sys.platform == "win32", reason="a program in one line of sh")
def test_doctor_says_that_machines_cannot_be_started(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "VBoxManage"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{ORACLE}7.2.22r1\n'\n")
    program.chmod(0o755)
    monkeypatch.setattr("labkit.virtualbox.program.find_program", lambda: str(program))
    assert cli.main(["doctor"]) == 0
    assert (
        "✔ VirtualBox 7.2.22; its kernel driver is not loaded, so machines cannot be started\n"
        in (capsys.readouterr().out)
    )


def test_doctor_says_where_to_get_virtualbox(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("labkit.virtualbox.program._PLACES", ())
    assert cli.main(["doctor"]) == 0
    virtualbox, qemu = capsys.readouterr().out.splitlines()[2:4]
    assert virtualbox.startswith(
        "✘ VirtualBox is not installed here; get it from https://www.virtualbox.org/"
    )
    assert qemu.startswith(
        "✘ qemu-img is not installed here; get it from "
    )  # both at once, for both are needed
    assert "replay" in virtualbox and "replay" in qemu


@pytest.mark.parametrize(
    "name,data",
    [
        ("missing.tar", None),
        ("missing.tar.gz", None),
        ("empty.tar", b""),
        ("text.tar", b"no archive at all\n"),
        ("zeros.tar", b"\0" * 10240),
        ("noise.tar", bytes(range(256)) * 40),
    ],
)
def test_layers_of_what_is_no_image(
    name: str, data: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    assert cli.main(["layers", str(tmp_path / name)]) == 1
    said = capsys.readouterr()
    assert (
        said.out == ""
        and said.err.count("\n") == 1
        and said.err.startswith("labkit: ")
        and name in said.err
    )


def test_layers_of_an_archive(archive: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["layers", archive]) == 0
    text = capsys.readouterr().out
    assert "COPY . /" in text and "30B" in text and "wasted 0B" in text
    assert cli.main(["layers", archive, "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert set(data) == {"image", "layers", "size", "wasted", "efficiency"} and data["size"] == 30
    assert set(data["layers"][0]) == {
        "diff_id",
        "chain_id",
        "created_by",
        "empty",
        "size",
        "added",
        "changed",
        "removed",
    }
    assert cli.main(["layers", archive, "--ref", "nosuch:1"]) == 1
    assert "nosuch:1" in capsys.readouterr().err


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A VirtualBox home of the user's own with a machine of two snapshots, and a linked clone of the first."""
    monkeypatch.setenv("VBOX_USER_HOME", str(tmp_path))
    base = machine("base", 1, chain(2), currentSnapshot=f"{{{uuid(1001)}}}")
    inner = f'<HardDisk uuid="{{{uuid(1)}}}"'
    base = base.replace(
        inner, f'<HardDisk uuid="{{{uuid(77)}}}" location="77.vdi" format="VDI"/>{inner}'
    )
    home(tmp_path, base=base, clone=machine("clone", 2, attached(77)), alone=machine("alone", 3))
    (tmp_path / "Snapshots").mkdir()
    (tmp_path / "Snapshots" / "0.vdi").write_bytes(vdi([b"x" * 4096, None], [0], 4096))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *argv: str, code: int = 0) -> str:
    """What a subcommand prints; when it fails that is one line, on the other stream."""
    assert cli.main(argv) == code
    heard = capsys.readouterr()
    text, other = (heard.err, heard.out) if code else (heard.out, heard.err)
    assert other == "" and (
        not code or (text.startswith("labkit: ") and text.count("\n") == 1 and len(text) < 500)
    )
    return text


@pytest.mark.parametrize(
    "names,there",
    [
        ((), "base alone clone"),
        (("alone",), "alone"),
        (("base", "alone"), "base alone"),
        (("clone",), "base clone"),
        ((uuid(3),), "alone"),
    ],
)
def test_snapshots_draws_machines(
    machines: Path, capsys: pytest.CaptureFixture[str], names: tuple[str, ...], there: str
) -> None:
    text = said(capsys, "snapshots", *names)
    assert set(re.findall("▣  (?:.* )?(base|clone|alone)", text)) == set(there.split())
    assert ("s1" in text) == ("base" in there) and ("linked to" in text) == ("clone" in there)
    assert (
        text.count("The file of 77.vdi is missing") <= 1 and "The file of diff 1" in text
    )  # what is in doubt is said
    data = json.loads(said(capsys, "snapshots", *names, "--json"))
    assert {found["name"] for found in data["machines"]} == set(there.split())


def test_snapshots_as_data(machines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = json.loads(said(capsys, "snapshots", "--json"))
    assert set(data) == {"machines", "media", "notes"} and all(
        "missing" in note for note in data["notes"]
    )
    base, clone, _ = data["machines"]
    assert [
        {key: snapshot[key] for key in ("name", "uuid", "parent", "taken", "current")}
        for snapshot in base["snapshots"]
    ] == [
        {
            "name": "s0",
            "uuid": uuid(1000),
            "parent": None,
            "taken": "2026-01-01T00:00:00Z",
            "current": False,
        },
        {
            "name": "s1",
            "uuid": uuid(1001),
            "parent": uuid(1000),
            "taken": "2026-01-01T00:00:00Z",
            "current": True,
        },
    ]
    assert base["linked_to"] is None
    assert clone["linked_to"] == {"machine": "base", "snapshot": "s0", "uuid": uuid(1000)}
    keys = "uuid", "parent", "format", "capacity", "size_on_disk", "used_by"
    size = (machines / "Snapshots" / "0.vdi").stat().st_size
    assert [tuple(medium[key] for key in keys) for medium in data["media"]][:2] == [
        (uuid(0), None, "VDI", 8192, size, ["base @ s0"]),
        (uuid(77), uuid(0), "VDI", 8192, None, ["clone"]),
    ]


@pytest.mark.parametrize(
    "argv,line",
    [
        (["nosuch"], "There is no machine 'nosuch' here, only: base, clone, alone."),
        (["base", "nosuch", "--json"], "There is no machine 'nosuch'"),
        (
            ["--lesson", "09"],
            "Lesson '09' has nothing on this machine; these have: 07. Run its %lesson cell first.",
        ),
        (["--lesson", "../../x", "m"], "Lesson '../../x' has nothing on this machine"),
    ],
)
def test_snapshots_of_what_is_not_there(
    machines: Path, own_home: Path, capsys: pytest.CaptureFixture[str], argv: list[str], line: str
) -> None:
    (own_home / "bench" / "07").mkdir(parents=True)
    assert line in said(capsys, "snapshots", *argv, code=1)


def test_snapshots_where_there_is_no_virtualbox_and_where_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VBOX_USER_HOME", str(tmp_path))
    assert said(capsys, "snapshots") == "(empty)\n"
    assert json.loads(said(capsys, "snapshots", "--json")) == {
        "machines": [],
        "media": [],
        "notes": [],
    }
    (tmp_path / "VirtualBox.xml").write_text("damaged")
    assert "VirtualBox.xml is damaged" in said(capsys, "snapshots", code=1)


@pytest.mark.virtualbox
def test_snapshots_of_a_lesson(machines: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lesson = Bench.open("77", ("VBoxManage",))
    try:
        assert lesson.run(["VBoxManage", "createvm", "--name", "mine", "--register"]).code == 0
        (found,) = json.loads(said(capsys, "snapshots", "--lesson", "77", "--json"))["machines"]
        assert (found["name"], found["snapshots"], found["linked_to"]) == ("mine", [], None)
        assert "mine" in said(capsys, "snapshots", "mine", "--lesson", "77")
        assert "only: mine" in said(capsys, "snapshots", "base", "--lesson", "77", code=1)
    finally:
        assert lesson.clean() == []


def test_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two\nlines.vdi"
    path.write_bytes(vdi([None, b"x" * 4096, None], [1], 4096))
    text = said(capsys, "disk", str(path))
    assert "VDI dynamic, capacity 12 KiB, 1 of 3 blocks of 4 KiB allocated" in text
    assert "signature" in text and "guest  ·█·" in text
    data = json.loads(said(capsys, "disk", str(path), "--json"))
    keys = "name", "format", "variant", "capacity", "allocated", "block_size", "uuid", "parent"
    assert [data[key] for key in keys] == [
        "two lines.vdi",
        "VDI",
        "dynamic",
        12288,
        4096,
        4096,
        str(UUID),
        "",
    ]
    assert all(
        list(field) == ["offset", "size", "name", "value", "meaning"] for field in data["fields"]
    )
    assert {(field["offset"], field["size"], field["name"]) for field in data["fields"]} >= {
        (64, 4, "signature"),
        (368, 8, "capacity"),
    }


@pytest.mark.parametrize(
    "name,data",
    [
        ("missing.vdi", None),
        ("empty.vdi", b""),
        ("cut.vdi", vdi([b"x"], [0], 1)[:300]),
        (".", None),
        ("missing\0.vdi", None),
        ("x" * 300, None),
    ],
)
@pytest.mark.parametrize("json", [[], ["--json"]])
def test_disk_of_what_is_no_disk(
    name: str,
    data: bytes | None,
    json: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    said(capsys, "disk", f"{tmp_path}/{name}", *json, code=1)


NET = """\
switch s1
host ana 10.0.0.1/24 s1.1
host ben 10.0.0.2/24 s1.2
host eva 10.0.0.3/24 s1.3
access 20 s1.3
"""
WHY = (
    "ana → eva: port s1.1 is in VLAN 1, port s1.3 in VLAN 20, and switches pass nothing from one VLAN to another: "
    "that takes a router"
)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_net(mark: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "school.net"
    path.write_text(mark + NET, "utf-8")
    lines = said(capsys, "net", str(path)).splitlines()
    assert lines[:3] == ["        ana +1  eva", "ana +1  yes     no", "eva     no      ·"]
    assert (
        lines[3] == WHY
        and lines[4].startswith("eva → ben: port s1.3 is in VLAN 20, ")
        and len(lines) == 5
    )
    data = json.loads(said(capsys, "net", str(path), "--json"))
    assert data["groups"] == [["ana", "ben"], ["eva"]]
    assert [(pair["from"], pair["to"], pair["reaches"]) for pair in data["reach"]] == [
        (0, 0, True),
        (0, 1, False),
        (1, 0, False),
    ]
    assert f"ana → eva: {data['reach'][1]['why']}" == WHY and data["reach"][0]["why"] == ""


@pytest.mark.parametrize(
    "name, data, line",
    [
        ("missing.net", None, "missing.net cannot be read: No such file or directory."),
        (".", None, "cannot be read: Is a directory."),
        ("missing\0.net", None, "cannot be read: embedded null byte."),
        ("two\nlines.net", None, "two lines.net cannot be read"),
        ("x" * 300, None, "cannot be read: File name too long."),
        ("binary.net", b"\x7fELF\xff\xfe\0", "binary.net is no text: a topology has lines as"),
        ("utf16.net", NET.encode("utf-16"), "utf16.net is no text"),
        ("long.net", b"#" * 5_000_000, "long.net is longer than 4,194,304 letters"),
        ("bad.net", b"switch s1\n\n# a host\nhoost ana", "labkit: Line 4: 'hoost' is no statement"),
        (
            "bad.net",
            b"host ana 10.0.0.1/24 s1.1\nswitch s1\nhost ben 10.0.0.1/24 s1.2",
            "Line 3: the address 10.0.0.1",
        ),
        ("bad.net", b"switch a b\nlink a.1 b.1\nlink a.2 b.2", "runs in a ring"),
        (
            "many.net",
            b"switch " + b" ".join(b"s%d" % n for n in range(10_001)),
            "Line 1: more than 10,000 devices",
        ),
    ],
)
@pytest.mark.parametrize("json", [[], ["--json"]])
@pytest.mark.skipif(sys.platform == "win32", reason="words of POSIX")
def test_net_of_what_is_no_network(
    name: str,
    data: bytes | None,
    line: str,
    json: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if data is not None:
        (tmp_path / name).write_bytes(data)
    assert line in said(capsys, "net", f"{tmp_path}/{name}", *json, code=1)


def test_net_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty.net").write_bytes(b"")
    assert said(capsys, "net", str(tmp_path / "empty.net")) == "(no hosts)\n"
    assert json.loads(said(capsys, "net", str(tmp_path / "empty.net"), "--json")) == {
        "groups": [],
        "reach": [],
    }


def test_net_of_five_thousand_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["switch " + " ".join(f"s{n}" for n in range(51))]
    lines += [f"link s0.{n} s{n}.999\ntrunk 10,20 s0.{n} s{n}.999" for n in range(1, 51)]
    for n in range(5000):
        plug = f"s{1 + n % 50}.{1 + n // 50}"
        lines += [
            f"host h{n} 10.0.{n // 250}.{n % 250 + 1}/16 {plug}",
            f"access {10 + n % 2 * 10} {plug}",
        ]
    path = tmp_path / "big.net"
    path.write_text("\n".join(lines), "utf-8")
    started = time.process_time()
    lines = said(capsys, "net", str(path)).splitlines()
    assert lines[:3] == [
        "          h0 +2499  h1 +2499",
        "h0 +2499  yes       no",
        "h1 +2499  no        yes",
    ]
    data = json.loads(said(capsys, "net", str(path), "--json"))
    assert [len(group) for group in data["groups"]] == [
        2500,
        2500,
    ] and time.process_time() - started < 10


@pytest.mark.parametrize(
    "error,code,line",
    [
        (LabError("What happened."), 1, "labkit: What happened.\n"),
        (KeyboardInterrupt(), 130, "labkit: stopped by you.\n"),
    ],
)
def test_how_it_ends(
    error: BaseException,
    code: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("labkit.doctor.examine", fail)
    assert cli.main(["doctor"]) == code
    assert capsys.readouterr().err == line


# -- what it removes ----------------------------------------------------------------------------


class Engine:
    """Stands for an engine whose ledger tells what lessons made."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder)
        self.cleaned: list[str] = []

    def clean(self, lesson: str) -> list[str]:
        self.ledger.entries(lesson)
        self.cleaned.append(lesson)
        return ["x stays: in use"] if lesson == "09" else []


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    engine = Engine(tmp_path / "ledger")
    for lesson in ("00", "09", "12", "prefetched"):
        engine.ledger.add(lesson, [("container", "c")])
    monkeypatch.setattr(Docker, "find", lambda: engine)
    return engine


def test_reset_is_of_lessons_and_leaves_what_was_fetched_before_class(engine: Engine) -> None:
    assert cli.main(["reset"]) == 1  # for what stays
    assert engine.cleaned == ["00", "09", "12"]


def test_reset_of_some(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["reset", "12"]) == 0
    assert engine.cleaned == ["12"] and "untouched" in capsys.readouterr().out
    assert cli.main(["reset", "09"]) == 1
    assert "except: x stays: in use" in capsys.readouterr().err
    assert cli.main(["reset", "prefetched"]) == 0
    assert engine.cleaned == ["12", "09", "prefetched"]


@pytest.mark.parametrize("command", ["reset", "prefetch"])
@pytest.mark.parametrize("name", ["nosuch", "../../notes", "en", ""])
def test_a_name_that_is_no_lessons_is_said(
    command: str, name: str, engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([command, "00", name]) == 1
    said = capsys.readouterr()
    assert (
        said.err.startswith(f"labkit: There is no lesson {name!r}; there are: 00, 02,")
        and said.out == ""
    )
    assert engine.cleaned == []


def test_reset_where_docker_never_was(
    own_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A classroom may have VirtualBox alone."""
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main(["reset"]) == 0
    Ledger(own_home / "docker" / "engine").add("12", [("container", "c")])
    assert cli.main(["reset"]) == 1 and "Docker is not installed here" in capsys.readouterr().err


# -- as a process -------------------------------------------------------------------------------


def test_it_is_a_command_and_a_module() -> None:
    done = labkit("layers", "missing.tar")
    assert done.returncode == 1 and done.stdout == "" and done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_a_console_that_knows_few_letters_is_no_reason_to_fail() -> None:
    done = labkit("doctor", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 0 and done.stderr == "" and "\\u2714 Python" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of POSIX")
def test_a_reader_that_has_had_enough_is_no_error(tmp_path: Path) -> None:
    program = (
        "import sys\nfrom labkit import cli, doctor\n"
        "doctor.examine = lambda: [(True, 'x' * 1000)] * 10000\nsys.exit(cli.main(['doctor']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout and process.stderr
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(20) == 0
    process.stderr.close()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_is_130_and_one_line() -> None:
    program = (
        "import sys, time\nfrom labkit import cli, doctor\n"
        "doctor.examine = lambda: (print('ready', flush=True), time.sleep(60))\n"
        "sys.exit(cli.main(['doctor']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130 and err == "labkit: stopped by you.\n"


LATE = [
    "matplotlib",
    "docker",
    "IPython",
    "ipywidgets",
    "zstandard",
    "numpy",
    "nbformat",
    "requests",
]


@pytest.mark.parametrize(
    "imported", ["labkit", "labkit.cli", "labkit.tape, labkit.words, labkit.lesson"]
)
def test_importing_is_light(imported: str) -> None:
    code = f"import sys, {imported}; print([name for name in {LATE} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
def test_importing_takes_less_than_a_tenth_of_a_second() -> None:
    code = "import time; t = time.perf_counter(); import labkit; print(time.perf_counter() - t)"
    taken = [
        float(
            subprocess.run(
                [sys.executable, "-c", code], capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(5)
    ]
    assert min(taken) < 0.1, taken


def test_only_one_module_starts_processes() -> None:
    package = Path(cli.__file__).parent
    for path in package.glob("*.py"):
        text = path.read_text("utf-8")
        assert ("import subprocess" in text) == (path.name == "commands.py"), path.name
        assert "shell=True" not in text and "os.system" not in text


def test_help_is_quick() -> None:
    started = time.perf_counter()
    assert labkit("--help").returncode == 0
    assert time.perf_counter() - started < 10
