"""Panels without a browser: press their buttons, move their sliders, read what they show."""

from __future__ import annotations

import re
import time
from typing import Any

import ipywidgets as w
import pytest
from conftest import Notebook
from samples.pages import Page, inside, named, text, the

from labkit import tasks, widgets
from labkit.commands import Result
from labkit.docker.layers import Image
from labkit.errors import LabError
from labkit.tasks import Prediction
from labkit.virtualbox.snapshots import Graph, Machine

FIRST, SECOND, THIRD = ("sha256:" + letter * 64 for letter in "abc")
LISTINGS = {
    FIRST: [
        "d 0 bin\t755:0:0",
        "f 1000 bin/sh",
        "l 0 bin/ls\tsh",
        "d 0 etc\t755:0:0",
        "f 10 etc/motd",
        "f 5 gone.txt",
    ],
    SECOND: [
        "f 20 etc/motd",
        "d 0 etc/deep\t755:0:0",
        "d 0 etc/deep/er\t755:0:0",
        "f 7 etc/deep/er/new.txt",
        "f 0 .wh.gone.txt",
    ],
    THIRD: ["f 3 third.txt"],
}


def image(name: str, *diff_ids: str, extra: dict[str, list[str]] | None = None) -> Image:
    """Each layer made by a COPY, with an ENV, which has no files, behind the first."""
    history: list[dict[str, Any]] = [
        {"created_by": f"COPY <{diff_id[7:9]}> /", "empty": False} for diff_id in diff_ids
    ]
    history.insert(1, {"created_by": "ENV A=1", "empty": True})
    config = {"diff_ids": list(diff_ids), "history": history}
    return Image.from_listings(name, f"sha256:{name}", config, {**LISTINGS, **(extra or {})})


class Shelf:
    """A lesson that knows a few images."""

    badge = "replay · recorded 2026-01-02 on Docker 1.0"

    def __init__(self, *images: Image) -> None:
        self.images = {image.image: image for image in images}
        self.committed: dict[str, str] = {}

    def world(self) -> dict[str, Any]:
        return {"images": [{"tags": [name]} for name in [*self.images, "unrecorded"]]}

    def layers(self, name: str) -> Image:
        if name not in self.images:
            raise LabError(f"The recording does not hold {name}.")
        return self.images[name]


# -- predictions --------------------------------------------------------------------------------

ASKED = Prediction(
    "guess",
    "What <happens>?",
    {"A": "This & that.", "B": "Nothing."},
    {"A": "why", "B": "why"},
    lambda lesson: "A",
)


def test_a_choice_is_asked_for_and_then_fixed() -> None:
    lesson = Shelf()
    panel = widgets.chooser(lesson, ASKED)
    choices, button = the(w.RadioButtons, panel), named(panel, "Commit")
    assert [label for choice in choices for label, _ in choice.options] == [
        "A) This & that.",
        "B) Nothing.",
    ]
    assert [choice.value for choice in choices] == [None, None]
    button.click()
    assert (
        "Choose one first" in the(w.HTML, panel)[-1].value
        and lesson.committed == {}
        and not button.disabled
    )
    choices[0].value = "A"
    choices[1].value = "B"  # one choice takes the place of the other
    assert [choice.value for choice in choices] == [None, "B"]
    assert lesson.committed == {}  # a choice is not yet a commitment
    button.click()
    assert (
        lesson.committed == {"guess": "B"}
        and button.disabled
        and all(choice.disabled for choice in choices)
    )
    assert "Committed to B)" in the(w.HTML, panel)[-1].value


def test_a_choice_that_was_committed_stays() -> None:
    lesson = Shelf()
    lesson.committed["guess"] = "A"
    panel = widgets.chooser(lesson, ASKED)
    assert all(choice.disabled for choice in the(w.RadioButtons, panel))
    assert "Committed to A)" in the(w.HTML, panel)[-1].value
    assert named(panel, "Commit").disabled


