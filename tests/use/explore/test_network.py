"""The page's forward pass in a browser gives the numbers that torch gives."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from activae.config.instantiating import build
from activae.errors import UserError
from activae.models import Autoencoder, ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from activae.models.counts import LogCounts, LogShares, NegativeBinomialHead, SharesOfTotal
from activae.models.densities import mixtures
from activae.models.latents import Gaussian, Spherical, VectorQuantised
from activae.models.mlp import ResidualMLPDecoder, ResidualMLPEncoder
from activae.use.explore import layers
from activae.use.explore.layers import Exported
from activae.use.explore.page import normals
from activae.use.explore.tables import NoTableError, table

CONFIGS = Path(__file__).parents[3] / "configs" / "activation"
NETWORK = Path(layers.__file__).with_name("network.js")
HARNESS = """<div id="told"></div><script>$network
const told = [];
for (const {exported, x} of $cases) {
  const net = new Network(exported);
  told.push(x.map(each => [...net.encode(each)].concat([...net.reconstruct(each)])));
}
document.querySelector("#told").textContent = JSON.stringify(told);
</script>"""
needs_browser = pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")


def _activations() -> dict[str, Callable[[], nn.Module]]:
    found = {}
    for file in sorted(CONFIGS.glob("*.yaml")):
        config = OmegaConf.load(file)
        if not OmegaConf.missing_keys(config):
            found[file.stem] = build(config, file.stem)
    found["prelu of 12"] = lambda: _uneven(nn.PReLU(12))
    found["custom"] = _Bumpy
    return found


def _uneven(prelu: nn.PReLU) -> nn.PReLU:
    prelu.weight.data = torch.linspace(-0.4, 1.2, 12)
    return prelu


class _Bumpy(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0.3, 0.2 * torch.sin(5 * x) + x, x.tanh())


def _networks() -> dict[str, Autoencoder]:
    torch.manual_seed(0)
    nets = {}
    for name, activation in _activations().items():
        options: dict[str, Any] = {"activation": activation, "match_parameters": False}
        encoder = MLPEncoder((6,), 3, hidden=[12], **options)
        nets[name] = Autoencoder(encoder, MLPDecoder(3, (6,), hidden=[12], **options), shape=(6,))
    shape, vector = (2, 8, 8), (6,)
    for kind in (None, "batch", "layer", "group"):
        options = {"activation": nn.SiLU, "normalisation": kind}
        encoder, decoder = ConvEncoder(shape, 3, channels=[4, 8], **options), None
        decoder = ConvDecoder(3, shape, channels=[8, 4], **options)
        nets[f"conv {kind}"] = Autoencoder(encoder, decoder, shape=shape)
        half = ResidualMLPEncoder(vector, 3, width=[32, 16], depth=1, **options)
        other = ResidualMLPDecoder(3, vector, width=[16, 32], depth=1, **options)
        nets[f"residual {kind}"] = Autoencoder(
            half, other, shape=vector, code_activation=nn.Tanh(), output_activation=nn.Sigmoid()
        )
    for name, ends in {
        "shares": (LogShares(), SharesOfTotal(vector)),
        "nb": (LogCounts(), NegativeBinomialHead(vector, zero_inflated=False)),
        "zinb": (LogCounts(), NegativeBinomialHead(vector, zero_inflated=True)),
    }.items():
        halves = (
            MLPEncoder(vector, 3, hidden=[5], activation=nn.ReLU),
            MLPDecoder(3, (12,) if name == "zinb" else vector, hidden=[5], activation=nn.ReLU),
        )
        nets[name] = Autoencoder(
            *halves, shape=vector, input_transform=ends[0], output_activation=ends[1]
        )
    encoder = MLPEncoder(vector, 6, hidden=[5], activation=nn.ReLU)
    decoder = MLPDecoder(3, vector, hidden=[5], activation=nn.ReLU)
    nets["gaussian"] = Autoencoder(encoder, decoder, shape=vector, latent=Gaussian(3))
    encoder = MLPEncoder(vector, 3, hidden=[5], activation=nn.ReLU)
    nets["spherical"] = Autoencoder(encoder, decoder, shape=vector, latent=Spherical(3, noise=0))
    for net in nets.values():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.5, 2)
        net.eval()
    return nets


def _browse(file: Path) -> Any:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    options += [f"--user-data-dir={file.parent / 'profile'}", "--virtual-time-budget=5000"]
    seen = subprocess.run(
        ["chromium", *options, "--dump-dom", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    match = re.search(r'<div id="told">(.+?)</div>', seen.stdout)
    assert match, seen.stderr
    assert "CONSOLE" not in seen.stderr
    return json.loads(match[1])


@needs_browser
def test_every_activation_and_encoder_gives_the_numbers_of_torch(tmp_path: Path) -> None:
    nets = _networks()
    random = torch.Generator().manual_seed(1)
    samples = {k: 2 * torch.randn(5, *net.shape, generator=random) for k, net in nets.items()}
    cases = [
        {"exported": Exported(net, name).to_dict(), "x": samples[name].flatten(1).tolist()}
        for name, net in nets.items()
    ]
    page = HARNESS.replace("$network", NETWORK.read_text()).replace("$cases", json.dumps(cases))
    (tmp_path / "page.html").write_text(page)

    told = _browse(tmp_path / "page.html")

    far = {}
    for (name, net), seen in zip(nets.items(), told, strict=True):
        x = samples[name]
        with torch.no_grad():
            wanted = torch.cat([net.encode(x), net(x).flatten(1)], dim=1).numpy()
        if not np.allclose(np.array(seen, dtype=float), wanted, rtol=1e-4, atol=1e-4):
            far[name] = np.abs(np.array(seen, dtype=float) - wanted).max()
    assert not far


@pytest.mark.parametrize(
    "function", [np.tanh, np.abs, np.square, lambda x: np.where(x > 1, x, 0), lambda x: x]
)
def test_tails_go_on_as_the_function_does(function: Callable[[Any], Any]) -> None:
    rows = table(function)
    for x, row in ((-3000.0, rows[0]), (3000.0, rows[-1])):
        assert np.polyval(row[:0:-1], x) == pytest.approx(function(x), rel=1e-5)


def test_a_function_that_is_not_finite_has_no_table() -> None:
    with pytest.raises(NoTableError, match="not finite"), np.errstate(all="ignore"):
        table(np.log)


def test_what_cannot_be_computed_is_refused_by_name() -> None:
    net = Autoencoder(
        nn.Sequential(nn.Linear(4, 2), nn.Softmax(dim=1)), nn.Linear(2, 4), shape=(4,)
    )
    with pytest.raises(UserError, match="my run: explore cannot put Softmax"):
        Exported(net, "my run")
    words = VectorQuantised(2, words=4, parts=1, decay=None)
    net = Autoencoder(nn.Linear(4, 2), nn.Linear(2, 4), shape=(4,), latent=words)
    with pytest.raises(UserError, match=r"my run: explore cannot put VectorQ.* codes are words"):
        Exported(net, "my run")


@needs_browser
def test_weights_are_rounded_where_a_run_would_take_more_than_two_megabytes(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    options: dict[str, Any] = {"hidden": [600, 400], "activation": nn.GELU}
    net = Autoencoder(MLPEncoder((6,), 3, **options), MLPDecoder(3, (6,), **options), shape=(6,))
    x = torch.rand(5, 6)
    exported = Exported(net.eval(), "run").to_dict()
    case = [{"exported": exported, "x": x.tolist()}]
    page = HARNESS.replace("$network", NETWORK.read_text()).replace("$cases", json.dumps(case))
    (tmp_path / "page.html").write_text(page)

    (seen,) = _browse(tmp_path / "page.html")

    with torch.no_grad():
        wanted = torch.cat([net.encode(x), net(x)], dim=1).numpy()
    assert len(exported["weights"]) < 2.7 * sum(p.numel() for p in net.parameters()) + 10_000
    assert 0 < exported["rounded"] < 1e-5
    assert np.abs(np.array(seen) - wanted).max() < 1e-5


def test_small_networks_keep_their_weights_as_they_are() -> None:
    exported = Exported(Autoencoder(nn.Linear(4, 2), nn.Linear(2, 4), shape=(4,)), "run").to_dict()
    assert exported["rounded"] == 0
    assert "scales" not in exported


DRAWING = """<div id="told"></div><script>$network
const told = $cases.map(kept => {
  const sampler = new Sampler(kept);
  return Array.from({length: 4000}, (_, seed) => [...sampler.draw(seed)]);
});
told.push([[...new Sampler($cases[0]).draw(7)]]);
document.querySelector("#told").textContent = JSON.stringify(told);
</script>"""


@needs_browser
def test_codes_are_drawn_from_the_sampler_by_their_seed(tmp_path: Path) -> None:
    """Two normal distributions, one around each of four codes, and the prior of a sphere."""
    noise = torch.Generator().manual_seed(0)
    clusters = torch.cat([torch.randn(300, 2, generator=noise), torch.randn(100, 2) + 20])
    clusters[:, 1] += clusters[:, 0]
    densities = [
        mixtures.gaussian_mixture(clusters, 2, 0)[0],
        mixtures.kernel_density(clusters[::100], noise),
        mixtures.standard(2),
    ]
    cases = [{**normals(each), "sphere": each is densities[2]} for each in densities]
    page = DRAWING.replace("$network", NETWORK.read_text()).replace("$cases", json.dumps(cases))
    (tmp_path / "page.html").write_text(page)

    *told, seventh = (np.array(each) for each in _browse(tmp_path / "page.html"))

    for density, drawn in zip(densities[:2], told, strict=False):
        wanted = density.sample(40_000, noise).numpy()
        error = wanted.std(0) / 4000**0.5
        assert (np.abs(drawn.mean(0) - wanted.mean(0)) < 4 * error).all()
        assert np.allclose(np.cov(drawn.T), np.cov(wanted.T), rtol=0.1)
    assert np.allclose(np.linalg.norm(told[2], axis=1), 2**0.5)
    assert np.abs(told[2].mean(0)).max() < 0.1
    assert (seventh[0] == told[0][7]).all()
