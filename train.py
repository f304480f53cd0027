"""Train an autoencoder: python train.py [group=option] [key=value]; --help lists the choices."""

import hydra
from omegaconf import DictConfig

from activae.cli.command import run_job, start
from activae.config import names as hydra_names
from activae.config import schema

schema.register()
hydra_names.register()


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float:
    """Run the job that Hydra composed; what it returns (SE/val) is what a sweeper minimises."""
    return run_job(cfg)


if __name__ == "__main__":
    start(main)