def test_a_prediction_can_be_read_and_made_without_widgets() -> None:
    bundle = widgets.chooser(Shelf(), ASKED)._repr_mimebundle_()
    assert bundle["text/plain"].splitlines() == [
        "? What <happens>?",
        "A) This & that.",
        "B) Nothing.",
        "Commit with %predict guess LETTER",
    ]
    assert "What &lt;happens&gt;?" in the(w.HTML, widgets.chooser(Shelf(), ASKED))[0].value


# -- the explorer -------------------------------------------------------------------------------

ONE, TWO, THREE = image("one", FIRST, SECOND), image("two", FIRST, THIRD), image("three", SECOND)


def test_the_slider_lays_layer_upon_layer() -> None:
    panel = widgets.explorer(Shelf(ONE, TWO, THREE), ["one"])  # type: ignore[arg-type]
    slider, (_, stack, tree) = the(w.IntSlider, panel)[0], the(w.HTML, panel)
    assert (slider.min, slider.max, slider.value) == (
        0,
        2,
        2,
    )  # ENV holds no files: no layer to lay
    assert (
        "new.txt" in text(tree.value)
        and "etc/motd" not in tree.value
        and "~ motd" in text(tree.value)
    )
    assert "− gone.txt" in text(tree.value)
    assert "▶ 2" in text(stack.value) and "▶ 1" not in text(stack.value)
    slider.value = 1
    assert (
        "gone.txt" in text(tree.value)
        and "−" not in text(tree.value)
        and "new.txt" not in text(tree.value)
    )
    assert "+ motd" in text(tree.value) and "▶ 1" in text(stack.value)
    assert stack.value.count("opacity") == 1
    slider.value = 0
    assert "(empty)" in tree.value and "▶" not in stack.value and stack.value.count("opacity") == 2


def test_the_stack_tells_instruction_size_and_changes_newest_on_top() -> None:
    said = text(widgets.stack_html(ONE, 2))
    rows = re.findall(r"COPY <(\w\w)> / ?(\S+?) ?(\+\d+ ~\d+ −\d+)", said)
    assert rows == [("bb", "27B", "+3 ~1 −1"), ("aa", "1.01kB", "+6 ~0 −0")] or rows == [
        ("bb", "27B", "+3 ~1 −1"),
        ("aa", "1.02kB", "+6 ~0 −0"),
    ]
    assert "1 more steps" in said and "15B can no longer be seen" in said


def test_two_side_by_side_mark_what_they_share() -> None:
    panel = widgets.explorer(Shelf(ONE, TWO, THREE), ["one", "two"])  # type: ignore[arg-type]
    _, left, _, right, _ = the(w.HTML, panel)
    for stack in (left, right):
        assert text(stack.value).count("=") == 1 and stack.value.count("double") == 1
        assert re.search(r"= ?1 ?COPY <aa>", text(stack.value))
    picks = the(w.Dropdown, panel)
    picks[1].value = "three"  # the same second layer, but on another base: not shared
    for stack in (left, right):
        assert "=" not in text(stack.value) and "double" not in stack.value
    picks[1].value = "one"
    assert text(left.value).count("=") == text(right.value).count("=") == 2


def test_another_image_is_picked() -> None:
    panel = widgets.explorer(Shelf(ONE, TWO, THREE), ["one"])  # type: ignore[arg-type]
    pick, slider, (_, stack, tree) = (
        the(w.Dropdown, panel)[0],
        the(w.IntSlider, panel)[0],
        the(w.HTML, panel),
    )
    assert set(pick.options) == {"one", "two", "three", "unrecorded"}
    slider.value = 1
    pick.value = "three"
    assert (slider.max, slider.value) == (1, 1) and "new.txt" in tree.value
    pick.value = "two"
    assert (slider.max, slider.value) == (2, 2) and "third.txt" in tree.value
    pick.value = "unrecorded"
    assert "does not hold unrecorded" in stack.value and tree.value == ""
    pick.value = "one"
    assert "new.txt" in tree.value and "does not hold" not in stack.value


