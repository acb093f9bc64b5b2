"""The routes of the boards. They are pages, so the document of the API does not list them."""

from __future__ import annotations

from typing import Final

from engine.api.routing import Operation
from engine.boards import assets, pages
from engine.contracts.base import Wire
from engine.core.doors import EVERYBODY

HTML: Final = "text/html"


class AddressQuery(Wire):
    """What the address of a page names; a page ignores what it does not know."""


# A page lets everybody in: the operations that it asks decide who sees what.
PAGES: Final = (
    Operation(
        method="GET",
        path="/",
        handler=pages.show,
        summary="A board",
        query=AddressQuery,
        replies={200: HTML},
        roles=EVERYBODY,
    ),
    Operation(
        method="GET",
        path="/docs",
        handler=pages.show_operations,
        summary="The operations of the API",
        replies={200: HTML},
        roles=EVERYBODY,
    ),
    Operation(
        method="POST",
        path="/boards/{action}",
        handler=pages.act,
        summary="What a form of a page asks for",
        replies={200: HTML, 303: HTML},
        roles=EVERYBODY,
    ),
    Operation(
        method="GET",
        path="/assets/{name}",
        handler=assets.serve,
        summary="A file that a page needs",
        replies={200: "application/octet-stream"},
        roles=EVERYBODY,
    ),
    Operation(
        method="GET",
        path="/favicon.ico",
        handler=assets.serve_icon,
        summary="The icon of the pages",
        replies={200: "image/svg+xml"},
        roles=EVERYBODY,
    ),
)
