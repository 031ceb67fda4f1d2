"""The panels about images without a browser: press buttons, move sliders, read what they show."""

from __future__ import annotations

import re
from pathlib import Path

import ipywidgets as w
import pytest
from samples.docker_lesson import Described, recorder, replayed, world
from samples.errors import refused
from samples.pages import Page, keyboard_only, text, the

from labkit.docker.panels import Explorer, TreeView, stack_html
from labkit.docker.tar import LayerEntry, write_listing
from labkit.lesson import Lesson

FIRST = [
    "d 0 bin\t755:0:0",
    "f 1000 bin/sh",
    "l 0 bin/ls\tsh",
    "d 0 etc\t755:0:0",
    "f 10 etc/motd",
    "f 5 gone.txt",
]
SECOND = [
    "f 20 etc/motd",
    "d 0 etc/deep\t755:0:0",
    "d 0 etc/deep/er\t755:0:0",
    "f 7 etc/deep/er/new.txt",
    "f 0 .wh.gone.txt",
]
THIRD = ["f 3 third.txt"]


ONE = Described("one", {"aa": FIRST, "bb": SECOND})
TWO = Described("two", {"aa": FIRST, "cc": THIRD})
THREE = Described("three", {"bb": SECOND})


# -- the explorer -------------------------------------------------------------------------------


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    """A lesson that knows three images, and has a fourth."""
    tape = recorder(ONE, TWO, THREE)
    tape.read("world", lambda: world((ONE, TWO, THREE, Described("unrecorded", {}))))
    return replayed(tmp_path, tape)


def explorer(lesson: Lesson, *names: str) -> Explorer:
    return Explorer(lesson, names)


def test_the_slider_lays_layer_upon_layer(lesson: Lesson) -> None:
    panel = explorer(lesson, "one")
    slider, (_, stack, tree) = the(w.IntSlider, panel)[0], the(w.HTML, panel)
    assert (slider.min, slider.max, slider.value) == (0, 2, 2)  # ENV holds no files: no layer
    assert "new.txt" in text(tree.value) and "~ motd" in text(tree.value)
    assert "− gone.txt" in text(tree.value)
    assert "▶ 2" in text(stack.value) and "▶ 1" not in text(stack.value)
    slider.value = 1
    assert "gone.txt" in text(tree.value)
    assert "−" not in text(tree.value) and "new.txt" not in text(tree.value)
    assert "+ motd" in text(tree.value) and "▶ 1" in text(stack.value)
    assert stack.value.count("opacity") == 1
    slider.value = 0
    assert "(empty)" in tree.value and "▶" not in stack.value and stack.value.count("opacity") == 2


def test_the_stack_tells_instruction_size_and_changes_newest_on_top() -> None:
    said = text(stack_html(ONE.taken_apart, 2))
    rows = re.findall(r"COPY <(\w\w)> / ?(\S+?) ?(\+\d+ ~\d+ −\d+)", said)
    assert rows == [("bb", "27B", "+3 ~1 −1"), ("aa", "1.01kB", "+6 ~0 −0")]
    assert "1 more steps" in said and "15B can no longer be seen" in said


def test_two_side_by_side_mark_what_they_share(lesson: Lesson) -> None:
    panel = explorer(lesson, "one", "two")
    _, left, _, right, _ = the(w.HTML, panel)
    for stack in (left, right):
        assert text(stack.value).count("=") == 1 and stack.value.count("double") == 1
        assert re.search(r"= ?1 ?COPY <aa>", text(stack.value))
    picks = the(w.Dropdown, panel)
    picks[1].value = "three:latest"  # the same second layer, but on another base: not shared
    for stack in (left, right):
        assert "=" not in text(stack.value) and "double" not in stack.value
    picks[1].value = "one:latest"
    assert text(left.value).count("=") == text(right.value).count("=") == 2