def test_the_explorer_can_be_read_without_widgets() -> None:
    bundle = widgets.explorer(Shelf(ONE, TWO), ["one", "two"])._repr_mimebundle_()  # type: ignore[arg-type]
    assert bundle["text/plain"].splitlines() == [
        "Layer explorer (needs JupyterLab): one and two",
        "shared layers: 1",
    ]


@pytest.mark.parametrize("names", [[], ["one", "two", "three"], ["nosuch"], ["one", "nosuch"]])
def test_an_explorer_of_nothing_is_one_line(names: list[str]) -> None:
    with pytest.raises(LabError) as caught:
        widgets.explorer(Shelf(ONE), names)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


# -- the tree -----------------------------------------------------------------------------------


def test_folders_open_with_the_keyboard_and_tell_what_they_hold() -> None:
    html = widgets.tree_html(ONE, 2)
    tags = Page(html).tags
    assert tags.count("details") == tags.count("summary") == 4  # bin, etc, etc/deep, etc/deep/er
    assert "bin/ 1 files, 1kB" in text(html).replace("2 files", "1 files")
    assert "<details open>" in html  # what the layer touched is seen at once
    assert "ls → sh" in text(html)


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "&amp;",
    "a\nb\x1b[31m",
    "\udcff\udcfe",
    "\x00\x7f\u202e",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_hostile_archives_are_only_text(name: str) -> None:
    from labkit.docker.layers import listing

    lines = list(
        listing(
            [
                ("f", name, 5, ""),
                ("d", f"d{name}", 0, "755:0:0"),
                ("f", f"d{name}/{name}", 5, ""),
                ("l", f"l{name}", 0, name),
            ]
        )
    )
    gone = list(listing([("f", f".wh.{name}", 0, "")]))
    bad = image(f"i{name}", "sha256:x", "sha256:y", extra={"sha256:x": lines, "sha256:y": gone})
    for html in [widgets.tree_html(bad, n) for n in (0, 1, 2)] + [widgets.stack_html(bad, 2)]:
        assert set(Page(html).tags) <= {
            "div",
            "details",
            "summary",
            "small",
            "s",
            "table",
            "caption",
            "tr",
            "td",
            "code",
        }
        html.encode("utf-8")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", html)


def test_a_file_of_many_names_has_its_bytes_once() -> None:
    lines = [
        "f 1000 bin/busybox",
        "h 0 bin/ls\tbin/busybox",
        "h 0 sbin/init\tbin/busybox",
        "f 500 bin/other",
    ]
    said = text(widgets.tree_html(image("linked", "sha256:x", extra={"sha256:x": lines}), 1))
    assert "bin/ 3 files, 1.5kB" in said and "sbin/ 1 file, 1kB" in said


def test_an_endless_nest_of_folders_is_cut_off() -> None:
    deep = "/".join("d" * 2000)
    lines = [
        f"f 1 {deep}/x",
        *(f"f 1 {a}/{b}/{c}/f" for a in range(18) for b in range(18) for c in range(18)),
    ]
    nested = image("nested", "sha256:x", extra={"sha256:x": lines})
    started = time.process_time()
    html = widgets.tree_html(nested, 1)
    assert len(html) < 2_000_000 and time.process_time() - started < 5


def test_a_crowded_folder_is_cut_off_and_says_so() -> None:
    crowd = image(
        "crowd", "sha256:x", extra={"sha256:x": [f"f 1 n{number:05}" for number in range(20_000)]}
    )
    html = widgets.tree_html(crowd, 1)
    assert "… and 19940 more" in html and len(html) < 20_000


# -- before and after ---------------------------------------------------------------------------


@pytest.fixture
def ready(replay: Notebook) -> tuple[Notebook, str]:
    """Lesson 12 in replay, just before its cell %before_after; and the command of that cell."""
    return replay, replay.until("12", "%before_after").partition(" ")[2]


