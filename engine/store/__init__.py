"""All SQL of the engine: one statement in, core values out.

Functions take a ``Tx`` and never commit. A single statement is its own transaction on an autocommit
connection; several statements are one transaction within ``async with tx.transaction()``.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from psycopg import AsyncConnection

Tx: TypeAlias = "AsyncConnection[Any]"
