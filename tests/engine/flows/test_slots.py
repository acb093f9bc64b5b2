from __future__ import annotations

import pytest

from engine.core.queues import INTENT, Limits
from engine.flows.slots import Slots

LIMITS = {INTENT: Limits(partitioned=True, at_once=4)}


def room(slots: Slots, tenant: str) -> int:
    """How many more of the tenant the durable engine would claim now."""
    limits = LIMITS[INTENT]
    assert limits.slots_of_one is not None
    of_all = limits.slots - slots.count_for_queue(INTENT)
    return min(of_all, limits.slots_of_one - slots.count_for_partition(INTENT, tenant))


def name_claimers(slots: Slots, waiting: str, of_new: int = 1) -> str:
    """Who gets slots in one look; ``n`` wants ``of_new``, all others any number."""
    got = ""
    for tenant in slots.due(INTENT, waiting):
        most = min(room(slots, tenant), of_new if tenant == "n" else 99)
        for _ in range(most):
            slots.add(f"run {len(got)} {slots.activeList()}", INTENT, tenant)
            got += tenant
    return got


def test_one_alone_takes_all_slots_but_one() -> None:
    slots = Slots(LIMITS)

    assert [name_claimers(slots, "a"), name_claimers(slots, "a"), name_claimers(slots, "b")] == [
        "aaa",
        "",
        "b",
    ]


def test_free_slots_are_shared_and_who_was_asked_longest_ago_is_next() -> None:
    slots = Slots(LIMITS)

    assert [name_claimers(slots, "abcdef"), name_claimers(slots, "abcdef")] == ["abcd", ""]
    slots.leave(slots.activeList()[0])
    assert name_claimers(slots, "abcdef") == "e"
    for number, tenant in enumerate("fnab", 1):
        slots.leave(slots.activeList()[number])
        assert name_claimers(slots, "abcdefn") == tenant


@pytest.mark.parametrize(("holders", "next_one"), [("aab", "n"), ("aabc", "")])
def test_the_last_slot_is_for_a_tenant_that_has_none(holders: str, next_one: str) -> None:
    slots = Slots(LIMITS)
    for number, tenant in enumerate(holders):
        slots.add(f"run {number}", INTENT, tenant)

    assert name_claimers(slots, "a") == ""
    assert name_claimers(slots, "an") == next_one


def test_who_waits_holds_no_slot_and_needs_none_to_end() -> None:
    slots = Slots(LIMITS)
    entries = [slots.add(f"run {number}", INTENT, "a") for number in range(3)]

    slots.leave("run 1")

    assert slots.count_for_queue(INTENT) == 2
    assert slots.activeList() == ["run 0", "run 1", "run 2"]
    for entry in entries:
        entry.release()
    assert (slots.count_for_queue(INTENT), slots.activeList()) == (0, [])


def test_an_execution_that_is_claimed_again_while_its_old_one_waits_holds_a_slot() -> None:
    slots = Slots(LIMITS)
    old = slots.add("run", INTENT, "a")
    slots.leave("run")

    new = slots.add("run", INTENT, "a")
    old.release()

    assert slots.count_for_queue(INTENT) == 1
    new.release()
    assert slots.activeList() == []
