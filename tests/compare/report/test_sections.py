"""The report's sections: learning curves, learning rates, causes, costs, the protocol."""

from __future__ import annotations

import base64
import json
import os
import re
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from activae.compare.answer import Answer, answer
from activae.compare.collect import read_runs
from activae.compare.report.causes import cost, why
from activae.compare.report.curves import VALIDATION, learning_curves, read_history
from activae.compare.report.markup import Section
from activae.compare.report.methods import methods
from activae.compare.report.page import page
from activae.compare.report.pictures import last_picture, pictures
from activae.compare.report.raced import raced
from activae.compare.report.rates import valleys

WriteRun = Callable[..., Path]
SCORES = {"relu": 2.0, "gelu": 1.0}


def written(write_run: WriteRun, seeds: int = 2) -> list[Path]:
    """The folders of gelu (the best) and relu with each seed."""
    return [
        write_run(f"{name}{seed}", score + 0.1 * seed, name, seed=seed)
        for name, score in SCORES.items()
        for seed in range(seeds)
    ]


def answered(folder: Path) -> Answer:
    return answer(read_runs([folder]))


def add(folder: Path, **figures: object) -> None:
    """More figures for a run's metrics.json."""
    file = folder / "metrics.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | figures))


def body(sections: object) -> str:
    (section,) = sections  # type: ignore[misc]
    assert isinstance(section, Section)
    return section.body


def cells(html: str) -> list[list[str]]:
    """The rows of a section's table, as text."""
    rows = re.findall(r"<tr.*?</tr>", html)
    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    return [[re.sub(r"<[^>]*>", "", cell) for cell in row] for row in found]


def history(errors: list[object]) -> str:
    lines = [f"{epoch},{10 * (epoch + 1)},{e},{e}" for epoch, e in enumerate(errors)]
    return "\n".join(["epoch,step,SE/train,SE/val", *lines]) + "\n"


