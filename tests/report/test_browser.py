"""The page in a browser: what a reader sees, by mouse and by keyboard, at the size of a desk and of a phone."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fgscore import ragged
from fgscore.report import gallery

pytest.importorskip("selenium")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

CSS = By.CSS_SELECTOR
SIZES = {"desk": (1280, 900), "phone": (390, 844)}


class Reader:
    """The page, opened afresh at one size."""

    def __init__(self, driver: Any, url: str, size: tuple[int, int] = SIZES["desk"]) -> None:
        self.driver = driver
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for log in ("browser", "performance"):
            driver.get_log(log)
        driver.get(url)

    def find(self, selector: str, n: int = 0) -> Any:
        return self.driver.find_elements(CSS, selector)[n]

    def texts(self, selector: str) -> list[str]:
        return [node.text for node in self.driver.find_elements(CSS, selector)]

    def choose(self, selector: str, value: Any, n: int = 0) -> None:
        Select(self.find(selector, n)).select_by_value(str(value))

    def press(self, *keys: str, on: str = "#viewer") -> None:
        self.driver.execute_script("arguments[0].focus()", self.find(on))
        self.driver.switch_to.active_element.send_keys(*keys)

    def js(self, script: str, *args: Any) -> Any:
        return self.driver.execute_script(script, *args)

    @property
    def where(self) -> str:
        return self.texts("#caption .id")[0]

    def ranks(self, side: int) -> list[list[str]]:
        """The cells of one side's table, row by row."""
        rows = self.driver.find_elements(CSS, f".side:nth-of-type({side + 1}) .kept tbody tr")
        return [[cell.text for cell in row.find_elements(CSS, "td")] for row in rows]

    def complaints(self) -> list[str]:
        """Everything the console said, refused requests among it."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """Addresses that the page asked for since it was opened; data: is no request."""
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not url.startswith("data:")]


@pytest.fixture
def url(written: Path) -> str:
    return (written / "report.html").as_uri()


@pytest.fixture(params=SIZES)
def reader(request: pytest.FixtureRequest, browser: Any, url: str) -> Reader:
    return Reader(browser, url, SIZES[request.param])


@pytest.fixture
def desk(browser: Any, url: str) -> Reader:
    return Reader(browser, url)


def numbers(text: str, dtype: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype)


def expected(packed: dict[str, Any], source: int, scorer: str, target: str, image: int, k: int) -> list[list[str]]:
    """Rank, score, weight and pseudo-label of the best regions, computed in Python from what the page was given."""
    own = packed["sources"][source]
    (view,) = [v for v in own["views"] if (v["scorer"], v["target"]) == (scorer, target)]
    region = slice(own["offsets"][image], own["offsets"][image + 1])
    scores = numbers(view["scores"], "<f4")[region]
    kept, offsets = ragged.topk(scores, np.array([0, len(scores)]), k)
    weights = ragged.softmax(scores[kept], offsets) if len(kept) else []
    targets = numbers(own["targets"][target], "<i2")[region] if target else None
    names = ["none" if targets is None else packed["classes"][targets[r]] for r in kept]
    rows = zip(kept, weights, names, strict=True)
    return [[str(i + 1), f"{scores[r]:.4f}", f"{w:.3f}", n] for i, (r, w, n) in enumerate(rows)]


def close(found: list[list[str]], wanted: list[list[str]]) -> None:
    """Equal, but for the last digit of numbers."""
    assert [(r[0], r[3]) for r in found] == [(r[0], " ".join(r[3].split())) for r in wanted]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose([float(v) for v in a[1:3]], [float(v) for v in b[1:3]], atol=1.1e-3, rtol=0)
        assert abs(float(a[1]) - float(b[1])) < 1.1e-4


# ---- quiet, whole, harmless


def test_nothing_is_said_in_the_console_and_nothing_asked_of_a_network(reader: Reader, url: str) -> None:
    for keys in (Keys.ARROW_RIGHT, Keys.END, Keys.HOME, "]", "]", "["):
        reader.press(keys)
    for side in (0, 1):
        reader.choose(".source", 1, side)
        reader.choose(".scorer", "region_global", side)
    reader.choose("#outcome", "wrong")
    assert reader.complaints() == []
    assert reader.requests() == [url]


def test_the_log_would_show_a_request_and_a_complaint(browser: Any, tmp_path: Path) -> None:
    """The two checks above can fail."""
    (tmp_path / "other.html").write_text("<img src='gone.png'><script>console.error('oh')</script>")
    reader = Reader(browser, (tmp_path / "other.html").as_uri())
    assert any("oh" in said for said in reader.complaints())
    assert any(address.endswith("gone.png") for address in reader.requests())


def test_names_that_are_markup_are_shown_as_text(desk: Reader, packed: dict[str, Any]) -> None:
    assert desk.js("return window.hacked") is None
    assert desk.js("return document.images.length") == len(desk.driver.find_elements(CSS, "img[src^='data:']"))
    assert not desk.driver.find_elements(CSS, "[onload], [onerror]")
    options = [option.text for option in Select(desk.find("#class")).options][1:]
    assert options == [" ".join(name.split()) for name in packed["classes"]]
    assert any("<img src=x onerror=" in option for option in options)
    assert "<svg onload=" in desk.where
    desk.choose("#class", 1)
    assert desk.texts("#caption strong") == ['Brewer\'s "Sparrow" & {{data}} $x_1$']


def test_a_script_that_slipped_in_would_not_run(browser: Any, page: str, tmp_path: Path) -> None:
    """The policy holds though escaping should fail somewhere."""
    path = tmp_path / "broken.html"
    path.write_text(
        page.replace("<main>", "<main><script>window.hacked=3</script><img src=x onerror='window.hacked=4'>")
    )
    reader = Reader(browser, path.as_uri())
    assert reader.js("return window.hacked") is None
    complaints = reader.complaints()
    for rule in ("script-src", "img-src"):
        assert any("Content Security Policy" in said and rule in said for said in complaints), rule
    assert reader.where.startswith("1 of 12"), "the page's own script runs"


def test_the_style_sheet_is_understood_whole(desk: Reader) -> None:
    """As many rules as there are blocks: a slip would have cost the browser some."""
    count = desk.js(
        "const count = (rules) => [...rules].reduce((n, r) => n + (r.cssRules ? count(r.cssRules) + 1 : 1), 0);"
        "return count(document.styleSheets[0].cssRules)"
    )
    style = (resources.files("fgscore.report") / "page.css").read_text(encoding="utf-8")
    assert count == style.count("{") == style.count("}") > 50


def test_the_page_fits_its_window(reader: Reader) -> None:
    width, inner = reader.js("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner
    for selector in ("#viewer", ".stage", "#strip", "#next"):
        box = reader.find(selector).rect
        assert box["x"] >= 0 and box["x"] + box["width"] <= inner + 1, selector


def test_everything_that_takes_the_focus_has_a_name(reader: Reader) -> None:
    reader.driver.execute_cdp_cmd("Accessibility.enable", {})
    nodes = reader.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = []
    for node in nodes:
        properties = {p["name"]: p["value"].get("value") for p in node.get("properties", [])}
        if properties.get("focusable") and not node.get("ignored"):
            named.append((node["role"]["value"], node.get("name", {}).get("value", "").strip()))
    roles = [role for role, name in named if role not in ("RootWebArea", "DisclosureTriangle")]
    assert {"button", "combobox", "slider", "link", "group"} <= set(roles)
    assert [role for role, name in named if not name] == []


# ---- regions


def test_both_sides_show_the_best_regions_with_scores_weights_and_pseudo_labels(
    reader: Reader, packed: dict[str, Any]
) -> None:
    close(reader.ranks(0), expected(packed, 0, "soft_margin", "global", 0, 5))
    close(reader.ranks(1), expected(packed, 0, "entropy", "global", 0, 5))
    reader.choose(".scorer", "hard_margin", 0)
    reader.choose(".target", "local", 0)
    reader.choose(".source", 1, 1)
    reader.choose(".scorer", "region_global", 1)
    reader.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    close(reader.ranks(0), expected(packed, 0, "hard_margin", "local", 2, 5))
    close(reader.ranks(1), expected(packed, 1, "region_global", "", 2, 5))


def test_boxes_lie_where_the_store_has_them(desk: Reader, packed: dict[str, Any]) -> None:
    desk.choose(".scorer", "region_text")
    source = packed["sources"][0]
    view = next(v for v in source["views"] if (v["scorer"], v["target"]) == ("region_text", "global"))
    best = int(numbers(view["scores"], "<f4")[source["offsets"][0] : source["offsets"][1]].argmax())
    box = numbers(source["boxes"], "<i4").reshape(-1, 4)[best] * 256 / 320  # 320 pixels wide, shown as 256
    rect = desk.find(".side:nth-of-type(1) .first .line")
    x, y, width, height = (float(rect.get_attribute(name)) for name in ("x", "y", "width", "height"))
    np.testing.assert_allclose([x, y, x + width, y + height], box, atol=1e-6)
    assert desk.find(".stage svg").get_dom_attribute("viewBox") == "0 0 256 160"
    picture, overlay = desk.find(".stage img").rect, desk.find(".stage svg").rect
    for side in ("x", "y", "width", "height"):
        assert abs(picture[side] - overlay[side]) < 1


def test_masks_are_drawn_as_they_were_packed(desk: Reader) -> None:
    """Areas and outlines of random masks, against loops over pixels."""
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (3, 5), (40, 23), (200, 130)):
        for density in (0.0, 0.02, 0.5, 1.0):
            mask = rng.random((height, width)) < density
            if density == 0.02:
                mask = np.kron(rng.random((height, 1)) < 0.3, np.ones((1, width), bool))  # bands: runs over 127
            runs = base64.b64encode(gallery.runs_of(mask)).decode()
            columns = desk.js(
                "const runs = unpack(arguments[0], Uint8Array);"
                "const columns = columnsOf({ runs, offsets: [0, runs.length] }, 0, arguments[1]);"
                "return [columns, maskPaths(columns)];",
                runs,
                [width, height],
            )
            drawn = np.zeros((height, width), bool)
            for x, ends in enumerate(columns[0][:width]):
                for top, bottom in zip(ends[::2], ends[1::2], strict=True):
                    drawn[top:bottom, x] = True
            np.testing.assert_array_equal(drawn, mask)
            assert columns[0][width] == []
            assert outline_length(columns[1]["outline"]) == perimeter(mask)


def outline_length(path: str) -> float:
    """Units of line in a path of M x y, h length and V y."""
    total, y = 0.0, 0.0
    for part in path.split("M")[1:]:
        if "h" in part:
            total += float(part.partition("h")[2])
        else:
            start, _, stop = part.partition("V")
            y = float(start.split()[1])
            total += abs(float(stop) - y)
    return total


def perimeter(mask: np.ndarray) -> int:
    """Sides of pixels between mask and background, the picture's border counted as background."""
    framed = np.pad(mask, 1).astype(int)
    return int(np.abs(np.diff(framed, axis=0)).sum() + np.abs(np.diff(framed, axis=1)).sum())