def test_run_shows_both_pictures_and_undo_goes_back(ready: tuple[Notebook, str]) -> None:
    notebook, line = ready
    lesson = notebook.lesson
    tasks.leave(lesson)
    state = lesson.tape.state
    panel = widgets.before_after(lesson, line)
    view, run, undo = the(w.HTML, panel)[0], named(panel, "Run"), named(panel, "Undo")
    assert undo.disabled and not run.disabled and view.value == ""
    run.click()
    assert view.value.count("<svg") == 2 and "Before" in view.value and "After" in view.value
    assert run.disabled and not undo.disabled and lesson.tape.state != state
    undo.click()
    assert (
        "Undone" in view.value and not run.disabled and undo.disabled and lesson.tape.state == state
    )
    run.click()
    assert view.value.count("<svg") == 2


@pytest.mark.parametrize(
    "typed,said",
    [
        ("docker 'x", "A quote is opened"),
        ("ls -la", "Name the command to try"),
        ("", "Name the command to try"),
        ("docker ps | head", "belongs to a shell"),
        ("docker run nosuch", "was not recorded"),
    ],
)
def test_a_command_that_cannot_be_run_is_said_in_the_panel(
    ready: tuple[Notebook, str], typed: str, said: str
) -> None:
    notebook, line = ready
    panel = widgets.before_after(notebook.lesson, line)
    the(w.Text, panel)[0].value = typed
    named(panel, "Run").click()
    assert said in text(the(w.HTML, panel)[0].value)
    the(w.Text, panel)[0].value = line  # and then it can be corrected
    named(panel, "Run").click()
    assert the(w.HTML, panel)[0].value.count("<svg") == 2


# -- panels of the bench ------------------------------------------------------------------------


class Played:
    """A panel in replay: click, and read what it shows; whatever goes wrong is one line and no exception."""

    def __init__(self, panel: widgets.Panel) -> None:
        self.panel, self.view = panel, the(w.HTML, panel)[-1]

    def __getitem__(self, name: str) -> Any:
        """A button, or the control of that description."""
        return next(
            found for found in inside(self.panel) if getattr(found, "description", "") == name
        )

    def click(self, *names: str) -> str:
        """What the panel says after the last of these buttons, without its pictures."""
        for name in names:
            assert not self[name].disabled
            self[name].click()
        assert "Traceback" not in self.view.value
        return text(re.sub("(?s)<svg.*?</svg>", "", self.view.value))

    @property
    def drawn(self) -> list[str]:
        """What each picture says of itself, to those who cannot see it."""
        return [text(found) for found in re.findall("(?s)<desc>.*?</desc>", self.view.value)]

    def refuses(self, said: str) -> bool:
        """Whether it shows one line with these words, and no picture."""
        line = text(self.view.value)
        return not self.drawn and line.count("?") == 1 and said in line and len(line) < 500


@pytest.fixture
def disk(replay: Notebook) -> Played:
    """The panel of lesson 07; without the task it would leave open."""
    replay.until("07", "%disk_panel")
    return Played(widgets.disk_panel(replay.lesson, 16))


@pytest.mark.parametrize("places", [(10, 2, 15), (2, 15, 10), (15, 10, 2)])
def test_two_disks_grow_or_do_not(disk: Played, places: tuple[int, ...]) -> None:
    assert disk["Write 64 KiB"].disabled and not disk.view.value
    assert [value for _, value in disk["Write at"].options] == [
        2,
        10,
        15,
    ]  # what the recording can show
    assert "Two disks of 16 MiB, new and empty." in disk.click("Start") and disk["Start over"]
    grows, reserved = disk.drawn
    assert "0 of 16 blocks" in grows and "16 of 16 blocks" in reserved
    for count, place in enumerate(places, 1):
        disk["Write at"].value = place
        assert f"64 KiB written at {place} MiB of the guest's disk, in both." in disk.click(
            "Write 64 KiB"
        )
        grows, reserved = disk.drawn
        assert (
            f"{count} of 16 blocks" in grows
            and "1 MiB more than before" in grows
            and "more" not in reserved
        )
    assert f"blocks {', '.join(map(str, places))}" in grows  # in the order of writing
    again = disk.click("Write 64 KiB")
    assert "shown again" in again and "more than before" not in disk.drawn[0]
    assert "new and empty" in disk.click("Start over") and "0 of 16 blocks" in disk.drawn[0]


