"""Lightning callbacks that record a run."""
