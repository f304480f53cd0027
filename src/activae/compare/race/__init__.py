"""A race: training goes on, seed by seed, only for those that may still be the best.

`evidence` decides who leaves, as pure functions on scores; `racing` tunes, launches the seeds and
keeps count of the budget; `table` says who is in, `record` what is kept of it.
In: override lines of a sweep and its launcher. Out: runs, and a verdict with its guarantee.
"""
