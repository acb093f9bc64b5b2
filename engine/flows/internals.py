"""The private parts of the durable engine that we use, except its records.

``steps`` has the records of our steps, ``checkpoints`` those of its own waits and children. It has
no public way for this. Compare this file with a new version before you raise the version.
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
    """Let ``durable`` ask ``counter`` what runs here. Call it before the first claim."""
    durable._active_workflows_set = counter  # noqa: SLF001  # see above


def choose_partitions_with(
    durable: DBOS, choose: Callable[[str, Sequence[str]], list[str]]
) -> None:
    """Let the running ``durable`` claim from the partitions that ``choose`` returns."""
    database = durable._sys_db  # noqa: SLF001  # see above
    find_all = database.get_queue_partitions

    def choose_some(queue_name: str) -> list[str]:
        return choose(queue_name, find_all(queue_name))

    database.get_queue_partitions = choose_some  # type: ignore[method-assign]  # see above


def poll_queues_when(durable: DBOS, wait_until_due: Callable[[str], bool]) -> None:
    """Let the running ``durable`` claim from a queue when ``wait_until_due`` returns true.

    The queue's thread calls it and may sleep in it.
    """
    database = durable._sys_db  # noqa: SLF001  # see above
    find_scopes = database.dequeue_scopes

    def find_due_scopes(queue_name: str) -> list[str | None]:
        return find_scopes(queue_name) if wait_until_due(queue_name) else []

    database.dequeue_scopes = find_due_scopes  # type: ignore[method-assign]  # it always has work


def remember_queues_with(
    durable: DBOS, *, settings: Callable[[Ask], Ask], names: Callable[[Ask], Ask]
) -> None:
    """Let the running ``durable`` read the settings and names of its queues through these."""
    database = durable._sys_db  # noqa: SLF001  # see above
    database.get_queue = settings(database.get_queue)  # type: ignore[method-assign]  # see above
    database.list_queues = names(database.list_queues)  # type: ignore[method-assign]  # see above


class WaitingReceivers:
    """The workflows of the running ``durable`` that wait for a message.

    They do not look each minute by themselves, because ten thousand of them would ask the database
    all the time. So the engine must look for all of them whenever a notice may be lost.
    """

    def __init__(self, durable: DBOS) -> None:
        self._database = durable._sys_db  # noqa: SLF001  # see above
        self._database._notification_fallback_polling_interval = NEVER_S  # noqa: SLF001  # see above

    def find_waiting(self) -> Mapping[str, str]:
        """The ids of waiting workflows, by the key of the awaited message."""
        entries = self._database.notifications_map.snapshot()
        return {key: workflow_id for key, (workflow_id, *_), _ in entries}

    def wake(self, key: str) -> None:
        """Let the workflow that waits under the key look for its message."""
        if signal := self._database.notifications_map.get(key):
            signal.set()

    def report_failed_looks(self, report: Callable[[], None]) -> None:
        """Call ``report`` whenever a look may have failed because there was no connection.

        The first look of a workflow that begins to wait reports no failure itself.
        """
        report_lost_connections(self._database.engine, report)


def report_lost_connections(engine: sqlalchemy.Engine, report: Callable[[], None]) -> None:
    """Let each thread call ``report`` when it loses a connection of ``engine`` or gets none."""

    @sqlalchemy.event.listens_for(engine, "handle_error")
    def see(context: sqlalchemy.engine.ExceptionContext) -> None:
        if context.is_disconnect or context.connection is None:
            report()
