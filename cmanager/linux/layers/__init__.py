"""Image layers as directories: inflate, read the tar, write it where it cannot reach out, publish it whole.

A layer is untrusted input. `unpack` is the only function that writes one; `Overlay` and `Apply` are the two ways to
keep its whiteouts; `Store` keeps them for whoever needs them, `chains` whole trees of them. The way back: `compare`
finds what a container changed and makes a layer of it. `pack` and `extract` read and write trees that are in use.
"""

from typing import TYPE_CHECKING

from .. import lazy
from .bounds import Bounds
from .staging import Claim
from .store import Store

if TYPE_CHECKING:
    from .unpacking import unpack
    from .whiteouts import Apply, Overlay

__all__ = ["Apply", "Bounds", "Claim", "Overlay", "Store", "unpack"]


# A start whose layers are there unpacks none.
__getattr__ = lazy.names(__name__, {"unpack": "unpacking", "Apply": "whiteouts", "Overlay": "whiteouts"})
