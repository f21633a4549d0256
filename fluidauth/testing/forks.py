"""Forked processes, by Python or in C, as uwsgi forks. In C, Python does not know, and runs no hook."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import traceback
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any
from unittest.mock import patch


def begin_child(target: Callable[..., Any], *args: Any, heard: bool) -> BaseProcess:
    """Return a forked process that calls ``target(*args)``; *heard* says whether Python's own hooks run.

    It ends with that call, and waits for no thread, because those of its parent are not there.
    """
    child = multiprocessing.get_context("fork").Process(target=_run, args=(target, args), daemon=True)
    # By PyDLL, which keeps the interpreter's lock, so the child has it, as in a server in C.
    with patch.object(os, "fork", os.fork if heard else ctypes.PyDLL(None).fork):
        child.start()
    return child


def _run(target: Callable[..., Any], args: tuple[Any, ...]) -> None:
    code = 1
    try:
        target(*args)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
