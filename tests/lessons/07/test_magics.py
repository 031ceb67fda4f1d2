"""Two disks, written to in the same places: one grows, the other does not."""

from __future__ import annotations

import pytest
from conftest import Notebook
from samples.lessons import beside
from samples.pages import Played, keyboard_only

from labkit import tasks

DiskPanel = beside("07", "magics").DiskPanel


@pytest.fixture
def disk(replay: Notebook) -> Played:
    """The panel of lesson 07; without the task it would leave open."""
    replay.until("07", "%disk_panel")
    return Played(DiskPanel(replay.lesson, 16))


@pytest.mark.parametrize("places", [(10, 2, 15), (2, 15, 10), (15, 10, 2)])
def test_two_disks_grow_or_do_not(disk: Played, places: tuple[int, ...]) -> None:
    keyboard_only(disk.panel)
    assert disk["Write 64 KiB"].disabled and not disk.view.value
    known = [value for _, value in disk["Write at"].options]
    assert known == [2, 10, 15]  # what the recording can show
    assert "Two disks of 16 MiB, new and empty." in disk.click("Start") and disk["Start over"]
    grows, reserved = disk.drawn
    assert "0 of 16 blocks" in grows and "16 of 16 blocks" in reserved
    for count, place in enumerate(places, 1):
        disk["Write at"].value = place
        said = disk.click("Write 64 KiB")
        assert f"64 KiB written at {place} MiB of the guest's disk, in both." in said
        grows, reserved = disk.drawn
        assert f"{count} of 16 blocks" in grows and "1 MiB more than before" in grows
        assert "more" not in reserved
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
    other = Played(DiskPanel(replay.lesson, 32))
    other.click("Start")
    assert other.refuses("32 --variant Standard was not recorded; the nearest it has here is")
    assert other["Write 64 KiB"].disabled
    assert "new and empty" in disk.click("Start")  # the other still works


@pytest.mark.parametrize("size", ["7", "257", "x", "16 16", "²"])
def test_a_size_that_is_none(replay: Notebook, size: str) -> None:
    replay.run("%load_ext labkit\n%lesson 07")
    [text] = replay.words(f"%disk_panel {size}")
    assert text.startswith("? ") and "the size in MiB" in text
