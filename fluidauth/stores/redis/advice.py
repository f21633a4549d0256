"""Which settings should be changed in a Redis server that keeps sessions."""

from __future__ import annotations

import ssl

from fluidauth.errors import StoreError

from .routing import Routes, Steps
from .url import Settings


def advice(routes: Routes) -> Steps[list[str]]:
    """Return which settings of the servers should be changed."""
    found = dict.fromkeys(_advice_on(routes.settings))
    for place in (yield from routes.primaries()):
        [reply] = yield from routes.at(place, ("INFO",))
        if not isinstance(reply, bytes):
            raise StoreError(f"Redis does not show its settings: {reply}")
        facts = dict(line.partition(":")[::2] for line in reply.decode().splitlines())
        found |= dict.fromkeys(_advice_for(facts))
    return list(found)


def _advice_on(settings: Settings) -> list[str]:
    if settings.tls is None or settings.tls.verify_mode != ssl.CERT_NONE:
        return []
    return [
        "Redis's certificate is not verified (ssl_cert_reqs=none). So an attacker on the network can read "
        "and change what is sent; if you have its CA certificate, set ssl_ca_certs instead"
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
            "Redis keeps no append-only file. So a restart loses the sessions begun since the last snapshot, "
            "and brings back those that ended; set appendonly to yes"
        )
    return sentences
