"""Volumes that a Docker volume plugin keeps, and our own record of them."""

from __future__ import annotations

import os
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from cmanager.errors import ConflictError, NotFoundError, PluginError, UnsupportedError
from cmanager.linux.process import boot_id
from cmanager.model import Context, Volume

from .records import Records

if TYPE_CHECKING:
    from . import Options
    from .client import Client


class DockerVolumes:
    """The volumes of one plugin, as `cmanager.seams.Volumes`, `DriveVolumes` and `AttachVolumes`.

    Nothing is asked of the plugin but for the volumes a request names; what is listed is in `Records`. The id of a
    Mount is the container's.
    """

    def __init__(self, context: Context, options: Options) -> None:
        self._name = context.name.partition(":")[2]
        self._options = options
        self._records = Records(context.state_dir)

    # -- cmanager.seams.Volumes ------------------------------------------------------------------------------------

    def create_volume(self, name: str, labels: dict[str, str], *, anonymous: bool = False) -> Volume:
        self.record_volume(name, labels, {}, anonymous=anonymous)
        return self.ready_volume(name)

    def volumes(self) -> tuple[Volume, ...]:
        return self._records.list()

    def volume(self, name: str) -> Volume:
        return self._records.find(name)

    def remove_volume(self, name: str) -> None:
        try:
            kept = self._records.find(name)
        except NotFoundError:
            return
        if self._records.is_made(name) or kept.problem:
            self._remove(name)
        self._records.remove(name)

    def volume_usage(self, name: str) -> int:
        """Always 0, which stands for unknown: no method of the protocol tells, and only the plugin could."""
        self._records.check(name)
        return 0

    # -- cmanager.seams.DriveVolumes -------------------------------------------------------------------------------

    def check_driver(self) -> None:
        _ = self._client

    def record_volume(
        self, name: str, labels: dict[str, str], options: dict[str, str], *, anonymous: bool = False
    ) -> Volume:
        return self._records.add(name, labels, options, anonymous=anonymous)

    def ready_volume(self, name: str) -> Volume:
        kept = self._records.find(name)
        if self._records.is_made(name):
            return kept
        try:
            if self._asked(name) is None:
                self._create(name, kept.options)
            made = attrs.evolve(kept, scope=self._scope())
        except BaseException:
            self._records.remove(name)
            raise
        self._records.made(made)
        return made

    def volume_status(self, name: str) -> dict[str, Any]:
        self._records.find(name)
        found = self._client.call("VolumeDriver.Get", {"Name": name}).get("Volume")
        status = found.get("Status") if isinstance(found, dict) else None
        return status if isinstance(status, dict) else {}

    # -- cmanager.seams.AttachVolumes ------------------------------------------------------------------------------

    def attach_volume(self, name: str, id: str) -> str:
        self.ready_volume(name)
        self.detach_volume(name, id)
        self._records.attaching(name, id, boot_id())
        answer = self._client.call("VolumeDriver.Mount", {"Name": name, "ID": id}, slow=True)
        path = answer.get("Mountpoint")
        if not isinstance(path, str) or not path.startswith("/") or not os.path.isdir(path):
            said = f"the Mountpoint of {name} is no directory here: {path!r:.100}"
            raise self._client.failed("VolumeDriver.Mount", said)
        self._records.attaching(name, id, boot_id(), path)
        return path

    def detach_volume(self, name: str, id: str) -> None:
        from .client import Refusal

        kept = self._records.attachment(name, id)
        if kept is None:
            return
        boot, path = kept
        try:
            self._client.call("VolumeDriver.Unmount", {"Name": name, "ID": id}, slow=True)
        except Refusal:
            # A plugin that was restarted, or whose Mount came to nothing, knows of no mount.
            if boot == boot_id() and path and _is_mounted(path):
                raise
        except (PluginError, NotFoundError, UnsupportedError):
            if boot == boot_id():  # else its mount went with the host's restart, whether or not it answers
                raise
        self._records.detached(name, id)

    def attached(self) -> tuple[tuple[str, str], ...]:
        return self._records.attachments()

    # -- parts -----------------------------------------------------------------------------------------------------

    @cached_property
    def _client(self) -> Client:
        """The plugin, which has said that it drives volumes."""
        from .client import Client
        from .discovery import socket_of

        path = socket_of(self._name, self._options.sockets, self._options.specs)
        what = f"docker volume plugin {self._name!r}"
        client = Client(what, path, self._options.timeout, self._options.slow_timeout)
        offered = client.call("Plugin.Activate").get("Implements")
        if not isinstance(offered, list) or "VolumeDriver" not in offered:
            said = ", ".join(map(str, offered)) if isinstance(offered, list) else "nothing"
            raise UnsupportedError(f"{what} ({path}) drives no volumes, it implements {said or 'nothing'}")
        return client

    def _asked(self, name: str) -> dict[str, Any] | None:
        """What the plugin has by that name, None when it has none."""
        from .client import Refusal

        try:
            found = self._client.call("VolumeDriver.Get", {"Name": name}).get("Volume")
        except Refusal:
            return None
        return found if isinstance(found, dict) else None

    def _create(self, name: str, options: dict[str, str]) -> None:
        from .client import Refusal

        try:
            self._client.call("VolumeDriver.Create", {"Name": name, "Opts": options}, slow=True)
        except Refusal:
            if self._asked(name) is None:  # else another process was quicker
                raise

    def _remove(self, name: str) -> None:
        from .client import Refusal

        users = [id for volume, id in self._records.attachments() if volume == name]
        if users:
            raise ConflictError(f"volume {name} is still attached for {users[0][:12]}, see `cmanager gc`")
        try:
            self._client.call("VolumeDriver.Remove", {"Name": name}, slow=True)
        except Refusal:
            if self._asked(name) is not None:
                raise

    def _scope(self) -> str:
        """Plugins from before the method have local volumes, as in Docker."""
        from .client import Refusal

        try:
            found = self._client.call("VolumeDriver.Capabilities", {}).get("Capabilities")
        except Refusal:
            return "local"
        scope = found.get("Scope") if isinstance(found, dict) else None
        return "global" if scope == "global" else "local"


def _is_mounted(path: str) -> bool:
    """Whether something is mounted at this very path (proc_pid_mountinfo(5))."""
    octal = re.compile(rb"\\([0-7]{3})")
    with open("/proc/self/mountinfo", "rb") as file:
        places = (octal.sub(lambda found: bytes([int(found[1], 8)]), line.split(b" ")[4]) for line in file)
        return os.fsencode(os.path.normpath(path)) in places
