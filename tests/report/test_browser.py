"""The page in a real browser: it draws, it can be steered by keys, and it runs nothing of the input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.browser import MARKS, chromium, playwright
from support.report_content import bare, usual
from support.report_hostile import hostile

from spicereplay.report import ReportContent, write_report

pytestmark = MARKS

WIDE = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the page of a name, written once."""
    folder = tmp_path_factory.mktemp("pages")
    made: dict[str, Callable[[], ReportContent]] = {
        "usual": usual,
        "bare": bare,
        "hostile": hostile,
        "hour": lambda: usual(3600.0, 2000, 25.0),
    }

    def path(name: str) -> Path:
        target = folder / f"{name}.html"
        return target if target.exists() else write_report(made[name](), target)

    return path


@pytest.fixture
def opened(browser, written) -> Iterator[Callable[..., playwright.Page]]:
    """Return a function that opens a page by name and gathers complaints and requests in `page.heard`."""
    contexts = []

    def open_page(name: str, scheme: str = "light", viewport: dict[str, int] = WIDE) -> playwright.Page:
        context = browser.new_context(viewport=viewport, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.heard = []
        page.asked = []
        page.on("console", lambda message: page.heard.append(message.text))
        page.on("pageerror", lambda error: page.heard.append(str(error)))
        page.on("dialog", lambda dialog: (page.heard.append("a dialog"), dialog.dismiss()))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(written(name).as_uri())
        page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return page

    yield open_page
    for context in contexts:
        context.close()


def visible_range(page) -> tuple[float, float]:
    plots = page.locator("#plots")
    return float(plots.get_attribute("data-x-min")), float(plots.get_attribute("data-x-max"))


def colours_drawn(page, plot: str) -> int:
    """Return how many colours the canvas of a plot shows."""
    return page.evaluate(
        """(plot) => {
            const canvas = document.querySelector(`[data-plot=${plot}] canvas:not(.swatch)`);
            const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
            return new Set(new Uint32Array(data.buffer)).size;
        }""",
        plot,
    )


@pytest.mark.parametrize("name", ["usual", "bare", "hostile", "hour"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_complains_nothing_is_fetched_nothing_overflows(opened, name: str, scheme: str) -> None:
    page = opened(name, scheme, {"width": 800, "height": 900})
    assert page.heard == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_hostile_text_runs_nothing_and_stays_on_the_page(opened) -> None:
    page = opened("hostile")
    assert page.title().startswith("<script>document.title='owned'</script>")
    assert page.locator("main img").count() == 0
    page.locator("#plots").scroll_into_view_if_needed()
    box = page.locator("#plots .u-over").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 12, box["y"] + 10)  # the readout shows hostile names
    page.locator("#plots[data-cursor]").wait_for()
    assert "<script>" in page.locator("#readout").inner_text()
    assert page.locator("#readout script").count() == 0
    assert page.heard == []


def test_the_policy_stops_a_script_that_got_in(opened) -> None:
    page = opened("usual")
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
            document.body.insertAdjacentHTML(
                "beforeend", "<img src='data:,' onerror=\\"document.title='owned'\\">");
        }"""
    )
    page.wait_for_timeout(100)
    assert page.title() == "Report on lab-desktop.pcapng"
    assert any("Content Security Policy" in words for words in page.heard)


def test_the_policy_stops_a_request(opened) -> None:
    page = opened("usual")
    outcome = page.evaluate("fetch('http://localhost:9/').then(() => 'sent', (error) => error.name)")
    assert outcome == "TypeError"
    assert any("Content Security Policy" in words for words in page.heard)


@pytest.mark.parametrize("plot", ["lanes", "latency", "lag", "bandwidth"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_draw(opened, plot: str, scheme: str) -> None:
    assert colours_drawn(opened("usual", scheme), plot) > 10


def test_keys_zoom_pan_and_reset(opened) -> None:
    page = opened("usual")
    page.focus("#plots")
    assert visible_range(page) == (0, 60)
    page.keyboard.press("+")
    assert visible_range(page) == (15, 45)
    page.keyboard.press("ArrowRight")
    assert visible_range(page) == (22.5, 52.5)
    page.keyboard.press("End")
    assert visible_range(page) == (30, 60)
    page.keyboard.press("ArrowRight")
    assert visible_range(page) == (30, 60)
    page.keyboard.press("Home")
    assert visible_range(page) == (0, 30)
    page.keyboard.press("-")
    assert visible_range(page) == (0, 60)
    for _ in range(3):
        page.keyboard.press("+")
    page.keyboard.press("0")
    assert visible_range(page) == (0, 60)


def test_keys_move_the_cursor_and_the_readout_follows(opened) -> None:
    page = opened("usual")
    page.focus("#plots")
    page.keyboard.press("Shift+ArrowRight")
    page.locator('#plots[data-cursor="30.600000"]').wait_for()
    words = page.locator("#readout").inner_text()
    assert "30.60 s" in words or "30.6 s" in words
    assert "12:00:30.723 UTC" in words
    assert "kB/s from server: display" in words


def test_wheel_drag_and_buttons_steer_too(opened) -> None:
    page = opened("usual")
    page.locator("#plots").scroll_into_view_if_needed()
    page.wait_for_timeout(300)  # a wheel that turns while the page scrolls goes on scrolling
    box = page.locator("#plots .u-over").first.bounding_box()
    middle, y = box["x"] + box["width"] / 2, box["y"] + 20
    page.mouse.move(middle, y)
    page.mouse.wheel(0, -120)
    page.wait_for_function("Number(document.querySelector('#plots').dataset.xMin) > 1")
    low, high = visible_range(page)
    assert (low + high) / 2 == pytest.approx(30, abs=0.2)
    page.mouse.down()
    page.mouse.move(middle - 100, y, steps=4)
    page.mouse.up()
    moved = visible_range(page)
    assert moved[0] > low
    assert moved[1] - moved[0] == pytest.approx(high - low, abs=1e-4)
    page.click("[data-do=in]")
    assert visible_range(page)[1] - visible_range(page)[0] == pytest.approx((high - low) / 2, abs=1e-4)
    page.click("[data-do=reset]")
    assert visible_range(page) == (0, 60)


def test_two_fingers_zoom(opened) -> None:
    page = opened("usual")
    page.locator("#plots").scroll_into_view_if_needed()
    box = page.locator("#plots .u-over").first.bounding_box()
    middle, y = box["x"] + box["width"] / 2, box["y"] + 20
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *apart: float) -> None:
        points = [{"x": middle + side * a, "y": y, "id": i} for a in apart for i, side in enumerate((-1, 1))]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 60)
    touch("touchMove", 90)
    touch("touchMove", 120)
    touch("touchEnd")
    page.wait_for_function("Number(document.querySelector('#plots').dataset.xMin) > 14")
    assert visible_range(page) == pytest.approx((15, 45), abs=0.5)
    assert page.heard == []


def test_a_finding_leads_to_its_moment(opened) -> None:
    page = opened("usual")
    page.locator(".moment").first.click()
    low, high = visible_range(page)
    assert low < 6 < high
    assert high - low < 10


def test_charts_follow_the_width_of_the_window(opened) -> None:
    page = opened("usual")
    page.set_viewport_size({"width": 800, "height": 900})
    page.wait_for_function("document.querySelector('#plots canvas[style], .uplot canvas').width < 800")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_bandwidth_shows_the_other_direction_and_a_logarithmic_scale(opened) -> None:
    page = opened("usual")
    page.click("[data-side=client]")
    assert page.locator("[data-side=client]").get_attribute("aria-pressed") == "true"
    page.click("[data-scale=log]")
    assert page.locator("[data-scale=log]").get_attribute("aria-pressed") == "true"
    assert colours_drawn(page, "bandwidth") > 10
    assert page.heard == []


def test_tables_sort_by_key_and_numbers_sort_as_numbers(opened) -> None:
    page = opened("usual")
    button = page.locator('[data-table=streams] th[data-column="bytes"] button')
    button.focus()
    page.keyboard.press("Enter")
    column = page.locator('[data-table=streams] th[data-column="bytes"]').evaluate("(th) => th.cellIndex + 1")
    cells = page.locator(f"[data-table=streams] td:nth-child({column})").all_inner_texts()
    numbers = [int(cell.replace(",", "")) for cell in cells]
    assert numbers == sorted(numbers, reverse=True)
    page.keyboard.press("Enter")
    cells = page.locator(f"[data-table=streams] td:nth-child({column})").all_inner_texts()
    assert [int(cell.replace(",", "")) for cell in cells] == sorted(numbers)
    head = page.locator('[data-table=streams] th[data-column="bytes"]')
    assert head.get_attribute("aria-sort") == "ascending"


def test_what_was_not_seen_sorts_last(opened) -> None:
    page = opened("usual")
    page.click('[data-table=gaps] th[data-column="bytes"] button')
    cells = page.locator("[data-table=gaps] td:nth-child(6)").all_inner_texts()
    assert cells == ["65,160", "1,448", "–"]


def test_the_first_stop_of_the_tab_key_skips_to_the_verdict(opened) -> None:
    page = opened("usual")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "verdict"


def test_the_scheme_button_goes_round(opened) -> None:
    page = opened("usual", "light")

    def ground() -> str:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    light = ground()
    page.click("#scheme")
    assert ground() == light
    page.click("#scheme")
    assert ground() != light
    page.click("#scheme")
    assert ground() == light


def test_paper_is_light_with_everything_open_and_the_screen_comes_back(opened) -> None:
    page = opened("usual", "dark")
    closed = page.locator("main details:not([open])").count()
    page.evaluate(
        """() => addEventListener("beforeprint", () => {
            window.onPaper = [document.querySelectorAll("main details:not([open])").length,
                              document.documentElement.dataset.scheme];
        })"""
    )
    assert len(page.pdf(prefer_css_page_size=True)) > 20_000
    assert page.evaluate("window.onPaper") == [0, "light"]
    page.wait_for_function("document.documentElement.dataset.scheme === undefined")
    assert page.locator("main details:not([open])").count() == closed


def test_without_scripts_the_figures_are_still_there(browser, written) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(written("usual").as_uri())
    assert page.locator("[data-table=streams] tbody tr").count() == 14
    assert not page.locator("#charts").is_visible()
    assert page.locator("noscript").inner_text().startswith("The charts need")
    context.close()
