"""activation=custom: functions of the user's own, and what is said when one can't be used."""

import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from activae.activations import Custom
from activae.errors import ConfigError

USERS_MODULE = """
import os

import numpy as np
import torch
from torch import nn


def cube(x):
    return x**3

def bent(x, beta=1.0):
    return torch.sqrt(x * x + beta) - 1

class Shifted(nn.Module):
    def __init__(self, shift=0.0):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, x):
        return torch.tanh(x + self.shift)

class Bag:
    @staticmethod
    def square(x):
        return x * x

class Clipped(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(-1, 1)

    @staticmethod
    def backward(ctx, gradient):
        return gradient

shared = Shifted(0.5)
constant = 3.0

def breaks(x):
    raise RuntimeError("out of cheese")

def halves(x):
    return x[..., ::2]

def normalises(x):
    return x - x.mean()

def accumulates(x):
    return x.cumsum(-1)

def sorts(x):
    return x.sort(-1).values

def counts(x):
    return (x * 2).long()

def logarithm(x):
    return torch.log(x)

def overflows(x):
    return torch.exp(1000 * x)

def by_numpy(x):
    return torch.from_numpy(np.tanh(x.numpy()))

def detached(x):
    return torch.tanh(x.detach())

class DetachedShift(Shifted):
    def forward(self, x):
        return super().forward(x.detach())

def masked_root(x):
    return torch.where(x > 0, torch.sqrt(x), 0)

def pair(x):
    return x, x

def noisy(x):
    return x + torch.rand_like(x)

def in_place(x):
    return x.relu_()

def doubles(x):
    return x.relu() + torch.zeros(1, dtype=torch.float64)

def halved(x):
    return x.half().relu()
"""


