"""The answer: what is compared, the verdict, the table and the caveats of known scores."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from activae.cli import compare as script
from activae.compare.answer import Answer, answer
from activae.compare.collect import read_runs
from activae.compare.terminal import shown
from activae.errors import UserError

WriteRun = Callable[..., Path]
NOISE = [0.0, 0.3, -0.2, 0.5, 0.1, -0.4, 0.2, -0.1]  # of seeds, the same for all conditions
# What each condition adds to that: no two differ on average.
OWN = [
    [0.03, -0.02, 0.01, -0.03, 0.02, -0.01, 0.02, -0.01],
    [-0.02, 0.03, 0.02, 0.01, -0.03, 0.01, -0.02, 0.01],
    [0.01, 0.02, -0.03, 0.02, -0.01, 0.03, -0.01, -0.02],
]


@pytest.fixture
def sweep(write_run: WriteRun, tmp_path: Path) -> Callable[..., Path]:
    """`sweep({"relu": 10, "gelu": 9}, seeds=8)`: a run for each, around these scores."""

    def write(means: dict[str, float], seeds: int = 8, **keys: Any) -> Path:
        for turn, (activation, mean) in enumerate(means.items()):
            for seed in range(seeds):
                score = mean + NOISE[seed] + OWN[turn][seed]
                name = f"activation={activation},seed={seed}{''.join(map(str, keys.values()))}"
                write_run(name, score, activation, seed=seed, **keys)
        return tmp_path

    return write


def answered(path: Path, **options: Any) -> Answer:
    return answer(read_runs([path]), **options)


def row(found: Answer, condition: str) -> pd.Series:
    return found.table.set_index("condition").loc[condition]


class TestVerdict:
    def test_names_the_best_and_by_how_much_others_are_worse(
        self, sweep: Callable[..., Path]
    ) -> None:
        found = answered(sweep({"relu": 11, "gelu": 10}))
        assert found.verdict.startswith("gelu is best; relu is worse by 9.9 % [9.6, 10]")
        assert (found.factor, found.metric, found.best) == ("activation", "test/SE", ["gelu"])

    def test_names_all_that_cannot_be_told_from_the_best(self, sweep: Callable[..., Path]) -> None:
        found = answered(sweep({"relu": 11, "gelu": 10, "silu": 10}))
        assert sorted(found.best) == ["gelu", "silu"]
        assert "are best: nothing separates them (p " in found.verdict
        assert found.verdict.index("relu is worse by") > 0

    def test_one_that_no_seed_favours_is_not_called_best(
        self, sweep: Callable[..., Path], write_run: WriteRun
    ) -> None:
        folder = sweep({"relu": 11, "gelu": 10})
        for seed, loss in enumerate([0.2, 60, 0.3, 0.2, 0.4, 0.2, 30, 0.3]):
            write_run(f"activation=silu,seed={seed}", 10 + NOISE[seed] + loss, "silu", seed=seed)
        found = answered(folder)
        assert row(found, "silu")["p"] > 0.05
        assert found.verdict.startswith("gelu is best; silu is worse in all 8 seeds, by amounts so")

    def test_there_may_be_no_winner(self, sweep: Callable[..., Path]) -> None:
        found = answered(sweep({"relu": 10, "gelu": 10, "silu": 10}))
        assert found.verdict.startswith("no clear winner: nothing separates")
        assert len(found.best) == 3

    def test_five_seeds_can_show_none(self, sweep: Callable[..., Path]) -> None:
        found = answered(sweep({"relu": 11, "gelu": 10}, seeds=5))
        assert found.verdict == (
            "no clear winner: 5 seeds can show none; gelu has the best mean so far"
        )
        assert found.caveats[0] == (
            "5 paired seeds can reach no p below 0.062: run 'seed=range(12)'"
        )

    def test_without_a_common_seed_nothing_is_compared(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        write_run("a", 1.0, "relu", seed=0)
        write_run("b", 2.0, "gelu", seed=1)
        found = answered(tmp_path)
        assert found.verdict.startswith("no clear winner: no other condition was run with")
        assert "run 'seed=range(12)'" in found.caveats[0]

    def test_of_a_score_where_more_is_better(self, sweep: Callable[..., Path]) -> None:
        found = answered(sweep({"relu": 11, "gelu": 10}), metric="test/PSNR")
        assert found.best == ["gelu"]  # fixture: PSNR is -SE
        relu = row(found, "relu")
        assert relu["mean"] < row(found, "gelu")["mean"]
        assert relu["low"] < relu["difference"] < relu["high"] < 0
        assert found.verdict.startswith("gelu is best; relu is worse by 1 [0.966, 1.03]")


class TestTable:
    def test_has_a_row_for_each_condition_the_best_first(self, sweep: Callable[..., Path]) -> None:
        found = answered(sweep({"relu": 12, "gelu": 10, "silu": 11}))
        assert list(found.table["condition"]) == ["gelu", "silu", "relu"]
        relu = row(found, "relu")
        assert (relu["n"], relu["diverged"], relu["p_better"]) == (8, 0, 0)
        assert relu["difference"] == pytest.approx(2, abs=0.02)
        assert relu["relative"] == pytest.approx(0.2, abs=0.01)
        assert relu["p"] == pytest.approx(2 / 2**8)

    def test_a_baseline_is_what_all_are_compared_with(self, sweep: Callable[..., Path]) -> None:
        found = answered(sweep({"relu": 12, "gelu": 10, "silu": 11}), baseline="ReLU")
        assert found.reference == "relu"
        assert row(found, "gelu")["difference"] == pytest.approx(-2, abs=0.02)
        assert row(found, "gelu")["p"] == pytest.approx(2 * 2 / 2**8)  # Holm, both the least

    def test_diverged_runs_are_worst(self, sweep: Callable[..., Path], write_run: WriteRun) -> None:
        path = sweep({"gelu": 10})
        for seed in range(8):
            write_run(f"silu{seed}", math.inf if seed < 7 else 1.0, "silu", seed=seed)
        found = answered(path)
        assert found.best[0] == "gelu"
        assert row(found, "silu")["diverged"] == 7
        assert any("runs diverged (7 of 8 of silu)" in caveat for caveat in found.caveats)


class TestWhatIsCompared:
    def test_another_key_where_activation_does_not_vary(self, sweep: Callable[..., Path]) -> None:
        for dim, mean in ((4, 12.0), (8, 10.0)):
            path = sweep({"relu": mean}, **{"encoding.dim": dim})
        found = answered(path)
        assert (found.factor, found.best) == ("encoding.dim", ["8"])

    def test_other_keys_are_averaged_over_within_a_seed(self, sweep: Callable[..., Path]) -> None:
        for dim in (4, 8):
            path = sweep({"relu": 11, "gelu": 10}, **{"encoding.dim": dim})
        found = answered(path)
        assert found.factor == "activation"
        assert list(found.table["n"]) == [8, 8]  # seeds, not runs
        assert "averaged over encoding.dim=4,8; look at one: --where encoding.dim=4" in (
            found.caveats
        )
        assert answered(path, where=["encoding.dim=4"]).verdict == found.verdict

    @pytest.mark.parametrize("where", [["encoding.dim=4,8"], ["encoding.dim=4", "encoding.dim=8"]])
    def test_several_values_of_a_key_may_be_chosen(
        self, where: list[str], sweep: Callable[..., Path]
    ) -> None:
        for dim in (4, 8, 16):
            path = sweep({"relu": 11, "gelu": 10}, **{"encoding.dim": dim})
        assert answered(path, where=where).paired.averaged == {"encoding.dim": ["4", "8"]}
        only = [*where, "activation=relu"]
        assert set(answered(path, by=["encoding.dim"], where=only).paired.conditions) == {"4", "8"}
        with pytest.raises(UserError, match=r"--where encoding\.dim=5: no run has it; .* 16, 4, 8"):
            answered(path, where=[*where, "encoding.dim=4,5"])

    def test_a_value_with_a_comma_is_one_value(self, write_run: WriteRun, tmp_path: Path) -> None:
        for hidden in ([64, 32], [8]):
            for turn, activation in enumerate(("relu", "gelu")):
                name = f"{hidden}{activation}"
                write_run(name, 1 + turn, activation, **{"encoder.hidden": hidden})
        found = answered(tmp_path, where=["encoder.hidden=[64,32]"])
        assert list(found.table["n"]) == [1, 1]
        both = answered(tmp_path, where=["encoder.hidden=[64,32],[8]"])
        assert both.paired.averaged == {"encoder.hidden": ["[64,32]", "[8]"]}

    def test_several_factors_at_once(self, sweep: Callable[..., Path]) -> None:
        for dim, mean in ((4, 12.0), (8, 10.0)):
            path = sweep({"relu": mean, "gelu": mean + 1}, **{"encoding.dim": dim})
        found = answered(path, by=["activation", "encoding.dim"])
        assert list(found.table["condition"]) == [
            f"{name} (dim {dim})" for dim in (8, 4) for name in ("relu", "gelu")
        ]

    def test_in_several_settings_it_is_said_whether_the_ranking_holds(
        self, sweep: Callable[..., Path]
    ) -> None:
        by = ["activation", "encoding.dim"]
        for dim, gelu in ((4, 10.0), (8, 12.0)):
            path = sweep({"relu": 11, "gelu": gelu, "silu": 13}, **{"encoding.dim": dim})
        lines = shown(answered(path, by=by)).splitlines()
        start = lines.index("does the ranking hold?")
        told = " ".join(lines[start + 1 : lines.index("", start)])
        assert told == (
            "The best mean changes: gelu (dim 4), relu (dim 8). No one is among the best in every "
            "setting. The two rankings correlate by 0.50 (1: the same, 0: unrelated)."
        )
        assert max(map(len, lines)) <= 80
        assert "does the ranking hold?" in shown(answered(path))  # averaged over the widths
        assert "ranking hold" not in shown(answered(path, where=["encoding.dim=4"]))

    def test_a_key_that_goes_with_the_factor_is_named(self, sweep: Callable[..., Path]) -> None:
        sweep({"relu": 11}, **{"encoding.dim": 4})
        found = answered(sweep({"gelu": 10}, **{"encoding.dim": 8}))
        assert any(caveat.startswith("encoding.dim differ too") for caveat in found.caveats)

    def test_val_where_runs_lack_test(self, sweep: Callable[..., Path]) -> None:
        found = answered(sweep({"relu": 11, "gelu": 10}, test=False))
        assert found.metric == "val/SE"
        assert any("--where score.test=true" in caveat for caveat in found.caveats)

    def test_unfinished_missing_and_repeated_runs_are_named(
        self, sweep: Callable[..., Path], write_run: WriteRun
    ) -> None:
        path = sweep({"relu": 11, "gelu": 10}, seeds=7)
        write_run("half", None, "relu", seed=7)
        write_run("more", 10.0, "gelu", seed=7)
        write_run("again", 99.0, "gelu", seed=3, **{"logger.images": 1})
        text = "\n".join(answered(path).caveats)
        assert "1 unfinished run is left out" in text
        assert "relu lacks seed 7" in text
        assert "1 run is left out that repeat another" in text

    def test_a_split_that_follows_the_seed_is_no_other_condition(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        for activation, mean in (("relu", 11), ("gelu", 10)):
            for seed in range(6):
                place = {"data.split_seed": seed}
                write_run(f"{activation}{seed}", mean + NOISE[seed], activation, seed=seed, **place)
        found = answered(tmp_path)
        assert found.best == ["gelu"]
        assert not any("split" in caveat for caveat in found.caveats)

    def test_seeds_may_have_been_run_with_different_settings(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        for activation, mean in (("relu", 11), ("gelu", 10)):
            for seed in range(8):
                dims = (4, 8) if seed < 2 else (4,)  # dim 8 was begun later
                for dim in dims:
                    name, keys = f"{activation}{seed}{dim}", {"encoding.dim": dim}
                    write_run(name, mean + 5 * (dim == 8), activation, seed=seed, **keys)
        found = answered(tmp_path)
        assert list(found.table["n"]) == [8, 8]
        assert row(found, "relu")["difference"] == pytest.approx(1)

    def test_runs_of_two_splits_do_not_repeat_each_other(self, sweep: Callable[..., Path]) -> None:
        sweep({"relu": 11, "gelu": 10})
        found = answered(sweep({"relu": 11, "gelu": 10}, **{"data.split_seed": 7}))
        assert any(caveat.startswith("averaged over data.split_seed=") for caveat in found.caveats)
        assert not any("repeat" in caveat for caveat in found.caveats)


class TestCaveats:
    def test_each_comes_with_its_mend(self, sweep: Callable[..., Path]) -> None:
        text = "\n".join(answered(sweep({"relu": 11, "gelu": 10})).caveats)
        assert "run with 'data.split_seed=${seed}'" in text
        assert "tune it for each by experiment=compare_activations" in text

    def test_of_a_race_say_that_its_seeds_were_not_fixed(
        self, sweep: Callable[..., Path], write_run: WriteRun
    ) -> None:
        path = sweep({"relu": 11, "gelu": 10}, seeds=7)
        write_run("more", 10.0, "gelu", seed=7)
        (path / "race.json").touch()
        text = "\n".join(answered(path).caveats)
        assert "a race: p and intervals do not allow for the looks" in text
        assert "lacks seed 7" not in text

    def test_of_a_race_the_verdict_is_its_own(self, sweep: Callable[..., Path]) -> None:
        path = sweep({"relu": 11, "gelu": 10}, seeds=7)
        rows = [{"condition": "relu"}, {"condition": "gelu"}]
        told = {"verdict": "gelu is best", "best": ["gelu"], "guarantee": "the chance is 5 %"}
        (path / "race.json").write_text(json.dumps({**told, "conditions": rows}))
        found = answered(path)
        assert (found.verdict, found.best) == (told["verdict"], told["best"])
        assert any(each.startswith("a race: the chance is 5 %; p and") for each in found.caveats)
        assert answered(path, metric="val/SE").verdict != told["verdict"]
        (path / "race.json").write_text(json.dumps({"conditions": rows}))  # it goes on
        assert answered(path).verdict != told["verdict"]

    def test_damaged_runs_are_among_them(self, sweep: Callable[..., Path]) -> None:
        path = sweep({"relu": 11, "gelu": 10})
        broken = path / "activation=relu,seed=2" / "metrics.json"
        broken.write_text("{")
        caveats = answered(path).caveats
        assert "relu lacks seed 2" in "\n".join(caveats)
        assert caveats[-1].startswith(str(broken))


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"by": ["lr"]}, "--by lr: the runs have no such config key; did you mean optimizer"),
            ({"by": ["optimizer.lr"]}, "--by optimizer.lr: is .* in all runs"),
            ({"by": ["seed"]}, "--by seed: seeds are what conditions are paired by"),
            ({"metric": "SE"}, r"--metric SE: is no figure of these runs; did you mean test/SE\?"),
            ({"metric": "test/SSIM"}, "--metric test/SSIM: is null in all runs"),
            ({"baseline": "elu"}, "--baseline elu: is not among those compared: gelu; relu"),
            ({"where": ["seed"]}, "--where seed: must be KEY=VALUE"),
            ({"where": ["data=mnist"]}, "--where data=mnist: no run has it; data is: digits"),
            ({"where": ["activation=relu"]}, "runs of one condition"),
        ],
    )
    def test_say_what_can_be_done(
        self, options: dict[str, Any], message: str, sweep: Callable[..., Path]
    ) -> None:
        path = sweep({"relu": 11, "gelu": 10}, seeds=2)
        with pytest.raises(UserError, match=message):
            answered(path, **options)

    def test_of_several_factors_ask_for_a_choice(self, sweep: Callable[..., Path]) -> None:
        sweep({"relu": 11}, seeds=2, **{"encoding.dim": 4})
        sweep({"relu": 11}, seeds=2, **{"encoding.dim": 8})
        path = sweep({"relu": 11}, seeds=2, **{"encoding.dim": 4, "optimizer.lr": 0.1})
        with pytest.raises(UserError, match=r"several keys vary: .*choose one: --by"):
            answered(path)

    def test_of_runs_that_have_not_ended(self, write_run: WriteRun, tmp_path: Path) -> None:
        write_run("a", None)
        with pytest.raises(UserError, match="none of 1 run has ended"):
            answered(tmp_path)


class TestScript:
    def test_prints_the_answer_within_80_columns(
        self, sweep: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = sweep({"relu": 11, "gelu": 10, "a_very_long_name_of_an_activation": 12})
        assert run(path) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[0].startswith("gelu is best; relu is worse by 9.9 %")
        (title,) = [line.split() for line in lines if line.startswith("activation")]
        assert title[:4] == ["activation", "n", "test/SE", "sd"]
        assert max(map(len, lines)) <= 80

    def test_writes_csv_and_json(
        self, sweep: Callable[..., Path], write_run: WriteRun, tmp_path: Path
    ) -> None:
        path = sweep({"relu": 11, "gelu": 10})
        write_run("d", math.inf, "silu")
        csv, json_ = tmp_path / "a.csv", tmp_path / "a.json"
        assert run(path, "--csv", str(csv), "--json", str(json_)) == 0
        assert list(pd.read_csv(csv)["condition"]) == ["gelu", "relu", "silu"]
        written = json.loads(json_.read_text())
        assert written["best"][0] == "gelu"
        assert written["table"][2]["mean"] is None

    def test_writes_the_report_the_table_for_a_paper_and_that_of_runs(
        self, sweep: Callable[..., Path], write_run: WriteRun, tmp_path: Path
    ) -> None:
        path = sweep({"relu": 11, "gelu": 10})
        write_run("unfinished", None, "silu")
        html, tex, runs, parquet = (
            tmp_path / f"a.{end}" for end in ("html", "tex", "csv", "parquet")
        )
        assert run(path, "--html", str(html), "--latex", str(tex), "--runs", str(runs)) == 0
        assert "gelu</em> is best" in html.read_text()
        assert r"\toprule" in tex.read_text()
        found = pd.read_csv(runs)
        assert set(found["status"]) == {"done", "unfinished"}
        pytest.importorskip("pyarrow")
        assert run(path, "--runs", str(parquet)) == 0
        assert list(pd.read_parquet(parquet)["test/SE"]) == pytest.approx(
            list(found["test/SE"]), nan_ok=True
        )

    def test_an_error_is_one_line(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(tmp_path) == 1
        assert capsys.readouterr().err.startswith(f"error: {tmp_path}: holds no run")

    @pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
    def test_is_as_narrow_for_small_and_large_scores(
        self, scale: float, write_run: WriteRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name, mean in (("leaky_relu_with_a_long_name", 11), ("gelu", 10)):
            for seed in range(6):
                score = scale * (mean + NOISE[seed] * (mean - 9))
                write_run(f"{name}{seed}", score, name, seed=seed)
        assert run(tmp_path) == 0
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= 80
        assert any(line.startswith("leak") for line in lines)

    def test_a_thousandth_of_the_scale_is_still_told_apart(
        self, sweep: Callable[..., Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(sweep({"relu": 10_000.2, "gelu": 10_000}))
        assert "0.2" in capsys.readouterr().out


def run(path: Path, *arguments: str) -> int:
    return script.main([str(path), *arguments])


class TestTuned:
    """Runs without test score beside others with it: those that chose the learning rate."""

    @pytest.fixture
    def tuned(self, write_run: WriteRun, sweep: Callable[..., Path]) -> Path:
        rates = {"relu": 0.1, "gelu": 0.4}
        for activation, best in rates.items():
            for lr in (0.1, 0.2, 0.4, 0.8):
                score, name = abs(math.log(lr / best)), f"tune{activation}{lr}"
                write_run(name, score, activation, seed=9, test=False, **{"optimizer.lr": lr})
        for turn, (activation, best) in enumerate(rates.items()):
            for seed in range(8):
                score = 10 - turn + NOISE[seed] + OWN[turn][seed]
                name = f"{activation}{seed}"
                path = write_run(name, score, activation, seed=seed, **{"optimizer.lr": best})
        return path.parent

    def test_are_left_out_and_named(self, tuned: Path) -> None:
        found = answered(tuned)
        assert found.metric == "test/SE"
        assert list(found.table["n"]) == [8, 8]
        assert found.verdict.startswith("gelu is best; relu is worse by")
        assert "\nnot compared: 8 runs that tuned, without the test split" in shown(found)

    def test_are_compared_where_that_is_asked_for(self, tuned: Path) -> None:
        found = answered(tuned, where=["score.test=false"])
        assert found.metric == "val/SE"
        assert list(found.table["n"]) == [1, 1]

    def test_leave_no_caveat_about_the_rate_but_one_at_an_edge(self, tuned: Path) -> None:
        caveats = " ".join(answered(tuned).caveats)
        assert "the best lr of relu lies at the edge" in caveats
        assert "tuned for none" not in caveats
        assert "optimizer.lr differ" not in caveats

    def test_a_rate_that_a_larger_grid_has_replaced_is_left_out(
        self, tuned: Path, write_run: WriteRun
    ) -> None:
        rate = {"optimizer.lr": 0.05}
        write_run("tunerelu0.05", -1, "relu", seed=9, test=False, **rate)
        for seed in range(8):
            write_run(f"relu{seed}again", 8 + NOISE[seed] + OWN[0][seed], "relu", seed=seed, **rate)
        found = answered(tuned)
        assert list(found.table["n"]) == [8, 8]
        assert found.best == ["relu"]  # at 8; at 10 it was with the old rate
        told = "8 runs are left out, of another optimizer.lr than the one tuned"
        assert told in found.caveats

    def test_a_rate_may_be_tuned_in_each_setting_of_another_key(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        for dim, rates in ((2, (0.1, 0.2)), (8, (0.4, 0.1))):
            for activation, lr in zip(("relu", "gelu"), rates, strict=True):
                keys = {"optimizer.lr": lr, "encoding.dim": dim}
                write_run(f"tune{dim}{activation}", 1, activation, seed=9, test=False, **keys)
                for seed in range(6):
                    score = 5 + lr + OWN[0][seed] * lr
                    write_run(f"{dim}{activation}{seed}", score, activation, seed=seed, **keys)
        found = answered(tmp_path)
        assert list(found.table["n"]) == [6, 6]
        assert "averaged over encoding.dim=2,8" in " ".join(found.caveats)


class TestCaveatsOfAProtocol:
    def test_a_data_file_that_was_edited_is_another_data_set(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        for content in ("old", "new"):
            for turn, activation in enumerate(("relu", "gelu")):
                for seed in range(6):
                    score = (2 + turn if content == "old" else 8 - turn) + OWN[turn][seed]
                    folder = write_run(f"{content}{activation}{seed}", score, activation, seed=seed)
                    file = folder / "metrics.json"
                    file.write_text(
                        json.dumps(json.loads(file.read_text()) | {"data_content": content})
                    )

        assert "averaged over data.content=" in " ".join(answered(tmp_path).caveats)
        assert answered(tmp_path, where=["data.content=old"]).best == ["relu"]
        assert answered(tmp_path, where=["data.content=new"]).best == ["gelu"]

    def test_one_that_was_not_tuned_beside_others_that_were(
        self, write_run: WriteRun, sweep: Callable[..., Path]
    ) -> None:
        path = sweep({"relu": 10, "gelu": 9, "silu": 11})
        for activation in ("relu", "gelu"):
            write_run(f"tune{activation}", 1, activation, seed=9, test=False)
        assert "the lr of silu was not tuned, that of the others was" in " ".join(
            answered(path).caveats
        )

    def test_rates_that_differ_without_the_runs_that_tuned_them(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        for activation, lr in (("relu", 0.1), ("gelu", 0.2)):
            write_run(activation, lr, activation, test=False, **{"optimizer.lr": lr})
        assert "optimizer.lr differs from one activation to another" in " ".join(
            answered(tmp_path).caveats
        )

    def test_seeds_that_were_added_after_a_look(self, sweep: Callable[..., Path]) -> None:
        path = sweep({"relu": 10, "gelu": 9})
        launches = [["activation=relu,gelu", "seed=range(6)"]]
        record = path / "sweep.json"
        record.write_text(json.dumps({"commands": launches, "jobs": {}}))
        assert "seeds were added" not in " ".join(answered(path).caveats)

        launches.append(["activation=relu,gelu", "seed=range(8)"])
        record.write_text(json.dumps({"commands": launches, "jobs": {}}))
        assert "seeds were added after a launch" in " ".join(answered(path).caveats)


def test_a_condition_of_two_keys_is_named_by_its_values_or_as_it_is_shown(
    sweep: Callable[..., Path],
) -> None:
    for dim in (2, 8):
        path = sweep({"relu": dim, "gelu": dim + 1}, **{"encoding.dim": dim})
    by = ["activation", "encoding.dim"]
    for wanted in ("gelu,2", "gelu, 2", "GELU (dim 2)"):
        assert answered(path, by=by, baseline=wanted).reference == "gelu (dim 2)"


def test_a_condition_is_not_named_by_a_key_that_it_lacks(
    sweep: Callable[..., Path],
) -> None:
    path = sweep({"relu": 11, "gelu": 10})
    sweep({"silu": 9}, **{"trainer.gradient_clip_val": 1.0})

    found = answered(path, by=["activation", "trainer.gradient_clip_val"])

    assert sorted(found.table["condition"]) == ["gelu", "relu", "silu (gradient_clip_val 1.0)"]


class TestPrintedTable:
    """Its first column, within 80 columns: names are whole."""

    def table(self, path: Path, *by: str) -> list[str]:
        lines = shown(answered(path, by=by)).splitlines()
        assert max(map(len, lines)) <= 80
        start = lines.index("") + 1
        end = next(i for i, line in enumerate(lines) if line.startswith("difference: to"))
        return lines[start:end]

    def test_short_names_stand_beside_their_figures(self, sweep: Callable[..., Path]) -> None:
        title, best, other = self.table(sweep({"relu": 11, "gelu": 10}))
        assert [line.split()[:2] for line in (best, other)] == [["gelu", "8"], ["relu", "8"]]
        assert title.split()[:2] == ["activation", "n"]

    def test_of_several_keys_the_heading_has_the_keys_and_the_names_have_values(
        self, sweep: Callable[..., Path]
    ) -> None:
        keys = ["encoding.dim", "trainer.early_stopping_patience"]
        for number in (2, 8):
            path = sweep({"relu": 11 - number}, **dict.fromkeys(keys, number))

        above, title, best, other = self.table(path, *keys)

        assert above == "dim, early_stopping_patience"
        assert title.split()[:2] == ["n", "test/SE"]
        assert [line.split()[:3] for line in (best, other)] == [["8,", "8", "8"], ["2,", "2", "8"]]

    def test_a_long_name_stands_above_its_figures(
        self, write_run: WriteRun, tmp_path: Path
    ) -> None:
        for slope in (0.12345, 0.12346):
            for seed in range(6):
                given = {"negative_slope_of_the_left_half": slope, "same": 1}
                write_run(f"{slope}{seed}", 1e3 * slope + OWN[0][seed], parameters=given, seed=seed)

        above, title, *rows = self.table(tmp_path)

        assert above == "activation"
        names = [f"relu(negative_slope_of_the_left_half=0.1234{digit})" for digit in "56"]
        assert rows[::2] == names
        assert [line.split()[0] for line in rows[1::2]] == ["6", "6"]
        assert title.index("n") == rows[1].index("6")


def test_runs_may_be_chosen_by_a_key_that_is_null(sweep: Callable[..., Path]) -> None:
    sweep({"relu": 11, "gelu": 10}, **{"trainer.gradient_clip_val": 1.0})
    path = sweep({"relu": 21, "gelu": 22}, **{"trainer.gradient_clip_val": None})

    assert "=1.0,null" in " ".join(answered(path).caveats)
    found = answered(path, where=["trainer.gradient_clip_val=null"])
    assert found.reference == "relu"
