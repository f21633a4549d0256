"""``python -m fluidauth``, for where the command ``fluidauth`` is not on the path."""

from .cli import main

main()
