"""Checks forms against the JSON Schema of their recipe (D26)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Final, TypeAlias

from jsonschema import Draft202012Validator, ValidationError

from engine.contracts.schemas import Schema
from engine.core import plain_forms
from engine.core.canon import Json
from engine.core.pointers import pointer
from engine.core.schemas import Survey
from engine.errors import Malformed, count_faults

MAX_FAULTS: Final = 100
MAX_VALUES: Final = 1_000
MAX_LETTERS: Final = 65_536
MAX_STEPS: Final = 250_000  # keywords looked at for values, half a second of a processor
ON_LOOP: Final = 2_000  # this many steps take no longer than the statements of a start
LONGEST_MESSAGE: Final = 200
_CHECKER: Final = ThreadPoolExecutor(max_workers=1, thread_name_prefix="forms")
Fault: TypeAlias = "tuple[tuple[str | int, ...], str]"


class Form:
    """The compiled form of one recipe version. Raises SchemaError if it is no JSON Schema."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        Draft202012Validator.check_schema(schema)
        self._schema = Schema(schema)
        self._weight = Survey(dict(schema)).weight
        self._surely_fits = plain_forms.compile_acceptor(schema)

    async def require(self, form: Mapping[str, Json]) -> None:
        """Accept a form that fits. Raises Malformed that names every fault, at most a hundred.

        A form has limits of its own, whatever its schema allows. Together with the weight of a
        schema they limit the time. A long check runs in a thread, beside the event loop.
        """
        if self._surely_fits(form):
            return
        steps = _count_small(form, MAX_STEPS // self._weight) * self._weight
        if steps <= ON_LOOP:
            self._check(form)
        else:
            await asyncio.get_running_loop().run_in_executor(_CHECKER, self._check, form)

    def _check(self, form: Mapping[str, Json]) -> None:
        errors = islice(self._schema.errors(form), MAX_FAULTS)
        if faults := dict.fromkeys(fault for error in errors for fault in _faults(error)):
            details = [
                {"pointer": pointer(("formData", *path)), "message": message[:LONGEST_MESSAGE]}
                for path, message in faults
            ]
            raise Malformed(
                f"invalid form: {count_faults(len(details))}",
                code="invalid_request",
                details=details[:MAX_FAULTS],
            )


def _faults(error: ValidationError) -> Iterator[Fault]:
    """The place of ``error``: the missing or superfluous key, not the object around it.

    The text names the rule and never quotes the value, because the value may be a secret.
    """
    at = tuple(error.absolute_path)
    if error.validator == "required":
        yield from (((*at, name), "required") for name in _missing(error))
    elif error.validator == "additionalProperties":
        yield from (((*at, name), "the form has no such field") for name in _find_undeclared(error))
    else:
        yield at, f"breaks {error.validator}: {json.dumps(error.validator_value)}"


def _missing(error: ValidationError) -> Iterator[str]:
    instance: Any = error.instance
    required: Any = error.validator_value
    return (name for name in required if name not in instance)


def _find_undeclared(error: ValidationError) -> Iterator[str]:
    instance: Any = error.instance
    schema: Any = error.schema
    return (name for name in instance if name not in schema.get("properties", {}))


def _count_small(form: Mapping[str, Json], most: int) -> int:
    """Count the values of a form. Raises Malformed for more values or letters than it may have.

    ``most`` is the number of values for which its schema leaves time.
    """
    values, letters = 0, 0
    ahead: list[Any] = [form]
    while ahead:
        values += 1
        match ahead.pop():
            case str() as text:
                letters += len(text)
            case dict() as item:
                letters += sum(map(len, item))
                ahead.extend(item.values())
            case list() as items:
                ahead.extend(items)
            case _:
                pass
    allowed = min(MAX_VALUES, most)
    if values > allowed or letters > MAX_LETTERS:
        message = f"has more than {allowed} values or {MAX_LETTERS} letters"
        details = [{"pointer": "/formData", "message": message}]
        raise Malformed("invalid form: 1 fault", code="invalid_request", details=details)
    return values
