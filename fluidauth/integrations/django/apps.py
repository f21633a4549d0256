"""What ``INSTALLED_APPS`` finds here."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import Tags, register

from .checks import check_settings


class FluidAuthConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """Checks the settings, as ``manage.py check`` and each start of the development server do."""

    name = "fluidauth.integrations.django"
    label = "fluidauth"
    verbose_name: str = "Sessions"

    def ready(self) -> None:
        register(check_settings, Tags.security)
