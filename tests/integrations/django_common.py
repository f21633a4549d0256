"""Settings that the tests' Django sites share: pages, users in a database that goes with the process."""

from __future__ import annotations

import os
import tempfile
from typing import Any

_folder = tempfile.TemporaryDirectory(prefix="fluidauth-django-")

COMMON: dict[str, Any] = {
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    "DATABASES": {
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.path.join(_folder.name, "users.db"),
        }
    },
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],
    "USE_TZ": True,
}
