"""The playground with models of other kinds: gaps and categories, an import, no dropout, pixels."""

import json
import re
from pathlib import Path

import numpy as np
import torch
from selenium.webdriver import ActionChains, Chrome
from torch import nn

from model import Table, TrainOptions, import_model, train
from tests.journeys.playground import Page
from tests.journeys.serving import served

FEW = TrainOptions(members=1, number_encoding="raw", hidden=(8,), dropout=(0.1,), epochs=2)


def test_a_value_that_the_model_fills_in_may_be_missing(
    houses: Table, tmp_path: Path, chrome: Chrome
) -> None:
    columns = {name: houses.columns[name].copy() for name in ("area", "rooms", "quarter", "price")}
    columns["rooms"][:20] = np.nan
    columns["quarter"][20:40] = None
    table = Table("gaps.csv", columns, "2" * 64)
    train(table, ["price"], tmp_path / "gaps", missing="impute", options=FEW)
    with served(tmp_path, "--model", tmp_path / "gaps") as server:
        page = Page(chrome, server.url)
        page.view("ask?row=100,8,east")
        shown = page.text(".headline strong")
        page.all(".missing input")[1].click()
        page.wait(lambda: page.text(".headline strong") != shown)
        page.wait(lambda: "row=100,,east" in page.chrome.current_url)
        page.find(".fields select option[value='']").click()
        page.wait(lambda: "row=100,,&" in f"{page.chrome.current_url}&")
        assert not page.all(".notice")
        page.view("ask?row=100,,")
        page.wait(lambda: page.all(".missing input")[1].is_selected())
        page.all(".missing input")[1].click()
        page.wait(lambda: re.search(r"row=100,[\d.]+,", page.chrome.current_url))
        assert page.grave() == []
        assert not page.complaints()


def test_an_imported_model_says_what_is_not_known_of_it(tmp_path: Path, chrome: Chrome) -> None:
    net = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net[0].reset_parameters()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    spec = {
        "features": ["age", "load"],
        "target": {"name": "wear", "unit": "mm"},
        "layers": [{"linear": "0"}, {"activation": "relu"}, {"dropout": 0.1}, {"linear": "2"}],
    }
    (tmp_path / "net.json").write_text(json.dumps(spec))
    import_model(tmp_path / "net.json", tmp_path / "net.pt", tmp_path / "wear")
    with served(tmp_path, "--model", tmp_path / "wear") as server:
        page = Page(chrome, server.url)
        page.view("ask?row=2.5,1")
        assert page.text(".headline strong").endswith(" mm")
        codes = [line.get_attribute("data-code") for line in page.all(".warnings li")]
        assert codes == ["no_training_range", "no_calibration"]
        assert "no training range" in page.text(".field .note")
        assert "no held-out rows" in page.text(".verdict")
        assert "Nothing is known of the noise" in page.text(".parts")
        page.view("convergence?row=2.5,1")
        assert not page.complaints()


def test_a_model_without_dropout_is_drawn_too(
    houses: Table, tmp_path: Path, chrome: Chrome
) -> None:
    options = TrainOptions(members=1, number_encoding="raw", hidden=(8,), dropout=(0.0,), epochs=2)
    others = ["rent", "dear", "worth"]
    train(houses, ["price"], tmp_path / "sure", drop=others, options=options)
    with served(tmp_path, "--model", tmp_path / "sure") as server:
        page = Page(chrome, server.url)
        page.view("ask")
        assert "All dropout rates are 0" in page.text(".warnings")
        assert page.colours("#view .body canvas") > 20
        page.view("convergence?convergence.most=100")
        assert "std 0" in page.text(".found")
        assert not page.complaints()


def test_a_row_of_pixels_is_drawn_on(tmp_path: Path, chrome: Chrome) -> None:
    with served(tmp_path) as server:
        page = Page(chrome, server.url)
        page.view("ask?model=digits")
        names = [label.text for label in page.all(".field label")]
        field = page.all(".fields input[type=text]")[names.index("pixel_4_4")]
        before = field.get_property("value")
        picture = page.find("canvas.picture")
        ActionChains(chrome).move_to_element_with_offset(picture, 5, 5).click().perform()
        page.wait(lambda: field.get_property("value") != before)
        assert field.get_property("value") in ("0", "16")
        assert page.grave() == []
        assert not page.complaints()