def test_another_image_is_picked(lesson: Lesson) -> None:
    panel = explorer(lesson, "one")
    pick, slider = the(w.Dropdown, panel)[0], the(w.IntSlider, panel)[0]
    _, stack, tree = the(w.HTML, panel)
    others = {"one:latest", "two:latest", "three:latest", "unrecorded:latest"}
    assert set(pick.options) == {"one", *others}
    slider.value = 1
    pick.value = "three:latest"
    assert (slider.max, slider.value) == (1, 1) and "new.txt" in tree.value
    pick.value = "two:latest"
    assert (slider.max, slider.value) == (2, 2) and "third.txt" in tree.value
    pick.value = "unrecorded:latest"
    assert "The recording does not hold" in stack.value and tree.value == ""
    pick.value = "one"
    assert "new.txt" in tree.value and "does not hold" not in stack.value


def test_the_explorer_can_be_read_without_widgets(lesson: Lesson) -> None:
    bundle = explorer(lesson, "one", "two")._repr_mimebundle_()
    assert bundle["text/plain"].splitlines() == [
        "Layer explorer (needs JupyterLab): one and two",
        "shared layers: 1",
    ]


@pytest.mark.parametrize("names", ["", "one two three", "nosuch", "one nosuch"])
def test_an_explorer_of_nothing_is_one_line(lesson: Lesson, names: str) -> None:
    assert refused(explorer, lesson, *names.split())


# -- the tree -----------------------------------------------------------------------------------


def test_folders_open_with_the_keyboard_and_tell_what_they_hold() -> None:
    html = TreeView(ONE.taken_apart, 2).html()
    tags = Page(html).tags
    assert tags.count("details") == tags.count("summary") == 4  # bin, etc, etc/deep, etc/deep/er
    assert "bin/ 2 files, 1kB" in text(html)
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


SHOWN = "div details summary small s table caption tr td code"


@pytest.mark.parametrize("name", HOSTILE)
def test_names_from_hostile_archives_are_only_text(name: str) -> None:
    entries = [
        LayerEntry("f", name, 5, ""),
        LayerEntry("d", f"d{name}", 0, "755:0:0"),
        LayerEntry("f", f"d{name}/{name}", 5, ""),
        LayerEntry("l", f"l{name}", 0, name),
    ]
    gone = [LayerEntry("f", f".wh.{name}", 0, "")]
    layers = {"xx": list(write_listing(entries)), "yy": list(write_listing(gone))}
    bad = Described(f"i{name}", layers).taken_apart
    for html in [TreeView(bad, n).html() for n in (0, 1, 2)] + [stack_html(bad, 2)]:
        assert set(Page(html).tags) <= set(SHOWN.split())
        html.encode("utf-8")
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", html)


def test_a_file_of_many_names_has_its_bytes_once() -> None:
    linked = Described(
        "linked",
        {
            "xx": [
                "f 1000 bin/busybox",
                "h 0 bin/ls\tbin/busybox",
                "h 0 sbin/init\tbin/busybox",
                "f 500 bin/other",
            ]
        },
    ).taken_apart
    said = text(TreeView(linked, 1).html())
    assert "bin/ 3 files, 1.5kB" in said and "sbin/ 1 file, 1kB" in said


def test_an_endless_nest_of_folders_is_cut_off() -> None:
    deep = "/".join("d" * 2000)
    many = [f"f 1 {a}/{b}/{c}/f" for a in range(18) for b in range(18) for c in range(18)]
    html = TreeView(Described("nested", {"xx": [f"f 1 {deep}/x", *many]}).taken_apart, 1).html()
    assert html.count("<details") < 8000 and len(html) < 2_000_000


def test_a_crowded_folder_is_cut_off_and_says_so() -> None:
    crowd = Described(
        "crowd", {"xx": [f"f 1 n{number:05}" for number in range(20_000)]}
    ).taken_apart
    html = TreeView(crowd, 1).html()
    assert "… and 19940 more" in html and len(html) < 20_000


def test_only_controls_that_work_from_the_keyboard(lesson: Lesson) -> None:
    keyboard_only(explorer(lesson, "one", "two"))
