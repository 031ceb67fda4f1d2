"""Pages of a guest's disk: written where VirtualBox would write, read as it would give them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
from samples.benches import ATTACH, MACHINE, do
from samples.errors import refused

from labkit.virtualbox.engine import Bench
from labkit.virtualbox.guest import PAGE, PAGES, page_of
from labkit.virtualbox.output import advice


def test_a_page_and_its_text() -> None:
    assert page_of(["m", "15", "a text"]) == ("m", 15, "a text")


@pytest.mark.parametrize(
    "line", ["m", "m 16 x", "m -1 x", "m a x", "m ² x", "m 00001 x", "m 0 x y"]
)
def test_a_page_that_is_none(line: str) -> None:
    assert "Use it as `%guest_write MACHINE PAGE" in refused(page_of, line.split())
    assert "a page from 0 to 15" in refused(Bench.parse, ["guest_write", *line.split()])


@pytest.mark.live("virtualbox", "qemu-img")
class TestReal:
    def test_the_guest_reads_what_virtualbox_would_give_it(self, bench: Bench) -> None:
        """The oracle: VirtualBox itself flattens the chain."""

        def write(page: int, text: str) -> None:
            texts[page] = text
            result = bench.command(["guest_write", "m", str(page), text])
            assert result.code == 0 and f"page {page}: 64 KiB written into $PWD/" in result.out

        do(bench, *MACHINE)
        texts = [""] * PAGES
        for page, text in ((0, "zero"), (1, "año 1"), (15, "last")):
            write(page, text)
        do(bench, "snapshot m take s1")
        write(1, "one, again")
        do(bench, "snapshot m take s2", "snapshot m take s3")
        write(2, "/two, ..")
        assert bench.guest("m") == texts
        top = bench.folder.graph().machine("m").media[0]
        do(bench, f"clonemedium disk {top} flat.img --format RAW")
        data = (bench.folder.path / "flat.img").read_bytes()
        starts = (data[page * PAGE : (page + 1) * PAGE] for page in range(PAGES))
        assert [start.partition(b"\0")[0].decode() for start in starts] == texts

    def test_without_a_disk_or_with_another_format(self, bench: Bench) -> None:
        do(bench, "createvm --name m --register")
        assert "has no disk" in refused(bench.guest, "m")
        do(
            bench,
            "createmedium disk --filename m.vdi --size 8",
            "storagectl m --name SATA --add sata",
            f"{ATTACH} --port 0 --type hdd --medium m.vdi",
        )
        assert set(bench.guest("m")) == {""}
        assert "--format VMDK" in refused(bench.command, ["guest_write", "m", "0", "x"])

    def test_a_disk_that_is_gone_or_moved(self, bench: Bench) -> None:
        do(bench, *MACHINE, "snapshot m take s")
        disk, moved = bench.folder.path / "m.vmdk", bench.folder.path / "moved.vmdk"
        disk.rename(moved)
        assert "m.vmdk" in refused(bench.guest, "m")
        assert bench.world()["machines"][0]["name"] == "m"
        moved.rename(disk)
        assert set(bench.guest("m")) == {""}

    @pytest.mark.skipif(not Path("/proc/locks").is_file(), reason="sees there when it is locked")
    def test_a_disk_in_use_is_told_and_nothing_is_lost(self, bench: Bench) -> None:
        do(bench, *MACHINE)
        disk = bench.folder.path / "m.vmdk"
        before = disk.read_bytes()
        holder = subprocess.Popen(
            ["qemu-io", "-f", "vmdk", str(disk)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        locked = f":{os.stat(disk).st_ino} "
        try:
            while locked not in Path("/proc/locks").read_text():
                assert holder.poll() is None
                time.sleep(0.02)
            result = bench.command(["guest_write", "m", "0", "x"])
            assert "Another program is using it" in advice(result) and disk.read_bytes() == before
        finally:
            holder.kill()
            holder.communicate()
