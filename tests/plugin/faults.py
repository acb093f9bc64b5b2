"""A checkout whose claims name saboteurs: some are killed, some survive, each in its way."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.plugin.team import CONFTEST, Team

FAULTS = """
from pytest_spec11.saboteurs.http import HttpSaboteur
from pytest_spec11.saboteurs.proc import ProcSaboteur

class Broken(HttpSaboteur):
    async def answer(self, exchange):
        reply = await exchange.forward()
        reply.status = 500
        self.hit()
        return reply

class Idle(HttpSaboteur):
    async def answer(self, exchange):
        return await exchange.forward()

class Mode(ProcSaboteur):
    def process(self, process):
        self.hit()
        return process.using({"MODE": "other"})

def pytest_spec11_saboteurs(config):
    return [
        Broken("http.broken", "each answer is a 500", {"*": "assert 500 == 200"}),
        Idle("http.idle", "does nothing", {"*": "assert"}),
        Mode("proc.mode", "another mode", {"*": "assert 'other' == 'plain'"}),
    ]
"""
# Each claim, its saboteur, and the body of its test.
CLAIMS = {
    "S00.killed": ("http.broken", 'assert api.get("/healthz").status == 200'),
    "S00.plain": ("proc.mode", 'assert api.get("/healthz").json()["mode"] == "plain"'),
    "S00.weak": ("http.broken", 'assert api.get("/healthz").status > 0'),
    "S00.unhit": ("http.idle", 'assert api.get("/healthz").status == 200'),
    "S00.breaks": ("http.broken", '{200: 1}[api.get("/healthz").status]; assert True'),
    "S00.other": ("http.broken", 'assert api.get("/healthz").status != 500'),
    "S00.red": ("http.broken", 'assert api.get("/healthz").status == 404'),
    "S00.nobody": ("http.unheard-of", 'assert api.get("/healthz").status == 200'),
    "S00.untested": ("http.broken", ""),
}
ANSWERS = "S00.killed"


def with_saboteurs(make: Callable[..., Team]) -> Team:
    """A checkout with a test of each claim, and faults."""
    claims = [
        {"id": id_, "text": id_, "sources": ["api"], "scopes": ["signoff"], "saboteurs": [named]}
        for id_, (named, _) in CLAIMS.items()
    ]
    tests = [
        f"@pytest.mark.S00\n@pytest.mark.claim({id_!r})\ndef test_{id_[4:]}(api):\n    {body}\n"
        for id_, (_, body) in CLAIMS.items()
        if body
    ]
    ours = make("\n".join(["import pytest", *tests]))
    scenarios = [{"id": "S00", "title": "It is there", "claims": claims}]
    ours.write("catalogue.json", json.dumps({"scenarios": scenarios}))
    ours.write("conftest.py", CONFTEST + FAULTS)
    ours.commit()
    return ours
