"""Private parts of the durable engine that we use: they are touched here, all but its records.

Records of our steps are in ``steps``, those of its own waits and children in ``checkpoints``.
It has no other way to be asked. Whoever raises its version reads this file against the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy
from dbos import DBOS
from dbos._core import ActiveWorkflowById
from dbos._utils import INTERNAL_QUEUE_NAME

INTERNAL: Final = INTERNAL_QUEUE_NAME
NEVER_S: Final = 365 * 24 * 3600.0
Ask = Callable[..., Any]


def count_executions_with(durable: DBOS, counter: ActiveWorkflowById) -> None:
    """``durable``, which has claimed nothing yet, asks ``counter`` what runs here."""
    durable._active_workflows_set = counter  # noqa: SLF001  # see above


def choose_partitions_with(
    durable: DBOS, choose: Callable[[str, Sequence[str]], list[str]]
) -> None:
    """``durable``, which runs, asks the partitions that ``choose`` returns of those that wait."""
    database = durable._sys_db  # noqa: SLF001  # see above
    find_all = database.get_queue_partitions

    def choose_some(queue_name: str) -> list[str]:
        return choose(queue_name, find_all(queue_name))

    database.get_queue_partitions = choose_some  # type: ignore[method-assign]  # see above


def poll_queues_when(durable: DBOS, wait_until_due: Callable[[str], bool]) -> None:
    """``durable``, which runs, asks a queue for work once ``wait_until_due`` returns true.

    It is called by the thread of the queue, which may sleep in it.
    """
    database = durable._sys_db  # noqa: SLF001  # see above
    find_scopes = database.dequeue_scopes

    def find_due_scopes(queue_name: str) -> list[str | None]:
        return find_scopes(queue_name) if wait_until_due(queue_name) else []

    database.dequeue_scopes = find_due_scopes  # type: ignore[method-assign]  # it always has work


def remember_queues_with(
    durable: DBOS, *, settings: Callable[[Ask], Ask], names: Callable[[Ask], Ask]
) -> None:
    """``durable``, which runs, learns the settings and the names of its queues through these."""
    database = durable._sys_db  # noqa: SLF001  # see above
    database.get_queue = settings(database.get_queue)  # type: ignore[method-assign]  # see above
    database.list_queues = names(database.list_queues)  # type: ignore[method-assign]  # see above


class WaitingReceivers:
    """The workflows of ``durable``, which runs, that wait for a message.

    They no longer look by themselves each minute: ten thousand of them would ask the database all
    the time. Somebody has to look for all of them whenever a notice may have been missed.
    """

    def __init__(self, durable: DBOS) -> None:
        self._database = durable._sys_db  # noqa: SLF001  # see above
        self._database._notification_fallback_polling_interval = NEVER_S  # noqa: SLF001  # see above

    def find_waiting(self) -> Mapping[str, str]:
        """The id of the workflow that waits, by the key of what it waits for."""
        entries = self._database.notifications_map.snapshot()
        return {key: workflow_id for key, (workflow_id, *_), _ in entries}

    def wake(self, key: str) -> None:
        """Whoever waits under the key looks for its message."""
        if signal := self._database.notifications_map.get(key):
            signal.set()

    def report_failed_looks(self, report: Callable[[], None]) -> None:
        """``report`` is called whenever a look may have failed for want of a connection.

        The first look of a workflow that begins to wait fails in silence.
        """
        report_lost_connections(self._database.engine, report)


def report_lost_connections(engine: sqlalchemy.Engine, report: Callable[[], None]) -> None:
    """``report`` is called by whichever thread loses a connection of ``engine``, or gets none."""

    @sqlalchemy.event.listens_for(engine, "handle_error")
    def see(context: sqlalchemy.engine.ExceptionContext) -> None:
        if context.is_disconnect or context.connection is None:
            report()
