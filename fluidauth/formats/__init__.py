"""Bytes in, values out, and back: ``tests/vectors.json`` fixes them. No clock, no store.

Internal: it may change from one release to the next.
"""
