"""PostgreSQL servers that can be cut off."""

from __future__ import annotations

import pytest

from fluidauth.stores.postgres import PostgresStore
from harness.servers.postgres import (
    new_database,
    postgres_url,
)


@pytest.fixture
def url() -> str:
    """A database of this test alone, with the schema."""
    url = new_database(postgres_url())
    PostgresStore(url).create_schema()
    return url
