"""Whether the documentation and the source are easy to read: ``python -m tools.prose``."""
