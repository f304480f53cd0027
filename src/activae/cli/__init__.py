"""What stands between Hydra or argparse and the package: messages, exit codes, progress."""