def test_masks_are_shown_for_a_generator_of_masks(desk: Reader, packed: dict[str, Any]) -> None:
    desk.choose(".source", 1)
    offsets = packed["sources"][1]["offsets"]
    image = next(i for i in range(12) if offsets[i + 1] - offsets[i] >= 2)
    desk.press(*[Keys.ARROW_RIGHT] * image)
    shown = desk.driver.find_elements(CSS, ".side:nth-of-type(1) .mask")
    assert len(shown) == min(5, offsets[image + 1] - offsets[image])
    assert all(path.get_attribute("d").startswith("M") for path in shown)
    assert not desk.driver.find_elements(CSS, ".side:nth-of-type(1) rect.line")


def test_ties_go_to_the_earlier_region_and_weights_are_a_softmax(desk: Reader) -> None:
    kept = desk.js("return best({ offsets: [0, 1, 6] }, { scores: Float32Array.of(9, 0.5, 2, 0.5, 2, -1) }, 1, 3)")
    assert [one["region"] for one in kept] == [2, 4, 1]
    powers = np.exp([2, 2, 0.5])
    np.testing.assert_allclose([one["weight"] for one in kept], powers / powers.sum())


def test_an_image_without_regions_says_so(desk: Reader, packed: dict[str, Any]) -> None:
    offsets = packed["sources"][1]["offsets"]
    empty = next(i for i in range(12) if offsets[i + 1] == offsets[i])
    desk.choose(".source", 1)
    desk.press(*[Keys.ARROW_RIGHT] * empty)
    assert desk.ranks(0) == [["This image has no regions."]]
    assert desk.complaints() == []


