"""Train an autoencoder: python train.py [group=option] [key=value]; --help lists the choices."""

from pathlib import Path

import hydra

from activae.cli.command import run_job, start
from activae.config import names, schema

schema.register()
names.register()

# The task function is activae's own, with no body to edit: under -m the launchers train the jobs
# themselves. Code of yours goes into a Hydra callback: hydra.callbacks.NAME._target_=MODULE.CLASS.
main = hydra.main(
    version_base="1.3",
    config_path=str(Path(__file__).resolve().parent / "configs"),
    config_name="train",
)(run_job)


if __name__ == "__main__":
    start(main)
