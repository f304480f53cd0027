"""Training many runs at the price of a few, and losing none: what the launchers do."""
