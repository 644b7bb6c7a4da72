"""One call to a plugin: JSON in a POST over a unix socket, with a deadline for all of it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import Any

from cmanager.errors import PluginError

_ACCEPT = "application/vnd.docker.plugins.v1.2+json"
_LIMIT = 1 << 20


class Refusal(PluginError):
    """The plugin has answered, and says that it did not do it."""


class Client:
    """A plugin at a socket. what: how errors call it; quick, slow: seconds for a call."""

    def __init__(self, what: str, path: str, quick: float, slow: float) -> None:
        self._what, self._path, self._quick, self._slow = f"{what} ({path})", path, quick, slow

    def call(self, method: str, arguments: dict[str, Any] | None = None, *, slow: bool = False) -> dict[str, Any]:
        """The plugin's answer to METHOD. Raises Refusal with its words, PluginError for all else that goes wrong."""
        seconds = self._slow if slow else self._quick
        try:
            status, content = self._ask(method, b"" if arguments is None else json.dumps(arguments).encode(), seconds)
        except TimeoutError:
            raise self.failed(method, f"no answer in {seconds:g} s") from None
        except OSError as error:
            number = f" (errno {error.errno})" if error.errno else ""
            raise self.failed(method, f"{(error.strerror or str(error)).lower()}{number}") from None
        except http.client.HTTPException as error:
            raise self.failed(method, f"an answer that is no HTTP, {type(error).__name__}") from None
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        said = answer.get("Err") if isinstance(answer, dict) else None
        if isinstance(said, str) and said:
            raise Refusal(self._text(method, said))
        if status != 200:
            raise Refusal(self._text(method, f"status {status}, {content[:200].decode('utf-8', 'replace')}"))
        if not isinstance(answer, dict):
            raise self.failed(method, f"an answer that is no JSON object, {content[:60]!r}")
        return answer

    def _ask(self, method: str, body: bytes, seconds: float) -> tuple[int, bytes]:
        with _Socket(time.monotonic() + seconds) as end:
            end.settimeout(seconds)
            end.connect(self._path)
            connection = http.client.HTTPConnection("plugin")
            connection.sock = end
            connection.request("POST", f"/{method}", body, {"Accept": _ACCEPT, "Content-Type": _ACCEPT})
            with connection.getresponse() as response:
                content = response.read(_LIMIT + 1)
                if len(content) > _LIMIT:
                    raise self.failed(method, f"an answer of more than {_LIMIT} bytes")
                return response.status, content

    def failed(self, method: str, why: str) -> PluginError:
        """The error for a call that came to nothing, or an answer that makes no sense."""
        return PluginError(self._text(method, why))

    def _text(self, method: str, why: str) -> str:
        verb = method.removeprefix("VolumeDriver.")
        return f"{self._what}: {verb}: {' '.join(why.split())[:500]}"


class _Socket(socket.socket):
    """A unix socket that is read until a deadline, however little comes at a time."""

    def __init__(self, deadline: float) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self._deadline = deadline

    def recv_into(self, *arguments: Any, **more: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(*arguments, **more)
