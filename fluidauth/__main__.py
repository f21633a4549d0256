"""``python -m fluidauth``, for when the command ``fluidauth`` is not on the path."""

from .cli import main

main()
