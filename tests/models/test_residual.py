"""Residual halves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest
import torch
from torch import nn

from activae.activations import GLU
from activae.errors import ConfigError
from activae.models import Autoencoder, ResidualMLPDecoder, ResidualMLPEncoder
from activae.models.autoencoder import SeenOnce
from activae.models.initialisation import fitted
from activae.models.mlp import ResidualBlock


def network(
    activation: Callable[[], nn.Module], *, size: int = 20, width: int | Sequence[int], depth: int
) -> Autoencoder:
    kinds = {"width": width, "depth": depth, "activation": activation}
    encoder = ResidualMLPEncoder((size,), 6, **kinds)
    return Autoencoder(encoder, ResidualMLPDecoder(6, (size,), **kinds), shape=(size,))


def blocks(module: nn.Module) -> list[ResidualBlock]:
    return [block for block in module.modules() if isinstance(block, ResidualBlock)]


def test_width_and_depth_say_what_blocks_there_are() -> None:
    net = network(nn.ReLU, width=12, depth=3)

    for half in (net.encoder, net.decoder):
        sizes = [
            (block.branch.layer1.in_features, block.branch.layer2.out_features)
            for block in blocks(half)
        ]
        assert sizes == [(12, 12)] * 3
        assert all(isinstance(block.shortcut, nn.Identity) for block in blocks(half))


def test_several_widths_have_projections_between_them() -> None:
    encoder = ResidualMLPEncoder((20,), 6, width=[12, 9], depth=2, activation=nn.ReLU)

    shortcuts = [block.shortcut for block in blocks(encoder)]
    assert [isinstance(each, nn.Linear) for each in shortcuts] == [False, False, True, False]
    assert shortcuts[2].weight.shape == (9, 12)
    assert shortcuts[2].bias is None


def test_a_block_adds_its_branch_to_its_input() -> None:
    encoder = ResidualMLPEncoder((20,), 6, width=12, depth=4, activation=nn.Tanh)
    block = blocks(encoder)[1]
    x = torch.randn(5, 12)

    branch = block.branch.layer2(block.branch.layer1(x.tanh()).tanh())

    torch.testing.assert_close(block(x), x + branch / 2)  # 1 / sqrt(4 blocks)


def test_the_last_layer_is_linear_and_follows_an_activation() -> None:
    net = network(nn.ReLU, width=12, depth=1)

    for half in (net.encoder, net.decoder):
        assert [type(module) for module in half][-2:] == [nn.ReLU, nn.Linear]
    picture = ResidualMLPDecoder(6, (1, 4, 5), width=8, depth=1, activation=nn.ReLU)
    assert picture(torch.rand(3, 6)).shape == (3, 1, 4, 5)


def test_layers_are_named_in_the_order_a_sample_meets_them() -> None:
    net = network(nn.Tanh, width=[12, 9], depth=1)

    assert [name for name in net.activations() if name.startswith("encoder")] == [
        "encoder.block1.branch.activation1",
        "encoder.block1.branch.activation2",
        "encoder.block2.branch.activation1",
        "encoder.block2.branch.activation2",
        "encoder.activation",
    ]
    assert [name for name, _ in net.weights() if name.startswith("encoder")] == [
        "encoder.input.weight",
        "encoder.block1.branch.layer1.weight",
        "encoder.block1.branch.layer2.weight",
        "encoder.block2.shortcut.weight",
        "encoder.block2.branch.layer1.weight",
        "encoder.block2.branch.layer2.weight",
        "encoder.code.weight",
    ]


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU, nn.Sigmoid, GLU])
@pytest.mark.parametrize(("width", "depth"), [(400, 1), (400, 12), ([500, 400, 300], 3)])
def test_fitted_variance_grows_less_than_e_fold_at_any_depth(
    activation: Callable[[], nn.Module], width: int | list[int], depth: int
) -> None:
    net = network(activation, size=400, width=width, depth=depth)
    fitted(net, seed=0)
    up_to_the_last_block = nn.Sequential(*list(net.encoder)[:-2])
    x = torch.randn(300, 400, generator=torch.Generator().manual_seed(1))
    stream = up_to_the_last_block(x)

    assert 1 < stream.square().mean().item() < 1.1 * torch.e


def test_a_shortcut_keeps_the_scale_of_what_it_projects() -> None:
    encoder = network(nn.ReLU, width=[500, 300], depth=1)
    fitted(encoder, seed=0)
    (shortcut,) = [b.shortcut for b in blocks(encoder.encoder) if isinstance(b.shortcut, nn.Linear)]

    assert shortcut.weight.std().item() == pytest.approx(500**-0.5, rel=0.02)


@pytest.mark.parametrize("width", [0, [], [8, -1]])
def test_widths_that_are_no_counts_are_refused(width: int | list[int]) -> None:
    with pytest.raises(ConfigError, match=r"encoder.width=\["):
        ResidualMLPEncoder((6,), 2, width=width, depth=1, activation=nn.ReLU)


def test_a_depth_that_is_no_count_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"decoder\.depth=0: must be a whole number of 1 or more"):
        ResidualMLPDecoder(2, (6,), width=8, depth=0, activation=nn.ReLU)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.ELU, nn.Hardtanh, nn.SiLU])
def test_an_activation_asked_to_work_in_place_gives_the_same_network(
    activation: Callable[..., nn.Module],
) -> None:
    """In place it would change what the shortcut adds."""
    torch.manual_seed(0)
    plain = network(activation, width=[12, 12, 9], depth=2)
    in_place = network(partial(activation, inplace=True), width=[12, 12, 9], depth=2)
    in_place.load_state_dict(plain.state_dict())
    x = torch.randn(5, 20)

    torch.testing.assert_close(in_place(x), plain(x), rtol=0, atol=0)


def test_an_output_in_place_leaves_the_logits_as_they_are() -> None:
    encoder, decoder = nn.Sequential(nn.Linear(6, 2)), nn.Sequential(nn.Linear(2, 6))
    net = Autoencoder(encoder, decoder, shape=(6,), output_activation=nn.ELU(inplace=True))
    x = torch.randn(5, 6)
    once = SeenOnce(net, x)

    assert torch.equal(once(x), once(x))