def test_one_region_can_be_shown_alone(desk: Reader) -> None:
    button = desk.find(".side:nth-of-type(1) .kept button", 1)
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-pressed") == "true"
    lit = desk.driver.find_elements(CSS, ".side:nth-of-type(1) .region.lit")
    assert [group.find_element(CSS, "text").text for group in lit] == ["2"]
    button.send_keys(Keys.ENTER)
    assert not desk.driver.find_elements(CSS, ".lit .region.lit")


# ---- k


def test_the_slider_and_its_keys_set_how_many_regions_are_kept(reader: Reader, packed: dict[str, Any]) -> None:
    assert (len(reader.ranks(0)), reader.texts("#k-text")) == (5, ["5"])
    reader.press("]", "]", "[")
    assert (len(reader.ranks(0)), reader.texts("#k-text")) == (6, ["6"])
    reader.find("#k").send_keys(Keys.HOME)
    assert (len(reader.ranks(0)), reader.texts("#k-text")) == (1, ["1"])
    assert reader.ranks(0)[0][2] == "1.000"
    reader.press("[")
    assert reader.texts("#k-text") == ["1"], "no fewer than one"
    reader.find("#k").send_keys(Keys.END)
    assert reader.texts("#k-text") == ["all (up to 12)"]
    close(reader.ranks(0), expected(packed, 0, "soft_margin", "global", 0, 12))
    assert reader.where.startswith("1 of 12"), "the slider's own keys leave the image alone"


