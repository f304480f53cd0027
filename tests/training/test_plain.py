"""In a plain pl.Trainer the module is a LightningModule like others, and learns what it learns."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    LearningRateFinder,
    LearningRateMonitor,
    ModelCheckpoint,
)
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.tuner import Tuner
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from activae import AutoencoderDataModule, AutoencoderModule
from activae.config.settling import settle
from activae.data.loaders import TrainingBatches
from activae.data.module import STEPS_PER_CHUNK
from activae.errors import ConfigError, DataError
from activae.models import Autoencoder, MLPDecoder, MLPEncoder
from activae.objectives import CodeL1, HutchinsonContractive, corruptions
from activae.results.recording import Recorders
from activae.training.assembly import build_data, build_model
from activae.training.endings import Diverged
from activae.training.fitting import fit
from activae.training.optimizers import Clipping, make_optimizer
from activae.training.phases import Phase
from activae.training.plain import unfused
from activae.training.process import process_state
from activae.training.schedules import Plateau, Schedule, constant, cosine, onecycle

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's advice on loaders and loggers

Compose = Callable[..., DictConfig]


def network() -> Autoencoder:
    torch.manual_seed(0)
    half = {"hidden": [8], "activation": nn.Tanh}
    return Autoencoder(MLPEncoder((6,), 2, **half), MLPDecoder(2, (6,), **half), shape=(6,))


def arrays(batch_size: int = 10, **settings: Any) -> AutoencoderDataModule:
    """100 samples of 6 features: 7 batches an epoch."""
    x = torch.rand(100, 6, generator=torch.Generator().manual_seed(0))
    return AutoencoderDataModule.from_arrays(x, batch_size=batch_size, **settings)


def trainer(folder: Path, **arguments: Any) -> pl.Trainer:
    quiet: dict[str, Any] = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": folder,
        "max_epochs": 3,
    }
    return pl.Trainer(**quiet | arguments)


def trained(
    folder: Path, data: AutoencoderDataModule | None = None, **arguments: Any
) -> tuple[AutoencoderModule, pl.Trainer]:
    model, used = AutoencoderModule(network(), lr=1e-2), trainer(folder, **arguments)
    used.fit(model, datamodule=data or arrays())
    return model, used


def weights(model: AutoencoderModule) -> Tensor:
    return nn.utils.parameters_to_vector(model.net.parameters()).detach()


def test_three_lines_train_log_and_count(tmp_path: Path) -> None:
    model, used = trained(tmp_path)

    assert used.global_step == model.step == 21
    assert set(used.callback_metrics) == {"SE/val", "SE/train", "loss/val", "loss/train"}
    [again] = trainer(tmp_path).validate(model, datamodule=arrays(), verbose=False)
    assert set(again) == {"SE/val", "loss/val"}
    assert again["SE/val"] == pytest.approx(used.callback_metrics["SE/val"].item())
    assert weights(model).ne(weights(AutoencoderModule(network()))).any()


IN_A_SCRIPT: dict[str, tuple[tuple[str, ...], Callable[[], dict[str, Any]]]] = {
    "corruption": (
        ("corruption=salt_and_pepper", "corruption.probability=0.3"),
        lambda: {"corruption": partial(corruptions.salt_and_pepper, probability=0.3)},
    ),
    "regularisers": (
        ("regulariser=[code_l1,contractive_hutchinson]", "regulariser.code_l1.weight=0.01"),
        lambda: {
            "regularisers": {
                "code_l1": CodeL1(0.01),
                "contractive_hutchinson": HutchinsonContractive(1e-3, probes=1),
            }
        },
    ),
}


@pytest.mark.parametrize("case", IN_A_SCRIPT)
def test_what_joins_the_loss_in_a_script_is_what_a_config_says(
    case: str, compose: Compose, tmp_path: Path
) -> None:
    overrides, given = IN_A_SCRIPT[case]
    own = ("scheduler=constant", "trainer.max_epochs=2")
    cfg = settle(compose("trainer=cpu", "data.train_fraction=0.2", *own, *overrides))
    data = build_data(cfg)
    ours = build_model(cfg, data)
    net = build_model(settle(compose("trainer=cpu", "data.train_fraction=0.2")), data).net
    script = AutoencoderModule(net, lr=cfg.optimizer.lr, **given())

    for model in (ours, script):
        trainer(tmp_path, max_epochs=2).fit(model, datamodule=build_data(cfg))

    assert weights(script).equal(weights(ours))


def test_what_does_not_suit_the_loss_is_refused_when_the_module_is_made() -> None:
    with pytest.raises(ConfigError, match=r"corruption\.probability=2"):
        AutoencoderModule(network(), corruption=partial(corruptions.masking, probability=2))
    penalty: Any = nn.L1Loss()
    with pytest.raises(ConfigError, match="regularisers: mine: is a L1Loss, not an"):
        AutoencoderModule(network(), regularisers={"mine": penalty})


OWN_FITS = {
    "mse": (),
    "the schedule's rates, clipping, decay": (
        "scheduler=cosine",
        "scheduler.warmup=0.2",
        "trainer.gradient_clip_val=0.05",
        "optimizer.weight_decay=1e-3",
    ),
    "corruption by the step": ("corruption=masking",),
    "pixels drawn at each step": ("data.source.binarise=dynamic", "objective=bce"),
    "a regulariser that draws": ("regulariser=contractive_hutchinson", "objective.l1=1e-5"),
    "a schedule that goes by SE/val": (
        "scheduler=plateau",
        "scheduler.patience=0",
        "scheduler.threshold=0.9",
    ),
    "double precision": ("trainer.precision=64-true",),
    "a line search": ("optimizer=lbfgs", "optimizer.max_iter=3", "data.batch_size=200"),
    "dropout": ("encoder.dropout=0.2",),
}


@pytest.mark.parametrize("case", OWN_FITS)
def test_the_weights_are_those_of_the_projects_own_fit(
    case: str, compose: Compose, tmp_path: Path
) -> None:
    small = ("trainer=cpu", "trainer.max_epochs=4", "data.train_fraction=0.3", "logger=minimal")
    cfg = settle(compose(*small, "logger.progress_bar=false", *OWN_FITS[case]))
    models = []
    for plain in (False, True):
        with process_state(cfg.seed):
            data = build_data(cfg)
            model = build_model(cfg, data)
            if plain:
                precision = cfg.trainer.precision
                used = trainer(tmp_path, max_epochs=4, precision=precision, num_sanity_val_steps=0)
                used.fit(model, datamodule=data)
            else:
                fit(cfg, model, data, tmp_path, Recorders())
        models.append(model)
    own, plain_model = models

    assert plain_model.step == own.step
    assert torch.equal(weights(plain_model), weights(own))
    assert plain_model.row["SE/val"] == pytest.approx(own.row["SE/val"])
    assert plain_model.row["SE/train"] == pytest.approx(own.row["SE/train"])
    assert plain_model.row["loss/train"] == pytest.approx(own.row["loss/train"])


def test_model_checkpoint_keeps_the_best_and_the_module_opens_it(tmp_path: Path) -> None:
    keep = ModelCheckpoint(tmp_path, monitor="SE/val", filename="best", save_last=True)
    data = arrays(normalisation="standardise")
    model, _ = trained(tmp_path, data, callbacks=[keep], enable_checkpointing=True)

    opened = AutoencoderModule.load_from_checkpoint(keep.best_model_path, net=network())

    assert keep.best_model_score.item() == pytest.approx(model.row["SE/val"])
    assert torch.equal(weights(opened), weights(model))
    assert torch.equal(opened.normalisation.scale, data.normalisation.scale)
    assert not opened.training
    with pytest.raises((ConfigError, DataError), match=r"net="):
        AutoencoderModule.load_from_checkpoint(keep.best_model_path)


@pytest.mark.parametrize("every", [3, 7])
def test_a_fit_goes_on_from_a_checkpoint_within_an_epoch_and_at_its_end(
    every: int, tmp_path: Path
) -> None:
    whole, _ = trained(tmp_path)
    keep = ModelCheckpoint(tmp_path, every_n_train_steps=every, save_top_k=-1, filename="{step}")
    trained(tmp_path, callbacks=[keep], enable_checkpointing=True)

    resumed, used = AutoencoderModule(network(), lr=1e-2), trainer(tmp_path)
    used.fit(resumed, datamodule=arrays(), ckpt_path=tmp_path / f"step={3 * every}.ckpt")

    assert used.global_step == 21
    assert torch.equal(weights(resumed), weights(whole))


def test_a_schedule_that_goes_by_the_error_goes_on_from_a_checkpoint(tmp_path: Path) -> None:
    def made() -> AutoencoderModule:
        never = Plateau(factor=0.5, patience=0, threshold=0.9, cooldown=0, min_factor=0.0)
        return AutoencoderModule(network(), schedule=never)

    keep = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}")
    whole, resumed = made(), made()
    trainer(tmp_path, callbacks=[keep], enable_checkpointing=True).fit(whole, datamodule=arrays())
    trainer(tmp_path).fit(resumed, datamodule=arrays(), ckpt_path=tmp_path / "epoch=1.ckpt")

    assert whole.factor(whole.step) < 0.5
    assert resumed.factor(resumed.step) == whole.factor(whole.step)
    assert torch.equal(weights(resumed), weights(whole))


def test_a_trained_module_can_be_copied_and_pickled(tmp_path: Path) -> None:
    model, _ = trained(tmp_path)

    again = pickle.loads(pickle.dumps(model))

    assert torch.equal(weights(again), weights(model))


def test_data_in_memory_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(arrays()))

    assert torch.equal(again.samples["val"], arrays().samples["val"])


def test_a_subclass_may_have_an_optimizer_of_its_own(tmp_path: Path) -> None:
    class Own(AutoencoderModule):
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.5)

    model, used = Own(network()), trainer(tmp_path)
    used.fit(model, datamodule=arrays())

    assert used.optimizers[0].param_groups[0]["lr"] == 0.5
    assert weights(model).ne(weights(Own(network()))).any()


def test_early_stopping_ends_the_fit(tmp_path: Path) -> None:
    stop = EarlyStopping("SE/val", patience=0, min_delta=1e6)

    _, used = trained(tmp_path, callbacks=[stop])

    assert used.current_epoch == 2


def test_the_learning_rate_and_figures_are_in_the_csv_log(tmp_path: Path) -> None:
    model = AutoencoderModule(network(), lr=1e-2, schedule=cosine)
    logger = CSVLogger(tmp_path, name="", version="")
    used = trainer(tmp_path, logger=logger, callbacks=[LearningRateMonitor()], log_every_n_steps=1)
    used.fit(model, datamodule=arrays())

    text = (tmp_path / "metrics.csv").read_text()
    header, *rows = (line.split(",") for line in text.splitlines())
    rates = [float(rate) for row in rows if (rate := row[header.index("lr-Adam")])]
    assert rates == pytest.approx([1e-2 * cosine(step, 21) for step in range(21)])
    assert {"SE/val", "SE/train", "loss/train", "epoch", "step"} <= set(header)
    assert sum(bool(row[header.index("SE/val")]) for row in rows) == 3


STEPS = {
    "fast_dev_run": ({"fast_dev_run": True}, 1),
    "max_steps": ({"max_epochs": -1, "max_steps": 9}, 9),
    "limit_train_batches": ({"limit_train_batches": 2}, 6),
    "a share of the batches": ({"limit_train_batches": 0.5}, 9),
    "limit_val_batches": ({"limit_val_batches": 1}, 21),
    "no validation": ({"limit_val_batches": 0}, 21),
    "validation within the epoch": ({"val_check_interval": 3}, 21),
    "overfit_batches": ({"overfit_batches": 2}, 6),
    "accumulate_grad_batches": ({"accumulate_grad_batches": 2}, 12),
    "gradient_clip_val": ({"gradient_clip_val": 1e-3}, 21),
    "bf16-mixed": ({"precision": "bf16-mixed"}, 21),
    "clipping in mixed precision": ({"precision": "bf16-mixed", "gradient_clip_val": 0.1}, 21),
    "bf16-true": ({"precision": "bf16-true"}, 21),
    "64-true": ({"precision": "64-true"}, 21),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_trainers_arguments_mean_what_they_mean_elsewhere(name: str, tmp_path: Path) -> None:
    arguments, steps = STEPS[name]

    model, used = trained(tmp_path, **arguments)

    assert used.global_step == model.step == steps
    assert weights(model).isfinite().all()
    assert used.callback_metrics["loss/train"] > 0
    assert ("SE/val" in used.callback_metrics) == (arguments.get("limit_val_batches") != 0)


def test_overfitting_sees_the_same_batches_in_every_epoch(tmp_path: Path) -> None:
    seen: list[Tensor] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Tensor, idx: int) -> None:
            seen.append(batch)

    trained(tmp_path, overfit_batches=2, callbacks=[Watch()])

    assert len(seen) == 6
    assert all(torch.equal(seen[at], seen[at % 2]) for at in range(6))


def test_accumulated_batches_are_a_larger_batch(tmp_path: Path) -> None:
    halves, _ = trained(tmp_path, arrays(7), accumulate_grad_batches=2)
    whole, _ = trained(tmp_path, arrays(14))

    torch.testing.assert_close(weights(halves), weights(whole), rtol=1e-4, atol=1e-6)


def test_clipping_by_the_trainer_is_that_of_the_module(tmp_path: Path) -> None:
    by_trainer, _ = trained(tmp_path, gradient_clip_val=1e-3)
    by_module = AutoencoderModule(network(), lr=1e-2, clipping=Clipping(1e-3))
    trainer(tmp_path).fit(by_module, datamodule=arrays())
    free, _ = trained(tmp_path)

    assert torch.equal(weights(by_trainer), weights(by_module))
    assert not torch.equal(weights(by_trainer), weights(free))


def test_test_and_predict(tmp_path: Path) -> None:
    x = 5 + 3 * torch.rand(100, 6)
    data = AutoencoderDataModule.from_arrays(x, normalisation="standardise")
    model, used = trained(tmp_path, data, max_epochs=200)

    scores = used.test(model, datamodule=data, verbose=False)[0]
    again = torch.cat(used.predict(model, datamodule=data))

    samples = data.samples["test"]
    with torch.no_grad():
        error = (model(samples) - samples).square().sum(1).mean()
    assert scores["SE/test"] == pytest.approx(error.item())
    raw = data.normalisation.inverse(samples)
    assert (again - raw).square().mean() < raw.var()
    assert again.mean() == pytest.approx(raw.mean().item(), abs=0.5)


def test_loaders_of_ones_own_will_do(tmp_path: Path) -> None:
    x = torch.rand(40, 6)
    model, used = AutoencoderModule(network()), trainer(tmp_path)

    used.fit(model, DataLoader(TensorDataset(x, torch.zeros(40)), 8), DataLoader(x, 8))

    assert used.global_step == 15
    assert {"loss/train", "SE/val"} <= set(used.callback_metrics)


@pytest.mark.parametrize("batches", [3, STEPS_PER_CHUNK + 3])
def test_a_loss_that_is_not_finite_ends_the_fit_and_names_the_step(
    batches: int, tmp_path: Path
) -> None:
    x = torch.rand(batches, 6)
    x[2] = torch.nan
    with pytest.raises(Diverged, match="step 2"):
        trainer(tmp_path).fit(AutoencoderModule(network()), DataLoader(x, 1))


def test_a_small_network_has_one_thread_and_the_others_are_given_back(tmp_path: Path) -> None:
    counts: list[int] = []

    class Watch(pl.Callback):
        def on_train_start(self, trainer: Any, module: Any) -> None:
            counts.append(torch.get_num_threads())
            if len(counts) == 2:
                raise ZeroDivisionError

    torch.set_num_threads(2)
    try:
        trained(tmp_path, callbacks=[Watch()], fast_dev_run=True)
        counts.append(torch.get_num_threads())
        counts.pop(0)
        with pytest.raises(ZeroDivisionError):
            trained(tmp_path, callbacks=[Watch()], fast_dev_run=True)
        assert counts == [2, 1]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def tuned(folder: Path) -> tuple[AutoencoderModule, AutoencoderDataModule, Tuner]:
    return AutoencoderModule(network()), arrays(), Tuner(trainer(folder))


def test_a_tuner_finds_the_batch_size_of_the_data_module(tmp_path: Path) -> None:
    model, data, tuner = tuned(tmp_path)
    before = weights(model)

    found = tuner.scale_batch_size(model, datamodule=data)

    assert found == data.batch_size == 128  # the first that holds the 70 samples
    assert torch.equal(weights(model), before)
    trainer(tmp_path).fit(model, datamodule=data)
    assert model.step == 3


def test_a_tuner_finds_the_learning_rate_of_the_module_and_it_trains_with_it(
    tmp_path: Path,
) -> None:
    model, data, tuner = tuned(tmp_path)
    before = weights(model)
    assert model.lr == 1e-3

    found = tuner.lr_find(model, datamodule=data)

    assert found is not None
    assert model.lr == found.suggestion()
    assert torch.equal(weights(model), before)
    trainer(tmp_path).fit(model, datamodule=data)
    chosen = AutoencoderModule(network(), lr=model.lr)
    trainer(tmp_path).fit(chosen, datamodule=arrays())
    assert torch.equal(weights(model), weights(chosen))


def test_a_range_test_goes_on_where_training_would_have_diverged(tmp_path: Path) -> None:
    sgd = partial(torch.optim.SGD, momentum=0.9)
    model = AutoencoderModule(network(), lr=0.1, optimizer=sgd)
    assert model.lr == 0.1

    test = {"max_lr": 1e12, "num_training": 60, "early_stop_threshold": None, "update_attr": False}
    found = Tuner(trainer(tmp_path, max_epochs=10)).lr_find(model, datamodule=arrays(), **test)

    assert found is not None
    assert len(found.results["lr"]) == 60
    assert model.lr == 0.1


@pytest.mark.parametrize("schedule", [constant, onecycle])
def test_callbacks_that_tune_have_the_fit_go_on_with_what_they_found(
    schedule: Schedule, tmp_path: Path
) -> None:
    finders = [BatchSizeFinder(max_trials=3), LearningRateFinder()]
    model, data = AutoencoderModule(network(), schedule=schedule), arrays()

    trainer(tmp_path, callbacks=finders).fit(model, datamodule=data)

    assert data.batch_size == 8
    chosen = AutoencoderModule(network(), lr=model.lr, schedule=schedule)
    trainer(tmp_path).fit(chosen, datamodule=arrays(8))
    assert model.lr != 1e-3
    assert torch.equal(weights(model), weights(chosen))


def test_lr_is_for_an_optimizer_that_takes_one() -> None:
    with pytest.raises(ConfigError, match=r"lr=-1: must be a number greater than 0"):
        AutoencoderModule(network(), lr=-1)
    with pytest.raises(ConfigError, match=r"lr=0\.1: the optimizer takes no lr; give one that"):
        AutoencoderModule(network(), lr=0.1, optimizer=lambda p: torch.optim.SGD(p, lr=1))


def test_torch_compile_compiles_a_step_once(tmp_path: Path) -> None:
    plain, _ = trained(tmp_path, limit_val_batches=0)
    graphs: list[Any] = []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    model = AutoencoderModule(network(), lr=1e-2)
    compiled: Any = torch.compile(model, backend=backend)
    trainer(tmp_path, limit_val_batches=0).fit(compiled, datamodule=arrays())

    assert len(graphs) == 1
    assert torch.equal(weights(model), weights(plain))


def test_what_a_trainer_cannot_do_is_refused(tmp_path: Path) -> None:
    phased = AutoencoderModule(network(), phases=[Phase("one", 0, 2), Phase("two", 2, 4)])
    endless = AutoencoderModule(network(), schedule=cosine)

    with pytest.raises(ConfigError, match="phases: 2 phases have an optimizer each"):
        trainer(tmp_path).fit(phased, datamodule=arrays())
    with pytest.raises(ConfigError, match="total_steps: the schedule goes by the length"):
        trainer(tmp_path, max_epochs=-1).fit(endless, datamodule=arrays())
    empty = arrays()
    empty.samples["test"] = empty.samples["test"][:0]
    with pytest.raises(DataError, match="there are no samples for test"):
        trainer(tmp_path).test(AutoencoderModule(network()), datamodule=empty)


def test_samples_of_another_shape_are_named(tmp_path: Path) -> None:
    others = AutoencoderDataModule.from_arrays(torch.rand(50, 7))

    with pytest.raises(ConfigError, match=r"^datamodule: its samples have shape \(7,\), and the n"):
        trainer(tmp_path).fit(AutoencoderModule(network()), datamodule=others)
    with pytest.raises(
        DataError, match=r"^a batch has shape \[6\], and the network takes \[B, 6\]"
    ):
        trainer(tmp_path).fit(AutoencoderModule(network()), torch.rand(50, 6))


def test_several_devices_would_train_on_the_same_batches(tmp_path: Path) -> None:
    several: Any = SimpleNamespace(world_size=2)

    with pytest.raises(ConfigError, match=r"pl\.Trainer: has 2 devices"):
        TrainingBatches(arrays(), several)


def test_an_optimizer_that_unscales_gradients_itself_is_not_made_for_half_precision() -> None:
    for factory in (torch.optim.Adam, partial(torch.optim.SGD, lr=0.1)):
        assert make_optimizer(unfused(factory), network()).defaults["fused"] is None

    chosen = partial(torch.optim.Adam, fused=True)
    assert unfused(chosen) is chosen


def test_another_optimizer_and_a_length_of_ones_own(tmp_path: Path) -> None:
    sgd = partial(torch.optim.SGD, lr=0.1)
    model = AutoencoderModule(network(), optimizer=sgd, schedule=cosine, total_steps=100)

    trainer(tmp_path).fit(model, datamodule=arrays())

    assert model.optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * cosine(21, 100))
