"""``%tunnel`` as in lesson 03, for VXLAN: a VLAN that crosses a network of other people's."""

from __future__ import annotations

from pathlib import Path

from labkit.material import material

MAGICS = material(Path(__file__).parent.with_name("03")).magics
