"""Leases: which container has which address. Two links a lease, on tmpfs, so that a reboot frees them all."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator
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
        self.network = ipaddress.IPv4Network(subnet)
        self.gateway = str(self.network[1])

    def locked(self) -> AbstractContextManager[int]:
        """Held while a lease and its link are made or removed."""
        for name in ("addresses", "containers"):
            os.makedirs(f"{self._directory}/{name}", mode=0o700, exist_ok=True)
        return files.locked(f"{self._directory}/lock")

    def lease(self, id: str, wanted: str = "") -> str:
        """An address for container `id`; `wanted`, or a free one, the one after the last first.

        Raises ExhaustedError, ConflictError, InvalidError for an address that is not of the subnet.
        """
        for address in [self._checked(wanted)] if wanted else self._candidates():
            try:
                os.symlink(id, f"{self._directory}/addresses/{address}")
            except FileExistsError:
                owner = os.readlink(f"{self._directory}/addresses/{address}")
                raise ConflictError(f"address {address} is taken by container {owner[:12]}") from None
            os.symlink(address, f"{self._directory}/containers/{id}")
            self._remember(address)
            return address
        count = self.network.num_addresses - 3
        raise ExhaustedError(f"all {count} addresses of {self.network} are taken, remove containers or widen subnet")

    def release(self, id: str) -> None:
        """Give an address back. Idempotent."""
        with suppress(FileNotFoundError):
            address = os.readlink(f"{self._directory}/containers/{id}")
            with suppress(FileNotFoundError):
                if os.readlink(f"{self._directory}/addresses/{address}") == id:
                    os.unlink(f"{self._directory}/addresses/{address}")
            os.unlink(f"{self._directory}/containers/{id}")

    def holders(self) -> frozenset[str]:
        """Ids that have a lease."""
        try:
            return frozenset(name for name in os.listdir(f"{self._directory}/containers") if ID.fullmatch(name))
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

    def _candidates(self) -> Iterator[str]:
        taken = set(os.listdir(f"{self._directory}/addresses"))
        count = self.network.num_addresses - 3  # without the network, the gateway and the broadcast address
        # An address is not given again at once: peers may still remember who had it.
        start = self._last() + 1
        for step in range(count):
            address = str(self.network[2 + (start + step) % count])
            if address not in taken:
                yield address

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
