"""The oracle of pages: a real Chromium opens them, and what a reader sees there is recorded.

A page is opened in a context of its own: no test sees the cookies or the storage of another. The
browser resolves names of this machine alone, so that no page can ask anybody else.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from hashlib import sha256
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from pytest_spec11.errors import NotProvable
from pytest_spec11.oracles.witness import Witness
from pytest_spec11.waiting import GIVE_UP_S

if TYPE_CHECKING:  # a run without pages has no use for it
    from playwright.sync_api import Browser as Chromium
    from playwright.sync_api import Page as Tab

T = TypeVar("T")
SOURCE: Final = "browser"
_PROGRAMS: Final = ("chromium", "chromium-browser", "google-chrome")
_ARGUMENTS: Final = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)


class BrowserDoor:
    """The way to the pages of one address. All doors of a process share one Chromium."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url

    def open_tab(self, **options: Any) -> Tab:
        """A tab in a new context. Raises NotProvable without a Chromium or its library."""

        def make(chromium: Chromium) -> Tab:
            context = chromium.new_context(base_url=self.base_url, **options)
            context.set_default_timeout(GIVE_UP_S * 1000)
            return context.new_page()

        return _SHARED.use(self, make)

    def close(self) -> None:
        """Give up the browser; the last door ends it."""
        _SHARED.give_up(self)


class _Driver:
    """A daemon thread that does one work after the other: it belongs to no test."""

    def __init__(self) -> None:
        self._works: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="browser", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], T]) -> T:
        """Do the work in the thread; return what it returns, raise what it raises."""
        done: Future[T] = Future()

        def settle() -> None:
            try:
                done.set_result(work())
            except Exception as error:  # noqa: BLE001  # whoever asked gets it
                done.set_exception(error)

        self._works.put(settle)
        return done.result()

    def end(self) -> None:
        """End the thread after the works that it was given."""
        self._works.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (work := self._works.get()) is not None:
            work()


class _SharedChromium:
    """One Chromium of this process, driven by a thread of its own.

    Its library keeps an event loop running in the thread that drives it. Tests that have a loop of
    their own do not meet it.
    """

    def __init__(self) -> None:
        self._opened = ExitStack()
        self._chromium: Chromium | None = None
        self._thread: _Driver | None = None
        self._users: set[BrowserDoor] = set()

    def run(self, work: Callable[[], T]) -> T:
        """Do the work in the thread of the browser, and wait for it."""
        if self._thread is None:
            self._thread = _Driver()
        return self._thread.run(work)

    def use(self, door: BrowserDoor, work: Callable[[Chromium], T]) -> T:
        """Work with the browser; it starts with the first page."""
        self._users.add(door)

        def start_and_work() -> T:
            if self._chromium is None:
                self._chromium = _launch(self._opened)
            return work(self._chromium)

        return self.run(start_and_work)

    def give_up(self, door: BrowserDoor) -> None:
        """End the browser if no other door uses it."""
        self._users.discard(door)
        if self._users or self._thread is None:
            return
        self.run(self._opened.close)
        self._thread.end()
        self._chromium = self._thread = None


_SHARED: Final = _SharedChromium()


def find_program() -> str:
    """The path of a Chromium. Raises NotProvable that says how to get one."""
    found = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        raise NotProvable("no Chromium on the path; on Debian, as root: apt-get install chromium")
    return found


def _launch(opened: ExitStack) -> Chromium:
    try:
        from playwright.sync_api import sync_playwright  # noqa: PLC0415  # see TYPE_CHECKING
    except ImportError as error:
        raise NotProvable("pages need playwright: pip install 'pytest-spec11[browser]'") from error
    driver = sync_playwright().start()
    opened.callback(driver.stop)
    of_root = ("--no-sandbox",) if os.geteuid() == 0 else ()
    chromium = driver.chromium.launch(executable_path=find_program(), args=[*_ARGUMENTS, *of_root])
    opened.callback(chromium.close)
    return chromium


class Browser:
    """Opens pages of one address; every reading is an observation of the source ``browser``."""

    def __init__(self, door: BrowserDoor | None, witness: Witness) -> None:
        self._door = door
        self._witness = witness
        self._pages: list[Page] = []

    def open(
        self, path: str, *, width: int = 1280, height: int = 900, scheme: str = "light"
    ) -> Page:
        """The page at ``path`` of the base URL, in a window of that size (CSS pixels).

        ``scheme`` is ``light`` or ``dark``. Raises NotProvable without a base URL or a Chromium.
        """
        if self._door is None:
            raise NotProvable("the target has no base URL: there is no page to open")
        tab = self._door.open_tab(
            viewport={"width": width, "height": height}, color_scheme=scheme, bypass_csp=False
        )
        page = Page(tab, self._witness)
        self._pages.append(page)
        page.go(path)
        return page

    def close(self) -> None:
        """Close the pages that it opened."""
        while self._pages:
            self._pages.pop().close()


