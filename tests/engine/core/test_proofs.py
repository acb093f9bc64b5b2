from __future__ import annotations

from typing import Any

import pytest

from engine.core import cards, proofs
from engine.core.cards import Subject, Verdict

RUN: dict[str, Any] = {"workflow_id": "w", "id": "r", "execution_id": "w"}


def status(app: str, engine: str | None) -> tuple[Verdict, str]:
    """The verdict of the card that compares the two words, and its evidence."""
    rows = [] if engine is None else [{"workflow_uuid": "w", "status": engine, "updated_at": 7}]
    run = {**RUN, "status": app, "updated_at": "2026-01-01T00:00:00+00:00"}
    pack = {"dbos": {"parentStatuses": rows, "childStatuses": []}}
    (card,) = proofs._engine_status(Subject(pack, run, "/run"))  # noqa: SLF001  # one card alone
    return card.verdict, card.evidence


@pytest.mark.parametrize(
    ("app", "engine", "verdict"),
    [
        ("queued", "ENQUEUED", "PASS"),
        ("queued", "PENDING", "PASS"),
        ("running", "ENQUEUED", "PASS"),
        ("waiting_input", "PENDING", "PASS"),
        ("succeeded", "SUCCESS", "PASS"),
        ("retries_exceeded", "MAX_RECOVERY_ATTEMPTS_EXCEEDED", "PASS"),
        ("canceled", "CANCELLED", "PASS"),
        ("succeeded", "PENDING", "UNKNOWN"),
        ("failed", "ENQUEUED", "UNKNOWN"),
        ("succeeded", "ERROR", "FAIL"),
        ("canceled", "SUCCESS", "FAIL"),
        ("running", "SUCCESS", "FAIL"),
        ("waiting_input", "CANCELLED", "FAIL"),
        ("succeeded", "HIBERNATING", "FAIL"),
        ("asleep", "SUCCESS", "FAIL"),
        ("succeeded", None, "FAIL"),
    ],
)
def test_two_words_agree_or_not_yet_or_never(app: str, engine: str | None, verdict: str) -> None:
    found, evidence = status(app, engine)

    assert found == verdict
    if verdict == "PASS":
        assert (app in evidence, str(engine) in evidence) == (True, True)


@pytest.mark.parametrize("text", ["infinity", "0044-03-15 BC", "", "2026-13-01T00:00:00+00:00"])
def test_a_time_that_is_none_of_the_calendars_is_zero(text: str) -> None:
    assert cards.ms(text) == 0


def test_a_time_before_the_epoch_is_negative() -> None:
    assert cards.ms("1969-12-31T23:59:59.9995+00:00") == -1
