"""The page of photos of which some have no label, in a browser."""

from __future__ import annotations

from typing import Any

import pytest

CSS = "css selector"
LABELS = ["crow", "crow", "owl", "owl", "", ""]
SPLIT = ["train", "test", "train", "test", "test", "test"]


@pytest.fixture
def opened(birds: Any, run: Any, data: Any, browser: Any) -> Any:
    """The page, open, and what is predicted by text."""
    pytest.importorskip("matplotlib")
    birds.label(LABELS, SPLIT)
    birds.extract("--classes", birds.names)
    run("probe", "birds", "--head", "logreg(C=1)", "--scorer", "entropy")
    assert run("report", "birds").code == 0
    browser.get((data / "results" / "report" / "report.html").as_uri())
    named = {
        row["image"]: row["class_name"] for row in run("predict", "--dataset", "birds", "--json").json["predictions"]
    }
    return browser, named


def captions(driver: Any) -> dict[str, list[str]]:
    """The id of every image in the strip to the lines of its caption without the id."""
    found = {}
    for button in driver.find_elements(CSS, "#strip button"):
        button.click()
        name, where, *rest = [line.text for line in driver.find_elements(CSS, "#caption > *")]
        found[where.partition(": ")[2]] = [name, *rest]
    return found


def test_an_image_without_a_label_shows_its_class_by_text_and_is_never_right_or_wrong(opened: Any) -> None:
    driver, named = opened
    found = captions(driver)
    assert found["4.png"] == ["no label", f"by text: {named['4.png']}"]
    assert found["5.png"] == ["no label", f"by text: {named['5.png']}"]
    assert found["1.png"][0] == "crow" and found["1.png"][1].startswith("predicted")
    marked = {
        button.get_attribute("aria-label"): set(button.get_attribute("class").split()) & {"right", "wrong"}
        for button in driver.find_elements(CSS, "#strip button")
    }
    assert {name for name, marks in marked.items() if not marks} == {"no label, 4.png", "no label, 5.png"}


def test_those_without_a_label_can_be_chosen(opened: Any) -> None:
    from selenium.webdriver.support.ui import Select

    driver, _ = opened
    choice = Select(driver.find_element(CSS, "#class"))
    assert [option.text for option in choice.options] == ["all 3", "no label", "crow", "owl"]
    choice.select_by_visible_text("no label")
    assert set(captions(driver)) == {"4.png", "5.png"}
    Select(driver.find_element(CSS, "#outcome")).select_by_visible_text("wrong")
    assert not captions(driver)
