"""What tests count in the place of seconds: steps and calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps_of(function: Callable[[], object]) -> int:
    """Return how many steps *function* takes: instructions, and characters or items that C code may look at.

    Raise ``TypeError`` if it calls C code that is not known to take one step for each of them.
    """
    steps, unknown = 0, set[str]()

    def each_instruction(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return each_instruction

    def each_call(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal steps
        if event != "c_call":
            return
        if isinstance(argument.__self__, str | list):
            steps += len(argument.__self__)
        elif argument not in (len, sys.setprofile, sys.settrace):
            unknown.add(repr(argument))

    tracing, profiling = sys.gettrace(), sys.getprofile()  # of a coverage run
    sys.settrace(each_instruction)
    sys.setprofile(each_call)
    try:
        function()
    finally:
        sys.setprofile(profiling)
        sys.settrace(tracing)
    if unknown:
        raise TypeError(f"nobody counts the steps of {', '.join(sorted(unknown))}")
    return steps


def calls_of(function: Callable[[], object]) -> int:
    """Return how many functions of Python are called by *function*, and by those."""
    calls = 0

    def each(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    profiling = sys.getprofile()
    sys.setprofile(each)
    try:
        function()
    finally:
        sys.setprofile(profiling)
    return calls