def test_a_lesson_goes_on_after_its_disk_panel(disk: Played, replay: Notebook) -> None:
    state = replay.lesson.tape.state
    disk.click("Start", "Write 64 KiB")
    assert "panel-fixed.vdi" in replay.run("%folder")
    assert "was not recorded" not in replay.run("%task where") + replay.run("%check where 1")
    tasks.leave(replay.lesson)
    assert replay.lesson.tape.state == state and "panel" not in replay.run("%folder")


def test_disks_that_were_not_recorded(disk: Played, replay: Notebook) -> None:
    other = Played(widgets.disk_panel(replay.lesson, 32))
    other.click("Start")
    assert other.refuses(
        "--size 32 --variant Standard was not recorded; the nearest it has here is"
    )
    assert other["Write 64 KiB"].disabled and "new and empty" in disk.click(
        "Start"
    )  # the other still works


@pytest.fixture
def tree(replay: Notebook) -> Played:
    """The panel of lesson 09, started."""
    replay.until("09", "%snapshot_panel")
    panel = Played(widgets.snapshot_panel(replay.lesson, "lab09"))
    assert all(panel[name].disabled for name in ACTIONS) and not asks(panel)
    assert "lab09-panel is a copy of lab09 with all its snapshots" in panel.click("Start")
    return panel


ACTIONS = "Take", "Restore", "Delete", "Linked clone"


def asks(panel: Played) -> bool:
    return panel["Yes, do it"].layout.display != "none"


def test_take(tree: Played) -> None:
    assert tree["Snapshot"].options == ("installed", "draft")
    assert "Snapshot taken. UUID" in tree.click("Take") and not asks(tree)
    assert "New: new, diff" in tree.drawn[0] and tree["Snapshot"].options == (
        "installed",
        "draft",
        "new",
    )
    assert "shown again" in tree.click("Take") and "New:" not in tree.drawn[0]


@pytest.mark.parametrize("name", ["installed", "draft"])
def test_restore_says_what_is_lost_and_asks_before(tree: Played, name: str) -> None:
    tree["Snapshot"].value = name
    assert f"Restore {name}? Lost for ever: what was written since into diff" in tree.click(
        "Restore"
    )
    assert asks(tree) and "New" not in tree.drawn[0]
    assert f"Restoring snapshot '{name}'" in tree.click("Yes, do it") and not asks(tree)
    assert (
        "Gone: diff" in tree.drawn[0]
        and "New: diff" in tree.drawn[0]
        and tree["Snapshot"].value == name
    )


def test_delete(tree: Played) -> None:
    tree["Snapshot"].value = "draft"
    assert "Nobody can go back to 'draft' any more." in tree.click("Delete") and asks(tree)
    assert (
        "snapshot lab09-panel delete draft" in tree.click("Yes, do it")
        and "Gone: draft" in tree.drawn[0]
    )
    assert tree["Snapshot"].options == ("installed",)
    tree["Start over"].click()
    tree["Snapshot"].value = "installed"
    assert "VirtualBox would refuse: draft" in tree.click("Delete")
    assert "exit code 1. Other disks stand on that one" in tree.click("Yes, do it")
    assert "Gone" not in tree.drawn[0] and tree["Snapshot"].options == ("installed", "draft")


def test_a_linked_clone_is_drawn_beside_what_it_stands_on(tree: Played) -> None:
    assert 'successfully cloned as "lab09-panel-linked"' in tree.click("Linked clone") and not asks(
        tree
    )
    assert "2 machines" in tree.drawn[0] and "New: lab09-panel-linked" in tree.drawn[0]
    assert "1 machine," in (tree.click("Start over") and tree.drawn[0])


