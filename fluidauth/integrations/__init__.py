"""Sessions in the words of each framework; every module here needs its framework, and no other."""
