"""The published schemas of all documents that spec11 writes: JSON Schema 2020-12, one file each."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

NAMES: Final = ("bundle", "kills", "lane", "record", "signoff")


@lru_cache(maxsize=len(NAMES))
def schema(name: str) -> dict[str, Any]:
    """The schema of that name."""
    found: dict[str, Any] = json.loads(Path(__file__).with_name(f"{name}.schema.json").read_bytes())
    return found


def fault(name: str, document: object) -> str:
    """Place and text of the first violation of the schema; empty if there is none."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # most runs meet no document

    for error in Draft202012Validator(schema(name)).iter_errors(document):
        place = "/".join(str(each) for each in error.absolute_path)
        return f"{place or 'document'}: {error.message[:200]}"
    return ""
