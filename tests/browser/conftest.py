"""The web app in a real browser, before a local cloud whose job programs do nothing but can be held."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright
from stub_programs import Stubs

from spaceport_local.cloud import LocalCloud
from spaceport_local.deploy import STACK

PASSWORD = "Long-enough-to-fly-1"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# What fades in has too little contrast meanwhile.
DESK = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce"}


@dataclass(frozen=True)
class Workshop:
    """A local cloud, and its job programs."""

    cloud: LocalCloud
    stubs: Stubs
    password: str = PASSWORD  # everybody's

    def resource(self, logical_id: str) -> str:
        """The name of the resource that the template calls `logical_id`."""
        told = self.cloud.client("cloudformation").describe_stack_resource(
            StackName=STACK, LogicalResourceId=logical_id
        )
        return str(told["StackResourceDetail"]["PhysicalResourceId"])

    def make_user(self, name: str) -> None:
        """Someone who may sign in."""
        cognito = self.cloud.client("cognito-idp")
        who = {"UserPoolId": self.cloud.outputs["UserPoolId"], "Username": name}
        with suppress(cognito.exceptions.UsernameExistsException):
            cognito.admin_create_user(**who, MessageAction="SUPPRESS")
        cognito.admin_set_user_password(**who, Password=PASSWORD, Permanent=True)


@dataclass
class Visit:
    """A browser's window on the app; notes what should never be there."""

    page: Page
    address: str
    wrong: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        self.page.on("request", self._asked)

    def open(self, fragment: str = "") -> None:
        self.page.goto(f"{self.address}{fragment}")

    def sign_in(self, name: str = "alice", password: str = PASSWORD) -> None:
        self.page.get_by_label("Name or e-mail").fill(name)
        self.page.get_by_label("Password", exact=True).fill(password)
        self.page.get_by_role("button", name="Sign in").click()

    def _heard(self, message: ConsoleMessage) -> None:
        # A browser's own note of an answer that is no success; what becomes of it the page says.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.wrong.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        host = self.address.split("/_app/")[0]
        if not request.url.startswith((host, "blob:", "data:")):
            self.wrong.append(f"asked {request.url}")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    stubs = Stubs(tmp_path_factory.mktemp("programs"))
    cloud = LocalCloud(data_dir=tmp_path_factory.mktemp("web"), options=stubs.options)
    cloud.up()
    made = Workshop(cloud, stubs)
    made.make_user("alice")
    yield made
    cloud.down()


@pytest.fixture(scope="module")  # a process may have one at a time, and other modules do
def web_browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(workshop: Workshop, web_browser: Browser) -> Iterator[Callable[..., Visit]]:
    """`visit(**context)`: a new window on the app, signed in as nobody."""
    contexts: list[BrowserContext] = []
    visits: list[Visit] = []

    def begin(address: str | None = None, **context: Any) -> Visit:
        contexts.append(web_browser.new_context(**(context or DESK)))
        made = Visit(contexts[-1].new_page(), address or workshop.cloud.app_url())
        made.watch()
        visits.append(made)
        return made

    yield begin
    workshop.stubs.let_go()
    for context in contexts:
        context.close()
    assert [wrong for made in visits for wrong in made.wrong] == []


@pytest.fixture(scope="session")
def axe(repository: Path) -> str:
    """The script that looks for what keeps people out."""
    script = repository / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        pytest.skip("axe-core is not installed: run containers/compressor/fetch_viewer.py")
    return script.read_text()


@pytest.fixture
def barriers(axe: str) -> Callable[[Page], list[str]]:
    """What axe finds on a page that is serious or worse, in light and in dark: the rule, and where."""

    def found(page: Page) -> list[str]:
        page.evaluate(axe)
        told = []
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            # The viewer in its frame is another's page, and has tests of its own.
            violations = page.evaluate("axe.run({ iframes: false })")["violations"]
            told += [
                f"{scheme}, {violation['id']}: {json.dumps([node['target'] for node in violation['nodes']])}"
                for violation in violations
                if violation["impact"] in {"serious", "critical"}
            ]
        return told

    return found