@pytest.mark.parametrize("first", [["Take"], ["Linked clone"], ["Restore", "Yes, do it"]])
def test_a_second_step_that_was_not_recorded(tree: Played, first: list[str]) -> None:
    tree.click(*first)
    tree["Snapshot"].value = "draft"
    tree.click("Delete", "Yes, do it")
    assert tree.refuses("start over, here or from the %lesson cell") and not asks(tree)
    assert "try what you like" in tree.click("Start over")


@pytest.mark.parametrize(
    "name", ["other", "", "it's", "a | b", "$PWD", "'", "new\n", "x" * 500, "--help"]
)
def test_a_name_that_was_not_recorded(tree: Played, name: str) -> None:
    tree["Name"].value = name
    tree.click("Take")
    assert tree.refuses("was not recorded")
    tree["Name"].value = "new"
    assert "Snapshot taken" in tree.click("Take")


@pytest.mark.parametrize("instead", ["Start over", "Take", "Linked clone"])
def test_a_question_is_withdrawn_by_doing_something_else(tree: Played, instead: str) -> None:
    tree.click("Delete")
    assert asks(tree)
    tree.click(instead)
    assert not asks(tree)


@pytest.mark.parametrize("name", ["m", "my 'lab'", "a | b"])
def test_machines_of_hard_names_and_without_snapshots(
    replay: Notebook, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    replay.run("%load_ext labkit\n%lesson 09")
    graph, ran = (
        Graph([Machine(name, "1", ""), Machine(f"{name}-panel", "2", "")], []),
        list[list[str]](),
    )

    def command(argv: list[str]) -> Result:
        ran.append(argv)
        return Result(tuple(argv), 0)

    monkeypatch.setattr(replay.lesson, "machines", lambda: graph)
    monkeypatch.setattr(replay.lesson, "command", command)
    panel = Played(widgets.snapshot_panel(replay.lesson, name))
    panel.click("Start", "Take", "Linked clone")
    assert ran[:2] == [
        ["VBoxManage", "clonevm", name, "--mode", "all", "--name", f"{name}-panel", "--register"],
        ["VBoxManage", "snapshot", f"{name}-panel", "take", "new"],
    ]
    for action in ("Restore", "Delete"):
        panel.click(action)
        assert panel.refuses("has no snapshot ''; it has: none") and not asks(panel)


@pytest.mark.virtualbox
@pytest.mark.qemu
def test_start_over_removes_all_that_was_made_in_the_panel(
    replay: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_MODE", "live")
    replay.until("09", "%VBoxManage snapshot lab09 take draft")
    lesson = replay.lesson
    try:
        panel = Played(widgets.snapshot_panel(lesson, "lab09"))
        for start in "Start", "Start over":
            assert "try what you like" in panel.click(start) and "2 machines" not in panel.drawn[0]
            assert (
                "successfully cloned" in panel.click("Take", "Linked clone")
                and "2 machines" in panel.drawn[0]
            )
        assert tasks.leave(lesson) == [] and [
            machine.name for machine in lesson.machines().machines
        ] == ["lab09"]
    finally:
        assert lesson.bench and lesson.bench.clean() == []


def test_only_controls_that_work_from_the_keyboard(ready: tuple[Notebook, str]) -> None:
    notebook, line = ready
    core = {
        w.VBox,
        w.HBox,
        w.HTML,
        w.RadioButtons,
        w.Button,
        w.Dropdown,
        w.IntSlider,
        w.Text,
        w.SelectionSlider,
    }
    for panel in (
        widgets.chooser(Shelf(), ASKED),
        widgets.explorer(Shelf(ONE, TWO), ["one", "two"]),  # type: ignore[arg-type]
        widgets.before_after(notebook.lesson, line),
        widgets.disk_panel(notebook.lesson, 16),
    ):
        assert {type(found) for found in inside(panel)[1:]} <= core and isinstance(panel, w.VBox)
        for found in inside(panel):
            if isinstance(found, w.HTML):
                assert "tabindex" not in found.value and "onclick" not in found.value
            if isinstance(found, (w.Dropdown, w.IntSlider, w.Text, w.Button, w.SelectionSlider)):
                assert found.description  # read aloud
