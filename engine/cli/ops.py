"""`spec11-engine ops list|cancel|resume|fork|retry-from-step`: operations on many workflows."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from engine.cli import batch, remotes
from engine.cli.batch import Outcome, Word
from engine.cli.workflows import Action, Workflows
from engine.config import Config
from engine.core.canon import Json
from engine.core.runs import OF_ENGINE
from engine.errors import Misconfigured

NOT_ALL: Final = 1
UNREACHABLE: Final = 5
STANDARD_INPUT: Final = "-"
MOST: Final = 200
FORK: Final = "fork"
RETRY: Final = "retry-from-step"
EPILOG: Final = """
The command prints one line for each id, in the given order: the id, a tab, and one of these words:
  accepted     the action and its audit are done; for a fork the new id follows
  refused      the API refused and says why
  failed       the API had an error of its own
  unknown      the API got the request but gave no answer
  not-sent     the API was not reachable, so the request was not sent
After a refusal the command goes on. It sends an id that comes twice only once. `-` reads ids from
standard input, one per line. With --json each line is a JSON object.

examples:
  spec11-engine ops list --status PENDING
  spec11-engine ops list --status ENQUEUED --limit 200 --ids |
    spec11-engine ops cancel - --actor ops-batch --reason 'incident 7'
  spec11-engine ops resume ih_… --actor me --reason 'false alarm'
  spec11-engine ops fork ih_… --step 7 --actor me --reason 'what if'
  spec11-engine ops retry-from-step - --step DecideST --actor me --reason 'fixed' < ids

exit status: 0 all ids were accepted, 1 not all of them (see the lines), 2 wrong usage or
environment, 4 unexpected, 5 the API was not reachable
"""
VERBS: Final = {
    "list": "list workflows, the newest first",
    "cancel": "end workflows and take back what they wrote",
    "resume": "let canceled workflows go on under their own ids",
    FORK: "create new workflows that go on from a step of these",
    RETRY: "like fork, but from the step with this name",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the five."""
    parser.epilog = EPILOG
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for verb, meaning in VERBS.items():
        command = verbs.add_parser(
            verb, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}."
        )
        command.set_defaults(step=None, app_version=None)
        remotes.arguments(command)
        (_filters if verb == "list" else _targets)(command)
        if verb in {FORK, RETRY}:
            _step(command, verb)


def _filters(command: argparse.ArgumentParser) -> None:
    command.add_argument("--status", choices=sorted(OF_ENGINE), help="only with this status")
    command.add_argument("--name", help="only with this name: RunIntent, RunTask, …")
    command.add_argument(
        "--limit", type=_limit, default=20, metavar="N", help=f"1..{MOST} (default: 20)"
    )
    command.add_argument("--ids", action="store_true", help="print only ids, for a pipe")


def _targets(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "id", nargs="+", type=_id, help="a workflow id; - reads ids from standard input"
    )
    command.add_argument(
        "--actor", required=True, type=_parse_text, help="who acts (for the audit)"
    )
    command.add_argument("--reason", required=True, type=_parse_text, help="why (for the audit)")


def _step(command: argparse.ArgumentParser, verb: str) -> None:
    if verb == FORK:
        command.add_argument(
            "--step",
            required=True,
            type=_number,
            metavar="N",
            help="the functionId of the step to repeat from",
        )
    else:
        command.add_argument(
            "--step", required=True, type=_parse_text, help="name of the step, such as DecideST"
        )
    command.add_argument("--app-version", help="application version of the new workflows")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """0 when all of it went through."""
    workflows = Workflows(remotes.find_remote(arguments, config))
    return _list(workflows, arguments) if arguments.verb == "list" else _act(workflows, arguments)


def _list(workflows: Workflows, arguments: argparse.Namespace) -> int:
    answer = workflows.list_workflows(
        status=arguments.status, name=arguments.name, limit=arguments.limit
    )
    if answer.status != HTTPStatus.OK or not isinstance(answer.body, list):
        _note(f"refused {answer.status} {batch.reason(answer.body)}")
        return NOT_ALL
    for row in answer.body:
        print(json.dumps(row) if arguments.json else _row(row, ids_alone=arguments.ids))
    if len(answer.body) == arguments.limit:
        _note(f"these are the newest {arguments.limit}; there may be more")
    return 0


def _row(row: dict[str, Any], *, ids_alone: bool) -> str:
    if ids_alone:
        return str(row["workflowID"])
    at = datetime.fromtimestamp(row["createdAt"] / 1000, UTC).isoformat(timespec="milliseconds")
    return "\t".join(
        (row["workflowID"], row["status"], row["workflowName"], row["queueName"] or "-", at)
    )


def _act(workflows: Workflows, arguments: argparse.Namespace) -> int:
    ids = [*_ids(arguments.id)]
    words: set[Word] = set()
    try:
        for outcome in batch.run_batch(ids, _action(workflows, arguments)):
            words.add(outcome.word)
            _tell(outcome, as_json=arguments.json)
    except KeyboardInterrupt:
        _note("interrupted: of the ids without a line, only the first may have been sent")
        return NOT_ALL
    if words & {Word.UNKNOWN, Word.NOT_SENT}:
        return UNREACHABLE
    return NOT_ALL if words - {Word.ACCEPTED} else 0


def _action(workflows: Workflows, arguments: argparse.Namespace) -> Action:
    verb, reason = arguments.verb, arguments.reason
    if verb == RETRY:
        verb, reason = FORK, f"{RETRY}: {reason}"
    said: dict[str, Json] = {"actor": arguments.actor, "reason": reason}
    if arguments.app_version is not None:
        said["appVersion"] = arguments.app_version
    return Action(workflows, verb, said, arguments.step)


def _tell(outcome: Outcome, *, as_json: bool) -> None:
    """One line. When nobody listens any more, what was asked for is done all the same."""
    try:
        print(outcome.document if as_json else outcome.line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _note(text: str) -> None:
    print(f"spec11-engine ops: {text}", file=sys.stderr)


def _ids(words: Sequence[str]) -> Iterator[str]:
    """The ids that are meant, those of standard input in the place of ``-``.

    Raises Misconfigured, before anything is sent, for a line that is none.
    """
    for word in words:
        if word != STANDARD_INPUT:
            yield word
            continue
        text = sys.stdin.buffer.read().decode(errors="surrogateescape")
        for number, line in enumerate(text.split("\n"), 1):
            if found := line.strip():
                try:
                    yield _id(found)
                except argparse.ArgumentTypeError as error:
                    raise Misconfigured(f"line {number} of standard input: {error}") from error


def _id(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise argparse.ArgumentTypeError(f"{text!r} is not an id; ids only: ops list --ids")
    return text


def _parse_text(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("says nothing")
    return text


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text) >= 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _limit(text: str) -> int:
    if (number := _number(text)) > MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not within 1..{MOST}")
    return number
