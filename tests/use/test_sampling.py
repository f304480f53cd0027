"""New samples of a finished run: by its own sampler, in the units of its data."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import activae
from activae.cli.use import main
from activae.cli.verbs import sampling as verbs
from activae.errors import DataError, UserError
from activae.models.densities import mixtures
from activae.results.sampler import Recipe, read
from activae.use import sampling
from activae.use.run import Run
from activae.use.sampling import FILE, Sampler, fit, save

Trained = Callable[..., Path]


@pytest.fixture(scope="module")
def codes(digits: Run, images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(digits.encode(images))


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    from sklearn.datasets import load_digits

    return np.array(load_digits().target)


@pytest.fixture(scope="module")
def sampler(digits: Run, codes: torch.Tensor, labels: np.ndarray) -> Sampler:
    return fit(digits, codes, components=3, labels=labels)


@pytest.fixture
def run(digits: Run, sampler: Sampler, tmp_path: Path) -> Run:
    """A run with a sampler of its own."""
    folder = tmp_path / "run"
    shutil.copytree(digits.folder, folder)
    save(sampler, folder)
    return activae.load(folder)


def test_samples_come_in_the_units_of_the_data_and_repeat_with_their_seed(run: Run) -> None:
    made = run.sample(50, seed=3)

    assert made.shape == (50, 1, 8, 8)
    assert 0 <= made.min() < 1
    assert 8 < made.max() <= 16
    assert np.array_equal(made, activae.load(run.folder).sample(50, seed=3))
    assert np.array_equal(made, run.sample(np.int64(50), seed=3))  # type: ignore[arg-type]
    assert not np.array_equal(made, run.sample(50, seed=4))


def test_codes_of_a_label_are_those_of_its_class(
    sampler: Sampler, codes: torch.Tensor, labels: np.ndarray, run: Run
) -> None:
    own = codes[torch.from_numpy(labels == 3)]
    drawn = sampler.of(3).sample(4000, torch.Generator().manual_seed(0))

    error = own.std(0) * (1 / len(own) + 1 / 4000) ** 0.5
    assert ((drawn.mean(0) - own.mean(0)).abs() < 4 * error).all()
    assert len(sampler.by_class) == 10
    assert run.sample(2, label="3").shape == run.sample(2, label=3).shape == (2, 1, 8, 8)
    with pytest.raises(UserError, match=r"label=x: the sampler's labels are 0, 1, 2"):
        run.sample(2, label="x")


def test_a_label_without_a_spread_is_left_out_and_doubts_name_their_label(
    digits: Run, codes: torch.Tensor, labels: np.ndarray
) -> None:
    few = np.where(labels == 9, 8, labels)
    few[0] = 9  # the only one
    outliers = codes.clone()
    outliers[torch.from_numpy(few == 3).nonzero()[:2, 0]] += 900

    found = fit(digits, outliers, components=3, labels=few)

    assert list(found.by_class) == [str(label) for label in range(9)]
    assert "label 9: left out: 1 codes are too few to have a spread; give 2 samples or more" in (
        found.notes
    )
    assert any(note.startswith("label 3: 1 of 3 components holds fewer") for note in found.notes)


def test_samples_of_the_data_are_likelier_than_noise(run: Run, images: np.ndarray) -> None:
    noise = np.random.default_rng(0).uniform(0, 16, (50, 8, 8))

    assert run.log_prob(images[:50]).shape == (50,)
    assert np.median(run.log_prob(images[:50])) > np.median(run.log_prob(noise))


def test_the_file_holds_tensors_and_plain_values(run: Run) -> None:
    kept = torch.load(run.folder / FILE, weights_only=True)

    assert (kept["kind"], kept["settings"], kept["codes"]) == ("gmm", {"components": 3}, 1797)


def test_a_run_without_a_sampler_says_how_to_fit_one(digits: Run) -> None:
    with pytest.raises(UserError, match=r"no sampler is fitted to this run.*fit-sampler"):
        digits.sample(3)


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "3"])
def test_a_number_of_samples_that_cannot_be_is_named(n: object, run: Run) -> None:
    with pytest.raises(UserError, match=f"n={n!r}: give a whole number"):
        run.sample(n)  # type: ignore[arg-type]


def test_a_sampler_that_is_damaged_or_of_another_network_is_refused(
    run: Run, trained: Trained
) -> None:
    other = trained("data=digits", "seed=9")
    shutil.copy(run.folder / FILE, other / FILE)
    with pytest.raises(DataError, match="was fitted to another network"):
        activae.load(other).sample(1)
    content = (run.folder / FILE).read_bytes()
    for bad in (b"", content[:300], b"not a checkpoint"):
        (run.folder / FILE).write_bytes(bad)
        with pytest.raises(DataError, match=f"{FILE}: is damaged.*fit-sampler .* --force"):
            run.sample(1)


def test_a_sampler_of_another_width_is_refused(run: Run) -> None:
    kept = torch.load(run.folder / FILE, weights_only=True)
    kept["densities"][0]["means"] = kept["densities"][0]["means"][:, :2]
    torch.save(kept, run.folder / FILE)

    with pytest.raises(DataError, match="densities of another width"):
        run.sample(1)


def test_a_prior_is_for_runs_that_were_trained_towards_one(
    digits: Run, codes: torch.Tensor, trained: Trained, images: np.ndarray
) -> None:
    with pytest.raises(UserError, match="nothing trained this run's codes towards a prior"):
        fit(digits, codes, "prior")
    vae = activae.load(trained("data=digits", "experiment=vae"))
    codes = vae.encode_normalised(vae.to_network(images))
    found = fit(vae, codes, "prior", labels=np.arange(len(codes)) % 3)
    with pytest.raises(UserError, match=r"label=1: .* none, because a prior is the same for all"):
        found.of(1)

    assert str(found) == "prior"
    assert found.density.means.abs().max() == 0
    assert found.density.factors[0].equal(torch.eye(vae.code_shape[0]).double())


def test_codes_on_a_sphere_are_drawn_on_it(trained: Trained, images: np.ndarray) -> None:
    run = activae.load(trained("data=digits", "latent=spherical", "encoding.dim=4"))
    found = fit(run, run.encode_normalised(run.to_network(images)), "gaussian")
    decoded: list[np.ndarray] = []
    run.decode = lambda z: decoded.append(z)  # type: ignore[method-assign]

    sampling.sample(run, 20, 0, None, found)

    assert np.linalg.norm(decoded[0], axis=1) == pytest.approx(2.0, rel=1e-5)


def test_words_of_a_codebook_are_no_density(trained: Trained, images: np.ndarray) -> None:
    run = activae.load(trained("data=digits", "experiment=vq_vae"))

    for asked in (
        lambda: fit(run, run.encode_normalised(run.to_network(images))),
        lambda: run.sample(3),
        lambda: run.fit_sampler("kde"),
    ):
        with pytest.raises(UserError, match="codes of latent=vq are words of a codebook"):
            asked()


def test_data_that_are_gone_are_asked_for_in_one_sentence(
    trained: Trained, tmp_path: Path, images: np.ndarray
) -> None:
    file = tmp_path / "gone.npy"
    np.save(file, images[:100])
    run = activae.load(trained("data=array", f"data.path={file}"))
    file.unlink()

    with pytest.raises(UserError, match=r"there is no such file[^.]*; give INPUT \(in Python, x\)"):
        run.fit_sampler()
    assert run.fit_sampler("gaussian", images).codes == len(images)


def test_notes_of_the_fit_are_kept(
    digits: Run, codes: torch.Tensor, labels: np.ndarray, tmp_path: Path
) -> None:
    few = np.where(labels == 9, 8, labels)
    few[0] = 9  # the only one
    found = fit(digits, codes, "gaussian", labels=few)
    save(found, tmp_path)

    kept = read(tmp_path / FILE, found.network, codes.shape[1])

    alone = "label 9: left out: 1 codes are too few to have a spread; give 2 samples or more"
    assert kept.notes == found.notes == (alone,)
    assert (kept.recipe, str(kept)) == (found.recipe, str(found))


def test_an_open_run_takes_the_sampler_that_is_fitted_anew(run: Run, codes: torch.Tensor) -> None:
    before = run.sample(5)
    save(fit(run, codes, "gaussian"), run.folder)

    assert run.sampler.recipe.kind == "gaussian"
    assert not np.array_equal(run.sample(5), before)


def test_a_sampler_knows_its_encoder_too(run: Run) -> None:
    """Samples take the decoder alone, but the density at a sample takes the encoder."""
    with torch.no_grad():
        next(run.network.encoder.parameters()).add_(0.01)

    with pytest.raises(DataError, match="was fitted to another network"):
        run.sample(1)


def test_a_note_that_concerns_several_labels_is_told_once(
    digits: Run, codes: torch.Tensor, labels: np.ndarray
) -> None:
    few = np.where(labels > 7, 0, labels)
    few[:2] = [8, 9]  # one code each

    found = fit(digits, codes, "gaussian", labels=few)

    assert [note[:40] for note in found.notes] == ["labels 8, 9: left out: 1 codes are too f"]


def test_a_label_may_be_named_by_its_first_word_as_digits_of_mnist_are(
    digits: Run, codes: torch.Tensor, labels: np.ndarray
) -> None:
    words = np.array(["0 - zero", "1 - one", "2 - two", "10 - ten"])[labels % 4]

    found = fit(digits, codes, "gaussian", labels=words)

    assert list(found.by_class) == ["0 - zero", "1 - one", "2 - two", "10 - ten"]
    assert found.of(1) is found.of("1 - one")
    for unknown in (3, "one", "1 -"):
        with pytest.raises(UserError, match=f"label={unknown}: the sampler's labels are 0 - zero"):
            found.of(unknown)


def test_one_label_alone_has_the_density_of_all(digits: Run, codes: torch.Tensor) -> None:
    found = fit(digits, codes, components=60, labels=np.full(len(codes), 7))

    assert found.of(7) is found.density
    assert str(found).endswith("of 1797 codes, and of label 7")
    assert not [note for note in found.notes if "label" in note]


def test_a_label_has_as_many_components_as_its_codes_can_carry(
    digits: Run, codes: torch.Tensor, labels: np.ndarray
) -> None:
    few = np.where(labels == 9, 0, labels)
    few[np.flatnonzero(labels == 9)[:80]] = 9

    found = fit(digits, codes, components=10, labels=few)

    assert len(found.of(9).means) == 80 // (4 * (codes.shape[1] + 1))


def test_it_says_that_bic_chose_its_components(digits: Run, codes: torch.Tensor) -> None:
    found = fit(digits, codes[:60, :2].repeat(1, 4), components=None)

    chosen = len(found.density.log_weights)
    assert str(found).startswith(f"gmm of {chosen} normal distribution")
    assert str(found).endswith(", chosen by BIC, of 60 codes")


def test_of_one_distribution_it_speaks_in_the_singular(digits: Run, codes: torch.Tensor) -> None:
    assert str(fit(digits, codes, "gaussian")) == "gaussian of 1 normal distribution, of 1797 codes"


def test_shown_it_is_one_line(sampler: Sampler) -> None:
    assert repr(sampler) == f"<activae.Sampler {sampler}>"
    assert len(repr(sampler)) < 120


def test_what_the_command_has_no_option_for_is_fitted_again_in_python(
    run: Run, sampler: Sampler
) -> None:
    recipe = Recipe("two_stage", {"hidden": [8]}, 2)
    save(replace(sampler, recipe=recipe, network=b"another"), run.folder)

    again = r"`activae.load\('.*'\).fit_sampler\('two_stage', hidden=\[8\], seed=2\)` in Python$"
    with pytest.raises(DataError, match=again):
        run.sample(1)


def test_in_python_a_run_fits_and_keeps_its_sampler(run: Run, images: np.ndarray) -> None:
    found = run.fit_sampler("gaussian")

    assert (found.recipe.kind, found.codes, len(found.by_class)) == ("gaussian", 1258, 10)
    assert str(activae.load(run.folder).sampler) == str(found)
    assert run.fit_sampler("gmm", images, components=2, seed=1).recipe.seed == 1
    assert (run.sampler.codes, len(run.sampler.by_class)) == (1797, 0)
    with pytest.raises(UserError, match="sampler=kdf: choose one of"):
        run.fit_sampler("kdf")


def test_what_cannot_be_fitted_is_named(digits: Run, codes: torch.Tensor) -> None:
    with pytest.raises(
        UserError, match="sampler=kdf: choose one of gmm, gaussian, kde, prior, flow, two_stage"
    ):
        fit(digits, codes, "kdf")
    for bad in (0, 2.5, "x"):
        with pytest.raises(UserError, match=f"components={bad}: give a whole number of 1 or more"):
            fit(digits, codes, components=bad)
    with pytest.raises(UserError, match="hidden: the sampler gmm takes components"):
        fit(digits, codes, hidden=[8])


def test_tables_are_made_with_their_words(trained: Trained, home: Path) -> None:
    rows = ["height,kind"] + [f"{150 + i % 40},{'red' if i % 3 else 'blue'}" for i in range(200)]
    (home / "sampled.csv").write_text("\n".join(rows))
    run = activae.load(
        trained("data=tabular", f"data.path={home / 'sampled.csv'}", "encoding.dim=2")
    )
    found = fit(run, run.encode_normalised(run.to_network(home / "sampled.csv")), "gaussian")

    made = sampling.sample(run, 30, 0, None, found)

    assert list(made.columns) == ["height", "kind"]
    assert set(made["kind"]) <= {"red", "blue"}


class TestOnTheCommandLine:
    """fit-sampler, then sample."""

    def test_a_sampler_is_fitted_to_the_runs_own_data_and_drawn_from(
        self, digits: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = shutil.copytree(digits.folder, tmp_path / "run")

        assert main(["fit-sampler", str(folder), "--components", "2"], "") == 0
        assert "gmm of 2 normal distributions, of 1258 codes, and of each of 10 labels" in (
            capsys.readouterr().out
        )
        assert main(["sample", str(folder), "12", str(tmp_path / "x.png")], "") == 0
        with Image.open(tmp_path / "x.png") as sheet:
            assert sheet.size == (524, 116)
        file = str(tmp_path / "x.npy")
        assert main(["sample", str(folder), "5", file, "--seed", "1", "--label", "7"], "") == 0
        wanted = activae.load(folder).sample(5, seed=1, label=7)
        assert np.array_equal(np.load(file), wanted)

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--components", "few"], "--components=few"),
            (["--sampler", "kdf"], "--sampler=kdf: choose one of"),
            (["--sampler", "kde", "--components", "3"], "--components=3: is of --sampler=gmm"),
            (["nothing.npy"], "nothing.npy: there is no such file"),
        ],
    )
    def test_mistakes_are_named(
        self, arguments: list[str], said: str, digits: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["fit-sampler", str(digits.folder), *arguments], "") == 1
        assert said in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--sampler", "GMM"], "--sampler=GMM: choose one of"),
            (["--components", "ten"], "--components=ten: give a whole number"),
            (["--sampler", "prior"], "nothing trained this run's codes towards a prior"),
        ],
    )
    def test_mistakes_are_named_before_the_sampler_that_is_there(
        self, arguments: list[str], said: str, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["fit-sampler", str(run.folder), *arguments], "") == 1
        assert said in capsys.readouterr().err

    @pytest.mark.parametrize("verb", ["fit-sampler", "sample", "evaluate", "nll"])
    def test_help_says_what_each_argument_is(
        self, verb: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit):
            main([verb, "--help"], "")

        said = capsys.readouterr().out
        for name in {"INPUT", "--seed N", "RUN"} - ({"INPUT"} if verb == "sample" else set()):
            assert re.search(rf"^  {name} +\S", said, re.MULTILINE), name

    def test_help_names_the_numbers_that_bic_chooses_from(self) -> None:
        *others, last = map(str, mixtures.CANDIDATES)

        assert f"{', '.join(others)} and {last}" == verbs.CANDIDATES

    def test_one_that_is_there_is_kept_without_force(
        self, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = (run.folder / FILE).read_bytes()

        assert main(["fit-sampler", str(run.folder)], "") == 1
        said = capsys.readouterr().err
        assert f"{FILE}: is kept with the run already; --force fits another in its place" in said
        assert "another name" not in said
        assert (run.folder / FILE).read_bytes() == before
        assert main(["fit-sampler", str(run.folder), "--sampler", "gaussian", "--force"], "") == 0
        assert run.sampler.recipe.kind == "gaussian"

    def test_it_says_what_it_does_how_long_that_took_and_what_it_wrote(
        self, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        command = ["fit-sampler", str(run.folder), "--force"]
        assert main([*command, "--sampler", "gaussian"], "") == 0
        said = capsys.readouterr()
        assert "fitting gaussian to 1258 codes, and to those of each of 10 labels" in said.err
        assert re.search(r"of each of 10 labels, fitted in \d+\.\d s\n$", said.out)

        file = tmp_path / "x.npy"
        assert main(["sample", str(run.folder), "1", str(file), "--label", "7"], "") == 0
        assert capsys.readouterr().out.startswith(
            f"{file}: 1 new sample of label 7, by the sampler gaussian"
        )

    def test_a_table_is_no_picture(
        self, table_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = shutil.copytree(table_run.folder, tmp_path / "table")
        activae.load(folder).fit_sampler("gaussian")

        for name in ("x.png", "pictures"):
            assert main(["sample", str(folder), "3", str(tmp_path / name)], "") == 1
            said = " ".join(capsys.readouterr().err.split())
            assert f"{name}: is for images, which this run's samples are not; give .csv" in said
        assert main(["sample", str(folder), "3", str(tmp_path / "x.csv")], "") == 0

    def test_notes_fit_a_terminal(self, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        command = ["fit-sampler", str(run.folder), "--force", "--components", "400"]
        assert main(command, "") == 0
        said = capsys.readouterr().err
        assert "of 400 components hold fewer codes" in said
        assert max(map(len, said.splitlines())) <= 80
