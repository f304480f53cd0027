"""Every yaml of configs/activation; a new one is tested without an edit here."""

import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from activae.activations import values_per_unit

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(path.stem for path in (CONFIGS / "activation").glob("*.yaml"))
# What torch takes beside the function's own parameters.
NOT_A_PARAMETER = {"inplace", "device", "dtype", "min_value", "max_value", "args", "kwargs"}
# Modules of torch.nn.modules.activation that mix the elements of their input.
NOT_ELEMENTWISE = {"GLU", "MultiheadAttention", "Softmin", "Softmax", "Softmax2d", "LogSoftmax"}


@cache
def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(overrides=list(overrides)).activation


def config(name: str) -> DictConfig:
    """The option as composed, its mandatory values filled in."""
    node = composed(f"+activation={name}")
    functions = [f"{key}=torch.nn.functional.gelu" for key in OmegaConf.missing_keys(node)]
    return composed(f"+activation={name}", *sorted(functions)) if functions else node


def factory(name: str) -> Callable[[], nn.Module]:
    made: Callable[[], nn.Module] = instantiate(config(name))
    return made


def double(name: str) -> nn.Module:
    """An instance for exact checks: float64, and without the noise of training mode."""
    return factory(name)().double().eval()


def ordinary_inputs() -> Tensor:
    """Numbers of either sign and of every size a unit meets; none of them is a kink."""
    drawn = torch.rand(8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return drawn * 16 - 8


def large_inputs() -> Tensor:
    sizes = torch.logspace(-6, 4, 202)
    return torch.cat([-sizes.flip(0), sizes]).reshape(101, 4)


each_activation = pytest.mark.parametrize("name", NAMES)


def test_every_elementwise_activation_of_torch_can_be_chosen() -> None:
    offered = {str(composed(f"+activation={name}")._target_).rsplit(".", 1)[-1] for name in NAMES}

    assert set(nn.modules.activation.__all__) - NOT_ELEMENTWISE <= offered
    assert {"identity", "sin", "snake", "custom", "gelu_tanh"} <= set(NAMES)


@each_activation
def test_first_line_says_what_the_activation_is(name: str) -> None:
    text = (CONFIGS / "activation" / f"{name}.yaml").read_text(encoding="utf-8")

    first, *rest = text.splitlines()
    assert first.startswith("# ")
    assert ": " in first
    assert not any(line.startswith("inplace") for line in rest)


@each_activation
def test_every_parameter_is_in_the_yaml_at_its_default(name: str) -> None:
    node = config(name)
    target: Any = instantiate(node).func
    parameters = {
        key: parameter.default
        for key, parameter in inspect.signature(target).parameters.items()
        if key not in NOT_A_PARAMETER or key in node
    }

    assert {str(key) for key in node} == {"_target_", "_partial_", *parameters}
    if name not in ("custom", "gelu_tanh", "threshold"):  # these choose values of their own
        assert {key: node[key] for key in parameters} == parameters


@each_activation
def test_factory_makes_a_new_instance_for_each_layer(name: str) -> None:
    make = factory(name)
    first, second = make(), make()

    assert isinstance(first, nn.Module)
    assert first is not second
    assert not {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}


@each_activation
def test_gradient_agrees_with_finite_differences(name: str) -> None:
    module = double(name)
    x = ordinary_inputs().requires_grad_()

    def of_input_and_parameters(x: Tensor, *parameters: Tensor) -> Tensor:
        named = dict(zip(dict(module.named_parameters()), parameters, strict=True))
        result: Tensor = torch.func.functional_call(module, named, (x,))
        return result

    assert torch.autograd.gradcheck(of_input_and_parameters, (x, *module.parameters()))


@each_activation
@pytest.mark.parametrize("training", [True, False])
def test_outputs_and_gradients_are_finite_up_to_ten_thousand(name: str, training: bool) -> None:
    module = factory(name)().train(training)
    x = large_inputs().requires_grad_()

    output = module(x)
    gradients = torch.autograd.grad(output.sum(), [x, *module.parameters()])

    assert output.dtype == torch.float32
    assert output.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in gradients)


@each_activation
def test_is_elementwise_unless_it_says_otherwise(name: str) -> None:
    module = double(name)
    inputs, outputs = values_per_unit(module)
    if (inputs, outputs) != (1, 1):
        assert module(torch.rand(3, 5 * inputs, 2, 2).double()).shape == (3, 5 * outputs, 2, 2)
        return
    x = ordinary_inputs().flatten()
    mixed = torch.randperm(len(x), generator=torch.Generator().manual_seed(1))

    output = module(x)

    torch.testing.assert_close(module(x[mixed]), output[mixed])
    torch.testing.assert_close(module(x[:1]), output[:1])
    torch.testing.assert_close(module(x.reshape(4, 2, 8)), output.reshape(4, 2, 8))


@each_activation
def test_stacked_instances_give_what_each_gives_alone(name: str) -> None:
    members = [factory(name)().double().eval() for _ in range(3)]
    for number, member in enumerate(members):
        for parameter in member.parameters():
            nn.init.constant_(parameter, 0.2 + number)
    parameters, buffers = torch.func.stack_module_state(members)
    x = ordinary_inputs().flatten()[:60].reshape(3, 5, 4)

    def member_output(parameters: Any, buffers: Any, x: Tensor) -> Tensor:
        state = (parameters, buffers)
        result: Tensor = torch.func.functional_call(members[0], state, (x,))
        return result

    stacked = torch.func.vmap(member_output)(parameters, buffers, x)

    torch.testing.assert_close(
        stacked, torch.stack([member(own) for member, own in zip(members, x, strict=True)])
    )
    alone = torch.stack([members[0](own) for own in x])
    torch.testing.assert_close(torch.func.vmap(members[0])(x), alone)


@pytest.mark.parametrize(
    ("override", "x", "expected"),
    [
        (["leaky_relu", "activation.negative_slope=0.2"], -1.0, -0.2),
        (["prelu", "activation.init=0.5"], -1.0, -0.5),
        (["hardtanh", "activation.max_val=3"], 5.0, 3.0),
        (["softplus", "activation.beta=2"], 0.0, 0.34657359),
        (["threshold", "activation.threshold=0", "activation.value=-7"], -1.0, -7.0),
        (["sin", "activation.frequency=30"], 0.1, 0.14112001),
        (["snake", "activation.a=2", "activation.learnable=true"], 0.5, 0.85403671),
        (["custom", "activation.function=torch.nn.ELU", "+activation.kwargs.alpha=2"], -30.0, -2.0),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_parameters_can_be_overridden(override: list[str], x: float, expected: float) -> None:
    name, *rest = override

    module = instantiate(composed(f"+activation={name}", *rest))()

    assert module(torch.tensor([x])).item() == pytest.approx(expected, rel=1e-6)
