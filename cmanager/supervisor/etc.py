"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a container, made outside and mounted in.

Containers of one network find each other by name: the directory `run_root/hosts/NETWORK` holds the hosts file of each
and a table of all. A start adds one line to every file there, an end removes it: work grows with the containers on
that network, some microseconds each.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ..errors import HostError, InvalidError
from ..linux import files
from ..linux.mounts import Mount
from ..model.container import RunRequest
from ..model.network import Peer

_LOCAL = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_OPTIONS = ("rbind", "nosuid", "nodev", "noexec")


def mounts(directory: str, hosts: str, request: RunRequest, resolver: str = "") -> tuple[Mount, ...]:
    """Those of the three files that are asked for, as mounts. directory: where `write` put two of them; hosts: path of
    the hosts file; resolver: path of another resolv.conf, "" for the one in the directory."""
    found = [Mount("bind", resolver or f"{directory}/resolv.conf", "/etc/resolv.conf", _OPTIONS)]
    if not request.no_hostname:
        found.append(Mount("bind", f"{directory}/hostname", "/etc/hostname", _OPTIONS))
    if not request.no_hosts:
        found.append(Mount("bind", hosts, "/etc/hosts", _OPTIONS))
    return tuple(found)


def write(
    directory: str,
    hostname: str,
    dns: tuple[str, ...],
    isolated: bool,
    search: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
) -> None:
    """Write hostname and resolv.conf. dns: name servers, search, options: the lines of resolv.conf(5), empty for the
    host's; "." alone searches nothing.

    In an isolated network the host's loopback name servers cannot be reached, so they are left out.
    """
    _write(f"{directory}/hostname", hostname + "\n")
    lines = [f"nameserver {_address(server, '--dns')}" for server in dns] or _host_resolv_conf(isolated)
    if search:
        lines = [line for line in lines if line.split()[:1] not in (["search"], ["domain"])]
    if search not in ((), (".",)):
        lines.append(f"search {' '.join(search)}")
    if options:
        lines = [*(line for line in lines if line.split()[:1] != ["options"]), f"options {' '.join(options)}"]
    _write(f"{directory}/resolv.conf", "".join(f"{line}\n" for line in lines))


def check(
    dns: tuple[str, ...],
    extra_hosts: tuple[str, ...],
    search: tuple[str, ...] = (),
    options: tuple[str, ...] = (),
    gateway: str = "127.0.0.1",
) -> None:
    """InvalidError for a --dns, --dns-search, --dns-option or --add-host that is none; before any side effect."""
    for server in dns:
        _address(server, "--dns")
    for flag, words in (("--dns-search", search), ("--dns-option", options)):
        for word in words:
            if not word or not word.isprintable() or any(c.isspace() for c in word):
                raise InvalidError(f"invalid {flag} {word!r}, expected one word of resolv.conf")
    for entry in extra_hosts:
        _extra(entry, gateway)


class Hosts:
    """The hosts files of one network. directory: `run_root/hosts/NETWORK`, made when missing."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def path(self, id: str) -> str:
        """The hosts file of container `id`."""
        return f"{self._directory}/{id}"

    def add(self, id: str, peer: Peer | None, extra: tuple[str, ...], gateway: str) -> str:
        """Write the file of container `id` and tell the others its names; returns its path.

        peer: its own address and names, None when it has no address; extra: `NAME:IP` entries, where IP may be
        "host-gateway".
        """
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        with files.locked(f"{self._directory}/.lock"):
            table = _read(f"{self._directory}/.table")
            own = "".join(_extra(entry, gateway) for entry in extra)
            line = _line(peer, id) if peer else ""
            _write(self.path(id), _LOCAL + own + line + "".join(f"{text}\n" for text in table))
            if line:
                for other in self._others(id):
                    with suppress(FileNotFoundError):
                        _append(self.path(other), line)
                _append(f"{self._directory}/.table", line)
        return self.path(id)

    def remove(self, id: str) -> None:
        """Forget container `id` in every file. Idempotent."""
        if not os.path.isdir(self._directory):
            return
        mark = f"# {id[:12]}"
        with files.locked(f"{self._directory}/.lock"):
            with suppress(FileNotFoundError):
                os.unlink(self.path(id))
            if any(text.endswith(mark) for text in _read(f"{self._directory}/.table")):
                for name in [".table", *self._others(id)]:
                    path = f"{self._directory}/{name}"
                    with suppress(FileNotFoundError):
                        _rewrite(path, "".join(f"{text}\n" for text in _read(path) if not text.endswith(mark)))

    def _others(self, id: str) -> list[str]:
        return [name for name in os.listdir(self._directory) if not name.startswith(".") and name != id]


def _line(peer: Peer, id: str) -> str:
    return f"{peer.address}\t{' '.join(dict.fromkeys(peer.names))} # {id[:12]}\n"


def _extra(entry: str, gateway: str) -> str:
    name, colon, address = entry.replace("=", ":", 1).partition(":")
    if not colon or not name or any(c.isspace() or not c.isprintable() or c == "#" for c in name):
        raise InvalidError(f"invalid --add-host {entry!r}, expected NAME:IP")
    if address == "host-gateway":
        address = gateway
    return f"{_address(address, '--add-host')}\t{name}\n"


def _address(text: str, flag: str) -> str:
    import ipaddress  # few need it

    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise InvalidError(f"invalid {flag} {text!r}, not an ip address") from None


def _host_resolv_conf(isolated: bool) -> list[str]:
    lines = _read("/etc/resolv.conf")
    return [line for line in lines if not _is_loopback_server(line)] if isolated else lines


def _is_loopback_server(line: str) -> bool:
    words = line.split()
    if len(words) < 2 or words[0] != "nameserver":
        return False
    import ipaddress

    try:
        return ipaddress.ip_address(words[1].partition("%")[0]).is_loopback
    except ValueError:
        return False


def _read(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read(1 << 20).splitlines()
    except FileNotFoundError:
        return []


def _write(path: str, content: str) -> None:
    try:
        # Read by any user of the container, whatever our umask is.
        files.write_atomic(path, content.encode("utf-8", "surrogateescape"))
        os.chmod(path, 0o644)
    except OSError as error:
        raise HostError.of("write", path, error) from None


def _append(path: str, line: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        os.write(fd, line.encode())
    finally:
        os.close(fd)


def _rewrite(path: str, content: str) -> None:
    # In place: the file is mounted in a container, a new one under its name would not be seen there.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        data = content.encode("utf-8", "surrogateescape")
        os.pwrite(fd, data, 0)
        os.ftruncate(fd, len(data))
    finally:
        os.close(fd)
