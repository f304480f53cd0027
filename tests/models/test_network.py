"""Encoder and decoder joined: shapes that agree, and what counts as weight and as activation."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from activae.errors import ConfigError
from activae.models import Autoencoder, ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from activae.models.autoencoder import layers

GREY = (1, 8, 8)
COLOUR = (3, 32, 32)


def mlp_encoder(shape: tuple[int, ...], dim: int) -> nn.Module:
    return MLPEncoder(shape, dim, hidden=[12, 10], activation=nn.Tanh)


def conv_encoder(shape: tuple[int, ...], dim: int) -> nn.Module:
    return ConvEncoder(shape, dim, channels=[4, 6], activation=nn.Tanh)


def mlp_decoder(dim: int, shape: tuple[int, ...]) -> nn.Module:
    return MLPDecoder(dim, shape, hidden=[10, 12], activation=nn.Tanh)


def conv_decoder(dim: int, shape: tuple[int, ...]) -> nn.Module:
    return ConvDecoder(dim, shape, channels=[6, 4], activation=nn.Tanh)


class TwoWays(nn.Module):
    """An activation made of others, as a user may write one."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Tanh(), nn.ReLU()
        self.mix = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor) -> Tensor:
        mixed: Tensor = self.mix * self.left(x) + (1 - self.mix) * self.right(x)
        return mixed


@pytest.mark.parametrize("shape", [GREY, (1, 28, 28), (3, 8, 8), (3, 28, 28), COLOUR])
@pytest.mark.parametrize("encoder", [mlp_encoder, conv_encoder])
@pytest.mark.parametrize("decoder", [mlp_decoder, conv_decoder])
def test_any_encoder_goes_with_any_decoder(
    shape: tuple[int, ...],
    encoder: Callable[[tuple[int, ...], int], nn.Module],
    decoder: Callable[[int, tuple[int, ...]], nn.Module],
) -> None:
    net = Autoencoder(encoder(shape, 5), decoder(5, shape), shape=shape)
    x = torch.rand(3, *shape)

    assert net.encode(x).shape == (3, 5)
    assert net.decode(net.encode(x)).shape == x.shape
    torch.testing.assert_close(net(x), net.decode(net.encode(x)))


def test_vectors_keep_their_shape() -> None:
    net = Autoencoder(mlp_encoder((7,), 2), mlp_decoder(2, (7,)), shape=(7,))

    assert net(torch.rand(4, 7)).shape == (4, 7)


def test_code_and_output_activation_are_applied() -> None:
    net = Autoencoder(
        mlp_encoder(GREY, 3),
        mlp_decoder(3, GREY),
        shape=GREY,
        code_activation=nn.Tanh(),
        output_activation=nn.Sigmoid(),
    )
    x = 10 * torch.randn(5, *GREY)

    torch.testing.assert_close(net.encode(x), net.encoder(x).tanh())
    torch.testing.assert_close(net(x), net.decoder(net.encode(x)).sigmoid())
    torch.testing.assert_close(net(x), net.logits(x).sigmoid())


def test_code_and_output_are_linear_unless_said_otherwise() -> None:
    net = Autoencoder(mlp_encoder(GREY, 3), mlp_decoder(3, GREY), shape=GREY)
    x = torch.randn(5, *GREY)

    torch.testing.assert_close(net.encode(x), net.encoder(x))
    torch.testing.assert_close(net(x), net.logits(x))


def test_a_code_the_decoder_does_not_take_names_both_shapes() -> None:
    with pytest.raises(ConfigError, match=r"data of shape \(1, 8, 8\) into \(5,\), .*decoder"):
        Autoencoder(mlp_encoder(GREY, 5), mlp_decoder(6, GREY), shape=GREY)


def test_a_reconstruction_of_another_shape_names_both_shapes() -> None:
    with pytest.raises(ConfigError, match=r"\(1, 8, 8\).* into \(64,\) instead of \(1, 8, 8\)"):
        Autoencoder(mlp_encoder(GREY, 5), mlp_decoder(5, (64,)), shape=GREY)


def test_data_the_encoder_does_not_take_name_the_shape() -> None:
    with pytest.raises(ConfigError, match=r"does not take data of shape \(1, 8, 8\)"):
        Autoencoder(mlp_encoder((1, 7, 7), 5), mlp_decoder(5, GREY), shape=GREY)


def test_an_activation_whose_parameters_do_not_fit_the_layer_is_refused() -> None:
    encoder = MLPEncoder(GREY, 5, hidden=[12], activation=lambda: nn.PReLU(7))

    with pytest.raises(ConfigError, match="encoder"):
        Autoencoder(encoder, mlp_decoder(5, GREY), shape=GREY)


def test_joining_draws_nothing_from_the_global_generator() -> None:
    halves = MLPEncoder(GREY, 5, hidden=[12], activation=nn.RReLU), mlp_decoder(5, GREY)
    before = torch.get_rng_state()

    net = Autoencoder(*halves, shape=GREY)

    assert torch.equal(torch.get_rng_state(), before)
    assert all(module.training for module in net.modules())


def test_weights_are_those_of_linear_and_convolutional_layers() -> None:
    net = Autoencoder(
        ConvEncoder(GREY, 5, channels=[4], activation=nn.PReLU),
        MLPDecoder(5, GREY, hidden=[12], activation=nn.PReLU),
        shape=GREY,
    )

    assert [name for name, _ in net.weights()] == [
        "encoder.layer1.weight",
        "encoder.code.weight",
        "decoder.layer1.weight",
        "decoder.output.weight",
    ]
    named = dict(net.named_parameters())
    assert all(weight is named[name] for name, weight in net.weights())


def test_activations_are_named_in_the_order_a_sample_meets_them() -> None:
    net = Autoencoder(mlp_encoder(GREY, 5), conv_decoder(5, GREY), shape=GREY)

    assert list(net.activations()) == [
        "encoder.activation1",
        "encoder.activation2",
        "decoder.activation1",
        "decoder.activation2",
    ]


def test_an_activation_made_of_others_counts_as_one() -> None:
    encoder = MLPEncoder(GREY, 5, hidden=[12], activation=TwoWays)

    names = [name for name, _ in layers(encoder)]

    assert names == ["layer1", "activation1", "code"]


def test_what_shapes_pools_or_normalises_is_no_activation() -> None:
    stack = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Dropout(), nn.Flatten(), nn.Identity()),
    )

    assert [name for name, _ in layers(stack)] == ["0", "2"]


class Reshape(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.view(len(x), 2, -1)


class Flat(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


class RootMeanSquare(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / x.square().mean(-1, keepdim=True).sqrt()


class Cube(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x**3


class PerChannel(nn.Module):
    """Learnable, and made for one number of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.ones(7))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.slope * x).sigmoid()


@pytest.mark.parametrize("module", [Reshape(), Flat(), RootMeanSquare()])
def test_somebodys_module_that_acts_on_values_together_is_no_activation(module: nn.Module) -> None:
    assert [name for name, _ in layers(nn.Sequential(nn.Linear(4, 4), module))] == ["0"]


@pytest.mark.parametrize("module", [Cube(), PerChannel(), TwoWays()])
def test_somebodys_module_that_acts_on_every_value_is_an_activation(module: nn.Module) -> None:
    assert [name for name, _ in layers(nn.Sequential(nn.Linear(4, 4), module))] == ["0", "1"]


def test_attention_is_no_activation() -> None:
    assert [name for name, _ in layers(nn.MultiheadAttention(8, 2))] == ["out_proj"]
