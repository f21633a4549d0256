"""What the head of a request says, read only when it is asked for: from a WSGI environ, or an ASGI scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UPGRADE = "HTTP_UPGRADE"  # in a WSGI environ; no page can set this header
_SCHEMES = {"ws": "http", "wss": "https"}


class RequestHead:
    """The head of one request.

    It holds the environ or scope, which may hold the session. So nothing that lives longer may hold it.
    """

    __slots__ = ("_request",)

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._request = request

    @property
    def is_socket(self) -> bool:
        """Whether it is the handshake of a WebSocket. WSGI has no word for it: there it is an upgrade."""
        if "type" in self._request:
            return bool(self._request["type"] == "websocket")
        return "websocket" in str(self._request.get(UPGRADE, "")).lower()

    @property
    def method(self) -> str:
        """The method in capitals, such as ``POST``; that of a handshake is ``GET``."""
        name = "method" if "type" in self._request else "REQUEST_METHOD"
        return str(self._request.get(name, "GET"))

    @property
    def path(self) -> str:
        """The decoded path, with that of a mounted application."""
        if "type" in self._request:
            return str(self._request.get("path", ""))
        raw = f"{self._request.get('SCRIPT_NAME', '')}{self._request.get('PATH_INFO', '')}"
        return raw.encode("latin-1", "replace").decode(
            "utf-8", "replace"
        )  # PEP 3333 carries bytes as latin-1

    @property
    def query(self) -> str:
        """What follows the question mark, as it was sent."""
        raw = self._request.get("query_string" if "type" in self._request else "QUERY_STRING", "")
        return raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)

    @property
    def scheme(self) -> str:
        """The scheme ``http`` or ``https``, as the server saw it: behind a proxy it may be another one."""
        name = "scheme" if "type" in self._request else "wsgi.url_scheme"
        scheme = str(self._request.get(name, ""))
        return _SCHEMES.get(scheme, scheme)

    @property
    def host(self) -> str:
        """The value of ``Host``: a name, and a port if that is not the scheme's own."""
        return self.header("host") or ""

    def header(self, name: str) -> str | None:
        """Return the header *name*, several of them with commas between; None if there is none."""
        if "type" not in self._request:
            found = self._request.get(f"HTTP_{name.upper().replace('-', '_')}")
            return None if found is None else str(found)
        wanted = name.lower().encode("latin-1")
        length = len(wanted)
        values = [
            bytes(value)
            for key, value in self._request["headers"]
            if len(key) == length and key.lower() == wanted
        ]
        return b", ".join(values).decode("latin-1") if values else None

    def __repr__(self) -> str:  # a path may hold a secret, such as that of a reset link
        return f"<RequestHead {self.method}>"
