"""What should be set otherwise in a Redis server that keeps sessions."""

from __future__ import annotations

import ssl

from fluidauth.errors import StoreError

from .routing import Routes, Steps
from .url import Settings


def advice(routes: Routes) -> Steps[list[str]]:
    """Return what should be set otherwise in the servers."""
    found = dict.fromkeys(_advice_on(routes.settings))
    for place in (yield from routes.primaries()):
        [reply] = yield from routes.at(place, ("INFO",))
        if not isinstance(reply, bytes):
            raise StoreError(f"Redis cannot say how it is set up: {reply}")
        facts = dict(line.partition(":")[::2] for line in reply.decode().splitlines())
        found |= dict.fromkeys(_advice_for(facts))
    return list(found)


def _advice_on(settings: Settings) -> list[str]:
    if settings.tls is None or settings.tls.verify_mode != ssl.CERT_NONE:
        return []
    return [
        "Redis's certificate is not verified (ssl_cert_reqs=none): who stands in between reads and changes "
        "what is sent; where you know who signed it, set ssl_ca_certs instead"
    ]


def _advice_for(facts: dict[str, str]) -> list[str]:
    policy = facts.get("maxmemory_policy", "noeviction")
    sentences = []
    if policy != "noeviction":
        sentences.append(
            f"Redis has maxmemory-policy {policy}: short of memory, it ends sessions; set it to noeviction"
        )
    if facts.get("aof_enabled") == "0":
        sentences.append(
            "Redis keeps no append-only file: a restart ends the sessions begun since the last snapshot, "
            "and brings back those that ended; set appendonly to yes"
        )
    return sentences
