"""Take the pictures of the console that README.md shows, light and dark: `python -m bench.pictures`.

It starts the embedded host, fills its store, opens the console in Chromium, and writes
`docs/images/console-light.png` and `console-dark.png`, 1,200 by 680 pixels. Look at them before you commit.
Machines with other fonts make other pictures, so no test compares them.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

import httpx
from playwright.sync_api import Browser, expect, sync_playwright

from tests.servers import serving
from tools.components import ROOT

IMAGES = ROOT / "docs/images"

PORT = 3000
"""The port that the pictures show: that of `make up`. It must be free."""

NAMES = (
    "Grace Hopper",
    "Alan Turing",
    "Edsger Dijkstra",
    "Barbara Liskov",
    "Donald Knuth",
    "Margaret Hamilton",
    "Ken Thompson",
    "Ada Lovelace",
)


def people(count: int) -> list[dict[str, str]]:
    """Pairs of people, as set-many takes them."""
    pairs = []
    for number in range(1, count + 1):
        name = NAMES[(number - 1) % len(NAMES)]
        mail = f"{name.split()[0].lower()}{number}@example.com"
        value = {"name": name, "email": mail, "plan": "team", "visits": 37 * number % 500}
        pairs.append({"key": f"user:{number:04}", "value": json.dumps(value)})
    return pairs


def take(browser: Browser, url: str, scheme: Literal["light", "dark"], file: Path) -> None:
    """Takes the picture of one color scheme, of a console whose store has `people`.

    Args:
        browser: A Chromium.
        url: The gateway.
        scheme: The color scheme that the page is asked for.
        file: The PNG that is written.
    """

    context = browser.new_context(color_scheme=scheme, viewport={"width": 1200, "height": 680})
    page = context.new_page()
    page.goto(url)
    page.fill("#prefix", "user:")
    page.click("#keys-form .primary")
    expect(page.locator("#keys-body tr")).to_have_count(100)
    expect(page.locator("#keys-body td.preview").last).to_contain_text("name")
    for key in "user:0003", "user:0004":
        page.check(f"[aria-label='Select {key}']")
    page.get_by_role("button", name="user:0007", exact=True).click()
    page.get_by_role("button", name="JSON", exact=True).click()
    page.click("#value-curl summary")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.screenshot(path=file)
    context.close()


def main() -> None:
    """Takes both pictures."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("There is no chromium on PATH.")
    with (
        tempfile.TemporaryDirectory() as data,
        serving("embedded", Path(data), port=PORT) as server,
        sync_playwright() as playwright,
    ):
        httpx.post(f"{server.url}/v1/default/set-many", json={"pairs": people(240)}).raise_for_status()
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        take(browser, server.url, "light", IMAGES / "console-light.png")
        take(browser, server.url, "dark", IMAGES / "console-dark.png")
        browser.close()
    print(f"wrote console-light.png and console-dark.png to {IMAGES.relative_to(ROOT)}/")


if __name__ == "__main__":
    main()
