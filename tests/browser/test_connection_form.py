"""
The connection form of both types and its Test button, in a real browser on a running Airflow.

``make docs-pictures`` runs this and puts what is to be seen into ``docs/images``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_nugen.simulator import Simulator, run_simulator
from devtools.local_airflow import LocalAirflow

webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium here")
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = pytest.mark.browser

KEY = "demo-key-0123456789"
TEAM = "team-demo"
#: The simulator's usual port, as long as it is free: the same picture each time.
PORT = 8765
#: Where nobody listens.
NOBODY = "http://127.0.0.1:9"
LABELS = {"nugen": "Nugen", "seekr": "SeekrFlow"}
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --hide-scrollbars --lang=en-US --force-device-scale-factor=1"
)
#: Nothing moves but what moves for ever.
STILL = (
    "document.getAnimations().every(a => a.playState != 'running' || a.effect.getComputedTiming().endTime == Infinity)"
)
DIALOG = "//div[@role='dialog']"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the pictures go: ``DOCS_PICTURES``, else nowhere to stay."""
    folder = os.environ.get("DOCS_PICTURES")
    path = Path(folder) if folder else tmp_path_factory.mktemp("pictures")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    try:
        context = run_simulator(port=PORT, api_key=KEY, seekr_team_ids=[TEAM])
        running = context.__enter__()
    except OSError:
        context = run_simulator(api_key=KEY, seekr_team_ids=[TEAM])
        running = context.__enter__()
    yield running
    context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    folder = tmp_path_factory.mktemp("airflow")
    (folder / "dags").mkdir()
    with LocalAirflow(folder / "home", folder / "dags", triggerers=0) as running:
        yield running


class Browser:
    """What a person does in Airflow's UI."""

    def __init__(self, driver: Any, airflow: LocalAirflow, pictures: Path) -> None:
        self.driver = driver
        self.airflow = airflow
        self.pictures = pictures
        self.wait = WebDriverWait(driver, 60, ignored_exceptions=[WebDriverException])

    def find(self, xpath: str) -> Any:
        return self.wait.until(lambda driver: driver.find_element(By.XPATH, xpath))

    def click(self, xpath: str) -> None:
        """Click what is there and has stopped moving: a click on what moves goes beside it."""

        def clicked(driver: Any) -> bool:
            if not driver.execute_script(f"return {STILL}"):
                return False
            driver.find_element(By.XPATH, xpath).click()
            return True

        self.wait.until(clicked)

    def gone(self, xpath: str) -> None:
        self.wait.until(lambda driver: not driver.find_elements(By.XPATH, xpath))

    def log_in(self) -> None:
        self.driver.get(f"{self.airflow.url}/connections")
        self.find("//input[@name='username']").send_keys(self.airflow.username)
        self.find("//input[@name='password']").send_keys(self.airflow.password)
        self.click("//button[@type='submit']")
        self.find("//button[contains(., 'Add Connection')]")

    def still(self) -> None:
        """Wait until the page has come to rest."""
        self.wait.until(lambda driver: driver.execute_script(f"return {STILL}"))

    def picture(self, name: str, xpath: str) -> None:
        """Take a picture of a part of the page, in a window that is large enough to show it whole."""
        self.still()
        element = self.find(xpath)
        self.driver.set_window_size(900, max(600, element.size["height"] + 200))
        self.still()
        self.find(xpath).screenshot(str(self.pictures / f"{name}.png"))

    def new_connection(self, conn_id: str, conn_type: str) -> None:
        self.driver.get(f"{self.airflow.url}/connections")
        self.driver.set_window_size(900, 1000)
        self.click("//button[contains(., 'Add Connection')]")
        self.enter("connection_id", conn_id)
        self.match_job(f"{DIALOG}//label[contains(., 'Connection Type')]", LABELS[conn_type])
        self.find(f"{DIALOG}//input[@name='host']")

    def enter(self, name: str, value: str) -> None:
        field = self.find(f"{DIALOG}//input[@name='{name}']")
        field.clear()
        field.send_keys(value)
        assert field.get_property("value") == value

    def match_job(self, label: str, value: str) -> None:
        box = self.find(f"{label}/ancestor::*[.//*[@role='combobox']][1]//*[@role='combobox']")
        box.send_keys(value)
        self.find(f"//*[@role='option'][normalize-space() = '{value}']")
        box.send_keys(Keys.ENTER)

    def show_extras(self) -> None:
        self.click(f"{DIALOG}//button[normalize-space() = 'Extra Fields']")
        self.find(f"{DIALOG}//input[@name='element_timeout']")

    def save(self, conn_id: str) -> None:
        self.click(f"{DIALOG}//button[contains(., 'Save')]")
        self.gone(DIALOG)
        self.find(f"//tr[contains(., '{conn_id}')]")

    def test(self, conn_id: str) -> str:
        """Press the Test button; return what Airflow says then."""
        self.driver.get(f"{self.airflow.url}/connections")
        self.driver.set_window_size(1000, 640)
        self.click(f"//tr[contains(., '{conn_id}')]//button[@aria-label='Test Connection']")
        toast = "//*[@data-scope='toast' and @data-part='root'][contains(., 'Test Connection')]"
        self.find(toast)
        self.still()
        return str(self.find(toast).text)

    def page(self, name: str) -> None:
        """Take a picture of the page as it is."""
        self.still()
        self.driver.save_screenshot(str(self.pictures / f"{name}.png"))


