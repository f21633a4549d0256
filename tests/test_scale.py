"""What a service needs at its size: the plan follows from what was measured, and the page says the same."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import scale
from benchmarks.scale import Load
from harness import ROOT

CAPACITY = json.loads(scale.CAPACITY.read_text())
LOADS = st.builds(
    Load,
    sessions=st.integers(1, 10**9),
    requests=st.floats(0, 10**6),
    changes=st.floats(0, 10**5),
    payload=st.integers(0, 60_000),
)


def test_the_page_shows_what_is_planned() -> None:
    """Each worked example, with its sentence and its table."""
    page = (ROOT / "docs" / "scale.md").read_text()

    for name, load in scale.WORKED.items():
        section = page.partition(f"## {name[0].upper()}{name[1:]} sessions\n")[2]
        assert section.startswith(f"\n{scale.sentence(load)}\n\n{scale.table(load, CAPACITY)}\n")


@given(LOADS, st.integers(1, 10))
def test_more_load_never_needs_less(load: Load, times: int) -> None:
    """Of nothing, in no store; and a store that carries the more carried the less."""
    grown = {name: getattr(load, name) * times for name in ("sessions", "requests", "changes")}
    more = Load(**vars(load) | grown)

    for small, large in zip(scale.plans(load, CAPACITY), scale.plans(more, CAPACITY), strict=True):
        for name in ("memory", "disk", "log", "network", "cores"):
            assert getattr(large, name) >= getattr(small, name)
        assert not large.nodes or small.nodes


def test_sessions_in_use_write_their_expiry() -> None:
    """Once in three minutes each, but no more than there are requests."""
    assert Load(sessions=1_800, requests=100, changes=10, active=1.0).writes == 20
    assert Load(sessions=10**9, requests=100, changes=10).writes == 100
    assert Load(sessions=10, requests=0, changes=0).writes < 0.01


def test_a_cluster_begins_at_three_primaries() -> None:
    """By memory or by computing; each has a replica."""
    by_memory = scale.of_redis(Load(sessions=30_000_000, requests=1, changes=1), CAPACITY)
    by_computing = scale.of_redis(Load(sessions=1_000, requests=100_000, changes=1_000), CAPACITY)
    alone = scale.of_redis(Load(sessions=1_000, requests=1, changes=1), CAPACITY)

    assert (by_memory.store, by_memory.nodes) == ("Redis Cluster", 6)
    assert by_computing.nodes >= 6
    assert (alone.store, alone.nodes) == ("Redis", 2)


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ([], 0, "100,000,000 sessions"),
        (["--sessions", "500", "--requests", "5", "--changes", "1"], 0, "500 sessions, 5 requests a second"),
        (["--sessions", "500"], 2, "go together"),
    ],
)
def test_the_command_needs_python_alone(options: list[str], code: int, says: str) -> None:
    """No site packages; half a load is refused."""
    command = [sys.executable, "-S", "-m", "benchmarks.scale", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == code, done.stderr
    assert says in done.stdout + done.stderr
