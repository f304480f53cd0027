"""The report: what it says, that nothing in it acts but its own script, and how it behaves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from activae.compare.answer import Answer, answer
from activae.compare.collect import read_runs
from activae.compare.report.page import page, write_page

WriteRun = Callable[..., Path]
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def sweep(write_run: WriteRun) -> None:
    """relu is worse than gelu and silu by a lot, with 7 seeds."""
    for seed in range(7):
        for name, score in (("relu", 2.0), ("gelu", 1.0), ("silu", 1.001 - 0.0002 * seed)):
            write_run(f"{name}{seed}", score + 0.01 * seed, name, seed=seed)


@pytest.fixture
def found(sweep: None, tmp_path: Path) -> Answer:
    return answer(read_runs([tmp_path]))


def text_of(html: str) -> str:
    """What a person reads of it."""

    class Reader(HTMLParser):
        said = ""
        inside = 0

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.inside += tag in ("style", "script")

        def handle_endtag(self, tag: str) -> None:
            self.inside -= tag in ("style", "script")

        def handle_data(self, data: str) -> None:
            self.said += "" if self.inside else data

    reader = Reader()
    reader.feed(html)
    return reader.said


def test_says_the_verdict_every_condition_and_every_caveat(found: Answer) -> None:
    read = text_of(page(found)).replace("\u00a0", " ")
    assert found.verdict in read
    assert [c for c in found.caveats if c not in read] == []
    for row in found.table.itertuples():
        assert str(row.condition) in read
        assert f"{row.mean:.2f}" in read


def test_names_the_reference_where_it_is_not_the_best(sweep: None, tmp_path: Path) -> None:
    html = page(answer(read_runs([tmp_path]), baseline="relu"))
    assert "<h2>Differences to relu</h2>" in html
    assert "difference in test/SE to relu" in html


def test_commands_are_set_as_such(found: Answer) -> None:
    found.caveats = ["lr <1> for all: python train.py -m a=<b>", "the python of one run is old"]
    html = page(found)
    assert "<li>lr &lt;1&gt; for all: <code>python train.py -m a=&lt;b&gt;</code></li>" in html
    assert "<li>the python of one run is old</li>" in html


def test_draws_every_seed_of_every_condition_but_the_reference(found: Answer) -> None:
    paths = re.findall(r'<path d="([^"]*)" class="dots', page(found))
    shown = {path.count("h0") for path in paths}
    assert len(paths) == 2 * 2  # relu, and the best that is not the reference; wide and narrow
    assert max(shown) <= 7


def test_needs_nothing_but_itself(found: Answer) -> None:
    html = page(found)
    assert "http" not in html.replace("http-equiv", "")
    assert re.findall(r'(?:src|href)="(?!#|data:)', html) == []
    assert len(html.encode()) < 100_000


def test_what_strangers_wrote_stays_text(write_run: WriteRun, tmp_path: Path) -> None:
    quoted = '" onload="alert(1)'
    for seed, lr in enumerate((0.1, 0.2, 0.3)):
        for name in (HOSTILE, quoted):
            keys = {"data.name": HOSTILE, "optimizer.lr": lr, "encoder.hidden": [HOSTILE]}
            folder = write_run(f"{len(name)}{seed}", 1 + len(name), name, seed=seed, **keys)
            (folder / "history.csv").write_text(f"step,SE/val,{HOSTILE}\n1,2,3\n2,1,3\n")
            metrics = json.loads((folder / "metrics.json").read_text())
            metrics |= {"versions": {HOSTILE: quoted}, "device": HOSTILE, "steps_per_second": 9}
            layers = {HOSTILE: 0.5, quoted: 0.25}
            metrics["diagnostics"] |= {"gradient_norm": layers, "saturated": layers}
            (folder / "metrics.json").write_text(json.dumps(metrics))
    commands = {"commands": [[HOSTILE, quoted]], "jobs": {}}
    (tmp_path / "sweep.json").write_text(json.dumps(commands))
    html = page(answer(read_runs([tmp_path])))
    assert html.count("<section") >= 6
    assert HOSTILE not in html
    assert html.count("<script") == 1
    assert 'onload="alert' not in html
    assert HOSTILE in text_of(html)


def test_tells_of_diverged_runs_in_place_of_their_interval(
    write_run: WriteRun, tmp_path: Path
) -> None:
    for seed in range(6):
        write_run(f"r{seed}", float("inf") if seed else 1, "relu", seed=seed)
        write_run(f"g{seed}", 1 + 0.1 * seed, "gelu", seed=seed)
    html = page(answer(read_runs([tmp_path])))
    assert "5 of 6 diverged" in html
    assert not re.search(r"\b(nan|inf)\b", html)


@pytest.mark.parametrize("scores", [(0.0, 0.0), (1e-9, 3e-9), (-5.0, 1e12)])
def test_takes_any_size_of_score(
    scores: tuple[float, float], write_run: WriteRun, tmp_path: Path
) -> None:
    for name, score in zip(("relu", "gelu"), scores, strict=True):
        write_run(name, score, name)
    html = page(answer(read_runs([tmp_path])))
    assert not re.search(r'[ M"](nan|inf)\b', html)


def test_sixty_conditions_of_sixty_seeds_stay_small(write_run: WriteRun, tmp_path: Path) -> None:
    for seed in range(2):
        for index in range(60):
            score = 1 + index / 10 + seed / 100
            write_run(f"{index}-{seed}", score, f"act{index}", seed=seed)
    found = answer(read_runs([tmp_path]))
    found.paired.scores = found.paired.scores.repeat(30, axis=0)
    assert len(page(found).encode()) < 1_000_000


PHONE = """<iframe width="400" height="900"></iframe><div id="told"></div><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const inside = frame.contentDocument, table = inside.querySelector("table.sortable");
  const heads = table.tHead.rows[0].cells, order = [];
  for (const head of [0, 0, 2]) {
    heads[head].querySelector("button").click();
    order.push([...table.tBodies[0].rows].map(row => row.cells[0].textContent).join());
  }
  document.querySelector("#told").textContent = JSON.stringify({
    order, sorted: [...heads].map(head => head.getAttribute("aria-sort")),
    room: frame.contentWindow.innerWidth, width: inside.documentElement.scrollWidth,
  });
};
frame.srcdoc = $page;
</script>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")
def test_sorts_fits_a_phone_and_raises_no_error_in_a_browser(found: Answer, tmp_path: Path) -> None:
    def browse(file: Path) -> subprocess.CompletedProcess[str]:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=400,900"]
        options += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"]
        options += ["--virtual-time-budget=500", "--dump-dom", file.as_uri()]
        return subprocess.run(
            ["chromium", *options], capture_output=True, text=True, timeout=120, check=False
        )

    report, phone = tmp_path / "report.html", tmp_path / "phone.html"
    write_page(found, report)
    inside = json.dumps(report.read_text()).replace("</", "<\\/")
    phone.write_text(PHONE.replace("$page", inside))
    seen = browse(phone)
    match = re.search(r'<div id="told">(.*?)</div>', seen.stdout)
    assert match, seen.stderr
    told = json.loads(match[1])
    assert told["order"][:2] == ["gelu,relu,silu", "silu,relu,gelu"]
    assert told["order"][2].endswith(",relu")  # it has the largest mean
    assert told["sorted"][:4] == ["none", "none", "ascending", "none"]
    assert told["room"] - 17 <= told["width"] <= told["room"] == 400  # a scrollbar takes some
    assert "CONSOLE" not in seen.stderr + browse(report).stderr
