"""Many workflows, one action: each id is asked about once, whatever became of the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from engine.errors import Missing, Unanswered, Unreachable
from engine.ports.remote import Answer


class Word(StrEnum):
    """What became of one id."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FAILED = "failed"  # the API broke over it
    UNKNOWN = "unknown"  # it was asked, and gave no answer
    NOT_SENT = "not-sent"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One id, what became of it, and what else there is to say: a fork's id, a reason."""

    workflow_id: str
    word: Word
    status: int | None = None
    forked: str | None = None
    why: str | None = None

    @property
    def line(self) -> str:
        """For people and for ``cut``: tabs between, nothing that breaks the line."""
        why = None if self.why is None else " ".join(self.why.split())
        code = None if self.word is Word.ACCEPTED else self.status
        more = " ".join(str(each) for each in (code, self.forked, why) if each is not None)
        return "\t".join(each for each in (self.workflow_id, self.word, more) if each)

    @property
    def document(self) -> str:
        """The same as one line of JSON; what is not there is left out."""
        told = {
            "workflowID": self.workflow_id,
            "outcome": self.word,
            "status": self.status,
            "forkedWorkflowID": self.forked,
            "error": self.why,
        }
        return json.dumps({name: each for name, each in told.items() if each is not None})


def run_batch(ids: Iterable[str], act: Callable[[str], Answer]) -> Iterator[Outcome]:
    """What became of each id, in their order, a repeated one once.

    A refusal stops nobody. Where the API is gone nothing more is sent: the one that it was asked
    about then is unknown, and the rest can be given again.
    """
    gone: str | None = None
    for each in dict.fromkeys(ids):
        if gone is not None:
            yield Outcome(each, Word.NOT_SENT, why=gone)
            continue
        try:
            outcome = _read_outcome(each, act(each))
        except Unreachable as error:
            gone = str(error)
            word = Word.UNKNOWN if isinstance(error, Unanswered) else Word.NOT_SENT
            outcome = Outcome(each, word, why=gone)
        except Missing as error:  # the action was not even asked for
            outcome = Outcome(each, Word.REFUSED, why=str(error))
        yield outcome


def _read_outcome(workflow_id: str, answer: Answer) -> Outcome:
    body = answer.body if isinstance(answer.body, dict) else {}
    if answer.status == HTTPStatus.ACCEPTED and body.get("accepted") is True:
        forked = body.get("forkedWorkflowID")
        return Outcome(workflow_id, Word.ACCEPTED, answer.status, forked)
    word = Word.REFUSED if 400 <= answer.status < 500 else Word.FAILED  # noqa: PLR2004  # client errors
    return Outcome(workflow_id, word, answer.status, why=reason(body))


def reason(body: Any) -> str:
    """Why the API refused, with every fault that it names."""
    if not isinstance(body, dict) or "error" not in body:
        return "an answer of no such API"
    faults = [f"{each['pointer']} {each['message']}" for each in body.get("details") or ()]
    return "; ".join([str(body["error"]), *faults])