def test_conditions_that_end_differently_are_told_apart_beside_their_lines(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for dim in (2, 8):
        for name in SCORES:
            run = write_run(f"{name}{dim}", dim, name, **{"encoding.dim": dim})
            (run / "history.csv").write_text(history([5, 3, dim]))
    found = answer(read_runs([tmp_path]), ["activation", "encoding.dim"])
    html = body(learning_curves(found))
    for dim in (2, 8):
        assert f">gelu (dim {dim})</text>" in html


def test_the_split_is_told_in_words(write_run: WriteRun, tmp_path: Path) -> None:
    fractions = {"data.test_fraction": 0.2, "data.val_fraction": 0.1, "data.train_fraction": 1.0}
    for name, score in SCORES.items():
        write_run(name, score, name, **fractions)
    said = "20 % for test, 10 % for validation, all of the rest for training, one split for all"
    assert said in body(methods(answered(tmp_path)))


def test_learning_curves_have_a_line_and_a_band_for_each_condition(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for folder in written(write_run):
        (folder / "history.csv").write_text(history([5, 3, 2]))
    html = body(learning_curves(answered(tmp_path)))
    assert html.count('class="curve') == 2 * 2  # on validation and on training data
    assert html.count('class="band') == 2 * 2


@pytest.mark.parametrize(
    "text", ["", "epoch,step\n0,10\n", history(["nan"]), "\x00", 'step,"SE/val\n', None]
)
def test_a_history_without_anything_to_show_costs_no_page(
    text: str | None, write_run: WriteRun, tmp_path: Path
) -> None:
    for folder in written(write_run):
        if text is not None:
            (folder / "history.csv").write_text(text)
    assert list(learning_curves(answered(tmp_path))) == []


def test_a_history_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(history([3, "inf", 2]) + "3,4")
    found = read_history(tmp_path / "history.csv", VALIDATION)
    assert found is not None
    assert [list(values) for values in found] == [[10, 30], [3, 2]]


def test_a_valley_says_what_a_wrong_rate_costs(write_run: WriteRun, tmp_path: Path) -> None:
    errors = {0.01: 4.0, 0.1: 1.0, 0.3: 1.05, 1.0: 8.0, 10.0: float("inf")}
    for name in SCORES:
        for lr, error in errors.items():
            write_run(f"{name}{lr}", error, name, test=False, **{"optimizer.lr": lr})
    _, *rows = cells(body(valleys(answered(tmp_path))))
    for row in rows:
        assert row[1:4] == ["0.1", "1", "0.1 to 0.3"]
        assert row[4] == "+94 %"  # 4^(log 3 / log 10) - 1
        assert row[5] == "+5.0 %"


def test_rates_are_not_shown_where_all_have_the_same(write_run: WriteRun, tmp_path: Path) -> None:
    written(write_run)
    assert list(valleys(answered(tmp_path))) == []


def test_causes_stand_beside_the_score(write_run: WriteRun, tmp_path: Path) -> None:
    for folder in written(write_run):
        flow = {"encoder.layer1": 0.5, "decoder.output": 2.0}
        dead = {"a": 0.0, "b": 0.5 if "relu" in folder.name else 0.0}
        figures = {"dead": dead, "effective_rank": 7.0, "gradient_norm": flow, "chi_1": {"a": None}}
        add(folder, diagnostics=figures)
    heads, gelu, relu = cells(body(why(answered(tmp_path))))
    assert heads == ["activation", "test/SE", "dead units", "effective rank", "gradient ratio"]
    assert gelu == ["gelu", "1.050", "0.0 %", "7", "0.25"]
    assert relu == ["relu", "2.050", "25.0 %", "7", "0.25"]


def test_causes_are_left_out_where_no_run_has_them(write_run: WriteRun, tmp_path: Path) -> None:
    for folder in written(write_run):
        add(folder, diagnostics={})
    assert list(why(answered(tmp_path))) == []


def test_costs_show_who_is_beaten_by_none(write_run: WriteRun, tmp_path: Path) -> None:
    for folder in written(write_run):
        add(folder, steps_per_second=100 if "relu" in folder.name else 50)
    html = body(cost(answered(tmp_path)))
    assert "<title>relu: 10, 2.05</title>" in html
    assert "<title>gelu: 20, 1.05</title>" in html
    assert re.search(r'<path d="M[^"]*L[^"]*" class="front"', html)  # relu is faster, gelu better


def test_the_protocol_is_told_with_commands_and_versions(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for folder in written(write_run):
        add(folder, versions={"python": "3.12.1", "torch": "2.14"}, device="cpu")
    command = ["activation=relu,gelu", "seed=range(2)"]
    (tmp_path / "sweep.json").write_text(json.dumps({"commands": [command], "jobs": {}}))
    html = body(methods(answered(tmp_path)))
    told = dict(cells(html))
    assert told["compared"] == "activation: gelu, relu"
    assert told["pairs"] == "by 2 seeds: 0, 1"
    assert "the test split was touched once" in told["score"]
    assert "one split for all seeds" in told["data"]
    assert "Adam, lr 0.005" in told["training"]
    assert told["versions"] == "python 3.12.1, torch 2.14, on cpu"
    assert "python train.py -m activation=relu,gelu &#x27;seed=range(2)&#x27;" in html


def test_runs_without_a_sweep_are_told_by_their_own_commands(
    write_run: WriteRun, tmp_path: Path
) -> None:
    written(write_run, seeds=1)
    html = body(methods(answered(tmp_path)))
    assert "<pre>python train.py activation=gelu</pre>" in html
    assert "<pre>python train.py activation=relu</pre>" in html


def test_what_was_averaged_over_is_shown_apart(write_run: WriteRun, tmp_path: Path) -> None:
    for name in SCORES:
        for data in ("digits", "patches"):
            folder = write_run(f"{name}{data}", 1, name, **{"data.name": data})
            (folder / "history.csv").write_text(history([3, 2]))
    html = body(learning_curves(answered(tmp_path)))
    assert re.findall("<h3>(.*?)</h3>", html) == ["digits", "patches"]


def events(*pictures: tuple[str, bytes]) -> bytes:
    """A TensorBoard file with pictures by their tags."""
    from tensorboard.compat.proto.event_pb2 import Event

    content = b""
    for tag, png in pictures:
        event = Event()
        value = event.summary.value.add(tag=tag)
        value.image.encoded_image_string = png
        record = event.SerializeToString()
        content += struct.pack("<QI", len(record), 0) + record + bytes(4)
    return content


PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("tag", ["reconstructions", "samples"])
def test_the_last_pictures_are_shown_from_one_seed(
    tag: str, write_run: WriteRun, tmp_path: Path
) -> None:
    for folder in written(write_run):
        name = folder.name.encode()
        early, late = (tag, PNG + b"early"), (f"{tag}/test", PNG + name)
        content = events(early, late, ("code/sprite", PNG + b"other"))
        (folder / "events.out.tfevents.1.vm.1.0").write_bytes(content)
    html = body(pictures(answered(tmp_path)))
    shown = re.findall(r"<h3>(\w+)</h3><img src=\"data:image/png;base64,([^\"]*)", html)
    assert [(name, base64.b64decode(data)[8:]) for name, data in shown] == [
        ("gelu", b"gelu0"),
        ("relu", b"relu0"),
    ]


def test_what_another_sampler_drew_is_not_shown(write_run: WriteRun, tmp_path: Path) -> None:
    for folder in written(write_run):
        shown = events(("reconstructions/test", PNG + b"1"), ("samples", PNG + b"2"))
        (folder / "events.out.tfevents.1").write_bytes(shown)
        (folder / "sampler.pt").write_bytes(b"")
        after = folder.name.startswith("relu")
        os.utime(folder / "sampler.pt", (0, time.time() + 60 if after else 0))
    reconstructed, made = pictures(answered(tmp_path))
    assert reconstructed.body.count("<img") == 2
    assert re.findall("<h3>(.*?)</h3>", made.body) == ["gelu"]
    assert "fitted after what shows its samples: relu." in made.body


def test_pictures_stop_where_the_page_would_grow_too_large(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for folder in written(write_run):
        large, small = bytes(500_000), bytes(300_000)
        content = events(("reconstructions/test", PNG + large), ("samples", PNG + small))
        (folder / "events.out.tfevents.1").write_bytes(content)
    found = [(each.name, each.body.count("<img")) for each in pictures(answered(tmp_path))]
    assert found == [("reconstructions", 1), ("samples", 1)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 40,
        b"\xff" * 40,
        struct.pack("<QI", 3, 0) + b"\xff\xff\xff" + bytes(4),
        events(("reconstructions/test", b"<svg onload='alert(1)'/>")),
    ],
)
def test_events_that_hold_no_picture_show_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "events.out.tfevents.1").write_bytes(content)
    assert last_picture(tmp_path, "reconstructions") is None


def race(**more: object) -> str:
    conditions = [
        {
            "condition": "relu",
            "lr": 0.1,
            "seeds": 6,
            "test/SE": 2.0,
            "difference": 1.0,
            "evidence": 33.1,
            "left after": 6,
            "failed": False,
        },
        {
            "condition": "gelu",
            "lr": 0.2,
            "seeds": 7,
            "test/SE": 1.0,
            "difference": 0.0,
            "evidence": 0.1,
            "left after": None,
            "failed": False,
        },
        {
            "condition": "silu",
            "lr": None,
            "seeds": 0,
            "test/SE": None,
            "difference": None,
            "evidence": 1.0,
            "left after": None,
            "failed": True,
        },
    ]
    return json.dumps({"alpha": 0.05, "conditions": conditions} | more)


def test_a_race_is_told_with_its_guarantee_and_who_left_when(
    write_run: WriteRun, tmp_path: Path
) -> None:
    written(write_run)
    (tmp_path / "race.json").write_text(
        race(verdict="gelu is best: relu has left the race", best=["gelu"])
    )
    found = answered(tmp_path)
    html = body(raced(found))
    _, *rows = cells(html)
    assert rows == [
        ["gelu", "in", "7", "0.2", "1", "0", "0.1"],
        ["relu", "out, seed 6", "6", "0.1", "2", "1", "33.1"],
        ["silu", "failed", "0", "–", "–", "–", "1.0"],
    ]
    guarantee = "The chance that the best of the 3 has left is 5 % at most"
    assert guarantee in html
    top = page(found).partition("</header>")[0]
    assert "<h1><em>gelu</em> is best: relu has left the race.</h1>" in top
    assert guarantee in top


def test_a_race_that_is_not_over_leaves_the_verdict_to_the_comparison(
    write_run: WriteRun, tmp_path: Path
) -> None:
    written(write_run)
    (tmp_path / "race.json").write_text(race())
    assert "2 seeds can show none" in page(answered(tmp_path)).partition("</header>")[0]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"alpha": 0.05, "conditions": [3]}', race().replace("0.05", "0")],
)
def test_a_damaged_race_costs_no_page(text: str, write_run: WriteRun, tmp_path: Path) -> None:
    written(write_run)
    (tmp_path / "race.json").write_text(text)
    assert list(raced(answered(tmp_path))) == []


def test_rates_that_were_tuned_are_told_of_each(write_run: WriteRun, tmp_path: Path) -> None:
    for name, lr in (("relu", 0.016), ("gelu", 0.032)):
        write_run(name, SCORES[name], name, **{"optimizer.lr": lr})
    told = dict(cells(body(methods(answered(tmp_path)))))
    assert told["learning rates"] == "gelu 0.032; relu 0.016"
