"""A run's network for other programs: ONNX and torch.export, each as the run itself computes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

import activae
from activae.cli.use import main
from activae.config.instantiating import build
from activae.config.settling import container, settle
from activae.data.spec import DataSpec
from activae.errors import ConfigError, UserError
from activae.training.network import build_network
from activae.use import exporting
from activae.use.exporting import convert, onnx_program, write_onnx, write_torch
from activae.use.graphs import exported
from activae.use.run import Run

Compose = Callable[..., DictConfig]
Trained = Callable[..., Path]

CONFIGS = Path(__file__).parents[2] / "configs"
ACTIVATIONS = sorted(file.stem for file in CONFIGS.glob("activation/*.yaml"))
HALVES = [
    f"{half}={file.stem}"
    for half in ("encoder", "decoder")
    for file in sorted(CONFIGS.glob(f"{half}/*.yaml"))
]
# Written each in other operations; one export of all takes minutes, which `make proof` has.
OF_EACH_KIND = ["relu", "gelu", "logsigmoid", "glu", "maxout", "prelu", "snake", "xielu", "rrelu"]


class Together(nn.Module):
    """Several modules on one input, their outputs side by side: one export for all of them."""

    def __init__(self, modules: dict[str, nn.Module], x: Tensor) -> None:
        super().__init__()
        self.all = nn.ModuleList(modules.values())
        with torch.no_grad():
            widths = [each(x).flatten(1).shape[1] for each in self.all]
        self.widths = dict(zip(modules, widths, strict=True))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([each(x).flatten(1) for each in self.all], 1)


def in_onnx_and_torch(
    modules: dict[str, nn.Module], inputs: list[Tensor]
) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """For each module its outputs of every input, by ONNX Runtime and by torch."""
    together = Together(modules, inputs[-1]).eval()
    model = convert(exported(together, (inputs[-1],)), ("x",), ("y",))
    computed = onnx_program(model.SerializeToString())
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in modules}
    for x in inputs:
        with torch.no_grad():
            both = (computed((x,)), together(x))
        parts = [each.split(list(together.widths.values()), 1) for each in both]
        for name, *pair in zip(modules, *parts, strict=True):
            found[name].append((pair[0], pair[1]))
    return found


def assert_the_same(pairs: list[tuple[Tensor, Tensor]]) -> None:
    """To 1e-5 of the largest value, or of 1: as an export is checked."""
    for in_onnx, in_torch in pairs:
        scale = in_torch.abs().max().clamp_min(1)
        torch.testing.assert_close(in_onnx / scale, in_torch / scale, rtol=0, atol=1e-5)


def of_activations(compose: Compose, names: list[str]) -> dict[str, list[tuple[Tensor, Tensor]]]:
    modules = {}
    for name in names:
        node = compose(f"activation={name}").activation
        missing = [key.rpartition(".")[2] for key in OmegaConf.missing_keys(node)]
        node.update(dict.fromkeys(missing, "torch.nn.functional.gelu"))
        modules[name] = build(container(node), "activation")()
    wide = torch.linspace(-30, 30, 7 * 12).reshape(7, 12)
    narrow = torch.linspace(-2, 2, 2 * 12).reshape(2, 12)
    return in_onnx_and_torch(modules, [narrow[:1], narrow, wide])


@pytest.fixture(scope="module")
def of_each_kind(compose: Compose) -> dict[str, list[tuple[Tensor, Tensor]]]:
    return of_activations(compose, OF_EACH_KIND)


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_activations_of_each_kind_are_the_same_in_onnx(
    name: str, of_each_kind: dict[str, list[tuple[Tensor, Tensor]]]
) -> None:
    assert_the_same(of_each_kind[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_is_the_same_in_onnx(name: str, compose: Compose) -> None:
    assert_the_same(of_activations(compose, [name])[name])


@pytest.fixture(scope="module")
def by_half(compose: Compose) -> dict[str, list[tuple[Tensor, Tensor]]]:
    spec = DataSpec(
        "shades", (1, 8, 8), "image", (0.0, 1.0), (0.0, 1.0), {"train": 9, "val": 1}, False
    )
    torch.manual_seed(0)
    networks: dict[str, nn.Module] = {
        half: build_network(settle(compose("trainer=cpu", half)), spec) for half in HALVES
    }
    inputs = [torch.rand(rows, 1, 8, 8) for rows in (1, 2, 7)]
    return in_onnx_and_torch(networks, inputs)


@pytest.mark.parametrize("half", HALVES)
def test_every_encoder_and_decoder_is_the_same_in_onnx(
    half: str, by_half: dict[str, list[tuple[Tensor, Tensor]]]
) -> None:
    assert_the_same(by_half[half])


@pytest.fixture(scope="module")
def onnx_file(digits: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "digits.onnx"
    assert 0 <= write_onnx(digits, file) <= 1e-5
    return file


def test_onnx_takes_and_gives_raw_units(onnx_file: Path, digits: Run, images: np.ndarray) -> None:
    session = onnxruntime.InferenceSession(onnx_file, providers=["CPUExecutionProvider"])
    (taken,), (given,) = session.get_inputs(), session.get_outputs()
    assert (taken.name, taken.shape, taken.type) == ("samples", ["batch", 1, 8, 8], "tensor(float)")
    assert (given.name, given.shape[1:]) == ("reconstructions", [1, 8, 8])

    for rows in (1, 5, 300):
        x = images[:rows, None].astype(np.float32)
        (found,) = session.run(None, {"samples": x})
        assert np.allclose(found, digits.reconstruct(x), rtol=0, atol=16e-5)


def test_onnx_is_one_valid_file_that_says_what_it_is(onnx_file: Path) -> None:
    onnx.checker.check_model(onnx_file, full_check=True)
    assert [each.name for each in onnx_file.parent.iterdir()] == ["digits.onnx"]

    model = onnx.load(onnx_file)

    about = {each.key: each.value for each in model.metadata_props}
    said = json.loads(about["activae"])
    assert (said["data"], said["part"], said["activation"]) == ("digits", "whole", "ReLU")
    assert said["raw_range"] == [0.0, 16.0]


def test_onnx_that_computes_something_else_is_not_written(
    digits: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "onnx_of", lambda library, found: b"")
    monkeypatch.setattr(
        exporting,
        "onnx_program",
        lambda content: lambda inputs: torch.from_numpy(digits.reconstruct(inputs[0].numpy()) + 1),
    )

    with pytest.raises(UserError, match=r"activation ReLU\) differs by 0\.06.*nothing was written"):
        write_onnx(digits, tmp_path / "x.onnx")

    assert list(tmp_path.iterdir()) == []


def loaded(file: Path) -> Callable[..., Tensor]:
    return torch.export.load(file).module()


def test_torch_export_gives_the_same_numbers(
    digits: Run, images: np.ndarray, tmp_path: Path
) -> None:
    assert write_torch(digits, tmp_path / "x.pt2") <= 1e-5

    program = loaded(tmp_path / "x.pt2")

    for rows in (1, 5, 300):
        x = torch.tensor(images[:rows, None], dtype=torch.float32)
        assert torch.allclose(program(x), digits.reconstruct(x), rtol=0, atol=16e-5)


def test_torch_export_needs_no_activae(digits: Run, images: np.ndarray, tmp_path: Path) -> None:
    write_torch(digits, tmp_path / "x.pt2")
    code = f"""
