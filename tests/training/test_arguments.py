"""What a script gives the module: options by name, and mistakes that say what to give instead."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activae import AutoencoderDataModule, AutoencoderModule, conv_autoencoder, mlp_autoencoder
from activae.errors import ConfigError, DataError
from activae.models import Autoencoder, MLPDecoder, MLPEncoder
from activae.objectives import CodeL1, Objective, bce, corruptions, huber
from activae.training.optimizers import Clipping
from activae.training.schedules import Plateau, onecycle


def network(code_dim: int = 2, **settings: Any) -> Autoencoder:
    torch.manual_seed(0)
    half: dict[str, Any] = {"hidden": [8], "activation": nn.Tanh}
    encoder, decoder = MLPEncoder((6,), code_dim, **half), MLPDecoder(code_dim, (6,), **half)
    return Autoencoder(encoder, decoder, shape=(6,), **settings)


def own_loss(net: Autoencoder, x: Tensor) -> Tensor:
    return F.smooth_l1_loss(net(x), x)


def test_options_go_by_their_names_as_on_the_command_line() -> None:
    model = AutoencoderModule(network(), objective="l1", optimizer="sgd", schedule="onecycle")

    assert isinstance(model.new_optimizer(), torch.optim.SGD)
    assert model.lr == 0.5  # that of configs/optimizer/sgd.yaml
    assert model.factor(7) == onecycle(7, model.total_steps)
    x = torch.rand(5, 6)
    assert model.terms(x)["reconstruction"] == F.l1_loss(model(x), x)
    assert AutoencoderModule(network(), optimizer="sgd", lr=0.1).lr == 0.1
    assert isinstance(AutoencoderModule(network(), schedule="plateau").schedule, Plateau)


def test_a_loss_need_not_be_wrapped() -> None:
    x = torch.rand(5, 6)
    for loss in (own_loss, partial(huber, delta=0.1)):
        model = AutoencoderModule(network(), objective=loss)

        assert model.terms(x)["reconstruction"] == loss(model.net, x)
        assert model.net.training

    whole = AutoencoderModule(network(), objective=lambda net, x: {"mine": own_loss(net, x)})
    assert list(whole.terms(x)) == ["mine"]


def test_what_joins_the_loss_goes_by_the_names_of_options_too() -> None:
    named = AutoencoderModule(network(), corruption="masking", regularisers=["code_l1"])
    given = AutoencoderModule(
        network(),
        corruption=partial(corruptions.masking, probability=0.25),
        regularisers={"code_l1": CodeL1(1e-4)},
    )
    x = torch.rand(5, 6)

    assert named.terms(x) == given.terms(x)
    for model in (named, given):
        assert isinstance(model.training_batch(x, 3), dict)
    seen, other = named.training_batch(x, 3), given.training_batch(x, 3)
    assert torch.equal(seen["seen"], other["seen"])  # type: ignore[index, arg-type, call-overload]


def test_a_number_limits_the_norm_of_the_gradients() -> None:
    assert AutoencoderModule(network(), clipping=0.5).clipping == Clipping(0.5)


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no such optimizer": (
        {"optimizer": "sdg"},
        r"^optimizer='sdg': no option of configs/optimizer .* Did you mean sgd\? Its options are a",
    ),
    "no such schedule": ({"schedule": "one_cycle"}, r"^schedule='one_cycle': .* mean onecycle\?"),
    "no such objective": ({"objective": "mae"}, r"^objective='mae': no option of configs/obj"),
    "an optimizer that is made": (
        {"optimizer": torch.optim.SGD([nn.Parameter(torch.ones(1))])},
        r"^optimizer: is a SGD, not what makes an optimizer of parameters; give a class",
    ),
    "a schedule of torch's": (
        {"schedule": torch.optim.lr_scheduler.StepLR},
        r"^schedule: is torch\.optim\.lr_scheduler\.StepLR, not a function \(step, total_steps\)",
    ),
    "a schedule that is a number": ({"schedule": 0.5}, r"^schedule: is 0\.5, not a function"),
    "a loss of two tensors": (
        {"objective": F.l1_loss},
        r"^objective: torch\.nn\.functional\.l1_loss compares two tensors\. A loss is called with",
    ),
    "a loss module": ({"objective": nn.L1Loss()}, r"^objective: a L1Loss compares two tensors"),
    "a loss that cannot be called so": (
        {"objective": lambda x: x},
        r"^objective: \S+<lambda> raised TypeError: .*A loss is called with the autoencoder",
    ),
    "a loss that is no number": (
        {"objective": lambda net, x: net(x) - x},
        r"gives a tensor of shape \(2, 6\), not one number\. A loss is called",
    ),
    "a loss that is a class": ({"objective": Objective}, r"^objective: is \S+Objective; give"),
    "an output that the loss does not take": (
        {"objective": Objective(bce)},
        r"^objective: takes the output for a probability.* is Identity, not Sigmoid: give it as",
    ),
    "the same by its name": ({"objective": "bce"}, r"^objective='bce': takes the output for"),
    "a network of torch's": (
        {"net": nn.Linear(6, 6)},
        r"^net: is a Linear, not an activae\.Autoencoder; make one of two halves",
    ),
    "clipping": ({"clipping": "norm"}, r"^clipping='norm': must be the largest norm"),
    "corruption": ({"corruption": 0.3}, r"^corruption: is 0\.3, not a function of samples; give"),
    "no such corruption": ({"corruption": "mask"}, r"^corruption='mask': no option .* masking"),
    "one penalty": (
        {"regularisers": CodeL1(1e-3)},
        r"^regularisers: is a CodeL1, not penalties by name; give them as {\"code_l1\": ",
    ),
    "normalisation": ({"normalisation": "rms"}, r"^normalisation: is 'rms', not a module; leave"),
    "seed": ({"seed": "a"}, r"^seed='a': must be a whole number"),
    "total_steps": ({"total_steps": 0}, r"^total_steps=0: must be a whole number of 1 or more"),
    "lr": ({"lr": 0}, r"^lr=0: must be a number greater than 0, such as 1e-3"),
    "lr as text": ({"lr": "1e-3"}, r"^lr='1e-3': must be a number"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_will_not_do_is_refused_when_the_module_is_made(mistake: str) -> None:
    given, message = MISTAKES[mistake]

    with pytest.raises(ConfigError, match=message):
        AutoencoderModule(**{"net": network(), **given})


def saved(folder: Path) -> Path:
    file = folder / "kept.ckpt"
    torch.save({"state_dict": AutoencoderModule(network()).state_dict()}, file)
    return file


def test_another_network_than_the_checkpoints_is_at_fault_not_the_file(tmp_path: Path) -> None:
    file = saved(tmp_path)

    with pytest.raises(ConfigError, match=r"^net: is another network than that of .*kept\.ckpt: "):
        AutoencoderModule.load_from_checkpoint(file, net=network(code_dim=3))
    AutoencoderModule.load_from_checkpoint(file, net=network())


@pytest.mark.parametrize("net", [None, network()])
def test_a_checkpoint_that_is_not_there_is_named(net: Autoencoder | None, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.ckpt: there is no such file \(looked in"):
        AutoencoderModule.load_from_checkpoint(tmp_path / "none.ckpt", net=net)
    with pytest.raises(DataError, match="is a folder; give a file in it"):
        AutoencoderModule.load_from_checkpoint(tmp_path, net=net)


SIZES: dict[str, tuple[Callable[[AutoencoderDataModule], object], str]] = {
    "code": (lambda data: mlp_autoencoder(data.spec, 0), r"^code_dim=0: must be a whole number"),
    "half a code": (lambda data: mlp_autoencoder(data.spec, 2.5), r"^code_dim=2\.5: must be"),
    "conv": (lambda data: conv_autoencoder(data.spec, -1), r"^code_dim=-1: must be a whole"),
    "one width": (
        lambda data: mlp_autoencoder(data.spec, 2, hidden=64),
        r"^hidden=64: must",
    ),
    "widths": (lambda data: mlp_autoencoder(data.spec, 2, hidden=[0]), r"^hidden=\[0\]: must be"),
    "data": (
        lambda data: mlp_autoencoder(data, 2),
        r"^spec: is a Auto.*data\.spec",
    ),
    "a module": (
        lambda data: mlp_autoencoder(data.spec, 2, activation=nn.GELU()),
        r"^activation: GELU\(.*\) is a module, and each layer needs .* the class, GELU, or partial",
    ),
    "an output": (
        lambda data: mlp_autoencoder(data.spec, 2, output_activation="sigmoid"),
        r"^output_activation='sigmoid': must be a module, such as torch\.nn\.Sigmoid\(\)",
    ),
    "a shape": (
        lambda data: Autoencoder(nn.Linear(6, 2), nn.Linear(2, 6), shape=6),
        r"^shape=6: must be that of a sample",
    ),
    "a source": (
        lambda data: AutoencoderDataModule("mine.csv"),
        r"^source: is a str, not a Source .*from_arrays\(x\), for a file: pandas\.read_csv",
    ),
    "a function": (
        lambda data: mlp_autoencoder(data.spec, 2, activation=torch.tanh),
        r"^activation=tanh: .*; give what makes an nn\.Module .* a class, such as torch\.nn\.GELU",
    ),
    "a class of others": (
        lambda data: mlp_autoencoder(data.spec, 2, activation=dict),
        r"^activation=dict: makes a dict; give what makes an nn\.Module",
    ),
    "batches": (
        lambda data: AutoencoderDataModule.from_arrays(torch.rand(9, 2), batch_size=0),
        r"^batch_size=0: must be a whole number of 1 or more",
    ),
}


@pytest.mark.parametrize("size", SIZES)
def test_a_network_and_batches_that_cannot_be_are_refused(size: str) -> None:
    make, message = SIZES[size]
    data = AutoencoderDataModule.from_arrays(torch.rand(50, 6))

    with pytest.raises(ConfigError, match=message):
        make(data)


def test_a_path_is_no_array() -> None:
    with pytest.raises(DataError, match=r"^mine\.csv: is a path, and samples are given; read them"):
        AutoencoderDataModule.from_arrays("mine.csv")


def test_a_data_module_is_shown_by_its_samples() -> None:
    data = AutoencoderDataModule.from_arrays(torch.rand(100, 6))

    assert str(data) == "array: 70 train, 10 val, 20 test samples of shape (6,)"
    assert str(AutoencoderDataModule(data.source)) == "AutoencoderDataModule, not set up"
