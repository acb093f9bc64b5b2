"""``spec11 explain``: what a reason means, what causes it, and the way out."""

from __future__ import annotations

import argparse
import difflib
import json
from typing import Any

from pytest_spec11.errors import BadInput
from pytest_spec11.judge.meanings import MEANINGS
from pytest_spec11.judge.reasons import CODES


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser("explain", help="explain a reason", allow_abbrev=False)
    made.add_argument("code", nargs="*", metavar="CODE", help="such as E-DIRTY; none: list them")
    made.add_argument("--json", action="store_true")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0; an unknown code is bad input."""
    wanted = [_find(each) for each in arguments.code] or [*CODES]
    if arguments.json:
        print(json.dumps({code: _facts(code) for code in wanted}, indent=1))
    elif arguments.code:
        print("\n\n".join(_describe(code) for code in wanted))
    else:
        width = max(map(len, CODES))
        print("\n".join(f"{code:<{width}}  {MEANINGS[code].says}" for code in wanted))
    return 0


def _find(text: str) -> str:
    """The code that the text names; a code with a value at its end is named by its beginning."""
    by_name = {code.lower(): code for code in CODES}
    name = text.lower()
    found = by_name.get(name) or by_name.get(name.rpartition("_")[0])
    if found is None:
        close = difflib.get_close_matches(name, by_name, n=1)
        more = f"; did you mean {by_name[close[0]]}?" if close else ""
        raise BadInput(f"no reason {text}{more}")
    return found


def _facts(code: str) -> dict[str, str]:
    says, cause = MEANINGS[code]
    known = CODES[code]
    return {"means": says, "cause": cause, "wayOut": known.remedy, "command": known.command}


def _describe(code: str) -> str:
    said = _facts(code)
    return "\n".join(
        (
            code,
            f"  means    {said['means']}",
            f"  cause    {said['cause']}",
            f"  way out  {said['wayOut']}",
            f"  command  {said['command']}",
        )
    )
