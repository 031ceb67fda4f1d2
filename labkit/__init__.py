"""labkit: live ``docker`` commands in a notebook, what they changed, and pictures of it.

Load it in a notebook with ``%load_ext labkit``; start a lesson with ``%lesson NAME``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "0.1.0"


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; IPython calls this on ``%load_ext labkit``."""
    from labkit.magics import LabMagics  # late: ``import labkit`` alone must stay light

    shell.register_magics(LabMagics)
