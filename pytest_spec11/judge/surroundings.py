"""Rules about what ran and spoke in a run: it is committed, and it is what is released (D40)."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from pytest_spec11.judge.case import Case
from pytest_spec11.judge.reasons import Reason, reason

_OWNERS: Final = frozenset({"main", "controller"})  # they start the target
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


def check_target(case: Case) -> Iterator[Reason]:
    """What was tested must be what is released: code of the tree, or a build that says so (D44)."""
    for leaf in case.bundle.leaves:
        if leaf.role not in _OWNERS or leaf.start.get("scope") == "demo" or not leaf.reading.sealed:
            continue
        target = case.bundle.foreign.targets.get(leaf.name)
        if target is None:
            yield reason("E-TARGET", leaf.name, "does not say which code the target ran")
        elif target.asked:
            builds = {leaf.binding.get("commit"), leaf.binding.get("appVersion")} - {""}
            if target.told not in builds:
                text = f"{target.asked} told {target.told!r}, no commit or version under test"
                yield reason("E-TARGET", leaf.name, text)
        else:
            for process, what in target.foreign:
                yield reason("E-TARGET", process, what)
            if not target.is_of_tree and not target.foreign:
                text = "no code of the tree answered, and the target does not tell its build"
                yield reason("E-TARGET", leaf.name, text)
