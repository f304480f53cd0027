"""Autoencoders as scikit-learn's estimators: a transformer, and a detector of outliers.

They are trained by the parts that runs are trained by (network, initialisation, objective,
schedule, the eager step, the order of an epoch), on all rows they are given. Lightning's Trainer is
left out: a fit has no checkpoints, splits or loggers for it to look after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OutlierMixin,
    TransformerMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor, nn

from activae.activations.named import activation_factory
from activae.config.wording import is_count
from activae.data.layout import EpochOrder
from activae.data.normalisation import fit_normalisation
from activae.errors import ConfigError, DataError, UserError
from activae.models import Autoencoder, MLPDecoder, MLPEncoder
from activae.models.initialisation import fitted
from activae.objectives import Objective, mse
from activae.results.scores import squared_distance
from activae.training.eager_step import EagerStep
from activae.training.endings import Diverged, raise_if_diverged
from activae.training.optimizers import make_optimizer
from activae.training.process import choose_threads, process_state
from activae.training.schedules import onecycle
from activae.use.chunks import Chunked

Array = NDArray[Any]

# What configs/scheduler/onecycle.yaml has.
_SCHEDULE = partial(onecycle, warmup=0.3, div=25.0, final_div=1e4)
_DTYPES = (np.float64, np.float32)
_LARGEST_CODE = 32
_LARGEST_VALUE = 1e150  # its square and the sum of a million of them are floats


class _Estimator(BaseEstimator):
    """What both estimators do: check, standardise, train, reconstruct."""

    def __init__(
        self,
        n_components: int | None = None,
        *,
        activation: str | Callable[[], nn.Module] = "relu",
        hidden_layer_sizes: Sequence[int] = (64, 32),
        learning_rate: float = 5e-3,
        batch_size: int = 32,
        max_iter: int = 50,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.activation = activation
        self.hidden_layer_sizes = hidden_layer_sizes
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Any:  # noqa: N803
        """Train on X [n_samples, n_features]; y is not used. Returns the estimator.

        Raises ValueError where a parameter or X does not fit, or the training diverges.
        """
        values = validate_data(self, X, dtype=_DTYPES)
        self._check_parameters()
        largest = float(np.abs(values).max())
        if largest > _LARGEST_VALUE:
            raise DataError(
                f"X: has values as large as {largest:.3g}, whose squares no float holds; scale them"
            )
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31 - 1)
        with process_state(int(seed)):
            self._train(torch.tensor(values), int(seed))
        return self

    def score_samples(self, X: Any) -> Array:  # noqa: N803
        """Minus the SE of each sample [n_samples]: the less, the more unlike the training data.

        SE: the squared error of the reconstruction, summed over standardised features.
        """
        values, normalised = self._normalised(X)
        return self._numpy(-self._functions["score"](normalised), values)

    def _check_parameters(self) -> None:
        for name in ("n_components", "batch_size", "max_iter"):
            value = getattr(self, name)
            if not (is_count(value) or (value is None and name == "n_components")):
                raise ConfigError(f"{name}={value!r}: must be a whole number of 1 or more")
        if not (isinstance(self.learning_rate, Real) and 0 < self.learning_rate < float("inf")):
            raise ConfigError(f"learning_rate={self.learning_rate!r}: must be a positive number")
        if isinstance(self.hidden_layer_sizes, str) or not all(
            map(is_count, self.hidden_layer_sizes)
        ):
            raise ConfigError(
                f"hidden_layer_sizes={self.hidden_layer_sizes!r}: must be whole numbers of 1 or "
                "more, from the data to the code, such as (64, 32)"
            )

    def _train(self, x: Tensor, seed: int) -> None:
        samples, features = x.shape
        code = int(self.n_components or min(_LARGEST_CODE, max(1, features // 2)))
        self.normalisation_ = fit_normalisation("standardise", x, None).to(x.dtype)
        net = self._network(features, code)
        fitted(net, seed=seed)
        self.network_ = net.to(x.dtype)
        x, batch = self.normalisation_(x), min(int(self.batch_size), samples)
        torch.set_num_threads(choose_threads(net, batch))
        self.loss_curve_ = list(self._epochs(x, batch, seed))
        self.n_iter_ = len(self.loss_curve_)
        net.eval().requires_grad_(False)
        like = x.new_zeros(1)
        self._functions = {
            "encode": Chunked(net.encode, (features,), like),
            "decode": Chunked(net.decode, (code,), like),
            "score": Chunked(partial(_squared_error, net), (features,), like),
        }

    def _network(self, features: int, code: int) -> Autoencoder:
        factory = activation_factory(self.activation)
        widths = [int(width) for width in self.hidden_layer_sizes]
        return Autoencoder(
            MLPEncoder((features,), code, hidden=widths, activation=factory),
            MLPDecoder(code, (features,), hidden=widths[::-1], activation=factory),
            shape=(features,),
        )

    def _epochs(self, x: Tensor, batch: int, seed: int) -> Any:
        """Train an epoch after the other; yield the mean loss of each."""
        rate = float(self.learning_rate)
        optimizer = make_optimizer(partial(torch.optim.Adam, lr=rate), self.network_)
        for group in optimizer.param_groups:
            group["initial_lr"] = rate
        step = EagerStep(self.network_, Objective(mse, l1=0.0, l2=0.0), optimizer, None)
        order, per_epoch = EpochOrder((len(x),)), -(-len(x) // batch)
        for epoch in range(int(self.max_iter)):
            first, losses, sizes = epoch * per_epoch, [], []
            for number, chosen in enumerate(order.positions(seed, epoch).split(batch), first):
                factor = _SCHEDULE(number, per_epoch * int(self.max_iter))
                losses.append(step(x[chosen], factor)["reconstruction"])
                sizes.append(len(chosen))
            try:
                raise_if_diverged(losses, first)
            except Diverged as diverged:
                raise UserError(
                    f"learning_rate={self.learning_rate}: {diverged}; try a smaller one, such as "
                    f"{rate / 10:.3g}"
                ) from None
            yield float(np.average(torch.stack(losses).tolist(), weights=sizes))

    def _normalised(self, X: Any) -> tuple[Array, Tensor]:  # noqa: N803
        """X checked, and as the network takes it."""
        check_is_fitted(self)
        values = validate_data(self, X, dtype=_DTYPES, reset=False)
        kind = self.normalisation_.scale.dtype
        return values, self.normalisation_(torch.tensor(values)).to(kind)

    def _numpy(self, result: Tensor, given: Array) -> Array:
        """A result as an array of the type that was given."""
        return result.numpy().astype(given.dtype, copy=False)


class AutoencoderTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Estimator):
    """An autoencoder as a transformer of scikit-learn: `transform` gives codes.

    Features are standardised, for a linear output. The same random_state gives the same numbers,
    and a sample's do not depend on the others that come with it. float32 stays float32.

    Args:
        n_components: dimensions of the code; None: half of the features, at most 32.
        activation: that of the hidden layers: the name of an option of configs/activation, such as
            "relu", "tanh", "gelu" or "leaky_relu", or what makes an nn.Module, such as a class.
        hidden_layer_sizes: widths from the data to the code; the decoder mirrors them.
        learning_rate: Adam's, at the peak of a one-cycle schedule.
        batch_size: samples of a step.
        max_iter: epochs.
        random_state: seed of the first weights and the batches' order; None: another each time.

    Attributes:
        network_: the trained `activae.Autoencoder`, which takes standardised samples.
        normalisation_: from samples to what the network takes; `.inverse` leads back.
        loss_curve_: the mean squared error of each epoch, of standardised features.
        n_iter_: epochs trained.
        n_features_in_, feature_names_in_: of the data it was fitted on.

    >>> from sklearn.datasets import load_iris
    >>> from activae import AutoencoderTransformer
    >>> X = load_iris().data
    >>> autoencoder = AutoencoderTransformer(2, activation="tanh", random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (150, 2)
    >>> autoencoder.inverse_transform(autoencoder.transform(X)).shape
    (150, 4)
    """

    def transform(self, X: Any) -> Array:  # noqa: N803
        """Codes [n_samples, n_components] of X [n_samples, n_features]."""
        values, normalised = self._normalised(X)
        return self._numpy(self._functions["encode"](normalised), values)

    def inverse_transform(self, X: Any) -> Array:  # noqa: N803
        """Samples [n_samples, n_features] in the data's units, of codes [n_samples, k].

        Raises ValueError where codes are not as wide as those of `transform`.
        """
        check_is_fitted(self)
        codes = check_array(X, dtype=_DTYPES)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"X has {codes.shape[1]} columns, but a code of this estimator has "
                f"{self._n_features_out}"
            )
        decoded = self._functions["decode"](torch.tensor(codes).to(self.normalisation_.scale))
        return self._numpy(self.normalisation_.inverse(decoded), codes)

    def score(self, X: Any, y: Any = None) -> float:  # noqa: N803
        """The mean of `score_samples`: minus the SE, so that a grid search takes the best."""
        return float(np.mean(self.score_samples(X), dtype=np.float64))

    @property
    def _n_features_out(self) -> int:
        return int(self._functions["decode"].shape[0])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class AutoencoderDetector(OutlierMixin, _Estimator):
    """An autoencoder as a detector of outliers: what it reconstructs badly is one.

    `predict` gives -1 for outliers and 1 for others, `decision_function` less than 0 for outliers.

    Args:
        contamination: the share of the training data that counts as outliers, above 0 and at most
            0.5. The other parameters are those of `AutoencoderTransformer`, and so are attributes.

    Attributes:
        offset_: the value of `score_samples` below which a sample is an outlier.

    >>> import numpy as np
    >>> from activae import AutoencoderDetector
    >>> line = np.linspace(-1, 1, 200)[:, None] * [1.0, 2.0, 3.0]
    >>> detector = AutoencoderDetector(1, contamination=0.01, random_state=0).fit(line)
    >>> detector.predict([[0.5, 1.0, 1.5], [0.5, -1.0, 1.5]])
    array([ 1, -1])
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        contamination: float = 0.1,
        activation: str | Callable[[], nn.Module] = "relu",
        hidden_layer_sizes: Sequence[int] = (64, 32),
        learning_rate: float = 5e-3,
        batch_size: int = 32,
        max_iter: int = 50,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(
            n_components,
            activation=activation,
            hidden_layer_sizes=hidden_layer_sizes,
            learning_rate=learning_rate,
            batch_size=batch_size,
            max_iter=max_iter,
            random_state=random_state,
        )
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None) -> Any:  # noqa: N803
        """Train on X [n_samples, n_features] and find `offset_`; y is not used.

        Raises ValueError where a parameter or X does not fit, or the training diverges.
        """
        super().fit(X)
        self.offset_ = np.percentile(self.score_samples(X), 100 * self.contamination)
        return self

    def decision_function(self, X: Any) -> Array:  # noqa: N803
        """`score_samples` minus `offset_` [n_samples]: below 0 are outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Array:  # noqa: N803
        """-1 for outliers, 1 for others: integers [n_samples]."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if not (isinstance(self.contamination, Real) and 0 < self.contamination <= 0.5):
            raise ConfigError(
                f"contamination={self.contamination!r}: must be greater than 0 and at most 0.5"
            )


def _squared_error(net: Autoencoder, x: Tensor) -> Tensor:
    return squared_distance(x, net(x))
