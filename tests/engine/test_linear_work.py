"""What others send takes time in proportion to its length, whatever it is.

Each hostile text is given twice, once eight times as long. Work that grows by the square would take
64 times as long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import pytest

from engine.api.parsing import strict_json
from engine.contracts.schemas import Pattern
from engine.core import doors, evals, retention
from engine.core.redaction import redact
from engine.core.schemas import Survey
from engine.errors import Malformed
from engine.usecases import specs
from engine.usecases.forms import MAX_VALUES, Form

Work = Callable[[int], Callable[[], Any]]  # of a length: what then takes its time
LONGER: Final = 8
MOST: Final = 3 * LONGER
LEAST_S: Final = 0.002  # what is shorter than this is not told from the clock's own noise


def measure_s(work: Callable[[], Any]) -> float:
    """The least processor time of three runs."""

    def once() -> float:
        begun = time.thread_time()
        with suppress(Malformed, ValueError):
            work()
        return time.thread_time() - begun

    return min(once() for _ in range(3))


def of_json(raw: bytes, before: bytes = b"", after: bytes = b"") -> Work:
    def work(length: int) -> Callable[[], Any]:
        sent = before + raw * (length // len(raw)) + after
        return lambda: strict_json(sent)

    return work


def of_text(take: Callable[[str], Any], text: str, before: str = "") -> Work:
    def work(length: int) -> Callable[[], Any]:
        sent = before + text * (length // len(text))
        return lambda: take(sent)

    return work


def spec_of(**parts: Any) -> dict[str, Any]:
    return {"id": "r", "v": "v1", "formSchema": {}, "eval": [], "fixtures": []} | parts


def of_names(length: int) -> Callable[[], Any]:
    checks = [{"id": f"check-{number}"} for number in range(length // 8)]
    return lambda: specs.faults([spec_of(eval=checks)])


def of_versions(length: int) -> Callable[[], Any]:
    versions = [spec_of(v=f"v{number}") for number in range(length // 32)]
    return lambda: specs.faults(versions)


def of_definitions(length: int) -> Callable[[], Any]:
    chain: dict[str, Any] = {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(length // 8)}
    return lambda: Survey({"$defs": chain, "$ref": "#/$defs/d0"})


DEEP = b"[]" * 65  # enough brackets that their depth is counted
WORKS: dict[str, Work] = {
    "json: a text without an end": of_json(b'\\"', before=DEEP),
    "json: texts without an end": of_json(b'\\""', before=DEEP),
    "json: a text of escapes": of_json(b"\\\\", before=b"[" + DEEP[2:] + b'"'),
    "json: brackets": of_json(b"[],", before=b"[", after=b"0]"),
    "json: digits": of_json(b"1", before=b"["),
    "json: a large number": of_json(b"0", before=b"1.", after=b"e300"),
    "json: keys": of_json(b'{"a":', after=b"1"),
    "json: characters": of_json(b"\\u0041", before=b'"', after=b'"'),
    "a token": of_text(lambda text: doors.bearer([f"Bearer {text}"]), "a="),
    "a signature": of_text(lambda text: doors.proof([f"t=1{text}"]), f",v1={'a' * 64}"),
    "a host": of_text(lambda text: doors.Caller([text], [], []).misnames, ":1"),
    "an origin": of_text(lambda text: doors.Caller(["localhost"], [], [text]).is_foreign, "http:["),
    "a secret": of_text(lambda text: redact(text, {"a-secret-of-this"}), "password='"),
    "a call as a password": of_text(lambda text: redact(text, ()), ")", before="password=a("),
    "a connection string": of_text(lambda text: redact(text, ()), "://a:host=a Bearer "),
    "a pattern": of_text(Pattern("(a|aa)+$").matches, "a", before="!"),
    "a glob": of_text(lambda text: evals.matches("*a*a*b", text), "a"),
    "words of a release": of_text(
        lambda text: [*retention.find_words([text.encode()])], "ih_0.", before="{"
    ),
    "names of checks": of_names,
    "versions": of_versions,
    "definitions": of_definitions,
}


@pytest.mark.parametrize("name", WORKS)
def test_work_grows_with_the_length_and_not_with_its_square(name: str) -> None:
    work, length = WORKS[name], 1_000
    while (short := measure_s(work(length))) < LEAST_S and length < 250_000:
        length *= 2

    assert measure_s(work(LONGER * length)) <= MOST * max(short, LEAST_S)


def test_a_form_of_any_schema_takes_a_bounded_time() -> None:
    """The worst that there may be: all values of a form against all keywords of a schema."""
    unique = {"allOf": [{"uniqueItems": True} for _ in range(200)]}
    form = Form({"type": "object", "properties": {"a": unique, "b": {"items": unique}}})

    def fill(values: int) -> dict[str, Any]:
        return {"a": [{"k": number} for number in range(values)]}

    asyncio.run(form.require(fill(100)))
    with pytest.raises(Malformed) as refused:
        asyncio.run(form.require(fill(MAX_VALUES // 3)))
    assert "values" in str(refused.value.facts)
