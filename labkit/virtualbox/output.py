"""What VirtualBox and its kin print, read: what to do about a failure, how far a command is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from labkit.commands import Result
from labkit.messages import N_, _
from labkit.show.progress import Bar

_ADVICE = {
    r"more than one child (?:hard disk|snapshot)|has \d+ child|"
    r"VBOX_E_OBJECT_IN_USE.*child|has one child snapshot": N_(
        "Other disks stand on that one, so it cannot be merged away: `%what_if` shows which; "
        "remove those first."
    ),
    r"terminated unexpectedly during startup|kernel driver|VERR_VM_DRIVER|VERR_SUPLIB|"
    r"\(rc=-1908\)": N_(
        "Starting a machine needs VirtualBox's kernel driver, and it is not loaded here: "
        "reinstall VirtualBox, or read the recorded outputs."
    ),
    r"already locked|is locked|locked for (?:reading|writing|a session)|"
    r"Failed to get \"\w+\" lock|VERR_SHARING_VIOL": N_(
        "Another program is using it: power the machine off, or close what has the disk open, "
        "and run the cell again."
    ),
    r"Cannot (?:delete|close|unregister|detach).*(?:attached|in use)|is attached to \d+ |"
    r"still attached": N_(
        "It is attached to a machine: detach it first (`storageattach … --medium none`), or "
        "delete the machine."
    ),
    r"VERR_DISK_FULL|No space left on device|not enough (?:free )?space": N_(
        "The disk of this computer is full: free some space and run the cell again; nothing of "
        "the lesson is lost."
    ),
    r"already exists|VERR_ALREADY_EXISTS|UUID \{[\w-]+\} of the medium|"
    r"because a hard disk .* with UUID": N_(
        "There is one of that name (or UUID) already: choose another name, or run the %lesson "
        "cell to start over."
    ),
    r"Could not find a registered machine": N_(
        "No machine of that name here: `%VBoxManage list vms` lists those of this lesson."
    ),
    r"Could not find a snapshot|snapshot .* not found|does not have any snapshots": N_(
        "No snapshot of that name: `%VBoxManage snapshot MACHINE list` shows them."
    ),
    r"VERR_FILE_NOT_FOUND|VERR_PATH_NOT_FOUND|Could not find file for the medium|"
    r"No such file or directory": N_(
        "That file is not in the lesson's folder: `%folder` lists what is there."
    ),
    r"Appliance (?:read|import) failed": N_(
        "The appliance is damaged, or made wrongly, and nothing was imported: get it once "
        "more, from whoever made it."
    ),
    r"Shrinking is not yet supported": N_(
        "VirtualBox makes no disk smaller: make a new one, and copy what is on it from inside "
        "the guest."
    ),
    r"VERR_NOT_SUPPORTED|VBOX_E_NOT_SUPPORTED|does not support resizing|not supported": N_(
        "This format or variant cannot do that: convert the disk to a VDI first (`clonemedium "
        "… --format VDI`)."
    ),
    r"^Usage - |Invalid command|Unknown option|Invalid parameter|Syntax error": N_(
        "VBoxManage did not understand that: check the spelling; `%VBoxManage help COMMAND` "
        "shows what it takes."
    ),
}
_PERCENT = re.compile(r"(?:^|\.\.\.)(\d+)%(?!.*\d%)", re.M)  # 0%...10%...20%...


def advice(result: Result) -> str:
    """One line on what to do about a failed command; "" if the program's words are enough."""
    matches = (text for pattern, text in _ADVICE.items() if re.search(pattern, result.text, re.I))
    return _(next(matches, "")) if result.code else ""


def bars(text: str) -> Sequence[Bar]:
    """One bar while the last line tells of percents."""
    percent = _PERCENT.search(text.rpartition("\n")[2] or text.rstrip())
    return [Bar("progress", int(percent[1]))] if percent else []
