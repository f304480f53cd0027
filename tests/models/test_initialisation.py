"""Initial weights: a scale that fits the activation, and noise that is the same for all."""

from collections.abc import Callable
from functools import partial
from math import sqrt

import pytest
import torch
from torch import Tensor, nn

from activae.activations import Custom, RReLU, Sin, Snake, gain
from activae.models import Autoencoder, ConvDecoder, ConvEncoder, MLPDecoder, MLPEncoder
from activae.models.initialisation import fitted, torch_default

ActivationFactory = Callable[[], nn.Module]

ACTIVATIONS: list[ActivationFactory] = [
    nn.Identity,
    nn.ReLU,
    partial(nn.LeakyReLU, 0.2),
    nn.PReLU,
    RReLU,
    nn.ELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Sigmoid,
    nn.Tanh,
    nn.Softsign,
    Sin,
    Snake,
    partial(Custom, "torch.special.erf"),
]


def some(activation: ActivationFactory) -> str:
    return repr(activation())


def mlp(activation: ActivationFactory, *, features: int = 20, width: int = 24) -> Autoencoder:
    return Autoencoder(
        MLPEncoder((features,), 6, hidden=[width, width], activation=activation),
        MLPDecoder(6, (features,), hidden=[width], activation=activation),
        shape=(features,),
    )


def conv(activation: ActivationFactory, channels: int = 4) -> Autoencoder:
    shape = (3, 32, 32)
    return Autoencoder(
        ConvEncoder(shape, 50, channels=[channels, channels], activation=activation),
        ConvDecoder(50, shape, channels=[channels, channels], activation=activation),
        shape=shape,
    )


def weights(net: Autoencoder) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in net.weights()}


def variances(module: nn.Module, x: Tensor) -> list[float]:
    """Mean square of what each weight layer puts out, in evaluation mode, layer by layer."""
    found = []
    module.eval()
    with torch.no_grad():
        for layer in module.children():
            x = layer(x)
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                found.append(x.square().mean().item())
    return found


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=some)
def test_unit_variance_goes_through_a_deep_wide_network(activation: ActivationFactory) -> None:
    encoder = MLPEncoder((1000,), 1000, hidden=[1000] * 5, activation=activation)
    decoder = MLPDecoder(1000, (1000,), hidden=[], activation=activation)
    net = Autoencoder(encoder, decoder, shape=(1000,))
    fitted(net, seed=0)
    x = torch.randn(200, 1000, generator=torch.Generator().manual_seed(1))

    assert variances(encoder, x) == pytest.approx([1.0] * 6, abs=0.25)


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU, nn.Sigmoid], ids=some)
def test_unit_variance_goes_through_convolutions_and_transposed_ones(
    activation: ActivationFactory,
) -> None:
    net = conv(activation, channels=64)
    fitted(net, seed=0)
    generator = torch.Generator().manual_seed(1)

    down = variances(net.encoder, torch.randn(8, 3, 32, 32, generator=generator))
    up = variances(net.decoder, torch.randn(60, 50, generator=generator))

    # Padding with zeros takes a share of the inputs at the borders, more of it in small maps.
    assert down == pytest.approx([1.0] * 3, abs=0.25)
    assert up == pytest.approx([1.0] * 3, abs=0.25)


def test_activations_share_the_base_noise_layer_by_layer() -> None:
    nets = {activation: mlp(activation) for activation in (nn.Identity, nn.Tanh, nn.Sigmoid)}
    for net in nets.values():
        fitted(net, seed=3)
    base = weights(nets[nn.Identity])

    for activation, net in nets.items():
        after_activation = gain(activation())
        for name, weight in net.weights():
            # The first layer of each half meets the data, or the linear code.
            scale = 1.0 if name.endswith("layer1.weight") else after_activation
            torch.testing.assert_close(weight, base[name] * scale)


def test_each_half_is_scaled_for_its_own_activation() -> None:
    net = Autoencoder(
        MLPEncoder((20,), 6, hidden=[24], activation=nn.Tanh),
        MLPDecoder(6, (20,), hidden=[24], activation=nn.GELU),
        shape=(20,),
    )
    fitted(net, seed=3)
    in_tanh, in_gelu = mlp(nn.Tanh), mlp(nn.GELU)
    fitted(in_gelu, seed=3)

    assert weights(net)["decoder.output.weight"].equal(weights(in_gelu)["decoder.output.weight"])
    fitted(in_tanh, seed=3)
    assert weights(net)["encoder.layer1.weight"].equal(weights(in_tanh)["encoder.layer1.weight"])


