"""Training many runs at the price of a few, and losing none: what the launchers do.

In: a sweep's overrides, as Hydra's sweepers give them to a launcher. Out: a run folder for each
job, and `sweep.json`, of which `resuming` says what is launched again. `launch` composes the jobs
and gives each a folder (`folder`), an engine sees them to their end: the processes of `pool` and
the stacks of `lockstep` on this machine (`local`), or workers elsewhere (`remote`). `searching` and
`tuning` launch batch after batch (`batches`).
"""
