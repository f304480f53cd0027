import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA as SklearnPCA  # noqa: N811

from activae.results.pca import PCA


def se(x, reconstruction):
    return (x - reconstruction).square().flatten(1).sum(1).mean().item()


@pytest.mark.parametrize("samples", [1200, 40], ids=["many samples", "fewer samples than features"])
@pytest.mark.parametrize("dim", [1, 2, 16, 32])
def test_agrees_with_scikit_learn(digits, samples, dim):
    train, test = digits[:samples], digits[-500:]
    ours = PCA.fit(train)
    theirs = SklearnPCA(dim, svd_solver="full").fit(train.flatten(1).double().numpy())
    expected = theirs.inverse_transform(theirs.transform(test.flatten(1).double().numpy()))
    torch.testing.assert_close(
        ours.reconstruct(test, dim).flatten(1).double(), torch.tensor(expected), atol=2e-5, rtol=0
    )
    variances = torch.tensor(theirs.explained_variance_) * (samples - 1) / samples
    torch.testing.assert_close(ours.eigenvalues[:dim], variances, atol=0, rtol=1e-5)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 30), st.integers(1, 12), st.integers(0, 2**32))
def test_the_training_error_is_the_sum_of_the_eigenvalues_left_out(samples, features, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, features, generator=generator, dtype=torch.float64)
    pca = PCA.fit(x)
    for dim in range(features + 1):
        left_out = pca.eigenvalues[dim:].sum().item()
        assert se(x, pca.reconstruct(x, dim)) == pytest.approx(left_out, abs=1e-8)


@pytest.mark.parametrize("samples", [1797, 50])
def test_components_are_orthonormal_and_sorted_by_variance(digits, samples):
    pca = PCA.fit(digits[:samples])
    rank = pca.components.shape[1]
    torch.testing.assert_close(pca.components.T @ pca.components, torch.eye(rank).double())
    assert (pca.eigenvalues.diff() <= 0).all()
    assert (pca.eigenvalues > 0).all()


@pytest.mark.parametrize(("samples", "rank"), [(5, 4), (100, 3)])
def test_dimensions_beyond_the_rank_change_nothing(samples, rank):
    generator = torch.Generator().manual_seed(0)
    factors = torch.randn(samples, rank, generator=generator, dtype=torch.float64)
    x = factors @ torch.randn(rank, 20, generator=generator, dtype=torch.float64) + 7
    pca = PCA.fit(x)
    assert se(x, pca.reconstruct(x, rank - 1)) > 1e-3
    for dim in (rank, 20, 1000):
        assert se(x, pca.reconstruct(x, dim)) < 1e-12


@pytest.mark.parametrize("samples", [1, 3, 50])
def test_constant_data_are_reconstructed_by_their_mean(samples):
    x = torch.full((samples, 6), 0.3)
    pca = PCA.fit(x)
    assert len(pca.eigenvalues) == 0
    torch.testing.assert_close(pca.reconstruct(x, 4), x)


def test_no_dimension_leaves_the_mean(digits):
    reconstruction = PCA.fit(digits).reconstruct(digits, 0)
    torch.testing.assert_close(reconstruction, digits.mean(0).expand_as(digits))


def test_reconstructions_keep_shape_and_dtype(digits):
    pca = PCA.fit(digits.double())
    for x in (digits[:3], digits[:1].double()):
        reconstruction = pca.reconstruct(x, 8)
        assert (reconstruction.shape, reconstruction.dtype) == (x.shape, x.dtype)


def test_a_large_common_offset_costs_no_accuracy(digits):
    shifted = PCA.fit(digits + 100).reconstruct(digits + 100, 16) - 100
    torch.testing.assert_close(shifted, PCA.fit(digits).reconstruct(digits, 16), atol=1e-3, rtol=0)
