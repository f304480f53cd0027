"""What stands between Hydra and the package: messages, exit codes."""
