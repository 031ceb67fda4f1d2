"""A bench at work, with VirtualBox or without, and what lies around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

from samples import machines

from labkit.virtualbox.engine import Bench
from labkit.virtualbox.folder import HOME, Folder

PROGRAMS = ("VBoxManage", "qemu-img", "qemu-io")
ATTACH = "storageattach m --storagectl SATA --device 0"
DISK = (
    "createmedium disk --filename m.vmdk --size 16 --format VMDK",
    "storagectl m --name SATA --add sata --portcount 2",
    f"{ATTACH} --port 0 --type hdd --medium m.vmdk",
)
MACHINE = ("createvm --name m --register", *DISK)  # with an empty disk


@contextmanager
def opened(*programs: str) -> Iterator[Bench]:
    """The bench of lesson 77; it goes at the end."""
    bench = Bench("77", programs)
    bench.ready()
    try:
        yield bench
    finally:
        assert bench.remove() == [] and not bench.folder.path.exists()


def do(bench: Bench, *lines: str) -> None:
    """Run VBoxManage, which must succeed."""
    for line in lines:
        result = bench.command(["VBoxManage", *line.split()])
        assert result.code == 0, result.text


def linked(name: str, snapshot: str = "s") -> str:
    """The command that makes a linked clone of a snapshot of "m"."""
    return f"clonevm m --snapshot {snapshot} --options link --register --name {name}"


def paths(bench: Bench) -> list[str]:
    """The lesson's files, as it calls them."""
    return list(map(bench.folder.name, bench.folder.files()))


def outside(folder: Folder, top: Path) -> dict[str, tuple[int, int, int]]:
    """All that lies around a lesson's folder, with size, time of change and kind."""
    around = [path for path in (top, *top.rglob("*")) if not path.is_relative_to(folder.path)]
    stats = {str(path): path.lstat() for path in around}
    return {name: (stat.st_size, stat.st_mtime_ns, stat.st_mode) for name, stat in stats.items()}


def settings_only(path: Path, **settings: str) -> Folder:
    """A folder whose VirtualBox has nothing but settings of machines, and is never asked."""
    home = path / HOME
    home.mkdir(parents=True, exist_ok=True)
    machines.home(home, **settings)
    virtualbox = SimpleNamespace(home=home, running=list)
    return Folder(path, virtualbox)  # type: ignore[arg-type]
