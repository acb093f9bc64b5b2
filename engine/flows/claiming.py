"""When the durable engine asks its queues here: as the lookout says."""

from __future__ import annotations

from dbos import DBOS

from engine.background.queue_polling import Lookout, kept


def stand_before(durable: DBOS, lookout: Lookout) -> None:
    """From now on ``durable``, which runs, asks a queue only when it is due."""
    database = durable._sys_db  # noqa: SLF001  # there is no other way to be asked
    everywhere = database.dequeue_scopes

    def scopes(queue_name: str) -> list[str | None]:
        return everywhere(queue_name) if lookout.due(queue_name) else []

    database.dequeue_scopes = scopes  # type: ignore[method-assign]  # it always has work
    database.get_queue = kept(database.get_queue)  # type: ignore[method-assign]  # it never keeps
