"""What the prover may complain about, and the exit status of a command that meets it.

Spec11Error
├── BadInput         exit 3  what was given is not what it should be: garbage, wrong shape, too big
├── CannotJudge      exit 2  the prover could not do its own half: no verdict at all
├── JournalBroken            a record could not be written whole; nothing may follow it
├── TargetFailed             the system under test did not start, stop or answer as described
├── NotProvable              the test needs what this target does not give; never a skip
└── NotObserved              what was waited for did not happen in its time
"""

from __future__ import annotations


class Spec11Error(Exception):
    """Base of all deliberate failures of the prover. The message is one line for a person."""


class BadInput(Spec11Error):
    """What was given cannot be read as what it should be."""


class CannotJudge(Spec11Error):
    """The prover lacks something of its own, so neither GO nor NO_GO can be said."""


class JournalBroken(Spec11Error):
    """The journal refused a record: the disk, or another process, stands in the way."""


class TargetFailed(Spec11Error):
    """The system under test did not start, stop or answer as its description says."""


class NotProvable(Spec11Error):
    """The test needs something that this target does not give: its claims stay unproven."""


class NotObserved(Spec11Error):
    """What was waited for did not happen within its time."""
