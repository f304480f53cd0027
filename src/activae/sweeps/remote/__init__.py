"""Sweeps shared by workers elsewhere: other processes, nodes of a cluster.

There is no scheduler: each worker gets all jobs and trains those that it is the first to claim in
the sweep's folder, which all of them see. The launcher looks at that folder too, to tell how far
they are.
"""
