"""``%net …``: what each command says and does; a mistake is one line and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from samples import networks
from samples.errors import refused
from samples.pages import Page

from labkit.net.engine import _COMMANDS, Console
from labkit.net.headers import vlans
from labkit.net.network import AGEING

TEXT = """\
switch s1 s2
host ana 10.0.10.1/24 s1.1 via 10.0.10.254
host ben 10.0.10.2/24 s2.1 via 10.0.10.254
host eva 10.0.20.1/24 s1.2 via 10.0.20.254
router r s1.23 10:10.0.10.254/24 20:10.0.20.254/24
link s1.24 s2.24
access 10 s1.1 s2.1
access 20 s1.2
trunk 10,20 s1.23 s1.24 s2.24
name 20 exams
"""


@pytest.fixture
def console(tmp_path: Path) -> Console:
    (tmp_path / "small.net").write_text("switch a\nhost pc 10.0.0.1/24 a.1\n", "utf-8")
    (tmp_path / "bad.net").write_text("swich a\n", "utf-8")
    (tmp_path.parent / "x.net").write_text("switch outside\n", "utf-8")
    return networks.console(TEXT, folder=tmp_path)


def do(console: Console, line: str) -> str:
    """A command's text; its HTML ends what it begins, and says something too."""
    answer = console.do(line.split())
    page = Page(answer.html())
    assert page.text.strip() and "<script" not in answer.html()
    return str(answer)


def mistaken(console: Console, *words: str) -> str:
    """The line a mistake is answered with; network and journey are as before."""
    before = state(console)
    line = refused(console.do, words)
    assert state(console) == before and "\0" not in line and 20 < len(line) < 400
    return line


def state(console: Console) -> object:
    network = console.network
    return network and (
        str(network.topology),
        network.clock,
        str({name: switch.table for name, switch in network.switches.items()}),
        str({name: station.cache for name, station in network.stations.items()}),
        console.steps,
    )


# -- each command -------------------------------------------------------------------------------


def test_every_command_is_told_to_who_asks_for_another(console: Console) -> None:
    said = mistaken(console, "pong", "ana")
    assert said.startswith("'pong' is no command of the network") and all(
        name in said for name in _COMMANDS
    )


@pytest.mark.parametrize(
    "line, said",
    [
        ("show", "s1\n  port 1   access 10              ana 10.0.10.1/24"),
        ("access 20 s1.1", "  port 1   access 20              ana"),
        ("trunk 10 native 20 s1.24", "  port 24  trunk 10,20 native 20  s2.24"),
        ("deny r 10 20", "VLAN 20 is exams"),
        ("open small", "a\n  port 1   access 1               pc 10.0.0.1/24"),
        ("ping ana ben", "ben answers ana.\n"),
        ("ping ana ana", "(no frame was sent)"),
        ("ping ana 10.0.10.254", "10.0.10.254 answers ana.\n"),
        ("ping ana 10.9.9.9", "No reply.\n"),
        ("send ana ben", "Heard by ben.\n"),
        ("send ana eva", "Heard by nobody.\n"),
        ("send ana ben 10", "Heard by nobody.\n"),
        ("broadcast ana", "1 of 2 other hosts had to look at it: ben.\n"),
        ("broadcast eva", "0 of 2 other hosts had to look at it: none.\n"),
        ("table s1", "(nothing learned)"),
        ("reach ana ben", "yes, ana reaches ben"),
        ("reach", "        ana +1  eva\nana +1  yes     yes\neva     yes     ·"),
        ("wait 1", "1 s later the switches remember 0 addresses."),
        ("forget", "Nothing is learned any more."),
    ],
)
def test_what_a_command_says(console: Console, line: str, said: str) -> None:
    assert said in do(console, line)


def test_no_words_show_the_network(console: Console) -> None:
    assert str(console.do([])) == do(console, "show")