class Page:
    """One page in its own context."""

    def __init__(self, tab: Tab, witness: Witness) -> None:
        self._tab = tab
        self._witness = witness
        self._complaints: list[str] = []
        _SHARED.run(self._listen)

    def _listen(self) -> None:
        self._tab.on("pageerror", lambda error: self._complaints.append(str(error)))
        self._tab.on("dialog", self._refuse_dialog)

    def _refuse_dialog(self, dialog: Any) -> None:
        self._complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def go(self, path: str) -> int:
        """Open another path in the same context; return the status of its document."""
        response = _SHARED.run(lambda: self._tab.goto(path))
        status = response.status if response else 0
        found = self._read(f"GET {_shorten(path)}", lambda: [str(status)])
        self.keep_picture()
        return int(found[0])

    def keep_picture(self) -> None:
        """Record a screenshot, with the digest of the document that it shows."""
        content, picture = _SHARED.run(lambda: (self._tab.content(), self._tab.screenshot()))
        facts = {"url": self._near, "dom": sha256(content.encode()).hexdigest()}
        self._witness(SOURCE, f"{self._near} picture", facts, body=picture)

    @property
    def _near(self) -> str:
        """Path and query of the page as it is now."""
        return _shorten(_SHARED.run(lambda: self._tab.url))

    def read_address(self) -> str:
        """Path and query of the page as it is now."""
        return self._read("address", lambda: [_shorten(self._tab.url)])[0]

    def read_texts(self, selector: str) -> list[str]:
        """The text of each element, as a reader sees it."""
        return self._read(selector, lambda: self._tab.locator(selector).all_inner_texts())

    def read_document(self) -> str:
        """The whole document, as it is now."""
        return self._read("document", lambda: [self._tab.content()])[0]

    def read_attributes(self, selector: str, name: str) -> list[str]:
        """An attribute of each element; empty for an element without it."""
        script = "(all, name) => all.map(each => each.getAttribute(name) ?? '')"
        ref = f"{selector} @{name}"
        return self._read(ref, lambda: self._tab.locator(selector).evaluate_all(script, name))

    def read_complaints(self) -> list[str]:
        """Errors of scripts, and dialogs that the page opened."""
        return self._read("complaints", lambda: [*self._complaints])

    def read_focus(self) -> str:
        """The id or the name of the element with the focus."""
        script = "document.activeElement.id || document.activeElement.name || ''"
        return self._read("focus", lambda: [self._tab.evaluate(script)])[0]

    def measure_overflow(self) -> int:
        """How many CSS pixels the page is wider than its window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self._read("overflow", lambda: [str(self._tab.evaluate(script))])[0])

    def run_script(self, source: str, name: str) -> list[str]:
        """The texts that a script gives as a list; ``name`` says what it looks for."""
        return self._read(name, lambda: list(map(str, self._tab.evaluate(source))))

    def fill(self, selector: str, text: str) -> None:
        """Type a text into a field."""
        _SHARED.run(lambda: self._tab.fill(selector, text))

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a list."""
        _SHARED.run(lambda: self._tab.select_option(selector, value))

    def click(self, selector: str) -> None:
        """Click an element, and wait until the page that it leads to has loaded."""
        _SHARED.run(lambda: self._tab.click(selector))
        _SHARED.run(self._tab.wait_for_load_state)

    def press(self, keys: str) -> None:
        """Press a key, such as ``Tab`` or ``Enter``."""
        _SHARED.run(lambda: self._tab.keyboard.press(keys))
        _SHARED.run(self._tab.wait_for_load_state)

    def await_text(self, selector: str, text: str) -> None:
        """Wait until an element holds the text. Raises TimeoutError of the library."""

        def wait() -> None:
            found = self._tab.locator(selector, has_text=text)
            found.first.wait_for()

        _SHARED.run(wait)

    def close(self) -> None:
        """Close the page and its context."""

        def close_context() -> None:
            context = self._tab.context
            context.close()

        _SHARED.run(close_context)

    def _read(self, what: str, read: Callable[[], Sequence[str]]) -> list[str]:
        """One reading: recorded, and handed on to the test."""
        ref = f"{self._near} {what}"
        seen = {"url": self._near, "selector": what, "texts": list(_SHARED.run(read))}
        given = self._witness.pass_on(SOURCE, ref, seen)
        self._witness(SOURCE, ref, given, empty=not given["texts"])
        return list(given["texts"])


def _shorten(url: str) -> str:
    """Path and query: the port of a run is of no interest."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path
