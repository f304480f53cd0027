"""A user's mistake in the config: one message that names the key, the value, the remedy.

Here the message is asked for directly; tests/test_cli.py shows that it is what a user sees.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig

from activae.config.settling import settle
from activae.errors import UserError

Complain = Callable[..., str]


def assert_says(message: str, *parts: str) -> None:
    missing = [part for part in parts if part not in message]
    assert not missing, message
    assert "Traceback" not in message


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("activation=thanh", ["activation=thanh", "Did you mean tanh?", "relu, relu6"]),
        ("optimizer=sgdd", ["optimizer=sgdd", "Did you mean sgd?", "adam, adamw"]),
        ("encoding=dim7", ["encoding=dim7", "dim16, dim2"]),
        ("data=", ["data=", "array, cifar10, digits"]),
        ("activation@encoder.activation=geluu", ["activation=geluu", "Did you mean gelu?"]),
        ("activation@encoder.activaton=gelu", ["activation@encoder.activation"]),
        ("+logger=csv", ["one already, whose place logger=csv takes; several are logger=[tensor"]),
        ("+activation=gelu", ["+activation=gelu: there is one already, whose place activation=ge"]),
        ("logger=none", ["logger=none: there is no such option; logger=minimal writes CSV, check"]),
        ("activation=none", ["activation=none: ", "; activation=identity makes a linear network"]),
        ("data=my/thirty.csv", ["data=tabular data.path=my/thirty.csv or data=array data.path="]),
        ("data=mine.npy", ["data=mine.npy: there is no such option. Your own data are data=array"]),
        ("data=photos/", ["data=image_folder data.path=photos/ or data=text data.path=photos/"]),
    ],
)
def test_unknown_option(override: str, said: list[str], complaint: Complain) -> None:
    assert_says(complaint(override), *said)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.lrr=1", ["optimizer.lrr", "Did you mean lr?", "lr, betas", "+optimizer.lrr"]),
        ("+optimizer.lrr=1", ["optimizer.lrr", "torch.optim.Adam", "Did you mean lr?", "amsgrad"]),
        ("encoding.dimm=3", ["encoding.dimm", "Did you mean dim?", "dim, activation"]),
        ("optimiser=adam", ["optimiser", "Did you mean optimizer?", "seed, activation, init"]),
        ("weight_decay=0.1", ["weight_decay", "Did you mean optimizer.weight_decay?"]),
        ("hidden=[8]", ["hidden", "Did you mean encoder.hidden or decoder.hidden?"]),
        ("encoder.channels=[8]", ["encoder.channels", "hidden, activation"]),
        ("+data.foo=1", ["data.foo", "batch_size, normalisation"]),
        ("+phase=best", ["phase", "no such key"]),
        ("callbacks.mine=1", ["callbacks.mine: there is no", "+callbacks.NAME._target_=M"]),
        ("+activation.alpha=1", ["activation.alpha", "torch.nn.ReLU", "inplace"]),
        ("+activation._args_=[1]", ["activation._args_", "by their names"]),
        ("optimizer.lr.x=3", ["optimizer.lr.x"]),
    ],
)
def test_misspelt_key(override: str, said: list[str], complaint: Complain) -> None:
    assert_says(complaint(override), *said)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("activation=relu,tanh", "-m activation=relu,tanh"),
        ("seed=range(3)", "-m 'seed=range(3)'"),
        ("logger=tensorboard,csv", "all of them in one run are 'logger=[tensorboard,csv]'"),
    ],
)
def test_several_values_without_m_are_told_the_command_of_the_sweep(
    given: str, said: str, train_py: Callable[..., Any]
) -> None:
    train_py(given).assert_one_error("a sweep, which needs -m: python train.py -m ", said)


@pytest.mark.parametrize("start", ["", "+"])
@pytest.mark.parametrize("value", ["early_stopping", "[early_stopping]"])
def test_callbacks_are_no_group_and_the_way_to_add_one_is_told(
    start: str, value: str, complaint: Complain
) -> None:
    said = complaint(f"{start}callbacks={value}")

    assert_says(said, "callbacks", "+callbacks.NAME._target_=MODULE.CLASS", "early_stopping_pati")


def test_a_parameter_that_only_the_call_refuses(complaint: Complain) -> None:
    """torch.nn.Tanh claims to take any keyword."""
    assert_says(complaint("activation=tanh", "+activation.foo=3"), "activation:", "'foo'")


def test_a_parameter_of_a_function_of_ones_own_is_added(complaint: Complain) -> None:
    said = complaint("activation=custom", "activation.kwargs.k=1")

    assert_says(said, "activation.kwargs.k: there is no", "write +activation.kwargs.k=VALUE")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.lr=abc", "optimizer.lr=abc: must be a number"),
        ("optimizer.lr=null", "optimizer.lr=null: must be a number"),
        ("optimizer.lr=[1,2]", "optimizer.lr=[1, 2]: must be a number"),
        ("optimizer.lr=true", "optimizer.lr=true: must be a number"),
        ("optimizer.betas=0.9", "optimizer.betas=0.9: must be a list of 2 numbers"),
        ("optimizer.betas=[0.9]", "optimizer.betas=[0.9]: must be a list of 2 numbers"),
        ("scheduler.warmup=x", "scheduler.warmup=x: must be a number"),
        ("objective.l2=x", "objective.l2=x: must be a number"),
        (
            "scheduler=step scheduler.milestones=0.5",
            "scheduler.milestones=0.5: must be a list of numbers",
        ),
        (
            "scheduler=plateau scheduler.patience=1.5",
            "scheduler.patience=1.5: must be a whole number",
        ),
        ("seed=x", "seed=x: must be a whole number"),
        ("seed=null", "seed=null: must be a whole number"),
        ("encoding.dim=2.5", "encoding.dim=2.5: must be a whole number"),
        ("encoder.hidden=[64,x]", "encoder.hidden=[64, 'x']: must be a list of whole numbers"),
        ("encoder.hidden=64", "encoder.hidden=64: must be a list of whole numbers"),
        ("data.batch_size=1.5", "data.batch_size=1.5: must be a whole number"),
        ("data.value_range=3", "data.value_range=3: must be a list of numbers or null"),
        ("data.value_range=[0,x]", "data.value_range[1]=x: must be a list of numbers or null"),
        ("logger.tensorboard=maybe", "logger.tensorboard=maybe: must be true or false"),
        ("trainer.threads=two", "trainer.threads=two: must be a whole number or null"),
    ],
)
def test_wrong_type(override: str, said: str, complaint: Complain) -> None:
    assert complaint(*override.split()) == said


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["leaky_relu", "activation.negative_slope=x"], "activation.negative_slope=x: must be a n"),
        (["custom", "activation.function=[1]"], "activation.function=[1]: must be text"),
        (
            ["custom", "activation.function=torch.sin", "activation.kwargs=3"],
            "activation.kwargs=3: must be a mapping",
        ),
        (["gelu", "activation.approximate=foo"], "approximate argument must be either none or tan"),
        (["prelu", "activation.num_parameters=7"], "Mismatch of parameter numbers"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_parameter_of_an_activation(
    overrides: list[str], said: str, complaint: Complain
) -> None:
    name, *rest = overrides

    assert_says(complaint(f"activation={name}", *rest), said)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ("encoding.dim=0", "encoding.dim=0: must be a whole number of 1 or more"),
        ("encoding.dim=-3", "encoding.dim=-3"),
        ("trainer.gradient_clip_algorithm=value", "without a limit; add trainer.gradient_clip_val"),
        ("optimizer.lr=0", "optimizer.lr=0: must be a number greater than 0"),
        ("optimizer.lr=-1", "optimizer.lr=-1"),
        ("optimizer.lr=nan", "optimizer.lr=nan"),
        ("optimizer.lr=inf", "optimizer.lr=inf"),
        ("optimizer.weight_decay=-1", "optimizer.weight_decay=-1"),
        ("optimizer.betas=[0.9,1.5]", "optimizer: Invalid beta parameter at index 1: 1.5"),
        ("optimizer.eps=-1", "optimizer: Invalid epsilon value"),
        ("data.train_fraction=0", "data.train_fraction=0.0: must be greater than 0 and at most 1"),
        ("data.train_fraction=1.5", "data.train_fraction=1.5"),
        ("data.train_fraction=nan", "data.train_fraction=nan"),
        ("data.val_fraction=0", "data.val_fraction=0.0"),
        ("data.test_fraction=1", "data.test_fraction=1.0"),
        (
            "data.val_fraction=0.6 data.test_fraction=0.5",
            "data.val_fraction and data.test_fraction",
        ),
        ("data.batch_size=0", "data.batch_size=0"),
        ("data.normalisation=unit", "data.normalisation=unit: must be one of unit_range, standard"),
        ("trainer.threads=0", "trainer.threads=0"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0"),
        ("trainer.max_steps=0", "trainer.max_steps=0"),
        ("trainer.gradient_clip_val=0", "trainer.gradient_clip_val=0"),
        ("trainer.early_stopping_patience=0", "trainer.early_stopping_patience=0"),
        ("trainer.accelerator=tpu", "trainer.accelerator=tpu: must be one of auto, cpu, gpu"),
        ("trainer.precision=8", "trainer.precision=8: must be one of 32-true"),
        ("logger.snapshots=-1", "logger.snapshots=-1"),
        ("seed=-1", "seed=-1: must be a whole number from 0"),
        ("seed=99999999999999999999", "seed=99999999999999999999"),
        ("scheduler.warmup=2", "scheduler.warmup=2"),
        ("scheduler=cosine scheduler.final=-1", "scheduler.final=-1"),
        ("scheduler=onecycle scheduler.div=0", "scheduler.div=0"),
        (
            "scheduler=step scheduler.milestones=[10,20]",
            "scheduler.milestones=[10, 20]: must be shares of the run",
        ),
        (
            "optimizer=lbfgs optimizer.line_search_fn=armijo",
            "optimizer.line_search_fn=armijo: must be strong_wolfe or null",
        ),
        (
            "optimizer=lbfgs +optimizer.weight_decay=0.1",
            "optimizer.weight_decay: torch.optim.LBFGS has no parameter of that name",
        ),
        ("objective.l1=-1", "objective.l1=-1"),
        ("objective=huber objective.reconstruction.delta=0", "objective.reconstruction.delta=0"),
        ("encoder.hidden=[0]", "encoder.hidden=[0]"),
        ("encoder=conv encoder.channels=[]", "encoder.channels=[]"),
        ("data=random data.source.samples=1", "data.source.samples=1"),
    ],
)
def test_out_of_range(overrides: str, said: str, complaint: Complain) -> None:
    assert_says(complaint(*overrides.split()), said)


def test_every_mistake_of_a_kind_is_named_at_once(complaint: Complain) -> None:
    message = complaint("encoding.dim=0", "optimizer.lr=-1", "data.batch_size=0")

    assert_says(message, "encoding.dim=0", "optimizer.lr=-1", "data.batch_size=0")


def test_a_value_that_has_to_be_given(complaint: Complain) -> None:
    assert_says(complaint("activation=custom"), "activation.function: needs a value")
    assert_says(complaint("data=array"), "data.path is not set", ".npy, .npz, .csv")
    assert_says(complaint("~activation"), "activation: needs a value")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["activation._target_=torch.nn.Thanh"], ["activation._target_", "Did you mean Tanh?"]),
        (["activation._target_=nowhere_at_all.F"], ["activation._target_", "'nowhere_at_all'"]),
        (["activation._target_=null"], ["activation._target_=None", "dotted path"]),
        (["activation._target_=torch.nn"], ["activation._target_=torch.nn", "not a class"]),
        (
            ["activation._target_=torch.relu"],
            ["activation._target_=torch.relu", "activation=custom activation.function=torch.relu"],
        ),
        (["activation._target_=torch.nn.Linear"], ["activation:", "in_features"]),
        (["decoder._target_=torch.nn.Linear"], ["decoder.hidden", "in_features, out_features"]),
        (["activation._partial_=false"], ["activation._partial_: must be true"]),
        (["optimizer._partial_=false"], ["optimizer._partial_: must be true"]),
        (["~activation._target_"], ["activation=", "no _target_", "activation=NAME"]),
        (["encoding.activation=relu"], ["activation@encoding.activation=relu"]),
        (["encoder.activation=gelu"], ["activation@encoder.activation=gelu"]),
        (["objective=mse", "~objective._target_"], ["objective=", "no _target_"]),
    ],
)
def test_a_node_that_describes_no_factory(
    overrides: list[str], said: list[str], complaint: Complain
) -> None:
    assert_says(complaint(*overrides), *said)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "activation",
            "_target_: torch.nn.LeakyReLU\n_partial_: true\nnegative_slop: 0.2\n",
            ["activation.negative_slop", "Did you mean negative_slope?"],
        ),
        (
            "activation",
            "_target_: torch.nn.LeakyRelu\n_partial_: true\n",
            ["activation._target_", "Did you mean LeakyReLU?"],
        ),
        ("activation", "_target_: torch.nn.ReLU\n", ["activation._partial_: must be true"]),
        ("activation", "negative_slope: 0.2\n", ["activation=", "no _target_"]),
        ("activation", "", ["activation={}", "no _target_"]),
        (
            "activation",
            "_target_: torch.nn.ReLU\n_partial_: true\ninplace: ${nowhere}\n",
            ["activation.inplace", "'nowhere' not found"],
        ),
        (
            "optimizer",
            "_target_: torch.optim.Adam\n_partial_: true\nlearning_rate: 0.1\n",
            ["optimizer.learning_rate", "lr, betas"],
        ),
        ("encoding", "dimm: 3\n", ["encoding/mine.yaml", "encoding.dimm", "Did you mean dim?"]),
        ("encoding", "dim: three\n", ["encoding/mine.yaml: encoding.dim=three: must be a whole"]),
        ("trainer", "max_epoch: 3\n", ["trainer/mine.yaml", "Did you mean max_epochs?"]),
        ("optimizer", "defaults:\n- nowhere\n", ["optimizer/mine", "optimizer/nowhere"]),
    ],
)
def test_mistake_in_a_yaml(
    file: str, text: str, said: list[str], complaint: Complain, tmp_path: Path
) -> None:
    (tmp_path / file).mkdir()
    (tmp_path / file / "mine.yaml").write_text(text)

    message = complaint(f"hydra.searchpath=['file://{tmp_path}']", f"{file}=mine")

    assert_says(message, *said)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("optimizer.lr", ["optimizer.lr: cannot be read as KEY=VALUE"]),
        ("data.path=/a(1).npy", ["data.path=/a(1).npy: cannot", "two pairs of quotes"]),
        ("data.name=für", ["data.name=für: cannot", "'ü', character 12", "two pairs of quotes"]),
        ("seed=0,1", ["seed=0,1: several values are a sweep, which needs -m: "]),
    ],
)
def test_an_override_that_is_none(override: str, said: list[str], complaint: Complain) -> None:
    assert_says(complaint(override), *said)


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("tanh", "'tanh' is not a dotted path"),
        ("nowhere_at_all.f", "no module 'nowhere_at_all'"),
        ("torch.sine", "Did you mean sin"),
        ("torch.pi", "neither a function nor a module class"),
        ("torch.nn.functional.normalize", "not elementwise"),
    ],
)
def test_a_custom_activation_that_is_none(function: str, said: str, complaint: Complain) -> None:
    message = complaint("activation=custom", f"activation.function={function}")

    assert_says(message, f"activation.function={function!r}", said)


def test_gpu_where_there_is_none(
    compose: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)

    with pytest.raises(UserError, match=r"trainer\.accelerator=gpu: .* no GPU .* trainer=auto"):
        settle(compose("trainer=gpu"))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_function_of_ones_own_beside_others_takes_two_commands(
    activation: str, complaint: Callable[..., str]
) -> None:
    said = complaint(f"activation={activation}", "activation.function=torch.sin")
    assert said.startswith("activation.function: goes with activation=custom, and torch.nn.")
    assert "-m sweep=NAME activation=custom activation.function=MODULE.FUNCTION" in said
