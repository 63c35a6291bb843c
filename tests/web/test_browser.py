"""The pages in a browser: no page complains, lines arrive while one looks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.api.building import NOON, Web
from tests.web.building import GREET, HOSTILE, attempt, execution, pages, run
from tests.web.test_triggers import FILL, FLOW
from werkzeug.serving import make_server

from penstock_runner.engine.state import State

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
PATHS = ("/", "/flows", "/executions", "/flows/team/greet", "/execute/team/greet", "/git", "/kv")

pytestmark = pytest.mark.browser


@dataclass
class Served:
    """A web process that a browser can reach."""

    web: Web
    url: str


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    web = pages(tmp_path, followers=8)
    server = make_server("127.0.0.1", 0, web.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield Served(web=web, url=f"http://localhost:{server.server_port}")
    server.shutdown()
    thread.join(timeout=5)
    web.database.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page that notes everything the browser complains about in `faults`."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    opened = context.new_page()
    opened.faults = []
    opened.on(
        "console",
        lambda message: (
            opened.faults.append(message.text) if message.type in {"error", "warning"} else None
        ),
    )
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    yield opened
    context.close()


def test_pages_load_without_a_complaint_and_without_scrolling_sideways(
    served: Served, page: Any
) -> None:
    served.web.save(GREET)
    one = execution(
        run("hello", State.CREATED, State.SUCCESS, attempts=(attempt(1, 0, 1),)),
        states=(State.CREATED, State.SUCCESS),
        labels={"note": HOSTILE},
    )
    served.web.core.put(one)
    served.web.log(one.id, ("INFO", HOSTILE))
    own = f"/executions/team/greet/{one.id}"
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 800})
        for path in (*PATHS, own, f"{own}/logs", f"{own}/outputs", f"{own}/topology"):
            page.goto(served.url + path)
            assert page.faults == [], path
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, path


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_triggers_page_fits_a_phone_with_all_its_parts(
    served: Served, page: Any, theme: str
) -> None:
    served.web.save(FLOW)
    served.web.trigger("monthly", next_date=NOON, backfill=FILL, execution_id="4Xf1d8QyZ0aBcDeFg")
    served.web.trigger("files", next_date=NOON, type="io.kestra.plugin.fs.local.Trigger")
    page.emulate_media(color_scheme=theme)
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(f"{served.url}/flows/team/greet/triggers")
        assert page.faults == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for text in ("Pause", "Cancel", "Unlock", "Restart"):
            assert page.get_by_role("button", name=text).first.is_visible(), text


def test_log_lines_arrive_while_one_looks(served: Served, page: Any) -> None:
    served.web.save(GREET)
    one = execution(run("hello", State.RUNNING, attempts=(attempt(1, 0, None),)))
    served.web.core.put(one)
    page.goto(f"{served.url}/executions/team/greet/{one.id}/logs")
    page.wait_for_selector("#live:text-is('Live')")
    served.web.log(one.id, ("INFO", "first"), ("WARN", HOSTILE))
    tell(served)
    page.wait_for_selector("#L2")
    assert page.locator("#L2 .tx").inner_text() == HOSTILE
    served.web.core.move(served.web.core.get(one.id), State.SUCCESS)
    served.web.log(one.id, ("INFO", "last"))
    tell(served)
    page.wait_for_selector("#L3")
    page.wait_for_selector("#state [data-state=SUCCESS]")
    assert page.locator(".log li[id^=L]").count() == 3
    assert page.faults == []


def test_groups_of_a_log_fold_at_their_title_also_for_lines_that_come_later(
    served: Served, page: Any
) -> None:
    served.web.save(GREET)
    one = execution(run("hello", State.RUNNING, attempts=(attempt(1, 0, None),)))
    served.web.core.put(one)
    lines = ("::group::Build", "inside", "::endgroup::", "between")
    served.web.log(one.id, *(("INFO", line) for line in lines))
    page.goto(f"{served.url}/executions/team/greet/{one.id}/logs")
    page.wait_for_selector("#live:text-is('Live')")
    title = page.get_by_role("button", name="Build")
    assert [page.locator(f"#L{n}").is_visible() for n in (1, 2, 3, 4)] == [True, True, False, True]
    title.click()
    assert title.get_attribute("aria-expanded") == "false"
    assert [page.locator(f"#L{n}").is_visible() for n in (1, 2, 4)] == [True, False, True]
    served.web.log(one.id, ("INFO", "section_start:1:t[collapsed=true]\rTests"), ("INFO", "hidden"))
    tell(served)
    page.wait_for_selector("#L5")
    assert not page.locator("#L6").is_visible()
    page.get_by_role("button", name="Tests").click()
    assert page.locator("#L6").is_visible()
    assert not page.locator("#L2").is_visible()
    assert page.faults == []


def test_keys_theme_and_palette_work(served: Served, page: Any) -> None:
    served.web.save(GREET)
    page.goto(served.url + "/flows")
    page.click("[data-theme-toggle]")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.keyboard.press("Control+k")
    page.keyboard.type("gree")
    page.wait_for_selector("#palette [data-href='/flows/team/greet']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/flows/team/greet")
    page.keyboard.press("g")
    page.keyboard.press("h")
    page.wait_for_url(served.url + "/")
    assert page.faults == []


def test_kill_asks_first(served: Served, page: Any) -> None:
    served.web.save(GREET)
    one = execution()
    served.web.core.put(one)
    page.goto(f"{served.url}/executions/team/greet/{one.id}")
    page.click("text=Kill >> nth=0")
    assert page.locator("#confirm-kill").is_visible()
    page.click("text=Keep running")
    assert not any(name == "execution.kill" for name, _ in served.web.core.calls)
    page.click("text=Kill >> nth=0")
    page.click("text=Kill the execution")
    page.wait_for_selector("#state [data-state=KILLED]")
    assert page.faults == []


def tell(served: Served) -> None:
    """Have core say that something is new."""
    for following in tuple(served.web.core.followings):
        following.put({"type": "execution"})
