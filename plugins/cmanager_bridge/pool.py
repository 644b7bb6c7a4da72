"""Leases: which container has which address. Two links a lease, on tmpfs, so that a reboot frees them all."""

from __future__ import annotations

import ipaddress
import os
from contextlib import AbstractContextManager, suppress

from cmanager.errors import ConflictError, ExhaustedError, InvalidError
from cmanager.linux import files
from cmanager.model.names import ID


class Pool:
    """The addresses of one subnet. `addresses/IP` links to the id, `containers/ID` to the address.

    directory: made 0700 when first used. Callers hold `locked` round everything that changes. Finding a free address
    reads the directory once, which grows with the number of leases.
    """

    def __init__(self, directory: str, subnet: str) -> None:
        self._directory = directory
        self._addresses, self._containers = f"{directory}/addresses", f"{directory}/containers"
        self.network = ipaddress.IPv4Network(subnet)
        self.gateway = str(self.network[1])

    def locked(self) -> AbstractContextManager[int]:
        """Held while a lease and its link are made or removed."""
        # One by one: os.makedirs would give the ones in between whatever mode the umask leaves.
        for path in (os.path.dirname(self._directory), self._directory, self._addresses, self._containers):
            os.makedirs(path, mode=0o700, exist_ok=True)
        return files.locked(f"{self._directory}/lock")

    def lease(self, id: str, wanted: str = "") -> str:
        """An address for container `id`; `wanted`, or a free one, the one after the last first.

        Raises ExhaustedError, ConflictError (the address is taken, or `id` has one), InvalidError for an address that
        is not of the subnet, OSError; then nothing has changed.
        """
        if os.path.lexists(f"{self._containers}/{id}"):
            raise ConflictError(f"container {id[:12]} is attached to {self.network} already, detach it first")
        address = self._free(self._checked(wanted)) if wanted else self._next()
        # In this order: whoever dies in between is known to `holders`, and `release` finds all there is.
        os.symlink(address, f"{self._containers}/{id}")
        try:
            os.symlink(id, f"{self._addresses}/{address}")
            self._remember(address)
        except OSError:
            self.release(id)
            raise
        return address

    def check(self, wanted: str, *, now: bool) -> None:
        """Raise what `lease` would raise for this address, `now` or ever; needs no lock."""
        address = self._checked(wanted)
        if now:
            self._free(address)

    def release(self, id: str) -> None:
        """Give an address back. Idempotent."""
        with suppress(FileNotFoundError):
            address = os.readlink(f"{self._containers}/{id}")
            with suppress(FileNotFoundError):
                if os.readlink(f"{self._addresses}/{address}") == id:
                    os.unlink(f"{self._addresses}/{address}")
            os.unlink(f"{self._containers}/{id}")

    def holders(self) -> frozenset[str]:
        """Ids that have a lease."""
        try:
            return frozenset(name for name in os.listdir(self._containers) if ID.fullmatch(name))
        except FileNotFoundError:
            return frozenset()

    def _checked(self, wanted: str) -> str:
        try:
            address = ipaddress.IPv4Address(wanted)
        except ValueError:
            raise InvalidError(f"{wanted!r} is not an IPv4 address") from None
        reserved = (self.network.network_address, self.network[1], self.network.broadcast_address)
        if address not in self.network or address in reserved:
            raise InvalidError(f"address {address} cannot be given to a container of {self.network}")
        return str(address)

    def _free(self, address: str) -> str:
        with suppress(FileNotFoundError):
            owner = os.readlink(f"{self._addresses}/{address}")
            raise ConflictError(f"address {address} is taken by container {owner[:12]}, choose another")
        return address

    def _next(self) -> str:
        taken = set(os.listdir(self._addresses))
        count = self.network.num_addresses - 3  # without the network, the gateway and the broadcast address
        # An address is not given again at once: peers may still remember who had it.
        start = self._last() + 1
        for step in range(count):
            address = str(self.network[2 + (start + step) % count])
            if address not in taken:
                return address
        raise ExhaustedError(f"all {count} addresses of {self.network} are taken, remove containers or widen subnet")

    def _last(self) -> int:
        try:
            last = ipaddress.IPv4Address(os.readlink(f"{self._directory}/last"))
        except (FileNotFoundError, ValueError):
            return -1
        return int(last) - int(self.network[2]) if last in self.network else -1

    def _remember(self, address: str) -> None:
        temporary = f"{self._directory}/last.new"
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        os.symlink(address, temporary)
        os.rename(temporary, f"{self._directory}/last")