# ---- moving about


def test_arrow_keys_go_from_image_to_image(reader: Reader, packed: dict[str, Any]) -> None:
    ids = [one["id"] for one in packed["images"]]
    assert reader.where == f"1 of 12: {ids[0]}"
    reader.press(Keys.ARROW_RIGHT)
    assert reader.where == f"2 of 12: {ids[1]}"
    reader.press(Keys.END)
    assert reader.where == f"12 of 12: {ids[-1]}"
    assert not reader.find("#next").is_enabled()
    reader.press(Keys.ARROW_RIGHT)
    assert reader.where.startswith("12 of 12")
    reader.press(Keys.HOME, Keys.ARROW_LEFT)
    assert reader.where.startswith("1 of 12")
    reader.find("#next").click()
    assert reader.where.startswith("2 of 12")


def test_keys_in_a_list_belong_to_the_list(desk: Reader) -> None:
    desk.press(Keys.ARROW_RIGHT, on="#class")
    assert desk.where.startswith("1 of ")
    assert "of 12" not in desk.where, "the list took the key: one class is chosen"


def test_the_whole_gallery_is_reached_by_tab(desk: Reader) -> None:
    desk.js("document.querySelector('nav a[href=\"#gallery\"]').focus()")
    reached = []
    for _ in range(80):
        desk.driver.switch_to.active_element.send_keys(Keys.TAB)
        active = desk.driver.switch_to.active_element
        reached.append(active.get_attribute("id") or active.get_attribute("class") or active.tag_name)
    for name in (
        "class",
        "result",
        "against",
        "outcome",
        "agreement",
        "viewer",
        "next",
        "k",
        "source",
        "scorer",
        "target",
    ):
        assert name in reached, name


def test_the_strip_has_one_tab_stop_that_moves_with_the_image(desk: Reader) -> None:
    def stops() -> list[int]:
        buttons = desk.driver.find_elements(CSS, "#strip button")
        return [i for i, button in enumerate(buttons) if button.get_attribute("tabindex") == "0"]

    assert stops() == [0]
    desk.press(Keys.ARROW_RIGHT, on="#strip [tabindex='0']")
    assert stops() == [1]
    assert desk.js("return document.activeElement.getAttribute('aria-current')") == "true"
    desk.find("#strip button", 3).click()
    assert desk.where.startswith("4 of 12")
    assert desk.complaints() == []


def test_the_focus_can_be_seen(desk: Reader) -> None:
    desk.press(Keys.ARROW_RIGHT)
    assert desk.js("return getComputedStyle(document.activeElement).outlineStyle") == "solid"


# ---- choosing


def test_by_class(reader: Reader, packed: dict[str, Any]) -> None:
    for label, name in enumerate(packed["classes"]):
        reader.choose("#class", label)
        assert reader.where.startswith("1 of 4")
        assert reader.texts("#caption strong") == [name]
    reader.choose("#class", "")
    assert "of 12" in reader.where, "and the image that was shown stays"
    assert reader.texts("#caption strong") == [packed["classes"][-1]]


