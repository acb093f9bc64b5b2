from __future__ import annotations

from typing import Any

import pytest

from engine.config import Config
from engine.core.queues import INTENT, TASKS, Limits, Rate
from engine.errors import Misconfigured


@pytest.mark.parametrize(
    ("given", "slots", "of_one", "of_one_everywhere"),
    [
        ({"at_once": 8}, 8, 7, None),
        ({"at_once": 1}, 1, 1, None),
        ({"at_once": 8, "partitioned": False}, 8, None, None),
        ({"at_once": 8, "of_one": 3}, 8, 3, None),
        ({"at_once": 8, "of_one": 20}, 8, 8, None),
        ({"at_once": 8, "everywhere": 6}, 6, 5, None),
        ({"at_once": 8, "everywhere": 6, "of_one_everywhere": 2}, 6, 2, 2),
        ({"at_once": 8, "everywhere": 3, "of_one_everywhere": 5}, 3, 2, 3),
    ],
)
def test_of_limits_that_contradict_the_smaller_counts(
    given: dict[str, Any], slots: int, of_one: int | None, of_one_everywhere: int | None
) -> None:
    limits = Limits(**{"partitioned": True, **given})

    assert (limits.slots, limits.slots_of_one) == (slots, of_one)
    assert limits.slots_of_one_everywhere == of_one_everywhere


def test_the_environment_says_what_each_queue_lets_start() -> None:
    env = {
        "INTENT_QUEUE_RATE_LIMIT_PER_PERIOD": "3",
        "SBX_QUEUE_PARTITION_RATE_LIMIT_PER_PERIOD": "4",
        "SBX_QUEUE_RATE_LIMIT_PERIOD_SEC": "5",
        "SBX_QUEUE_PARTITION_CONCURRENCY": "6",
    }

    limits = Config.from_env(env).limits

    assert limits == {
        INTENT: Limits(partitioned=True, at_once=16, rate=Rate(starts=3, period_s=60)),
        TASKS: Limits(
            partitioned=True,
            at_once=8,
            of_one_everywhere=6,
            rate_of_one=Rate(starts=4, period_s=5),
        ),
    }


@pytest.mark.parametrize("queue", ["INTENT", "SBX"])
def test_a_limit_of_one_partition_needs_partitions(queue: str) -> None:
    name = f"{queue}_QUEUE_PARTITION_RATE_LIMIT_PER_PERIOD"

    with pytest.raises(Misconfigured, match=f"{name} needs {queue}_QUEUE_PARTITION=true"):
        Config.from_env({name: "1", f"{queue}_QUEUE_PARTITION": "false"})
