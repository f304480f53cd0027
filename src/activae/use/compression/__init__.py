"""Compression with real bits: samples to an .aez file and back, through a run's code.

In: a run and samples. Out: a file whose every bit counts, and samples of it again. `quantiser`
turns codes into integers with a step for each dimension that `allocation` and `rate` choose;
`coder` turns integers into words; `container` is the file; `lossless` adds what makes 8-bit images
exact, `exact` through a run's decoder. `rows` reads samples block by block; `packing` goes from
samples to a file and back.
"""
