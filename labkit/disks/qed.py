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


class Qed(d.Disk):
    """A QED image."""

    format, kind = "QED", "clusters"

    def load(self, strip: d.Strip) -> None:
        head = self.parse(0, ROWS, "<")
        self.capacity, size, pages = head["capacity"], head["cluster size"], head["table size"]
        per = pages * size // 8
        strip.check(
            d.power(size, 1 << 12, 1 << 26)
            and d.power(pages, 1, 16)
            and self.capacity % d.SECTOR == 0
            and self.capacity <= per * per * size,
            f"its header makes no sense: {per} entries a table, clusters of {size} bytes, "
            f"a capacity of {self.capacity}",
        )
        strip.check(
            not head["features"] >> 3,
            f"has features {head['features']:#x} that no QED is known to have",
        )
        self.block_size, self.variant = size, "dynamic"
        if head["features"] & 1:
            self.follow_at(head["parent name at"], head["parent name size"])
            self.parent_raw = bool(head["features"] & 4)
        if head["features"] & 2:
            self.said.append(
                "It was not closed cleanly and needs a check: `qemu-img check` does it."
            )
        used = d.units(
            self.capacity, per * size
        )  # of the L1 table, so that a huge unused rest costs nothing
        table = strip.numbers(head["map at"], used, "<Q")
        self.maps = [
            d.Map(
                strip=strip,
                length=self.capacity,
                block=size,
                table=table,
                per=per,
                code="<Q",
                empty={0: "parent", 1: "zero"},
                end=d.units(strip.size, size) * size,
            )
        ]
        self.claim("header", "header", head["header size"] * size, 0)
        self.claim("map", "L1 table", per * 8, head["map at"])
        self.claim("map", "L2 tables", per * 8, *filter(None, table))
