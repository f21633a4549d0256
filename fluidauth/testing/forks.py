"""Forked processes, by Python or in C, as uwsgi forks: of that Python hears nothing, and runs no hook."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any
from unittest.mock import patch


def begin_child(target: Callable[..., Any], *args: Any, heard: bool) -> BaseProcess:
    """Return a forked process that calls ``target(*args)``; *heard*: whether Python's own hooks run."""
    child = multiprocessing.get_context("fork").Process(target=target, args=args, daemon=True)
    # By PyDLL, which keeps the interpreter's lock: the child has it then, as in a server in C.
    with patch.object(os, "fork", os.fork if heard else ctypes.PyDLL(None).fork):
        child.start()
    return child
