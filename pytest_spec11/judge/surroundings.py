"""Rules about what spoke in a run: code and inputs that somebody committed (D40)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from pytest_spec11.judge.case import Case
from pytest_spec11.judge.reasons import Reason, reason

_CODES: Final = {"code": "E-FOREIGN-CODE", "input": "E-FOREIGN-INPUT"}
_TEXTS: Final = {
    "code": "ran in the run, but is no part of the tree that the run proves",
    "input": "was read by the tests' own code, but is no part of the tree that the run proves",
}


def check_surroundings(case: Case) -> Iterator[Reason]:
    """Every process must say what it read, and all of it must be part of the tree."""
    found = case.bundle.foreign
    for leaf in case.bundle.leaves:
        if leaf.reading.sealed and leaf.start.get("scope") != "demo":
            if leaf.name not in found.told:
                yield reason("E-BINDING", leaf.name, "does not say which files its process read")
            elif leaf.name in found.deaf:
                text = f"could not hear which files its process read: {found.deaf[leaf.name]}"
                yield reason("E-BINDING", leaf.name, text)
    for path, kind in sorted(found.files.items()):
        command = f"git check-ignore -v {shlex.quote(path)}"
        yield reason(_CODES[kind], path, _TEXTS[kind], command)
