"""Faults of the family ``proc.*``: other processes, other environments, lost signals."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from pytest_spec11.saboteurs.saboteur import Saboteur
from pytest_spec11.target import Process


class ProcSaboteur(Saboteur):
    """A fault in the start of processes, or in signals to them.

    Override :meth:`process` or :meth:`lets`; call ``self.hit()`` when the fault took effect.
    """

    lasting: ClassVar[bool] = True


class ProcTwin(ProcSaboteur):
    """Copies every process description and starts it unchanged."""

    @override
    def process(self, process: Process) -> Process:
        """The same."""
        self.hit()
        return process.using({})
