"""The LightningModule, the optimizer step, schedules, phases, the fit loop, several devices.

In: a settled config and a DataModule. Out: a trained network and its checkpoints.
"""
