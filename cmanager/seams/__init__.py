"""The five seams: one job each, spoken in values of `cmanager.model`.

Part of the author API. The docstrings are the contract, `cmanager.testing` checks it. Rules that hold on every seam:

* Errors are those of `cmanager.errors`; an OSError that escapes is a fault of the plugin.
* Undo methods (`delete`, `remove`, `detach`) are idempotent and best effort: what is already gone is success.
* A container id is 64 hex digits; whatever a provider makes is named after it, so that what was never recorded can
  still be found: `owned` lists the ids a provider holds something for, and `gc` undoes those nobody knows.
* Several processes call at the same time; a provider locks what it shares, never across a wait for a person. What one
  process made another finds and undoes, and an instance is used by a process and by those it forks.
* What a provider keeps in the process that calls it (descriptors, threads, children) does not grow with its calls.
"""

from .image import Images, Import, Push, Registry
from .limiter import Clock, Cover, Limiter, Watch
from .network import Ahead, Assign, Network, Publish, Shape
from .runtime import Adopt, Exec, Runtime
from .storage import AttachVolumes, Commit, DriveVolumes, Storage, Volumes

#: The version of every seam's contract; a provider names the one it was written for in `Provider.api`.
API = 1

#: Each seam by its word in plugins.toml: the hook that discovers its providers, and the Protocols of which a provider
#: must be one.
SEAMS: dict[str, tuple[str, tuple[type, ...]]] = {
    "image": ("cmanager_images", (Images,)),
    "storage": ("cmanager_storages", (Storage, Volumes)),
    "network": ("cmanager_networks", (Network,)),
    "limiter": ("cmanager_limiters", (Limiter,)),
    "runtime": ("cmanager_runtimes", (Runtime,)),
}

#: What a provider of each seam may be besides.
ABILITIES: dict[str, tuple[type, ...]] = {
    "image": (Registry, Import, Push),
    "storage": (Volumes, AttachVolumes, DriveVolumes, Commit),
    "network": (Ahead, Assign, Publish, Shape),
    "limiter": (Cover, Watch, Clock),
    "runtime": (Exec, Adopt),
}

__all__ = [
    "ABILITIES",
    "API",
    "SEAMS",
    "Adopt",
    "Ahead",
    "Assign",
    "AttachVolumes",
    "Clock",
    "Commit",
    "Cover",
    "DriveVolumes",
    "Exec",
    "Images",
    "Import",
    "Limiter",
    "Network",
    "Publish",
    "Push",
    "Registry",
    "Runtime",
    "Shape",
    "Storage",
    "Volumes",
    "Watch",
]
