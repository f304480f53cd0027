"""Hydra's way to activae's sweeps."""
