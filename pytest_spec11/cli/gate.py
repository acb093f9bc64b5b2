"""``spec11 gate``: the verdict on bundles of evidence, for the work tree it is called in.

It runs nothing: what could be run again could be run until it is green.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import documents
from pytest_spec11.judge import Case
from pytest_spec11.judge.flakes import count_runs
from pytest_spec11.judge.reasons import Reason
from pytest_spec11.verdict import question
from pytest_spec11.verdict.basis import describe_basis
from pytest_spec11.verdict.gate import evaluate
from pytest_spec11.verdict.question import Question
from pytest_spec11.verdict.summary import Summary

_SUBJECTS: Final = 3


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser("gate", help="judge bundles of evidence", allow_abbrev=False)
    question.add_options(made)
    made.add_argument("--json", action="store_true", help="print the sign-off as JSON")
    made.add_argument("--out", type=Path, help="write the sign-off to this file, sealed")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 for GO, 1 for NO_GO."""
    _forget(arguments.out)
    found = evaluate(Question.of(arguments))
    document = found.document()
    if arguments.out:
        documents.write(arguments.out, "signoff", document)
    is_go = found.verdict.verdict == "GO"
    basis = describe_basis(found) if is_go else ""
    summary = Summary(found.catalogue, found.verdict, arguments.scope, basis)
    lines = [
        *_text(summary, found.bundle.scenarios, found.weakenings.sentences),
        *describe_kept(found.case),
        *summary.conclusion(),
    ]
    print(json.dumps(document, indent=1) if arguments.json else "\n".join(lines))
    return 0 if is_go else 1


def _forget(out: Path | None) -> None:
    """Remove an older sign-off: it must not survive a run that gives no verdict."""
    try:
        if out:
            out.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"--out {out}: {error}") from error


def describe_kept(case: Case) -> Iterator[str]:
    """How many kept runs of this tree the gate read, and which of them it could not read."""
    tally = count_runs(case)
    yield f"seen green in {tally.green} of {tally.runs} kept runs of this tree"
    yield from (f"kept, and {each.name} {each.damage}" for each in case.kept if each.damage)


def _text(summary: Summary, ran: Collection[str], weakenings: Collection[str]) -> Iterator[str]:
    yield from summary.scenarios(ran)
    groups: dict[str, list[Reason]] = defaultdict(list)
    for item in summary.verdict.reasons:
        groups[item.code].append(item)
    for code, items in groups.items():
        subjects = list(dict.fromkeys(item.subject for item in items))
        more = " …" if len(subjects) > _SUBJECTS else ""
        yield f"{code}  {len(items)}  {', '.join(subjects[:_SUBJECTS])}{more}"
        yield f"    {items[0].text}"
        yield f"    {items[0].remedy}  {items[0].command}"
    yield from (f"weaker than the merge base: {each}" for each in weakenings)
