"""The page, in a browser without a window."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", Path(__file__).parents[4] / "target"))
LANES = ("plain", "once")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no Chromium; install it, as in: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


class Visit:
    """A shopper on the page."""

    def __init__(self, browser: Browser, address: str, width: int, height: int) -> None:
        self.address = address
        self.page: Page = browser.new_page(viewport={"width": width, "height": height})
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.note(request.url))
        self.page.goto(address)

    def note(self, url: str) -> None:
        """What the page asks for."""
        if not url.startswith(self.address):
            self.elsewhere.append(url)

    def settle(self) -> str:
        """Waits until each click has its answer; returns what the page says of it."""
        self.page.wait_for_selector("#state[data-settled=true]")
        return self.page.inner_text("#state")

    def charges(self) -> dict[str, Counter[str]]:
        """By lane, how often each purchase was charged: what the ledger has, not the page."""
        response = self.page.context.request.get(self.address + "ledger")
        charges: dict[str, Counter[str]] = {lane: Counter() for lane in LANES}
        for charge in response.json()["charges"]:
            charges[charge["lane"]][charge["purchase"]] += 1
        return charges

    def counts(self, lane: str) -> dict[str, int]:
        """The numbers that the page shows."""
        cells = self.page.query_selector_all(f"#{lane} [data-count]")
        return {str(one.get_attribute("data-count")): int(one.inner_text()) for one in cells}

    def bars(self, lane: str) -> Counter[str]:
        """How many requests of each colour the timeline has."""
        bars = self.page.query_selector_all(f"#{lane} .timeline .bar:has(title)")
        return Counter(str(bar.get_attribute("class")).split()[1] for bar in bars)

    def leave(self) -> None:
        """Nothing went wrong unseen, and nothing came from elsewhere."""
        self.page.context.close()
        assert (self.errors, self.elsewhere) == ([], [])


def test_a_burst_of_double_clicks(serve: Callable[..., str], browser: Browser) -> None:
    """Goal: a burst of double clicks with timeouts and resends charges each purchase once with
    oncegate, more than once without, and the page shows both as they are. Method: a click on the
    burst in Chromium; the ledger is read past the page; a screenshot is left below the target
    folder."""
    visit = Visit(browser, serve(300), 1280, 800)
    visit.page.click("#burst")
    said = visit.settle()
    charges = visit.charges()
    assert len(charges["plain"]) == len(charges["once"]) == 8
    assert min(charges["plain"].values()) > 1, charges["plain"]
    assert set(charges["once"].values()) == {1}, charges["once"]
    shown = visit.counts("plain")["charges"]
    assert said == f"8 purchases: {shown} charges without, 8 with oncegate."
    # A request that nobody waits for any more may charge later on.
    assert 16 <= shown <= charges["plain"].total()
    assert visit.counts("once")["charges"] == 8
    for lane in LANES:
        counts, bars = visit.counts(lane), visit.bars(lane)
        assert counts["clicks"] == 16
        assert counts["requests"] == bars.total()
        for kind in ("replayed", "progress", "mismatch", "timeout"):
            assert counts[kind] == bars[kind], kind
    plain, once = (visit.bars(lane) for lane in LANES)
    assert plain["again"] > 0
    assert plain["replayed"] == plain["progress"] == plain["mismatch"] == 0
    assert once["again"] == once["failed"] == once["waiting"] == 0
    assert once["mismatch"] == 1
    assert min(once[kind] for kind in ("charged", "replayed", "progress", "timeout")) > 0
    assert visit.page.inner_text("#once .taken") == "392.00 €"
    visit.page.screenshot(path=TARGET / "payments.png", full_page=True)
    visit.leave()


def test_a_double_click_on_a_phone(serve: Callable[..., str], browser: Browser) -> None:
    """Goal: whoever clicks "Pay" twice pays once with oncegate, also later on, a new purchase is
    another one, and the page fits a phone. Method: a double click and a third click at a width of
    390, then a new purchase."""
    visit = Visit(browser, serve(100), 390, 844)
    visit.page.dblclick("#pay")
    assert visit.settle() == "1 purchase: 2 charges without, 1 with oncegate."
    visit.page.click("#pay")
    assert visit.settle() == "1 purchase: 3 charges without, 1 with oncegate."
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    visit.page.screenshot(path=TARGET / "payments-phone.png", full_page=True)
    visit.page.click("#new")
    assert visit.counts("once")["clicks"] == 0
    visit.page.click("#pay")
    assert visit.settle() == "1 purchase: 1 charge without, 1 with oncegate."
    assert [sorted(visit.charges()[lane].values()) for lane in LANES] == [[1, 3], [1, 1]]
    visit.leave()
