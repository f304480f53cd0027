"""What a run leaves: its folder, scores beside PCA's, diagnostics, TensorBoard events, the table.

In: a settled config and a folder. Out: the folder, complete, and what metrics.json holds.
"""