def test_by_right_and_wrong(reader: Reader, packed: dict[str, Any]) -> None:
    labels = np.array([one["label"] for one in packed["images"]])
    for i, result in enumerate(packed["results"]):
        right = int((numbers(result["predictions"], "<i2") == labels).sum())
        reader.choose("#result", i)
        for outcome, count in (("right", right), ("wrong", 12 - right)):
            reader.choose("#outcome", outcome)
            if count:
                assert f"of {count}:" in reader.where
                assert reader.texts(f"#caption .{outcome}")
            else:
                assert "No image matches" in reader.find("#caption").text
        reader.choose("#outcome", "")
    assert reader.complaints() == []


def test_by_what_one_result_mends_and_breaks_of_another(reader: Reader, packed: dict[str, Any]) -> None:
    labels = np.array([one["label"] for one in packed["images"]])
    right = [numbers(result["predictions"], "<i2") == labels for result in packed["results"]]
    pairs = [(i, j) for i in range(len(right)) for j in range(len(right)) if (right[i] != right[j]).any()][:2]
    assert pairs, "two results that differ"
    for i, j in pairs:
        reader.choose("#result", i)
        reader.choose("#against", j)
        for outcome, found in (("mended", right[i] & ~right[j]), ("broken", ~right[i] & right[j])):
            reader.choose("#outcome", outcome)
            if not found.any():
                assert "No image matches" in reader.find("#caption").text
                continue
            assert f"of {found.sum()}:" in reader.where
            assert reader.texts("#caption .other")[0].startswith("the other: ")
        reader.choose("#outcome", "")
    reader.choose("#outcome", "mended")
    reader.choose("#against", "")
    assert "of 12:" in reader.where, "without another there is nothing to mend"
    assert reader.complaints() == []


def test_by_agreement_of_the_two_sides(desk: Reader, packed: dict[str, Any]) -> None:
    def tops(scorer: str, target: str, k: int) -> list[list[int]]:
        own = packed["sources"][0]
        (view,) = [v for v in own["views"] if (v["scorer"], v["target"]) == (scorer, target)]
        scores, offsets = numbers(view["scores"], "<f4"), own["offsets"]
        spans = [scores[offsets[i] : offsets[i + 1]] for i in range(12)]
        return [np.argsort(-s, kind="stable")[:k].tolist() for s in spans]

    desk.choose(".scorer", "region_global", 0)
    desk.choose(".scorer", "hard_margin", 1)
    desk.choose(".target", "local", 1)
    for k in (1, 5):
        desk.find("#k").send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * (k - 1))
        pairs = list(zip(tops("region_global", "", k), tops("hard_margin", "local", k), strict=True))
        counts = {
            "best": sum(a[0] != b[0] for a, b in pairs),
            "none": sum(not set(a) & set(b) for a, b in pairs),
            "same": sum(set(a) == set(b) for a, b in pairs),
        }
        assert counts["best"] > 0
        for asked, count in counts.items():
            desk.choose("#agreement", asked)
            assert (f"of {count}:" in desk.where) if count else ("No image" in desk.find("#caption").text)
        desk.choose("#agreement", "")
    desk.choose(".source", 1, 1)
    assert desk.texts("#agreement option") == ["needs the same regions"]
    assert not desk.find("#agreement").is_enabled()


def test_a_scorer_keeps_its_target_where_it_can(desk: Reader) -> None:
    desk.choose(".target", "local")
    desk.choose(".scorer", "entropy")
    assert desk.find(".target").get_attribute("value") == "local"
    desk.choose(".scorer", "region_global")
    assert (desk.texts(".side:nth-of-type(1) .target option"), desk.find(".target").is_enabled()) == (["none"], False)


# ---- tables


def test_a_table_is_sorted_by_its_headings(reader: Reader) -> None:
    table = "#results table.sortable"

    def column() -> list[float]:
        cells = reader.driver.find_elements(CSS, f"{table}")[0].find_elements(CSS, "tbody tr td:last-child")
        return [float(cell.get_attribute("data-value")) for cell in cells]

    heading = reader.find(f"{table} thead th:last-child")
    button = heading.find_element(CSS, "button")
    before = column()
    button.send_keys(Keys.ENTER)
    assert (heading.get_attribute("aria-sort"), column()) == ("descending", sorted(before, reverse=True))
    button.send_keys(Keys.ENTER)
    assert (heading.get_attribute("aria-sort"), column()) == ("ascending", sorted(before))


