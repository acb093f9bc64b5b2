"""Faults of the family ``proc.*``: other processes, other environments, signals that get lost."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from pytest_spec11.saboteurs.saboteur import Saboteur
from pytest_spec11.target import Process


class ProcSaboteur(Saboteur):
    """A fault in how processes are started, or in what they are sent.

    Override :meth:`process` or :meth:`lets`; call ``self.hit()`` when the fault took effect.
    """

    lasting: ClassVar[bool] = True


class ProcTwin(ProcSaboteur):
    """Every process is made anew and started as it was described."""

    @override
    def process(self, process: Process) -> Process:
        """The same."""
        self.hit()
        return process.using({})
