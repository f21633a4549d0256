"""Secrets for tests: public, and good for nothing else."""

from __future__ import annotations

GOOD = "TEST-ONLY-0123456789-abcdefghijklmn"
OTHER = "TEST-ONLY-9876543210-nmlkjihgfedcba"
OWN_FORM = "fask1_TEST-ONLY-0123456789-abcdefghijklmnopqrstuv"
ADVICE = '; make a good one with\n    python -c "from fluidauth import new_secret; print(new_secret())"'
