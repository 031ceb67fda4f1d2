"""How the values in a disk's header read as text, and the arithmetic of blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import UUID

from labkit.messages import N_, _
from labkit.show.text import clean, shorten

NIL = str(UUID(int=0))
_NOWHERE = (1 << 64) - 1  # an offset that means none
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def units(size: int, unit: int) -> int:
    """How many units hold a size; the last one need not be full."""
    return -(-size // unit)


def human(size: int) -> str:
    """A size in bytes as text; one without decimals is exact."""
    step = min(max(size.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    unit = 1 << 10 * step
    if size % unit == 0:
        return f"{size // unit} {_UNITS[step]}"
    return f"{size / unit:.1f} {_UNITS[step]}"


def place(offset: int) -> str:
    """An offset in bytes as a hex dump shows it."""
    return _("none") if offset == _NOWHERE else f"{offset:#x} ({human(offset)})"


def in_file_order(data: bytes) -> str:
    """Bytes in the order of the file."""
    return "0x" + data.hex().upper()


def one_line(text: str) -> str:
    """What a file says, safe to print, in one line of at most 200 characters."""
    return shorten(clean(text), 200)


def words(data: bytes, encoding: str = "utf-8") -> str:
    """Text up to its first NUL, in one safe line."""
    return one_line(data.decode(encoding, "replace").partition("\0")[0])


def guid(data: bytes) -> str:
    """A UUID as VirtualBox (RTUUID) and Microsoft (GUID) store it: three fields little-endian."""
    return str(UUID(bytes_le=data))


def choice(names: dict[int, str]) -> Callable[[int], str]:
    """Text for a number that stands for one of several things."""
    return lambda number: (
        _(names[number]) if number in names else _("unknown ({number})", number=number)
    )


YES_OR_NO = choice({0: N_("no"), 1: N_("yes")})


def bits(names: dict[int, str]) -> Callable[[int], str]:
    """Text for a number whose bits each mean something."""

    def shown(number: int) -> str:
        meant = [_(name) for bit, name in names.items() if number >> bit & 1]
        return ", ".join([f"{number:#x}", *meant])

    return shown


def spans(pairs: Iterable[tuple[int, int]], limit: int) -> str:
    """Numbers from first to last, in the order given, as "10, 3–7".

    What takes more characters is an ellipsis.
    """
    joined: list[list[int]] = []
    for first, last in pairs:
        if joined and joined[-1][0] <= first <= joined[-1][1] + 1:
            joined[-1][1] = max(last, joined[-1][1])
        elif 2 * len(joined) <= limit:  # what more there is would be cut
            joined.append([first, last])
    texts = [str(first) if first == last else f"{first}–{last}" for first, last in joined]
    while len(text := ", ".join(texts)) > limit and len(texts) > 1:
        texts[-2:] = ["…"]
    return text
