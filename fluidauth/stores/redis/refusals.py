"""What the errors of a Redis server mean."""

from __future__ import annotations

from hiredis import ReplyError

from fluidauth.errors import StoreError

# Nothing was done, and it may be soon.
SOON = frozenset(("LOADING", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "BUSY"))
_MEANINGS = {
    "MISCONF": "it cannot write to its disk, and is set up to refuse changes then",
    "NOREPLICAS": "too few replicas are connected, and it is set up to refuse changes then",
    "OOM": "it is out of memory, and set up to refuse writes then",
    "READONLY": "it is a replica; give the primary, or Sentinel",
    "NOAUTH": "it wants a password",
    "WRONGPASS": "it refuses the user and password",
    "NOPERM": "it does not permit this to the user",
    "WRONGTYPE": "something else is stored under a key of ours",
}


def code_of(problem: object) -> str:
    """Return the word for what is wrong; before Redis 7 a script tells it behind words of its own."""
    text = str(problem)
    if text.startswith("ERR Error running script"):
        text = text.rpartition(": -")[2]
    return text.partition(" ")[0]


def refusal(problem: ReplyError) -> StoreError:
    code = code_of(problem)
    error = StoreError(f"Redis cannot do it: {_MEANINGS.get(code, problem)} ({code})")
    error.__cause__ = problem
    return error
