"""Lesson 07, VM disk formats: its tasks, and how it knows that they are solved."""

from __future__ import annotations

from labkit.disks import Disk, human
from labkit.engine import Session
from labkit.errors import LabError
from labkit.material import NotYet, Task, Try, whole_number
from labkit.messages import _
from labkit.virtualbox import reads as virtualbox

NEEDS = {"virtualbox": ["VBoxManage", "qemu-img", "qemu-io"]}
MIB = 1 << 20


def need_disk(lesson: Session, name: str, how: str) -> Disk:
    if name not in virtualbox.files(lesson):
        raise NotYet("There is no file `{name}` yet: {how}", name=name, how=how)
    return virtualbox.disk(lesson, name)


def same(lesson: Session, one: str, format_one: str, other: str, format_other: str) -> bool:
    """Whether two disks hold the same bytes for the guest; a longer one may go on with zeros.

    Source: qemu-img(1), compare.
    """
    argv = ["qemu-img", "compare", "-q", "-f", format_one, "-F", format_other, one, other]
    code = lesson.command(argv).code
    if code > 1:
        raise LabError(
            "{one} and {other} cannot be compared: is one of them damaged? Start the task again.",
            one=one,
            other=other,
        )
    return code == 0


def check_where(lesson: Session, answer: str) -> str:
    disk = virtualbox.disk(lesson, "grows.vdi")
    found = [
        extent
        for extent in disk.extents()
        if extent.kind == "data" and extent.start <= 40 * MIB < extent.start + extent.length
    ]
    if not found or found[0].at is None:
        raise LabError(
            "Block 40 is not in grows.vdi now: run the cells up to this one, from the %lesson "
            "cell on."
        )
    right = found[0].at + 40 * MIB - found[0].start
    said = whole_number(answer, "where 123456")
    if said == right:
        return _(
            "Yes: the data begins at {right:,} and the block of byte 40 MiB was the first to be "
            "written.",
            right=right,
        )
    if said == 40 * MIB:
        raise NotYet(
            "That is where the byte is for the guest. In the file it is elsewhere: follow the "
            "line down from block 40."
        )
    if said == right + MIB:
        raise NotYet(
            "That is the second block in the file, the one of 3 MiB. Block 40 was written before "
            "it."
        )
    if said < right:
        raise NotYet(
            "Header and block map are there. The data begins after them: look for `data at` in "
            "the header."
        )
    raise NotYet(
        "Not {said}. The file has {size:,} bytes in all; block 40 is the first of its data.",
        said=said,
        size=disk.file_size,
    )


def check_three(lesson: Session, answer: str) -> str:
    disk = need_disk(lesson, "mine.vdi", "`%VBoxManage createmedium disk --filename mine.vdi …`.")
    if disk.format != "VDI":
        raise NotYet(
            "`mine.vdi` is a {format}, whatever its name says: leave out `--format`.",
            format=disk.format,
        )
    if disk.variant == "fixed":
        raise NotYet(
            "All of its blocks are there, for it was reserved at once: leave out `--variant "
            "Fixed`. Begin again with `%task three-blocks`."
        )
    if disk.capacity != 32 * MIB:
        raise NotYet(
            "The guest would see {size}; 32 MiB were asked for: `--size 32`. Begin again with "
            "`%task three-blocks`.",
            size=human(disk.capacity),
        )
    blocks = disk.allocated // MIB
    if not blocks:
        raise NotYet(
            '`mine.vdi` is there and empty. Play the guest: `%qemu-io -f vdi -c "write 0 1" '
            "mine.vdi`."
        )
    if blocks < 3:
        raise NotYet(
            _.many(
                "Only {n} of its blocks is allocated. A second write into the same MiB needs no "
                "new block: write where there is none yet.",
                "Only {n} of its blocks are allocated. A second write into the same MiB needs no "
                "new block: write where there is none yet.",
                blocks,
            )
        )
    if blocks > 3:
        raise NotYet(
            "{blocks} blocks are allocated. Mind the edges: a write that crosses one of them "
            "takes the block on both sides. Begin again with `%task three-blocks`.",
            blocks=blocks,
        )
    return _(
        "Three blocks of 1 MiB, and a file of {size} for a disk of 32 MiB.",
        size=human(disk.file_size),
    )


def check_migrate(lesson: Session, answer: str) -> str:
    disk = need_disk(
        lesson, "server.qcow2", "`%qemu-img convert -f vdi -O qcow2 FROM TO` makes it."
    )
    if disk.format != "QCOW2":
        raise NotYet(
            "`server.qcow2` is a {format}: the name says one thing and the first bytes another. "
            "The format to write is given with `-O qcow2`.",
            format=disk.format,
        )
    source = virtualbox.disk(lesson, "grows.vdi")
    if disk.capacity != source.capacity:
        raise NotYet(
            "The guest would see a disk of {size} instead of {other}: that is the VDI *file*, "
            "header and all, taken for a plain disk. Say what the source is: `-f vdi`.",
            size=human(disk.capacity),
            other=human(source.capacity),
        )
    if not disk.allocated:
        raise NotYet(
            "`server.qcow2` has the right size and not a byte of data: `create` makes an empty "
            "disk, `convert` brings the data along."
        )
    if not same(lesson, "grows.vdi", "vdi", "server.qcow2", "qcow2"):
        raise NotYet(
            "The guest would find other bytes on it than on `grows.vdi`: convert that disk, all "
            "of it."
        )
    return _(
        "Identical for the guest, and the file has {size} instead of {other}.",
        size=human(disk.file_size),
        other=human(source.file_size),
    )


