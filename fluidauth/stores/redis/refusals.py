"""What the errors of a Redis server mean."""

from __future__ import annotations

from hiredis import ReplyError

from fluidauth.errors import StoreError

# Nothing was done, but another try may work soon.
SOON = frozenset(("LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY"))
_MEANINGS = {
    "MISCONF": "it cannot write to its disk, and its settings make it refuse changes then",
    "NOREPLICAS": "too few replicas are connected, and its settings make it refuse changes then",
    "OOM": "it is out of memory, and its settings make it refuse writes then",
    "READONLY": "it is a replica; give the primary, or Sentinel",
    "NOAUTH": "it wants a password",
    "WRONGPASS": "it refuses the user and password",
    "NOPERM": "this user is not allowed to do this",
    "WRONGTYPE": "something else is stored under a key of ours",
}


def code_of(problem: object) -> str:
    """Return the error code. Before Redis 7, a script puts words of its own in front of it."""
    text = str(problem)
    if text.startswith("ERR Error running script"):
        text = text.rpartition(": -")[2]
    return text.partition(" ")[0]


def refusal(problem: ReplyError) -> StoreError:
    code = code_of(problem)
    error = StoreError(f"Redis cannot do it: {_MEANINGS.get(code, problem)} ({code})")
    error.__cause__ = problem
    return error
