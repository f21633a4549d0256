"""The benchmark suite: fluidauth beside what a user would pick instead. ``make bench`` runs it."""
