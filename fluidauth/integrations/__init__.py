"""Sessions in the words of each framework. Every module here needs its framework, and no other."""