def test_rows_are_narrowed_to_those_with_every_word(desk: Reader) -> None:
    details = [d for d in desk.driver.find_elements(CSS, "#results details") if d.find_elements(CSS, ".narrow input")]
    details[0].find_element(CSS, "summary").click()
    rows = details[0].find_elements(CSS, "tbody tr")
    details[0].find_element(CSS, "input").send_keys("SOFT all")
    shown = [row for row in rows if row.is_displayed()]
    assert 0 < len(shown) < len(rows)
    assert all("soft" in row.text.lower() and "all" in row.text.lower() for row in shown)
    assert details[0].find_element(CSS, "output").text == f"{len(shown)} of {len(rows)} rows"


# ---- light and dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(scheme: str, desk: Reader) -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2, AA) between text and what lies behind it."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    desk.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    script = (
        "const nodes = [...document.querySelectorAll(arguments[0])];"
        "const behind = (n) => { for (; n; n = n.parentElement) { const c = getComputedStyle(n).backgroundColor;"
        " if (c !== 'rgba(0, 0, 0, 0)') return c; } };"
        "return nodes.filter((n) => n.offsetParent && n.textContent.trim() && !n.disabled && !n.closest('#strip'))"
        ".map((n) => [getComputedStyle(n).color, behind(n), n.outerHTML.slice(0, 80)])"
    )
    found = desk.js(script, "p, td, th, label, a, button, select, summary, figcaption, .id, kbd")
    assert len(found) > 50
    assert {behind for _, behind, _ in found} & {"rgb(253, 253, 252)" if scheme == "light" else "rgb(23, 23, 21)"}
    poor = {(ink, behind, html) for ink, behind, html in found if contrast(ink, behind) < 4.5}
    assert not poor
    desk.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        channels = [float(v) / 255 for v in colour.strip("rgba()").split(",")[:3]]
        linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in channels]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_plots_follow_the_page(scheme: str, desk: Reader, written: Path) -> None:
    feature = {"name": "prefers-color-scheme", "value": scheme}
    desk.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    desk.driver.refresh()
    shown = desk.js("return document.querySelector('figure img').currentSrc")
    content = base64.b64decode(shown.partition(",")[2])
    assert (content == (written / "accuracy-over-k.svg").read_bytes()) == (scheme == "light")
    assert desk.js("return document.querySelector('figure img').naturalWidth") > 0
    desk.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


Make = Callable[..., Any]


def test_data_sets_share_the_gallery(hostile: Path, photos: Path, call: Make, browser: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(hostile, data)
    parts = ("--encoder", "fake", "--regions", "random_crop(n=3)")
    assert call("extract", "folder", "--root", photos, *parts, data=data).code == 0
    assert call("score", "folder", "--scorer", "region_text", data=data).code == 0
    assert call("report", "--no-plots", "--images", 6, "--out", tmp_path / "out", data=data).code == 0
    reader = Reader(browser, (tmp_path / "out" / "report.html").as_uri())
    assert reader.texts("#set option") == ["folder", "hostile"]
    assert "of 3:" in reader.where and not reader.find("#result").is_enabled()
    assert reader.texts("#k-text") == ["all (up to 3)"] and len(reader.ranks(0)) == 3
    reader.press(Keys.END)
    reader.choose("#set", 1)
    assert reader.where.startswith("1 of 3:") and "<svg onload" in reader.where
    assert len(reader.ranks(0)) == 5
    reader.choose("#set", 0)
    assert "test/" in reader.where and reader.complaints() == []


def test_without_scores_there_is_a_page_without_a_gallery(
    store: Any, run: Make, browser: Any, data: Path, tmp_path: Path
) -> None:
    assert run("probe", "--pool", "none", "--head", "zeroshot").code == 0
    assert run("report", "--no-plots", "--out", tmp_path / "out").code == 0
    reader = Reader(browser, (tmp_path / "out" / "report.html").as_uri())
    assert reader.complaints() == []
    assert reader.texts("nav a") == ["Results", "Provenance"]
