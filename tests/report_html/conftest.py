"""Pages of models, and a browser to look at them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hostile_models import hostile_model

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

SAMPLES = Path(__file__).parents[2] / "sample_models"


@pytest.fixture(scope="session")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that writes the page of some models and returns its path."""
    from scotoma.cli import main

    def write(*arguments: str) -> Path:
        path = tmp_path_factory.mktemp("page") / "report.html"
        status = main(["lint", "--isolated", "--exit-zero", "-o", f"html={path}", *arguments])
        assert status in {0, 3}  # 3 where a model cannot be read; the report is whole all the same
        assert path.exists()
        return path

    return write


@pytest.fixture(scope="session")
def hostile_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of the hostile model, whose own name is hostile too."""
    path = tmp_path_factory.mktemp("hostile") / "<img src=x onerror=alert(1)>.onnx"
    path.write_bytes(hostile_model())
    return path


@pytest.fixture(scope="session")
def hostile_page(hostile_file: Path, page_of: Callable[..., Path]) -> Path:
    """Return the page of the hostile model and of a file that is no model."""
    broken = hostile_file.parent / "broken.onnx"
    broken.write_bytes(b"\xff" * 40)
    return page_of("--extend-select", "ALL", str(hostile_file), str(broken))


@pytest.fixture(scope="session")
def sample_page(page_of: Callable[..., Path]) -> Path:
    """Return the page of five models, so that they are folded."""
    names = ("unet_misfit", "digits_valid_dynamo", "ceil_pool", "residual_net", "one_layer_valid")
    return page_of("--extend-select", "ALL", *(str(SAMPLES / f"{name}.onnx") for name in names))


@pytest.fixture(scope="session")
def one_page(page_of: Callable[..., Path]) -> Path:
    """Return the page of one model."""
    return page_of("--extend-select", "ALL", str(SAMPLES / "unet_misfit.onnx"))


@pytest.fixture(scope="session")
def chromium() -> Iterator[WebDriver]:
    """Return a headless Chromium, or skip where none can be had."""
    driver_path = shutil.which("chromedriver")
    browser_path = shutil.which("chromium") or shutil.which("chromium-browser")
    if driver_path is None or browser_path is None:
        pytest.skip("chromium and its chromedriver are not installed")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options: Any = webdriver.ChromeOptions()
    options.binary_location = browser_path
    for argument in ("--headless=new", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.add_argument("--no-sandbox")  # Chromium refuses its sandbox to root
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_path))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()