def test_a_journey_is_told_step_by_step_and_byte_by_byte(console: Console) -> None:
    lines = do(console, "ping ana eva").splitlines()
    assert lines[0] == "eva answers ana."
    assert [int(line.split()[0]) for line in lines[1:]] == [*range(1, len(console.steps) + 1)]
    for at, step in enumerate(console.steps, 1):
        text = do(console, f"bytes {at}")
        assert text.startswith(
            f"step {at}, {step.start} → {step.end}\n0000  {step.frame[:16].hex(' ')}"
        )
    assert any(vlans(step.frame) == (20,) for step in console.steps)


@pytest.mark.parametrize(
    "line, why",
    [
        ("deny r 10 20", "passes nothing on from VLAN 10 to VLAN 20 (exams)"),
        ("trunk 10 s1.23", "r does not get to eva"),
        ("trunk 20 s1.24", "VLAN 10 stops at s1.24"),
    ],
)
def test_no_reply_says_why_not_as_reach_does(console: Console, line: str, why: str) -> None:
    do(console, line)
    target = "ben" if "s1.24" in line else "eva"
    said = do(console, f"ping ana {target}").splitlines()[0]
    assert why in said and said.startswith("No reply: ") and said.endswith(".")
    assert do(console, f"reach ana {target}") == f"no: {said[len('No reply: ') : -1]}"
    assert (
        not console.do(["reach", "ana", target]).ok and not console.do(["ping", "ana", target]).ok
    )


def test_a_table_is_learned_ages_and_is_forgotten(console: Console) -> None:
    do(console, "ping ana ben")
    do(console, "wait 5")
    assert do(console, "table s2").splitlines() == [
        "VLAN  MAC                port    age  whose",
        "  10  02:00:00:00:00:01    24    5 s  ana",
        "  10  02:00:00:00:00:02     1    5 s  ben",
    ]
    assert do(console, f"wait {AGEING:.0f}") == "300 s later the switches remember 0 addresses."
    do(console, "ping ana ben")
    assert "ana" in do(console, "table s1")
    do(console, "forget")
    assert do(console, "table s1") == "(nothing learned)"


def test_a_change_holds_and_what_was_learned_is_forgotten(console: Console) -> None:
    do(console, "ping ana ben")
    do(console, "access 20 s2.1")
    assert do(console, "table s1") == "(nothing learned)" and do(
        console, "reach ana ben"
    ).startswith("no: ")
    assert do(console, "broadcast eva").startswith("1 of 2 other hosts had to look at it: ben.")


def test_a_frame_with_two_tags_hops(console: Console) -> None:
    for line in (
        "access 1 s1.1",
        "trunk 1 native 1 s1.1",
        "trunk 10 native 1 s1.24",
        "trunk 10 native 1 s2.24",
    ):
        do(console, line)
    assert do(console, "send ana ben 1 10").startswith("Heard by ben.")
    assert do(console, "send ana ben 10").startswith("Heard by nobody.")


@pytest.mark.parametrize(
    "line, ok",
    [
        ("ping ana ben", True),
        ("ping ana 10.9.9.9", False),
        ("send ana ben", True),
        ("send ana eva", False),
        ("reach ana ben", True),
        ("reach", True),
        ("broadcast eva", True),
        ("show", True),
    ],
)
def test_an_answer_says_whether_it_arrived(console: Console, line: str, ok: bool) -> None:
    assert console.do(line.split()).ok is ok


def test_open_begins_anew(console: Console) -> None:
    do(console, "ping ana ben")
    do(console, "open small")
    assert [*console.topology.hosts] == ["pc"] and console.steps == [] and console.now.clock == 0


# -- mistakes -----------------------------------------------------------------------------------

