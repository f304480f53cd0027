"""The page as a browser shows it, and what the verb refuses."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import activae
from activae.cli.use import main
from activae.errors import UserError
from activae.training.assembly import build_data
from activae.use import sampling
from activae.use.explore.page import explore_page
from activae.use.run import Run

Trained = Callable[..., Path]

PHONE = """<!DOCTYPE html><meta charset="utf-8"><div id="told"></div>
<iframe width="400" height="900" style="border:0"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const inside = frame.contentDocument, told = [];
  const number = told => parseFloat(told.textContent.slice(3));
  const seen = () => [...inside.querySelectorAll("#runs .se")].map(number);
  told.push(seen());
  const strip = inside.querySelectorAll(".strip button");
  if (strip.length) strip[2].click();
  told.push(seen());
  const slider = inside.querySelector("#code input[type=range]");
  slider.value = slider.max;
  slider.dispatchEvent(new Event("input"));
  told.push(seen());
  document.querySelector("#told").textContent = JSON.stringify({told,
    room: frame.contentWindow.innerWidth, width: inside.documentElement.scrollWidth,
    maps: inside.querySelectorAll(".map canvas").length});
};
frame.srcdoc = $page;
</script>"""


INSIDE = """<!DOCTYPE html><meta charset="utf-8"><div id="told"></div>
<iframe width="400" height="900" style="border:0"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = async () => {
  const inside = frame.contentDocument, view = frame.contentWindow;
  const all = selector => [...inside.querySelectorAll(selector)];
  const picture = canvas => {
    const {width, height} = canvas;
    const seen = canvas.getContext("2d").getImageData(0, 0, width, height).data;
    return [...seen].filter((_, i) => i % 4 === 0);
  };
  const until = async ready => { while (!ready()) await new Promise(go => setTimeout(go, 20)); };
  document.querySelector("#told").textContent = JSON.stringify(await (async () => { $script })());
};
frame.srcdoc = $page;
</script>"""
needs_browser = pytest.mark.skipif(not shutil.which("chromium"), reason="needs Chromium")


def _inside(page: str, folder: Path, script: str) -> Any:
    """What a script finds in the page, as JSON."""
    return _browse(page, folder, INSIDE.replace("$script", script))


def _browse(page: str, folder: Path, harness: str = PHONE) -> dict[str, object]:
    inside = json.dumps(page).replace("</", "<\\/")
    (folder / "phone.html").write_text(harness.replace("$page", inside))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    options += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000"]
    seen = subprocess.run(
        ["chromium", *options, "--dump-dom", (folder / "phone.html").as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    match = re.search(r'<div id="told">(.+?)</div>', seen.stdout)
    assert match, seen.stderr
    told = [line for line in seen.stderr.splitlines() if "CONSOLE" in line]
    assert [line for line in told if "willReadFrequently" not in line] == []  # our own reading
    return dict(json.loads(unescape(match[1])))


@needs_browser
def test_inputs_are_chosen_codes_moved_and_the_page_fits_a_phone(
    trained: Trained, digits: Run, images: np.ndarray, tmp_path: Path
) -> None:
    flat = activae.load(trained("data=digits", "encoding=dim2", "activation=relu"))
    runs = [flat, digits]

    found = _browse(explore_page(runs, images[:20], np.arange(20) % 10), tmp_path)

    first, chosen, moved = found["told"]
    for run, at_first, then in zip(runs, first, chosen, strict=True):
        assert at_first == pytest.approx(run.score(images[:1])[0], rel=1e-3)
        assert then == pytest.approx(run.score(images[2:3])[0], rel=1e-3)
    assert moved[0] != chosen[0]
    assert moved[1] == chosen[1]
    assert found["maps"] == 1
    assert found["width"] <= found["room"] == 400


@needs_browser
def test_what_is_no_image_is_a_table(table_run: Run, tmp_path: Path) -> None:
    found = _browse(explore_page([table_run]), tmp_path)

    assert found["width"] <= found["room"] == 400
    first, _, moved = found["told"]
    assert first != moved


@needs_browser
def test_a_stroke_is_drawn_into_the_input_and_reconstructed(digits: Run, tmp_path: Path) -> None:
    found = _inside(
        explore_page([digits]),
        tmp_path,
        """
        const [canvas] = all(".inputs canvas"), room = canvas.getBoundingClientRect();
        view.HTMLCanvasElement.prototype.setPointerCapture = () => {};
        const point = (kind, x, y) => canvas.dispatchEvent(new view.PointerEvent(kind, {
          pointerId: 1, clientX: room.left + x * room.width, clientY: room.top + y * room.height}));
        point("pointerdown", 0.5, 0.2);
        point("pointermove", 0.5, 0.8);
        point("pointerup", 0.5, 0.8);
        const seen = picture(canvas);
        point("pointermove", 0.1, 0.1);
        return {seen, later: picture(canvas), out: picture(all(".card canvas")[0]),
                se: parseFloat(all(".se")[0].textContent.slice(3))};
        """,
    )

    seen = np.array(found["seen"]).reshape(8, 8)
    assert (seen[2:6, 3:5] > 220).all()
    assert (seen[:, [0, 1, 6, 7]] == 0).all()
    assert found["later"] == found["seen"]
    drawn = seen / 255 * 16
    assert np.allclose(found["out"], digits.reconstruct(drawn).ravel() / 16 * 255, atol=2)
    assert found["se"] == pytest.approx(digits.score(drawn), rel=0.02)


@needs_browser
def test_a_picture_is_dropped_and_cut_to_the_size_of_the_run(digits: Run, tmp_path: Path) -> None:
    found = _inside(
        explore_page([digits]),
        tmp_path,
        """
        const paper = document.createElement("canvas"), pen = paper.getContext("2d");
        paper.width = paper.height = 80;
        pen.fillStyle = "white";
        pen.fillRect(0, 0, 40, 80);
        const blob = await new Promise(take => paper.toBlob(take));
        const held = new view.DataTransfer();
        held.items.add(new view.File([blob], "half.png", {type: "image/png"}));
        const boxes = all(".inputs figure"), canvas = boxes[1].querySelector("canvas");
        boxes[1].dispatchEvent(new view.DragEvent("drop", {dataTransfer: held, cancelable: true}));
        await until(() => picture(canvas).some(v => v));
        const seen = picture(canvas), text = new view.DataTransfer();
        text.items.add(new view.File(["words"], "words.png", {type: "image/png"}));
        boxes[1].dispatchEvent(new view.DragEvent("drop", {dataTransfer: text, cancelable: true}));
        await until(() => all("#hint")[0].textContent.includes("words.png"));
        const first = picture(boxes[0].querySelector("canvas"));
        return {seen, first, hint: all("#hint")[0].textContent};
        """,
    )

    seen = np.array(found["seen"]).reshape(8, 8)
    assert (seen[:, :4] > 250).all()
    assert (seen[:, 4:] < 5).all()
    assert found["hint"] == "words.png: is no picture that this browser reads."
    assert set(found["first"]) == {0}


@needs_browser
def test_tables_show_values_in_the_units_of_their_columns(
    table_run: Run, table: pd.DataFrame, tmp_path: Path
) -> None:
    row = table[:1].assign(mass=81.5)
    samples = table_run.to_network(table[:1]).numpy()

    found = _inside(
        explore_page([table_run], table_run.from_network(torch.tensor(samples)).numpy()),
        tmp_path,
        """
        const rows = all("tbody tr"), values = () => rows.map(row => {
          const parts = ["th", "input", "td:last-child"].map(part => row.querySelector(part));
          const [name, input, out] = parts;
          return [name.textContent, Number(input.value), Number(out.textContent)];
        });
        const mass = rows.find(row => row.textContent.startsWith("mass")).querySelector("input");
        const first = values();
        mass.value = 81.5;
        mass.dispatchEvent(new view.Event("change"));
        return {first, then: values()};
        """,
    )

    first, then = ({name: numbers for name, *numbers in found[part]} for part in ("first", "then"))
    assert first["mass"][0] == pytest.approx(table["mass"][0], rel=1e-3)
    assert first["age"][0] == pytest.approx(table["age"][0], rel=1e-3)
    assert first["city=Oslo"][0] == 1
    assert then["mass"][0] == 81.5
    again = table_run.reconstruct(row)
    for name in ("mass", "age"):
        assert then[name][1] == pytest.approx(again[name][0], rel=1e-3)


def test_runs_on_other_data_do_not_share_a_page(digits: Run, table_run: Run) -> None:
    with pytest.raises(UserError, match="make a page for each"):
        explore_page([digits, table_run])


def content_of(page: str) -> Any:
    return json.loads(page.split('id="data">')[1].split("</script>")[0])


def test_the_options_name_is_the_runs_name(train_py: Any, tmp_path: Path) -> None:
    quick = ("trainer=cpu", "logger=minimal", "logger.progress_bar=false", "trainer.max_steps=5")
    assert train_py("data=digits", "activation=gelu", "hydra.run.dir=run", *quick).code == 0
    run = activae.load(tmp_path / "run")

    names = [each["name"] for each in content_of(explore_page([run]))["runs"]]

    assert names == ["gelu"]


def test_samples_are_the_run_s_own_of_validation_where_none_are_given(
    digits_folder: Path, digits: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, without = tmp_path / "page.html", tmp_path / "without.html"

    assert main(["explore", str(digits_folder), str(page)], "") == 0
    assert (
        "180 samples of the validation split of digits are in the page" in capsys.readouterr().err
    )
    assert main(["explore", str(digits_folder), str(without), "--no-samples"], "") == 0

    found = content_of(page.read_text())
    data = build_data(digits.restored.config)
    raw = np.frombuffer(base64.b64decode(found["samples"]["text"]), "u1").reshape(180, 1, 8, 8)
    assert np.allclose(raw, data.normalisation.inverse(data.samples["val"]), atol=1e-3)
    assert found["labels"] == [str(label) for label in data.labels["val"].tolist()]
    assert content_of(without.read_text())["samples"] is None


def test_samples_that_are_not_here_are_done_without(
    table_run: Run, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / "table.csv"
    kept, told = file.read_text(), []
    try:
        for change in (lambda: file.write_text(kept + "70,Oslo,3\n"), file.unlink):
            change()
            page = ["explore", str(table_run.folder), str(tmp_path / "page.html"), "--force"]
            assert main(page, "") == 0
            assert content_of((tmp_path / "page.html").read_text())["samples"] is None
            told.append(capsys.readouterr().err)
    finally:
        file.write_text(kept)

    assert all(said.startswith("no samples in the page: ") for said in told)
    assert "has changed since the run was trained" in told[0]
    assert "has changed" not in told[1]


def test_the_verb_writes_the_page_once(
    digits_folder: Path, images: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "some.npz", train=images[:30], train_labels=np.arange(30) % 10)
    page = tmp_path / "page.html"
    given = ["explore", str(digits_folder), str(digits_folder), str(page)]

    assert main([*given, "--samples", str(tmp_path / "some.npz")], "") == 0
    assert page.stat().st_size < 2 * 2_000_000
    assert "://" not in page.read_text()
    assert main(given, "") == 1
    assert "--force" in capsys.readouterr().err
    assert main([*given[:-1], str(tmp_path / "page.png")], "") == 1
    assert "ends in .html" in capsys.readouterr().err


@needs_browser
def test_new_samples_are_drawn_from_a_run_that_has_a_sampler(
    digits: Run, images: np.ndarray, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(digits.folder, folder)
    run = activae.load(folder)
    codes = torch.from_numpy(run.encode(images[:200]))
    sampling.save(sampling.fit(run, codes, "gaussian"), folder)

    found = _inside(
        explore_page([run, digits]),
        tmp_path,
        """
        const button = all("#code button").find(each => each.textContent === "New sample");
        const out = () => picture(all(".card canvas")[0]), before = out();
        const [choice] = all("#code select");
        button.click();
        const first = out();
        button.click();
        const second = out(), told = button.nextSibling.textContent, with_one = button.hidden;
        const cards = () => all(".card p").map(each => each.textContent);
        const error = all(".card canvas")[1].parentElement;
        const drawn = [...cards(), error.style.visibility];
        all("#code button").find(each => each.textContent.startsWith("Back")).click();
        const back = [...cards(), error.style.visibility], gone = button.nextSibling.textContent;
        choice.value = "1";
        choice.dispatchEvent(new Event("change"));
        return {before, first, second, told, with_one, without: button.hidden, drawn, back, gone};
        """,
    )

    assert found["before"] != found["first"] != found["second"]
    assert found["told"] == "sample 2"
    assert (found["with_one"], found["without"]) == (False, True)
    assert found["drawn"][0::2] == ["new sample 2", "hidden"]  # it is the like of no input
    assert not found["drawn"][1].endswith("the least")
    assert all(said.startswith("SE ") for said in found["back"][:2])
    assert (found["back"][2], found["gone"]) == ("", "")


def test_a_sampler_that_is_damaged_leaves_the_page_without_its_button(
    digits: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(digits.folder, tmp_path / "run")
    (tmp_path / "run" / sampling.FILE).write_bytes(b"damaged")

    page = explore_page([activae.load(tmp_path / "run")])

    assert '"sampler": null' in page
    assert "no button for new samples" in caplog.text


def test_runs_of_one_activation_are_told_apart_by_their_folders(
    digits: Run, tmp_path: Path
) -> None:
    folders = [tmp_path / "a/one", tmp_path / "two", tmp_path / "b/one"]
    runs = [activae.load(shutil.copytree(digits.folder, folder)) for folder in folders]

    (first, *_) = [each["name"] for each in content_of(explore_page(runs[:2]))["runs"]]
    assert first.endswith(" (one)")
    names = [each["name"] for each in content_of(explore_page(runs))["runs"]]
    assert [name.partition(" ")[2] for name in names] == ["(one, 1)", "(two)", "(one, 3)"]


def test_a_sampler_that_the_page_cannot_draw_from_is_named(
    digits: Run, images: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = activae.load(shutil.copytree(digits.folder, tmp_path / "run"))
    run.fit_sampler("two_stage", images[:60], hidden=[4])

    assert content_of(explore_page([run]))["runs"][0]["sampler"] is None
    assert "run keeps the sampler two_stage; the page draws from gmm, gaussian" in caplog.text
