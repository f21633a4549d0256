"""Generators that yield store calls: the only code that decides in which order a store is asked.

Internal: it may change from one release to the next.
"""
