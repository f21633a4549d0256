"""Generators that yield store calls: only they decide in which order a store is asked.

Internal: it may change from one release to the next.
"""
