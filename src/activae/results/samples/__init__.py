"""How good new samples are, beside real ones, reconstructions and copies of the training set.

`statistics` compares two sets of points, `features` makes points of samples, `scoring` puts the
figures of a run together. In: the splits of a run and what draws codes. Out: numbers by name.
"""
