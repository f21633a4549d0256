"""Measurements; each script says what it asks."""