import sys
sys.modules["activae"] = None  # an import of it would fail
import torch
x = torch.arange(128.0).reshape(2, 1, 8, 8) / 8
print(torch.export.load({str(tmp_path / "x.pt2")!r}).module()(x).sum().item())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    x = np.arange(128.0, dtype=np.float32).reshape(2, 1, 8, 8) / 8
    assert float(done.stdout) == pytest.approx(float(digits.reconstruct(x).sum()), rel=1e-5)


def test_encoder_and_decoder_come_apart(digits: Run, images: np.ndarray, tmp_path: Path) -> None:
    halves = []
    for part in ("encoder", "decoder"):
        write_torch(digits, tmp_path / f"{part}.pt2", part)
        halves.append(loaded(tmp_path / f"{part}.pt2"))
    x = torch.tensor(images[:9, None], dtype=torch.float32)

    codes = halves[0](x)

    assert torch.allclose(codes, digits.encode(x), atol=1e-5)
    assert torch.allclose(halves[1](codes), digits.reconstruct(x), rtol=0, atol=16e-5)


@pytest.fixture(params=["convolutions", "double precision", "time stamps", "shares of totals"])
def other_run(
    request: pytest.FixtureRequest, trained: Trained, home: Path, text_run: Run
) -> Iterator[Run]:
    """Runs whose graphs differ from that of the article's network."""
    if request.param == "convolutions":
        yield activae.load(trained("data=digits", "encoder=conv", "decoder=conv"))
    elif request.param == "double precision":
        yield activae.load(trained("data=digits", "trainer.precision=64-true"))
    elif request.param == "time stamps":
        times = 1.7e9 + np.random.default_rng(0).normal(0, 9, (80, 6))
        np.save(home / "times.npy", times)
        path = f"data.path={home / 'times.npy'}"
        yield activae.load(trained("data=array", path, "data.normalisation=standardise"))
    else:
        path = f"data.path={home / 'texts.txt'}"
        counts = ("objective=multinomial", "data.normalisation=none", "data.source.counts=true")
        yield activae.load(trained("data=text", path, *counts))


