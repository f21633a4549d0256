"""The command ``fluidauth``: parse, call, print. See :mod:`fluidauth.cli.commands`."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def main() -> None:
    """Run the command; without the extra ``cli``, say how to get it."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.exit("the command line needs more packages: pip install 'fluidauth[cli]'")
    from .commands import run

    sys.exit(run())
