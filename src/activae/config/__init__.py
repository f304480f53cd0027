"""From a composed config to a settled one: schema, checks, names, identity, trust, objects.

In: what Hydra composed or a run folder holds. Out: a config that says everything and can work, and
what its nodes describe. Nothing here knows data or networks.
"""