@pytest.mark.parametrize("part", ["whole", "encoder", "decoder"])
def test_any_run_can_be_exported(part: str, other_run: Run, tmp_path: Path) -> None:
    assert write_torch(other_run, tmp_path / "x.pt2", part) <= 1e-5


class Undecided(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.relu() if x.sum() > 0 else x


class Bessel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j1(x)


def with_activation(module: nn.Module, folder: Path) -> Run:
    run = activae.load(folder)
    names = [name for name, each in run.network.named_modules() if isinstance(each, nn.ReLU)]
    run.network.set_submodule(names[0], module)
    return run


def test_what_torch_cannot_export_is_refused_by_name(digits_folder: Path, tmp_path: Path) -> None:
    run = with_activation(Undecided(), digits_folder)

    with pytest.raises(ConfigError, match=r"layer encoder\.\w+ \(Undecided\).* cannot be exported"):
        write_torch(run, tmp_path / "x.pt2")
    assert list(tmp_path.iterdir()) == []


def test_what_onnx_does_not_know_is_refused_by_name(digits_folder: Path, tmp_path: Path) -> None:
    run = with_activation(Bessel(), digits_folder)

    with pytest.raises(ConfigError, match=r"cannot be exported .*bessel_j1"):
        write_onnx(run, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_installed_is_told_in_one_message(
    digits_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    assert main(["export", str(digits_folder), str(tmp_path / "x.onnx")], "") == 1

    assert "pip install 'activae[onnx]'" in capsys.readouterr().err


def test_the_command_says_what_it_wrote(
    digits_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "codes.pt2"

    assert main(["export", str(digits_folder), str(file), "--part", "encoder"], "") == 0
    assert capsys.readouterr().out.startswith(f"{file}: encoder, differs from the run by ")
    assert main(["export", str(digits_folder), str(file)], "") == 1
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x.txt",), "unknown ending '.txt'; give .onnx, .pt2"),
        (("x.onnx", "--format", "torch"), "is a name of format onnx, and --format=torch was given"),
        (("x", "--part", "encoder"), "--part=encoder: a folder holds both halves"),
        (("x.pt2", "--licence", "mit"), "--licence: belongs into a folder's card"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: tuple[str, ...],
    said: str,
    digits_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name, *rest = arguments

    assert main(["export", str(digits_folder), str(tmp_path / name), *rest], "") == 1

    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