USAGE = [
    ("open", "Use it as `%net open NAME`."),
    ("open a b", "Use it as `%net open NAME`."),
    ("ping ana", "Use it as `%net ping HOST HOST`."),
    ("ping ana ben eva", "Use it as `%net ping HOST HOST`."),
    ("send ana", "Use it as `%net send HOST HOST [TAG …]`."),
    ("send ana ben 1 2 3 4 5", "Use it as `%net send HOST HOST [TAG …]`."),
    ("broadcast", "Use it as `%net broadcast HOST`."),
    ("table", "Use it as `%net table SWITCH`."),
    ("reach ana", "Use it as `%net reach [HOST HOST]`."),
    ("reach ana ben eva", "Use it as `%net reach [HOST"),
    ("bytes", "Use it as `%net bytes STEP`."),
    ("wait", "Use it as `%net wait SECONDS`."),
    ("forget all", "Use it as `%net forget`."),
    ("show s1", "Use it as `%net show`."),
]


@pytest.mark.parametrize(
    "line, said",
    [
        *USAGE,
        ("ping bob ana", "There is no host 'bob'; there are: ana, ben, eva."),
        ("ping ana bob", "'bob' is no host here and no IPv4 address."),
        ("ping r ana", "There is no host 'r'"),
        ("send ana bob", "There is no host 'bob'"),
        ("send bob ana", "There is no host 'bob'"),
        ("send ana ben 4096", "A tag is a number from 0 to 4095"),
        ("send ana ben -1", "A tag is a number from 0 to 4095"),
        ("send ana ben ²", "A tag is a number from 0 to 4095"),
        ("send ana ben 1 x", "A tag is a number from 0 to 4095"),
        ("broadcast bob", "There is no host 'bob'"),
        ("broadcast s1", "There is no host 's1'"),
        ("table s3", "There is no switch 's3'; there are: s1, s2."),
        ("table ana", "There is no switch 'ana'"),
        ("reach ana bob", "There is no host 'bob'"),
        ("reach bob ana", "There is no host 'bob'"),
        ("bytes 0", "The last journey has 0 steps"),
        ("bytes 1", "The last journey has 0 steps"),
        ("bytes -1", "The last journey has 0 steps"),
        ("bytes ²", "The last journey has 0 steps"),
        (f"bytes {'9' * 5000}", "The last journey has 0 steps"),
        ("wait long", "Say how many seconds: `%net wait 300`."),
        ("wait 1000001", "Say how many seconds"),
        ("wait ²", "Say how many seconds"),
        ("wait 1.5", "Say how many seconds"),
        (f"wait {'9' * 5000}", "Say how many seconds"),
        ("open nosuch", "This lesson has no network 'nosuch'; it has: bad, small."),
        ("open ../x", "This lesson has no network '../x'"),
        ("open small.net", "This lesson has no network 'small.net'"),
        ("open bad", "Line 1: 'swich' is no statement"),
        ("access", "write `access VLAN SWITCH.PORT …`"),
        ("access 10", "write `access VLAN SWITCH.PORT …`"),
        ("access 4095 s1.1", "'4095' is no VLAN"),
        ("access 0 s1.1", "'0' is no VLAN"),
        ("access ten s1.1", "'ten' is no VLAN"),
        ("access 10 s3.1", "there is no switch s3; there are: s1, s2."),
        ("access 10 s1", "'s1' is no port"),
        ("access 10 ana", "'ana' is no port"),
        ("access 10 s1.0", "'s1.0' is no port"),
        ("trunk 20-10 s1.24", "the lower number comes first, as in 10-20"),
        ("trunk 10 native s1.24", "'s1.24' is no VLAN"),
        ("deny r 10", "write `deny ROUTER VLAN VLAN`"),
        ("deny s1 10 20", "there is no router 's1'; there are: r."),
        ("deny r 10 30", "r has no address in VLAN 30"),
        ("PING ana ben", "'PING' is no command"),
        ("host bob 10.0.10.9/24 s1.9", "'host' is no command"),
    ],
)
def test_a_mistake_is_one_line_of_teaching(console: Console, line: str, said: str) -> None:
    assert said in mistaken(console, *line.split())


