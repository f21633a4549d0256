"""Walks over a whole store, at a pace, for the command line.

Internal: it may change from one release to the next.
"""
