"""Django has one configuration for a process, and needs it before its modules are imported."""

from . import django_site  # noqa: F401  for what it does