@pytest.fixture(autouse=True)
def users_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package `own` with a module `functions`, as a user may have beside train.py."""
    package = tmp_path / "own"
    package.mkdir()
    (package / "__init__.py").write_text("from os import path\n")
    (package / "functions.py").write_text(USERS_MODULE)
    (package / "broken.py").write_text("1 / 0\n")
    (package / "leaves.py").write_text("raise SystemExit(3)\n")
    (package / "needs_more.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name == "own" or name.startswith("own.")]:
        del sys.modules[name]


def numbers() -> Tensor:
    return torch.tensor([[-2.0, -0.5], [0.3, 1.7]])


def test_any_function_by_its_dotted_path() -> None:
    x = numbers()

    assert torch.equal(Custom("own.functions.cube")(x), x**3)
    assert torch.equal(Custom("torch.nn.functional.gelu")(x), nn.functional.gelu(x))
    assert torch.equal(Custom("torch.special.erf")(x), torch.erf(x))
    assert torch.equal(Custom("own.functions.Bag.square")(x), x * x)
    assert torch.equal(Custom("own.functions.Clipped.apply")(x), x.clamp(-1, 1))


def test_kwargs_go_to_the_function() -> None:
    x = numbers()

    assert torch.equal(Custom("own.functions.bent", {"beta": 2.0})(x), (x * x + 2).sqrt() - 1)


def test_kwargs_go_to_the_module_class() -> None:
    module = Custom("own.functions.Shifted", {"shift": 0.25})

    torch.testing.assert_close(module(numbers()), torch.tanh(numbers() + 0.25))
    assert [parameter.item() for parameter in module.parameters()] == [0.25]
    assert list(module.state_dict()) == ["target.shift"]


def test_a_module_object_is_copied_for_each_layer() -> None:
    first, second = Custom("own.functions.shared"), Custom("own.functions.shared")

    next(first.parameters()).data += 1

    assert next(second.parameters()).item() == 0.5


def test_the_mode_reaches_a_random_module_class() -> None:
    module = Custom("torch.nn.RReLU", {"lower": 0.5, "upper": 1.0})

    assert next(module.children()).training
    assert torch.equal(module.eval()(numbers()), nn.RReLU(0.5, 1.0).eval()(numbers()))


@pytest.mark.parametrize("path", ["own.functions.cube", "own.functions.Shifted"])
def test_can_be_copied_and_stacked(path: str) -> None:
    module = Custom(path)
    x = numbers()

    assert torch.equal(copy.deepcopy(module)(x), module(x))
    torch.testing.assert_close(torch.func.vmap(module)(x), module(x))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_can_be_built_while_gradients_are_off(context: type[torch.no_grad]) -> None:
    with context():
        module = Custom("own.functions.cube")

    assert torch.equal(module(numbers()), numbers() ** 3)


def test_trying_the_function_leaves_random_numbers_alone() -> None:
    before = torch.get_rng_state()

    Custom("torch.nn.RReLU")

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("path", ["tanh", "", ".tanh", "own..cube", "own.functions.", "a b.c", 3])
def test_a_path_must_be_dotted(path: str) -> None:
    with pytest.raises(ConfigError, match=r"activation\.function=.* is not a dotted path"):
        Custom(path)


def test_a_module_that_is_nowhere_says_where_it_was_looked_for() -> None:
    with pytest.raises(ConfigError) as caught:
        Custom("nowhere_at_all.f")

    message = str(caught.value)
    assert message.startswith("activation.function='nowhere_at_all.f': no module 'nowhere_at_all'")
    assert str(Path.cwd()) in message
    assert "PYTHONPATH" in message


@pytest.mark.parametrize(
    ("path", "cause"),
    [
        ("own.broken.f", "importing own.broken raised ZeroDivisionError"),
        ("own.leaves.f", "importing own.leaves raised SystemExit"),
        ("own.needs_more.f", "raised ModuleNotFoundError: No module named 'not_installed_anywhere"),
    ],
)
def test_a_module_that_fails_to_import_says_why(path: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        Custom(path)


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("own.functions.cubed", "own.functions has no 'cubed'. Did you mean cube?"),
        ("own.function.cube", "own has no 'function'. Did you mean functions?"),
        ("own.functions.Bag.sqare", "Bag has no 'sqare'. Did you mean square?"),
        ("own.functions.zzz", "own.functions has no 'zzz'."),
    ],
)
def test_a_name_that_is_not_there_brings_near_ones(path: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Custom(path)

    assert str(caught.value) == f"activation.function={path!r}: {near}"


@pytest.mark.parametrize("path", ["own.functions.os.system", "own.path.join"])
def test_a_path_does_not_lead_through_what_a_module_imported(path: str) -> None:
    with pytest.raises(ConfigError, match="goes through the module"):
        Custom(path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("constant", "is 3.0, neither a function nor a module class"),
        ("breaks", "raised RuntimeError on a tensor: out of cheese"),
        ("in_place", "writes into its input"),
        ("doubles", "turns torch.float32 into torch.float64"),
        ("halved", "into torch.float16"),
        ("by_numpy", "raised RuntimeError on a tensor"),
        ("Bag", "raised TypeError on a tensor"),
        ("pair", "returns tuple, not a tensor"),
        ("halves", "turns shape (4, 6) into (4, 3); an activation keeps the shape"),
        ("counts", "returns torch.int64, not floating-point numbers"),
        ("logarithm", "is not finite at x = -3.1"),
        ("overflows", "is not finite at x ="),
        ("detached", "lets no gradient through"),
        ("DetachedShift", "lets no gradient through"),
        ("masked_root", "has a gradient that is not finite at x = -3.1"),
        ("noisy", "gives other values for the same input when called again"),
        ("normalises", "is not elementwise"),
        ("accumulates", "is not elementwise"),
        ("sorts", "is not elementwise"),
    ],
)
def test_a_function_that_is_no_activation_is_refused(name: str, reason: str) -> None:
    path = f"own.functions.{name}"

    with pytest.raises(ConfigError) as caught:
        Custom(path)

    assert str(caught.value).startswith(f"activation.function={path!r}")
    assert reason in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_scripted_function_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("math.tau", torch.jit.script(nn.functional.softsign))
    with pytest.raises(ConfigError, match="is a scripted function"):
        Custom("math.tau")


@pytest.mark.parametrize("kwargs", [{"dim": -1}, {"dim": 0}])
def test_softmax_is_not_elementwise_though_it_commutes_with_permutations(
    kwargs: dict[str, int],
) -> None:
    with pytest.raises(ConfigError, match="is not elementwise"):
        Custom("torch.softmax", kwargs)
    with pytest.raises(ConfigError, match="is not elementwise"):
        Custom("torch.nn.Softmax", kwargs)


@pytest.mark.parametrize("path", ["own.functions.bent", "own.functions.Shifted"])
def test_a_parameter_the_function_does_not_take_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match=r"(?s)TypeError.*gamma.*activation\.kwargs"):
        Custom(path, {"gamma": 1})
