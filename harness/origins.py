"""Origins on loopback: https under names of two sites, with a certificate made for the run."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .servers.ports import free_port

# "test" is no public suffix, so that "shop.test" is a site and its hosts are siblings.
OURS, SIBLING, FOREIGN = "app.shop.test", "blog.shop.test", "evil.test"
NAMES = {"ours": OURS, "sibling": SIBLING, "foreign": FOREIGN}
ARRIVAL_TIMEOUT = 20  # seconds


class Certificate(NamedTuple):
    """A certificate for all the names, its key, and the *pin* by which Chromium accepts it."""

    file: Path
    key: Path
    pin: str


class Arrived(NamedTuple):
    """A request as a server met it; *headers* have names in small letters."""

    method: str
    path: str
    headers: dict[str, str]


def make_certificate(folder: Path) -> Certificate:
    """Write a certificate that signs itself into *folder*; it is good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, OURS)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(map(x509.DNSName, NAMES.values())), critical=False)
        .sign(key, hashes.SHA256())
    )
    place = Certificate(folder / "certificate.pem", folder / "key.pem", _pin_of(key.public_key()))
    place.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    place.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return place


def _pin_of(key: ec.EllipticCurvePublicKey) -> str:
    """Return the digest of the key's SubjectPublicKeyInfo (RFC 7469, 2.4)."""
    info = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(info).digest()).decode()


class Site:
    """A server for every name: it gives the page that was put at a path, and keeps what arrived.

    At ``/to?target=…`` it redirects there by 307, so that a method and a body come along.
    A WebSocket gets 403.
    """

    def __init__(self, certificate: Certificate | None = None) -> None:
        self.pages: dict[str, str] = {}
        self.arrived: list[Arrived] = []
        self._scheme = "https" if certificate else "http"
        self._server = _Server(("127.0.0.1", free_port()), self._handler())
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.file, certificate.key)
            # Each connection shakes hands in its own thread: one that says nothing holds up no other.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def origin(self, host: str) -> str:
        return f"{self._scheme}://{host}:{self._server.server_port}"

    def met(self, path: str) -> bool:
        """Return whether a request for *path*, with its query, has arrived."""
        return any(each.path == path for each in self.arrived)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            timeout = ARRIVAL_TIMEOUT  # Chromium opens connections that it may never use

            def _answer(self) -> None:
                site.answer(self)

            do_GET = do_POST = do_OPTIONS = _answer

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        return Handler

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Keep what arrived, and answer it."""
        request.rfile.read(int(request.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.arrived.append(Arrived(request.command, request.path, headers))
        path = urlsplit(request.path)
        target = parse_qs(path.query).get("target", [""])[0] if path.path == "/to" else ""
        status = 307 if target else 403 if "upgrade" in headers else 200
        body = self.pages.get(request.path, "").encode()
        request.send_response(status)
        for name, value in {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(body)),
            **({"Location": target} if target else {}),
        }.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for them

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Browsers hang up as they like."""


@contextmanager
def serving_pages(certificate: Certificate | None = None) -> Iterator[Site]:
    """Run a ``Site``, by https with a *certificate*."""
    site = Site(certificate)
    try:
        yield site
    finally:
        site.close()
