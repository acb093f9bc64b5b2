"""Faults of pages: only a browser asks for a page, so the API stays true."""

from __future__ import annotations

import re
from typing import Final

from typing_extensions import override

from pytest_spec11.saboteurs.proxy import Exchange
from pytest_spec11.saboteurs.wire import Reply
from scenarios.saboteurs.false_replies import REFUSED, Lie

# What a page says of a run: words of status, hashes and ids, names of steps, reasons.
SAID: Final = re.compile(
    rb'(<span class="badge [^"]*">|<code[^>]*>|<th scope="row">|<small id="why-[^"]*">'
    rb"|<small>|<p class=\"word\">)([^<]+)"
)
INSERTED: Final = (
    b"<script>document.title='owned'</script><svg onload=\"document.title='owned'\"></svg></main>"
)


def is_page(reply: Reply) -> bool:
    """Whether the reply is a page."""
    return reply.body.lstrip()[:15].lower() == b"<!doctype html>"


class BoardLie(Lie):
    """Words, hashes and reasons of a page are others."""

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        if not is_page(reply):
            return None
        reply.body = SAID.sub(lambda found: found[1] + b"un" + found[2], reply.body)
        return reply


class BoardMute(Lie):
    """A page that refuses says 200 and nothing."""

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        if not is_page(reply) or reply.status < REFUSED:
            return None
        reply.status = 200
        reply.body = re.sub(rb'(?s)<(section|p) class="banner bad".*?</\1>', b"", reply.body)
        return reply


class BoardInject(Lie):
    """A script and a raw copy of a hostile text stand in the page."""

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        if not is_page(reply):
            return None
        reply.body = reply.body.replace(b"</main>", INSERTED)
        return reply


class LeakCanary(Lie):
    """What came in as a credential goes out in the answer."""

    @override
    def falsify_reply(self, exchange: Exchange, reply: Reply) -> Reply | None:
        given = exchange.head.value("authorization") or exchange.head.value("cookie")
        if not given or reply.status >= REFUSED:
            return None
        if is_page(reply):
            reply.body = reply.body.replace(b"</main>", f"<p>{given}</p></main>".encode())
        else:
            reply.head = reply.head.using("x-debug", given)
        return reply
