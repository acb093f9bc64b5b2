"""The prover's errors, and the exit status of a command that ends with one.

Spec11Error
├── BadInput         exit 3  the input is garbage, has a wrong shape or is too big
├── CannotJudge      exit 2  the prover could not do its own part: there is no verdict
├── JournalBroken            a record could not be written whole; no record may follow it
├── TargetFailed             the system under test did not start, stop or answer as described
├── NotProvable              the test needs something that this target lacks; never a skip
└── NotObserved              an awaited event did not happen in time
"""

from __future__ import annotations


class Spec11Error(Exception):
    """Base of all deliberate failures of the prover. The message is one line for a person."""


class BadInput(Spec11Error):
    """The input cannot be read as what it should be."""


class CannotJudge(Spec11Error):
    """The prover lacks something of its own, so it can say neither GO nor NO_GO."""


class JournalBroken(Spec11Error):
    """The journal could not write a record, because of the disk or another process."""


class TargetFailed(Spec11Error):
    """The system under test did not start, stop or answer as its description says."""


class NotProvable(Spec11Error):
    """The test needs something that this target does not give: its claims stay unproven."""


class NotObserved(Spec11Error):
    """An awaited event did not happen in time."""
