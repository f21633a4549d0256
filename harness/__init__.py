"""What tests, tools and benchmarks share: real servers, clients that keep them busy, faults on purpose.

It stands below all three and imports none of them; nothing of it is in the wheel.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder of the whole repository."""
