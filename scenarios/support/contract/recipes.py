"""The recipes of every release, and other versions, which the superuser plants."""

from __future__ import annotations

import json
from typing import Any

from pytest_spec11.canon import digest
from pytest_spec11.oracles.sql import Sql
from pytest_spec11.stacks import Stack

# The pack that `migrate` seeds (D8), by id.
SEEDED = ["compile-default", *(f"seed.r{number:02}" for number in range(2, 11))]
_SPEC = "SELECT json FROM app.recipe_versions WHERE id = 'compile-default' AND v = 'v1'"
_RECIPE = """
INSERT INTO app.recipes (id, name, queue_name) VALUES (%(id)s, %(id)s, 'intentQ')
ON CONFLICT DO NOTHING
"""
_VERSION = """
INSERT INTO app.recipe_versions (id, v, hash, status, json)
VALUES (%(id)s, %(v)s, %(hash)s, %(status)s, %(spec)s::jsonb)
"""


def spec(app_sql: Sql) -> dict[str, Any]:
    """The stored spec of ``compile-default@v1``."""
    found: dict[str, Any] = app_sql.value(_SPEC)
    return found


def plant(stack: Stack, spec: dict[str, Any], *, status: str = "stable") -> str:
    """Plant ``spec`` as a version of the recipe that it names; return its hash."""
    hashed = digest(spec)
    names = {"id": spec["id"], "v": spec["v"]}
    stack.admin.execute(_RECIPE, id=spec["id"])
    stack.admin.execute(_VERSION, **names, hash=hashed, status=status, spec=json.dumps(spec))
    return hashed
