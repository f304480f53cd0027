"""The command `activae`, which pip installs: train.py, compare.py and use.py under one name.

activae activation=tanh                       one run, as python train.py
activae compare outputs/sweeps/NAME           which condition wins
activae use encode outputs/RUN photos/ codes.npy
"""

from __future__ import annotations

import sys

import hydra

from activae.cli.command import run_job, start
from activae.config import names, schema
from activae.config.program import comparing, configs_folder, using

_COMPARE = """Say which condition wins, how sure that is, and what weakens the answer.

    {command} outputs/sweeps/NAME                 a sweep, or any folder that holds runs
    {command} SWEEP --by activation,encoding.dim  by other keys than activation
    {command} SWEEP --metric test/SSIM --baseline relu --where data=mnist,digits
    {command} SWEEP --html report.html --latex table.tex

Runs are paired by seed and by every other key that is equal."""
_USE = """Put a finished run to work on new data.

    {command} encode outputs/RUN photos/ codes.npy
    {command} reconstruct outputs/RUN photos/ again/ --sheet sheet.png

RUN is a run's folder, or a sweep's: the best run by validation is taken, and named. Each verb has
its own --help. In Python: activae.load(RUN)."""


def main() -> int:
    """Do what the first word says: compare, use, or else train; return the exit code."""
    word, rest = sys.argv[1:2], sys.argv[2:]
    if word == ["compare"]:
        from activae.cli import compare  # here, because it imports pandas

        return compare.main(rest, _COMPARE.format(command=comparing()), comparing())
    if word == ["use"]:
        from activae.cli import use

        return use.main(rest, _USE.format(command=using()), using())
    if word == ["train"]:  # may be said, and needs not
        del sys.argv[1]
    train()
    return 0


def train() -> None:
    """What train.py does, with the configs wherever they are installed."""
    schema.register()
    names.register()
    configs = str(configs_folder())
    start(hydra.main(version_base="1.3", config_path=configs, config_name="train")(run_job))
