"""Densities of codes, which new codes are drawn from: fitted to a trained network's codes.

In: codes [N, d]. Out: a `Density`, which draws codes and tells how likely one is; what it keeps are
tensors and plain values. `kinds` has the fits to choose from, by the names that `sampler=` has.
"""
