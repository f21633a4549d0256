"""Which requests an application in development mode serves: from this machine, by its own name, no proxy.

Its secret may be weak, and its cookie travels in the clear. Three things are checked. The peer: a request
from another machine, or through the port of a container, has no loopback address. The host: an attacker's
page, whose name was made to lead to 127.0.0.1 (DNS rebinding), sends that name. The headers: a proxy on this
machine, or a tunnel, has a loopback address, but its headers say that it speaks for others. A proxy that adds
no headers and changes the host looks like a browser, and is served.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any

from fluidauth.engine.requests import Requests
from fluidauth.events import Notice
from fluidauth.formats.headers import Answer
from fluidauth.formats.loopback import is_local_name, is_loopback

from .asgi_visits import Scope, Send, send_refusal

REFUSED = Notice("development_mode", "refused")
_OF_PROXIES = re.compile(
    r"(x-)?forwarded.*|via|x-real-ip|(x-|x-cluster-|true-|fastly-)client-ip|cf-.*|x-original-.*"
)
_WAY_OUT = (
    "To serve others, set FLUIDAUTH_SECRET to a secret of your own, use https, and remove "
    "FLUIDAUTH_DEVELOPMENT (development=True)."
)
_IN_PROCESS = "testclient"
"""The peer that test clients of Starlette, FastAPI and Litestar have. A server puts an address there, so
no request over a network has it. DNS rebinding is impossible then, so any host is accepted."""


def refusal_of_environ(environ: Mapping[str, Any]) -> Answer | None:
    """Return the answer to a request of WSGI or Django that must not be served; None if it may be."""
    names = (name[5:].replace("_", "-") for name in environ if name.startswith("HTTP_"))
    hosts = [str(environ["HTTP_HOST"])] if environ.get("HTTP_HOST") else []
    # Django's AsyncClient says port 0, which no TCP peer has. Test clients that make a request of their own
    # name no peer, and have its body in memory: Flask's session_transaction(), WebTest, Falcon's client.
    in_process = environ.get("REMOTE_PORT") == 0 or (
        "REMOTE_ADDR" not in environ and type(environ.get("wsgi.input")) is BytesIO
    )
    return _answer(environ.get("REMOTE_ADDR"), hosts, names, in_process)


def refusal_of_scope(scope: Mapping[str, Any], in_process: bool = False) -> Answer | None:
    """Do as :func:`refusal_of_environ` for an ASGI scope; *in_process* means from a test client."""
    headers = [
        (bytes(name).decode("latin-1"), bytes(value).decode("latin-1")) for name, value in scope["headers"]
    ]
    client = scope.get("client")
    hosts = [value for name, value in headers if name.lower() == "host"]
    return _answer(client[0] if client else None, hosts, (name for name, _ in headers), in_process)


async def refuse(scope: Scope, send: Send, requests: Requests) -> bool:
    """Answer an ASGI request that must not be served; return whether it was one."""
    answer = refusal_of_scope(scope)
    if answer is None:
        return False
    requests.report([REFUSED])
    await send_refusal(answer, scope, send)
    return True


def why_refused(
    peer: str | None, hosts: list[str], names: Iterable[str], in_process: bool = False
) -> str | None:
    """Return why a request must not be served, and what to do; None if it may be.

    *hosts* are the values of ``Host``. Browsers send one. Without any the client is no browser, and only
    *peer* counts. *names* are those of its headers.
    """
    for name in names:
        if _OF_PROXIES.fullmatch(name.lower().replace("_", "-")):
            return "this request came through a proxy, as one of its headers says. Ask the server itself"
    if in_process or peer == _IN_PROCESS:
        return None
    if not is_loopback(peer):
        return (
            "this request came from elsewhere, through the port of a container, or over a socket without an "
            "address. Use a browser on the machine, or in the container, that runs the server"
        )
    if len(hosts) > 1 or not all(map(is_local_name, hosts)):
        return "this request named another host. Open it as http://localhost, with the server's port"
    return None


def _answer(peer: str | None, hosts: list[str], names: Iterable[str], in_process: bool) -> Answer | None:
    reason = why_refused(peer, hosts, names, in_process)
    if reason is None:
        return None
    text = f"Development mode serves only this machine, and {reason}. {_WAY_OUT}\n"
    return Answer("403 Forbidden", text.encode("ascii"))
