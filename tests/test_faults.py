"""The faults on purpose: each can be made, and no promise goes without one. `make mutants` makes them."""

from __future__ import annotations

import re

import pytest

from harness import ROOT
from harness.faults import Fault, all_faults
from tools import mutants

FAULTS = all_faults()
PROMISES = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "security.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.promise}-{fault.what}")
def test_fault_applies(fault: Fault) -> None:
    """What it replaces stands exactly once in its file, and something else comes there."""
    text = (ROOT / fault.file).read_text("utf-8")

    assert fault.applied_to(text) not in (None, text)


def test_every_promise_has_a_fault() -> None:
    """And no fault is of a promise that nobody makes."""
    assert {fault.promise for fault in FAULTS} == set(PROMISES)


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_has_its_tests(promise: str) -> None:
    assert mutants.files_of(promise) != []


def test_a_fault_that_does_not_apply_is_a_result() -> None:
    """It is told beside the others, and stops none of them."""
    gone = Fault("1", "what is gone", "README.md", "no such text", "")

    outcome = mutants.attempt(gone, quick=True)

    assert outcome.verdict == "DOES NOT APPLY"


@pytest.mark.check
def test_faults_are_caught_and_harmless_ones_survive() -> None:
    """The whole way: a copy, the fault, the promise's tests, and what became of them."""
    [real] = [fault for fault in FAULTS if fault.what == "ids come from elsewhere"]
    harmless = real._replace(new=real.old.replace("_ID_BYTES", "int(_ID_BYTES)"))

    caught, survived = (mutants.attempt(fault, quick=True) for fault in (real, harmless))

    assert caught.verdict.startswith("caught by ")
    assert survived.verdict == "SURVIVED"
