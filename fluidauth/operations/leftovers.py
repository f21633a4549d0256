"""What ends after a session has its new id: the one in another's name, and the user's other sessions."""

from __future__ import annotations

from fluidauth.errors import StoreError
from fluidauth.rules.policy import Policy
from fluidauth.rules.saving import Outcome, SavePlan

from .acting import leave
from .moments import end_others
from .runner import Steps


def end_the_rest(policy: Policy, plan: SavePlan, outcome: Outcome) -> Steps[None]:
    """End what ends when the session has its new id.

    If the store fails, the cookie of that id leaves all the same. Without it the user would be signed out.
    """
    wish = plan.state.wish
    try:
        if wish.leaves is not None:
            outcome.notices.insert(0, (yield from leave(policy, *wish.leaves)))
        if wish.alone_since is not None:
            yield from end_others(policy, plan.state, outcome, wish.alone_since, plan.now)
    except StoreError as error:
        outcome.failure = error
