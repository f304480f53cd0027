"""A finished run put to work: encode, decode, reconstruct, score new data.

`loading.load` opens a run's folder, or the best run of a sweep's, as a `run.Run`, which needs
neither the data set nor Hydra nor Lightning. `given` recognises what a user hands in (arrays,
tables, pictures, texts, cells, files), `forms` gives results back in the like of it, and `chunks`
evaluates the network such that a sample's numbers do not depend on the others given with it.
`exporting` writes the network for other programs (`graphs`), `publishing` a folder to pass on.
In: a folder, and new data. Out: codes, samples in the units that came in, scores.
"""
