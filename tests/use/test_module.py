"""Lightning's own way to open a checkpoint works too, without the data set and without pickle."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from activae import AutoencoderModule
from activae.config.settling import read
from activae.errors import ConfigError, DataError
from activae.training.assembly import build_data
from activae.use.run import Run


def test_a_checkpoint_becomes_the_module_with_its_weights(
    digits: Run, images: np.ndarray, digits_folder: Path
) -> None:
    model = AutoencoderModule.load_from_checkpoint(digits_folder / "checkpoints/best.ckpt")

    assert not model.training
    with torch.no_grad():
        x = model.normalisation(torch.tensor(images[:300, None]))
        codes = model.net.encode(x)
    assert np.allclose(codes, digits.encode(images[:300]), atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # Lightning's own
def test_it_trains_on_with_a_trainer_of_ones_own(digits_folder: Path, tmp_path: Path) -> None:
    model = AutoencoderModule.load_from_checkpoint(str(digits_folder / "checkpoints/best.ckpt"))
    before = [parameter.clone() for parameter in model.net.parameters()]
    quiet = {"enable_progress_bar": False, "enable_model_summary": False}

    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        num_sanity_val_steps=0,
        **quiet,
    )
    trainer.fit(model.train(), datamodule=build_data(read(digits_folder / "config.yaml")))

    after = list(model.net.parameters())
    assert any(not new.equal(old) for new, old in zip(after, before, strict=True))


def test_a_checkpoint_outside_of_a_run_is_refused(digits_folder: Path, tmp_path: Path) -> None:
    shutil.copy(digits_folder / "checkpoints/best.ckpt", tmp_path / "best.ckpt")

    with pytest.raises((ConfigError, DataError), match="is not the folder of a run"):
        AutoencoderModule.load_from_checkpoint(tmp_path / "best.ckpt")


def test_a_checkpoint_that_is_not_there_is_named(digits_folder: Path) -> None:
    with pytest.raises(DataError, match=r"nope\.ckpt: there is no such file \(looked in "):
        AutoencoderModule.load_from_checkpoint(digits_folder / "nope.ckpt")
