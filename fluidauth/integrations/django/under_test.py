"""Django's tests have sessions of their own, apart from those of people.

The test environment, of the runner or of pytest-django, is recognized by what it keeps to undo itself. That
is in a module that a service does not need. It is only looked at if ``django.core.mail`` has an outbox, which
every test environment puts there.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

from django.conf import settings
from django.core import mail

from fluidauth.stores.under_test import run


def begins() -> bool:
    """Return whether tests began since the last call; from then on each test begins without sessions."""
    if run.goes_on or not hasattr(mail, "outbox") or "testserver" not in settings.ALLOWED_HOSTS:
        return False
    from django.test.utils import _TestState

    if not hasattr(_TestState, "saved_data"):  # a service that keeps its mail in memory
        return False
    run.begin()
    _empty_before_each_test()
    return True


def _empty_before_each_test() -> None:
    """Empty the store for Django's test cases, as transactions empty tables. There is no signal for it."""
    from django.test import SimpleTestCase

    call = SimpleTestCase.__call__

    @wraps(call)
    def emptied(test: SimpleTestCase, *args: Any, **options: Any) -> Any:
        run.empty()
        return call(test, *args, **options)

    SimpleTestCase.__call__ = emptied  # once, in a process that runs tests
