"""A headless browser for the tests of the dashboard: one window, its themes and widths, pictures.

Rule: the system's Chromium, and nothing fetched from anywhere. Waits have a deadline. It must not
know the pages.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
MISSING = "Chromium and its driver are not installed: `make tools` installs them"
WIDE, NARROW = 1280, 360
WITHIN_S = 10.0
POLL_S = 0.05
MAX_HEIGHT = 3_000
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--lang=en-US",
    f"--window-size={WIDE},900",
)


class Browser:
    """One window."""

    def __init__(self, driver: webdriver.Chrome, base: str, pictures: Path) -> None:
        self.driver, self.base, self.pictures = driver, base, pictures

    def open(self, address: str, *, width: int = WIDE, is_dark: bool = False) -> None:
        """Load a page of this width and theme, and wait until it is drawn."""
        self.theme(is_dark=is_dark)
        self.resize(width)
        self.driver.get(self.base + address)
        self.wait(lambda: self.all("h1"), f"{address} is drawn")

    def theme(self, *, is_dark: bool) -> None:
        """What the system prefers."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self._command("Emulation.setEmulatedMedia", features=[scheme])

    def resize(self, width: int) -> None:
        """Make the window this wide; NARROW is a phone."""
        self._size(width, 900)

    def all(self, css: str) -> list[WebElement]:
        """Every element of the page that fits."""
        return self.driver.find_elements(By.CSS_SELECTOR, css)

    def one(self, css: str, text: str = "") -> WebElement:
        """The first that fits and holds the text, once it is there."""
        found: list[WebElement] = []

        def look() -> bool:
            found[:] = [each for each in self.all(css) if text in each.text]
            return bool(found)

        self.wait(look, f"{css} with {text!r}")
        return found[0]

    def text(self, css: str) -> str:
        """What the first that fits says; nothing where there is none."""
        try:
            return next((each.text for each in self.all(css)), "")
        except StaleElementReferenceException:
            return ""

    def wait(
        self, is_true: Callable[[], object], what: str = "", within_s: float = WITHIN_S
    ) -> None:
        """Look until it is true."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                if is_true():
                    return
            except StaleElementReferenceException:
                pass  # drawn anew while it was read
            assert time.monotonic() < deadline, f"not within {within_s} s: {what}\n{self.words()}"
            time.sleep(POLL_S)

    def words(self) -> str:
        """All that the page says, for whoever reads why a test failed."""
        return self.text("body")

    def picture(self, name: str) -> None:
        """Keep how the whole page looks."""
        width = self.driver.execute_script("return window.innerWidth")
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        self._size(width, min(max(height, 700), MAX_HEIGHT))
        assert self.driver.save_screenshot(str(self.pictures / f"{name}.png"))

    def faults(self) -> list[str]:
        """Serious and critical faults of accessibility on the page."""
        found = Axe().run(self.driver)["violations"]
        bad = [each for each in found if each["impact"] in ("serious", "critical")]
        return [f"{each['id']}: {each['nodes'][0]['html'][:200]}" for each in bad]

    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        script = "return document.documentElement.scrollWidth - window.innerWidth"
        return int(self.driver.execute_script(script))

    def complaints(self) -> list[str]:
        """What the browser has refused or could not do since the last time."""
        told = self.driver.get_log("browser")
        return [each["message"] for each in told if each["level"] == "SEVERE"]

    def _size(self, width: int, height: int) -> None:
        self._command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width == NARROW,
        )

    def _command(self, name: str, **options: Any) -> None:
        self.driver.execute_cdp_cmd(name, options)


@contextmanager
def open_browser(base: str, pictures: Path) -> Iterator[Browser]:
    """A window for the pages of `base`; `pictures` is where they are kept."""
    options = Options()
    options.binary_location = CHROMIUM or ""
    for option in _OPTIONS:
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    pictures.mkdir(parents=True, exist_ok=True)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver, base, pictures)
    finally:
        driver.quit()
