"""An example as its server loads it, with a clock that a test sets: see EXAMPLE and CLOCK."""

import os
import time
from importlib import import_module
from pathlib import Path

_real, _ahead = time.time, Path(os.environ["CLOCK"])
time.time = lambda: _real() + float(_ahead.read_text())  # as a machine whose clock is set
app = import_module(os.environ["EXAMPLE"]).app