def check_old_server(lesson: Session, answer: str) -> str:
    disk = need_disk(
        lesson, "new.vdi", "`%VBoxManage clonemedium disk old.vhd new.vdi --format VDI` makes it."
    )
    if disk.format != "VDI":
        raise NotYet(
            "`new.vdi` is a {format}: VirtualBox keeps the format of the source unless you say "
            "`--format VDI`.",
            format=disk.format,
        )
    if not same(lesson, "old.vhd", "vpc", "new.vdi", "vdi"):
        raise NotYet(
            "`new.vdi` does not begin with what is on `old.vhd`: clone that disk, do not create "
            "an empty one."
        )
    if disk.capacity == virtualbox.disk(lesson, "old.vhd").capacity:
        raise NotYet(
            "The data is there, and the disk is as small as before: `%VBoxManage modifymedium "
            "disk new.vdi --resize 64`."
        )
    if disk.capacity != 64 * MIB:
        raise NotYet(
            "The guest would see {size} MiB; 64 were asked for.", size=disk.capacity // MIB
        )
    return _(
        "All the data, and room for as much again. What is inside still believes in 32 MiB: "
        "partition and file system come next."
    )


TASKS = [
    Task(
        "where",
        check_where,
        solution=Try(answer="2097152"),
        wrong=[
            Try(answer="41943040", hint="for the guest"),
            Try(answer="3145728", hint="second block"),
            Try(answer="512", hint="Header and block map"),
            Try(answer="99999999", hint="Not 99999999"),
            Try(answer="2M", hint="not a whole number"),
        ],
        hints=[
            _(
                "The lower strip is the file, from its first byte on the left; the lines come "
                "from the guest's blocks."
            ),
            _("The header's field `data at` says where the first block of the file begins."),
        ],
    ),
    Task(
        "three-blocks",
        check_three,
        solution=Try(
            [
                "VBoxManage createmedium disk --filename mine.vdi --size 32",
                'qemu-io -f vdi -c "write -q 0 1" -c "write -q 10M 1" -c "write -q 20M 1" mine.vdi',
            ]
        ),
        wrong=[
            Try(
                ["VBoxManage createmedium disk --filename mine.vdi --size 32 --variant Fixed"],
                hint="reserved at once",
            ),
            Try(
                [
                    "VBoxManage createmedium disk --filename mine.vdi --size 32",
                    'qemu-io -f vdi -c "write -q 0 1" -c "write -q 4k 1" -c "write -q 8k 1" '
                    "mine.vdi",
                ],
                hint="same MiB needs no new block",
            ),
            Try(
                [
                    "VBoxManage createmedium disk --filename mine.vdi --size 32",
                    'qemu-io -f vdi -c "write -q 512k 3M" mine.vdi',
                ],
                hint="crosses one of them",
            ),
            Try(
                [
                    "VBoxManage createmedium disk --filename mine.vdi --size 64",
                    'qemu-io -f vdi -c "write -q 0 3M" mine.vdi',
                ],
                hint="32 MiB were asked",
            ),
            Try(
                ["VBoxManage createmedium disk --filename mine.vdi --size 32"],
                hint="there and empty",
            ),
        ],
        hints=[
            _(
                "Two commands: `createmedium`, and `qemu-io` with three writes (`-c` may be given "
                "three times)."
            ),
            _(
                "A block is 1 MiB: three writes far from one another, or one of 3 MiB that begins "
                "at an edge."
            ),
        ],
    ),
    Task(
        "migrate",
        check_migrate,
        solution=Try(["qemu-img convert -f vdi -O qcow2 grows.vdi server.qcow2"]),
        wrong=[
            Try(["qemu-img create -q -f qcow2 server.qcow2 64M"], hint="not a byte of data"),
            Try(["qemu-img convert -f vdi -O raw grows.vdi server.qcow2"], hint="is a RAW"),
            Try(
                ["qemu-img convert -f raw -O qcow2 grows.vdi server.qcow2"],
                hint="taken for a plain disk",
            ),
            Try(
                [
                    "qemu-img convert -f vdi -O qcow2 guest.vdi server.qcow2",
                    "qemu-img create -q -f qcow2 server.qcow2 64M",
                    'qemu-io -f qcow2 -c "write -q -P 0x41 0 1M" server.qcow2',
                ],
                hint="other bytes",
            ),
        ],
        hints=[
            _("`-f` is the format of the source, `-O` that of the result."),
            _("The source is `grows.vdi`, a VDI."),
        ],
    ),
    Task(
        "old-server",
        check_old_server,
        setup=[
            "VBoxManage createmedium disk --filename old.vhd --size 32 --format VHD --variant "
            "Fixed",
            'qemu-io -f raw -c "write -q -P 0x37 0 8M" old.vhd',
        ],
        solution=Try(
            [
                "VBoxManage clonemedium disk old.vhd new.vdi --format VDI",
                "VBoxManage modifymedium disk new.vdi --resize 64",
            ]
        ),
        wrong=[
            Try(["VBoxManage modifymedium disk old.vhd --resize 64"], hint="no file `new.vdi`"),
            Try(
                ["VBoxManage createmedium disk --filename new.vdi --size 64"],
                hint="does not begin with",
            ),
            Try(
                ["VBoxManage clonemedium disk old.vhd new.vdi --format VDI"],
                hint="as small as before",
            ),
            Try(["VBoxManage clonemedium disk old.vhd new.vdi"], hint="keeps the format"),
        ],
        hints=[
            _("VirtualBox does not resize a fixed VHD: first make it another format, then larger."),
            _("`clonemedium … --format VDI`, then `modifymedium … --resize 64`."),
        ],
    ),
]
