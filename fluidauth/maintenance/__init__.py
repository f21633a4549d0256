"""Walks over a whole store, at a pace, for the command line."""
