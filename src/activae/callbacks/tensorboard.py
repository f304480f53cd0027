"""What TensorBoard shows of a run besides what the history holds."""
