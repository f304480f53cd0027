"""The autoencoder as scikit-learn's estimators."""

from __future__ import annotations

import doctest
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from activae import AutoencoderDetector, AutoencoderTransformer
from activae.config.instantiating import locate
from activae.errors import UserError
from activae.use.estimators import activation_factory

SMALL: dict[str, Any] = {"hidden_layer_sizes": (8,), "max_iter": 5, "batch_size": 64}
OPTIONS = Path(__file__).parents[2] / "configs" / "activation"
WITH_PARAMETERS = {"custom", "gelu_tanh", "threshold"}  # of which no default tells the value


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return load_iris().data


@parametrize_with_checks([AutoencoderTransformer(**SMALL), AutoencoderDetector(**SMALL)])
def test_it_is_an_estimator_as_scikit_learn_wants_it(estimator: Any, check: Any) -> None:
    check(estimator)


def test_the_best_activation_is_found_in_a_pipeline(x: np.ndarray) -> None:
    pipeline = make_pipeline(MinMaxScaler(), AutoencoderTransformer(2, random_state=0, **SMALL))
    names = ["relu", "tanh"]
    key = "autoencodertransformer__activation"

    search = GridSearchCV(pipeline, {key: names}, cv=2, error_score="raise").fit(x)

    scores = search.cv_results_["mean_test_score"]
    assert search.best_params_ == {key: names[int(np.argmax(scores))]}
    assert scores[0] != scores[1]
    assert search.transform(x).shape == (150, 2)


def test_it_learns_to_reconstruct_in_the_units_of_the_data(x: np.ndarray) -> None:
    fitted = AutoencoderTransformer(2, activation="tanh", random_state=0).fit(x)

    again = fitted.inverse_transform(fitted.transform(x))

    assert np.square(x - again).sum() < 0.05 * np.square(x - x.mean(0)).sum()
    se = np.square((x - again) / x.std(0)).sum(1)
    np.testing.assert_allclose(fitted.score_samples(x), -se, rtol=1e-5, atol=1e-7)
    assert fitted.score(x) == pytest.approx(-se.mean(), rel=1e-5)
    assert fitted.loss_curve_[-1] < 0.2 * fitted.loss_curve_[0]


def test_a_fit_leaves_the_process_as_it_was(x: np.ndarray) -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    expected = torch.rand(1).item(), np.random.rand()
    torch.manual_seed(3)
    np.random.seed(3)
    threads = torch.get_num_threads()

    AutoencoderTransformer(2, activation="rrelu", random_state=0, **SMALL).fit(x)

    assert (torch.rand(1).item(), np.random.rand()) == expected
    assert torch.get_num_threads() == threads


def test_equal_seeds_give_equal_bits_and_others_do_not(x: np.ndarray) -> None:
    first = AutoencoderTransformer(2, random_state=0, **SMALL)
    codes = first.fit_transform(x)

    np.testing.assert_array_equal(clone(first).fit_transform(x), codes)
    assert not np.array_equal(clone(first).set_params(random_state=1).fit_transform(x), codes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sample_has_the_same_numbers_alone_and_among_others(x: np.ndarray, dtype: Any) -> None:
    x = x.astype(dtype)
    fitted = AutoencoderTransformer(2, random_state=0, **SMALL).fit(x)

    codes = fitted.transform(x)

    assert codes.dtype == dtype
    np.testing.assert_array_equal(
        np.concatenate([fitted.transform(x[:1]), fitted.transform(x[1:])]), codes
    )


def test_it_survives_a_pickle(x: np.ndarray) -> None:
    fitted = AutoencoderTransformer(2, activation="swiglu", random_state=0, **SMALL).fit(x)

    again = pickle.loads(pickle.dumps(fitted))

    np.testing.assert_array_equal(again.transform(x), fitted.transform(x))


def test_codes_come_as_a_table_where_that_is_wanted() -> None:
    table = load_iris(as_frame=True).data
    fitted = AutoencoderTransformer(2, **SMALL).set_output(transform="pandas").fit(table)

    codes = fitted.transform(table)

    assert isinstance(codes, pd.DataFrame)
    assert list(codes.columns) == ["autoencodertransformer0", "autoencodertransformer1"]
    assert list(fitted.feature_names_in_) == list(table.columns)


def test_a_name_means_the_option_of_that_name() -> None:
    for file in sorted(OPTIONS.glob("*.yaml")):
        if file.stem in WITH_PARAMETERS:
            continue
        node = yaml.safe_load(file.read_text())
        kwargs = {key: value for key, value in node.items() if not key.startswith("_")}
        there = locate(node["_target_"], "activation")(**kwargs)
        here = activation_factory(file.stem)()
        z = torch.linspace(-3, 3, 24).reshape(2, 12)
        for module in (here, there):
            module.eval()
        assert type(here) is type(there)
        torch.testing.assert_close(here(z), there(z), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"activation": "rellu"}, "activation='rellu'"),
        ({"activation": "threshold"}, "activation=threshold"),
        ({"n_components": 0}, "n_components=0"),
        ({"max_iter": 1.5}, "max_iter=1.5"),
        ({"learning_rate": -1}, "learning_rate=-1"),
        ({"learning_rate": 1e200}, "learning_rate=1e.200: the loss is not finite"),
        ({"hidden_layer_sizes": "64"}, "hidden_layer_sizes='64'"),
    ],
)
def test_a_wrong_parameter_is_named(x: np.ndarray, parameters: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        AutoencoderTransformer(**(SMALL | parameters)).fit(x)


@pytest.mark.parametrize("estimator", [AutoencoderTransformer, AutoencoderDetector])
def test_the_example_runs(estimator: Any) -> None:
    finder = doctest.DocTestFinder(recurse=False)
    (example,) = finder.find(estimator, estimator.__name__)

    assert example.examples
    assert doctest.DocTestRunner().run(example).failed == 0


def test_codes_of_another_width_are_refused(x: np.ndarray) -> None:
    fitted = AutoencoderTransformer(2, **SMALL).fit(x)

    with pytest.raises(ValueError, match="X has 4 columns, but a code of this estimator has 2"):
        fitted.inverse_transform(x)


def test_what_is_unlike_the_training_data_is_an_outlier() -> None:
    line = np.linspace(-1, 1, 200)[:, None] * [1.0, 2.0, 3.0]
    detector = AutoencoderDetector(1, contamination=0.05, random_state=0).fit(line)

    assert detector.predict([[0.5, 1.0, 1.5], [0.5, -1.0, 1.5]]).tolist() == [1, -1]
    assert (detector.predict(line) == -1).sum() == 10
    assert detector.offset_ == np.percentile(detector.score_samples(line), 5)
    np.testing.assert_array_equal(
        detector.decision_function(line), detector.score_samples(line) - detector.offset_
    )


def test_the_page_is_true() -> None:
    page = Path(__file__).parents[2] / "docs" / "estimators.md"

    outcome = doctest.testfile(str(page), module_relative=False)

    assert outcome.attempted > 10
    assert outcome.failed == 0


def test_values_whose_squares_overflow_are_refused_as_such() -> None:
    x = np.random.default_rng(0).normal(size=(30, 3)) * 1e200
    with pytest.raises(ValueError, match=r"X: has values as large as [\d.]+e\+200, .*; scale them"):
        AutoencoderTransformer(2, max_iter=1).fit(x)