def test_gains_follow_parameters_that_the_modules_text_does_not_show() -> None:
    net = Autoencoder(
        MLPEncoder((20,), 6, hidden=[24], activation=partial(nn.PReLU, init=0.0)),
        MLPDecoder(6, (20,), hidden=[24], activation=partial(nn.PReLU, init=1.0)),
        shape=(20,),
    )
    linear = mlp(nn.Identity)
    fitted(net, seed=3)
    fitted(linear, seed=3)

    expected = weights(linear)["decoder.output.weight"]
    torch.testing.assert_close(weights(net)["decoder.output.weight"], expected)


def test_a_code_activation_scales_the_decoders_first_layer() -> None:
    linear = mlp(nn.ReLU)
    bounded = Autoencoder(linear.encoder, linear.decoder, shape=(20,), code_activation=nn.Sigmoid())
    fitted(linear, seed=3)
    base = weights(linear)["decoder.layer1.weight"]
    fitted(bounded, seed=3)

    expected = base * gain(nn.Sigmoid())
    torch.testing.assert_close(weights(bounded)["decoder.layer1.weight"], expected)


def test_another_encoder_leaves_the_decoders_noise_as_it_is() -> None:
    wide, narrow = mlp(nn.ReLU), mlp(nn.ReLU)
    narrow.encoder = MLPEncoder((20,), 6, hidden=[5], activation=nn.ReLU)
    fitted(wide, seed=0)
    fitted(narrow, seed=0)

    assert wide.decoder.state_dict().keys() == narrow.decoder.state_dict().keys()
    for name, tensor in wide.decoder.state_dict().items():
        assert tensor.equal(narrow.decoder.state_dict()[name])


def test_fitted_biases_start_at_zero() -> None:
    for net in (mlp(nn.ReLU), conv(nn.ReLU)):
        fitted(net, seed=0)
        biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
        assert biases
        assert not any(bias.any() for bias in biases)


@pytest.mark.parametrize("make", [mlp, conv])
def test_torchs_own_init_fills_its_bounds(make: Callable[..., Autoencoder]) -> None:
    own, ours = make(nn.ReLU), make(nn.ReLU)
    torch_default(ours, seed=0)

    for (name, module), (_, theirs) in zip(ours.named_modules(), own.named_modules(), strict=True):
        if not isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            continue
        assert isinstance(theirs, type(module))
        assert theirs.bias is not None
        assert module.bias is not None
        bound = 1 / sqrt(module.weight[0].numel())
        for tensor, reference in ((module.weight, theirs.weight), (module.bias, theirs.bias)):
            assert tensor.abs().max() <= bound, name
            assert reference.abs().max() <= bound, f"torch's own bound is another for {name}"
        assert module.weight.std().item() == pytest.approx(bound / sqrt(3), rel=0.1)
        assert module.weight.abs().max() > 0.95 * bound


def test_torchs_init_is_the_same_for_all_activations() -> None:
    relu, tanh = mlp(nn.ReLU), mlp(nn.Tanh)
    torch_default(relu, seed=0)
    torch_default(tanh, seed=0)

    assert all(tensor.equal(tanh.state_dict()[name]) for name, tensor in relu.state_dict().items())


@pytest.mark.parametrize("init", [fitted, torch_default])
def test_seeds_differ_and_zero_is_one_of_them(init: Callable[..., None]) -> None:
    nets = [mlp(nn.ReLU) for _ in range(4)]
    for net, seed in zip(nets, (0, 1, 2, 0), strict=True):
        init(net, seed=seed)

    first, second, third, again = (weights(net) for net in nets)
    for name, weight in first.items():
        assert weight.equal(again[name])
        assert not weight.equal(second[name])
        assert not weight.equal(third[name])
        assert not second[name].equal(third[name])


@pytest.mark.parametrize("init", [fitted, torch_default])
def test_torchs_global_generator_is_neither_read_nor_moved(init: Callable[..., None]) -> None:
    first, second = mlp(RReLU), mlp(RReLU)
    torch.manual_seed(1)
    init(first, seed=0)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    init(second, seed=0)

    assert torch.equal(torch.get_rng_state(), before)
    for name, weight in weights(first).items():
        assert weight.equal(weights(second)[name])