@pytest.fixture(scope="module")
def browser(airflow: LocalAirflow, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not chromedriver:
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    profile = tmp_path_factory.mktemp("chromium")
    for flag in (*FLAGS.split(), f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        there = Browser(driver, airflow, pictures)
        there.log_in()
        yield there
    finally:
        driver.quit()


def add_and_test(browser: Browser, conn_type: str, url: str, key: str, **choices: str) -> str:
    """Add a connection as ``docs/connections.rst`` says, test it, and take it away; return what Airflow said."""
    conn_id = f"{conn_type}_default"
    browser.new_connection(conn_id, conn_type)
    browser.enter("host", url)
    browser.enter("password", key)
    # What Airflow 3.3.2 needs to test it; the port in the URL wins.
    browser.enter("port", url.rsplit(":", 1)[1])
    browser.show_extras()
    if conn_type == "seekr":
        browser.enter("element_team_id", TEAM)
    for name, value in choices.items():
        browser.match_job(f"{DIALOG}//*[@name='element_{name}']", value)
    browser.save(conn_id)
    try:
        return browser.test(conn_id)
    finally:
        browser.airflow._send("DELETE", f"/api/v2/connections/{conn_id}")


@pytest.mark.parametrize("conn_type", LABELS)
def test_the_form_is_empty_and_says_what_to_enter(browser: Browser, conn_type: str) -> None:
    browser.new_connection(f"{conn_type}_default", conn_type)
    labels = [label.text for label in browser.driver.find_elements(By.XPATH, f"{DIALOG}//label")]
    assert not {"Login", "Schema"} & set(labels)
    browser.picture(f"{conn_type}-form", DIALOG)
    browser.show_extras()
    browser.picture(f"{conn_type}-extras", DIALOG)


@pytest.mark.parametrize("conn_type", LABELS)
def test_a_right_key(browser: Browser, simulator: Simulator, conn_type: str) -> None:
    said = add_and_test(browser, conn_type, simulator.url, KEY)
    browser.page(f"{conn_type}-test-right")
    assert f"{LABELS[conn_type]} accepts the key." in said
    assert simulator.requests[-1].authorized


@pytest.mark.parametrize("conn_type", LABELS)
def test_a_wrong_key(browser: Browser, simulator: Simulator, conn_type: str) -> None:
    said = add_and_test(browser, conn_type, simulator.url, "a-wrong-key")
    browser.page(f"{conn_type}-test-wrong-key")
    assert "HTTP 401" in said
    assert "Check the API key" in said
    assert "a-wrong-key" not in said


@pytest.mark.parametrize("conn_type", LABELS)
def test_a_host_that_cannot_be_reached(browser: Browser, conn_type: str) -> None:
    said = add_and_test(browser, conn_type, NOBODY, KEY)
    browser.page(f"{conn_type}-test-unreachable")
    assert f"{NOBODY} could not be reached" in said
    assert "Check the" in said


def test_the_wrong_revision(browser: Browser, simulator: Simulator) -> None:
    said = add_and_test(browser, "nugen", simulator.url, KEY, api_revision="C")
    browser.page("nugen-test-wrong-revision")
    assert "api_revision" in said
