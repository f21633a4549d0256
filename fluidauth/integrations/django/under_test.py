"""Django's tests: sessions of theirs, apart from those that people have.

Its test environment, of the runner or pytest-django, is known by what it keeps to undo itself. That is in a
module that a service has no need of, and is not asked where no outbox is in ``django.core.mail``, which each
test environment puts there.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.conf import settings
from django.core import mail

from fluidauth.stores.under_test import run


def begins() -> bool:
    """Return whether tests began since this was asked; from then on each test finds no session."""
    if run.goes_on or not hasattr(mail, "outbox") or "testserver" not in settings.ALLOWED_HOSTS:
        return False
    from django.test.utils import _TestState

    if not hasattr(_TestState, "saved_data"):  # a service that keeps its mail in memory, and knows that host
        return False
    run.begin()
    _empty_before_each_test()
    return True


def _empty_before_each_test() -> None:
    """Do so for Django's test cases, as their transactions do for tables: there is no signal for it."""
    from django.test import SimpleTestCase

    call = SimpleTestCase.__call__

    @wraps(call)
    def emptied(test: SimpleTestCase, *args: Any, **options: Any) -> Any:
        run.empty()
        return call(test, *args, **options)

    SimpleTestCase.__call__ = emptied  # once, in a process that runs tests