EVIL = ["\0", "a\nb", "🦊", "x" * 5000, "", " ", "<b>", "\x1b[31m", "\ud800", "../../x", "*"]


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize(
    "line",
    [
        "@",
        "open @",
        "ping @ ana",
        "ping ana @",
        "send @ ana",
        "send ana ben @",
        "broadcast @",
        "table @",
        "reach @ ana",
        "reach ana @",
        "bytes @",
        "wait @",
        "access @ s1.1",
        "access 10 @",
        "trunk @ s1.24",
        "trunk 10 native @ s1.24",
        "deny @ 10 20",
        "deny r @ 20",
    ],
)
def test_whatever_is_typed_is_at_most_refused(console: Console, line: str, evil: str) -> None:
    mistaken(console, *(evil if word == "@" else word for word in line.split()))


@pytest.mark.parametrize(
    "line",
    [
        "ping a b",
        "send a b 1",
        "broadcast a",
        "table s",
        "reach",
        "bytes 1",
        "wait 1",
        "forget",
        "show",
        "access 1 s.1",
        "trunk 1 s.1",
        "deny r 1 2",
    ],
)
def test_before_there_is_a_network(line: str) -> None:
    empty = networks.console()
    assert "There is no network yet: run the `%%net` cell" in mistaken(empty, *line.split())


@pytest.mark.parametrize(
    "text, said",
    [
        ("switch s1\nlink s1.1 s9.1", "Line 2: there is no switch s9"),
        ("switch a b c\nlink a.1 b.1\nlink b.2 c.2\nlink c.3 a.3", "runs in a ring"),
        ("switch s\nhost a 10.0.0.1 s.1", "Line 2: 10.0.0.1 lacks its prefix"),
    ],
)
def test_a_network_that_is_refused_leaves_the_one_there_is(
    console: Console, text: str, said: str
) -> None:
    do(console, "ping ana ben")
    before = state(console)
    assert said in refused(console.load, text)
    assert state(console) == before and console.steps


def test_a_change_that_closes_a_ring_is_refused(console: Console) -> None:
    console.load("switch a b\nlink a.1 b.1\nlink a.2 b.2\naccess 10 a.1 b.1\naccess 20 a.2 b.2")
    assert "VLAN 20 runs in a ring" in mistaken(console, "trunk", "10,20", "a.1", "b.1")


def test_the_folders_around_stay_closed(tmp_path: Path) -> None:
    (tmp_path / "x.net").write_text("switch outside", "utf-8")
    (tmp_path / "lesson").mkdir()
    empty = networks.console(folder=tmp_path / "lesson")
    for word in ("../x", str(tmp_path / "x"), "..", "."):
        assert "it has: none." in mistaken(empty, "open", word)


# -- as an engine of a lesson -------------------------------------------------------------------


def test_a_task_may_run_a_command(console: Console) -> None:
    for target, code, told in (("ben", 0, "ben answers ana.\n"), ("10.9.9.9", 1, "No reply.\n")):
        command = Console.parse(["net", "ping", "ana", target])
        result = console.run(command, None, None)
        assert result.code == code and result.out.startswith(told) and not command.slow
    assert Console.parse(["net", "up"]).slow


def test_a_mark_is_gone_back_to_as_often_as_one_likes(console: Console) -> None:
    do(console, "ping ana ben")
    was, mark = state(console), console.mark()
    for line in ("access 20 s1.1", "ping ana eva", "open small"):
        do(console, line)
        assert state(console) != was
        assert console.clean(mark) == [] and state(console) == was
    do(console, "wait 7")  # what happens afterwards does not reach the mark
    console.clean(mark)
    assert state(console) == was
    with console.undone():
        do(console, "access 20 s1.1")
    assert state(console) == was


def test_a_student_who_went_on_keeps_it(console: Console) -> None:
    mark = console.mark()
    do(console, "access 20 s1.1")
    was = state(console)
    assert console.clean(mark, {"ana"}) == [] and state(console) == was


def test_back_to_before_there_was_a_network() -> None:
    for since in (networks.console().mark(), None):
        console = networks.console(TEXT, "ping ana ben")
        console.clean(since)
        assert console.network is None and console.steps == []
