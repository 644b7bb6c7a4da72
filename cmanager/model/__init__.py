"""The values that cross the seams: frozen, typed, plain data.

Part of the author API. Everything here can be written as JSON and read back (`codec`), so that a provider may live in
another process.
"""

from ..linux.changes import Change
from ..linux.mounts import Mount
from ..linux.process import Process
from .container import (
    Check,
    Container,
    ExecRequest,
    Health,
    Healthcheck,
    Namespaces,
    Providers,
    RestartPolicy,
    RunRequest,
    State,
    Status,
    Ulimit,
)
from .image import Authorship, Image, ImageConfig, ImageEntry, Layer, Progress, PullEvent, Reference
from .limits import Cgroup, DeviceLimit, DeviceRule, HugetlbLimit, Limits
from .log import Dropped, LogConfig, LogSink
from .network import Attachment, Endpoint, Peer, PortMapping, Rate
from .plugin import Amendment, Context, Event, Provider
from .pod import Membership, Pod, PodRequest, PodStatus
from .runtime import Bundle, Features, Stdio
from .usage import BlockIO, HugePages, Pressure, Traffic, Usage, Watched
from .volume import Volume, VolumeMount

__all__ = [
    "Amendment",
    "Attachment",
    "Authorship",
    "BlockIO",
    "Bundle",
    "Cgroup",
    "Change",
    "Check",
    "Container",
    "Context",
    "DeviceLimit",
    "DeviceRule",
    "Dropped",
    "Endpoint",
    "Event",
    "ExecRequest",
    "Features",
    "Health",
    "Healthcheck",
    "HugePages",
    "HugetlbLimit",
    "Image",
    "ImageConfig",
    "ImageEntry",
    "Layer",
    "Limits",
    "LogConfig",
    "LogSink",
    "Membership",
    "Mount",
    "Namespaces",
    "Peer",
    "Pod",
    "PodRequest",
    "PodStatus",
    "PortMapping",
    "Pressure",
    "Process",
    "Progress",
    "Provider",
    "Providers",
    "PullEvent",
    "Rate",
    "Reference",
    "RestartPolicy",
    "RunRequest",
    "State",
    "Status",
    "Stdio",
    "Traffic",
    "Ulimit",
    "Usage",
    "Volume",
    "VolumeMount",
    "Watched",
]
