"""QED, QEMU's short-lived second format: two levels of tables, and nothing that was not needed for speed.

Source: QEMU, docs/interop/qed_spec.rst. All numbers are little-endian.
"""
from __future__ import annotations

from labkit.disks import disk as d

FEATURES = {0: "has a parent", 1: "needs a check", 2: "its parent is raw"}
ROWS: list[d.Row] = [
    (0, "4s", "signature", d.magic, "the letters QED and a zero byte"),
    (4, "I", "cluster size", d.human, "the file grows by one cluster at a time"),
    (8, "I", "table size", str, "clusters in a table"),
    (12, "I", "header size", str, "clusters before the first that can be used"),
    (16, "Q", "features", d.bits(FEATURES), "who does not know one of these must not open it"),
    (24, "Q", "compatible features", d.bits({}), "may be ignored"),
    (32, "Q", "autoclear features", d.bits({}), "are cleared by who does not know them"),
    (40, "Q", "map at", d.place, "where the table of tables (L1) begins"),
    (48, "Q", "capacity", d.human, "what the guest sees"),
    (56, "I", "parent name at", d.place, "where the name of the backing file is"),
    (60, "I", "parent name size", d.human, "of the name of the backing file"),
]


class Clusters(d.TwoLevel):
    """Entries: 0 not here, 1 zeros, else a place in the file."""

    code = "<Q"

    def entry(self, value: int) -> tuple[str, int | None]:
        return ("data", value) if value > 1 else ("zero" if value else "parent", None)


class Qed(d.Disk):
    """A QED image."""

    format, kind = "QED", "clusters"

    def load(self, strip: d.Strip) -> None:
        head = self.parse(0, ROWS, "<")
        self.capacity, size = head["capacity"], head["cluster size"]
        per = head["table size"] * size // 8
        if not d.power(size, 1 << 12, 1 << 26) or not d.power(head["table size"], 1, 16) or (
                self.capacity % d.SECTOR or self.capacity > per * per * size):
            raise strip.wrong(f"its header makes no sense: {per} entries a table, clusters of {size} bytes, a capacity "
                              f"of {self.capacity}")
        if head["features"] >> 3:
            raise strip.wrong(f"has features {head['features']:#x} that no QED is known to have")
        self.block_size, self.variant = size, "dynamic"
        if head["features"] & 1:
            self.variant, at, count = "differencing", head["parent name at"], head["parent name size"]
            self.follow(strip.need(at, min(count, 1023), "its parent's name").decode("utf-8", "replace"))
            self.parent_raw = bool(head["features"] & 4)
        if head["features"] & 2:
            self.said.append("It was not closed cleanly and needs a check: `qemu-img check` does it.")
        used = -(-self.capacity // (per * size))  # of the L1 table, so that a huge unused rest costs nothing
        table = strip.numbers(head["map at"], used, "<Q", "its map")
        clusters = Clusters(strip, 0, self.capacity, size, table, per)
        clusters.end = -(-strip.size // size) * size  # the last cluster need not be written to its end
        self.maps = [clusters]
        self.claim(0, head["header size"] * size, "header", "header")
        self.claim(head["map at"], per * 8, "map", "L1 table")
        for at in clusters.places:
            self.claim(at, per * 8, "map", "L2 tables")
