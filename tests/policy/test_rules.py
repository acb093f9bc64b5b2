"""Every rule holds for these sources, and every rule has been seen to find its breach."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from pathlib import Path

import pytest

from tests.policy.rules import RULES, Rule, scan

ROOT = Path(__file__).parents[2]
each_rule = pytest.mark.parametrize("rule", RULES, ids=attrgetter("name"))


@each_rule
def test_the_sources_keep_the_rule(rule: Rule) -> None:
    assert scan(ROOT, rule) == []


@each_rule
def test_a_breach_anywhere_below_a_root_is_found(rule: Rule, tmp_path: Path) -> None:
    for name in rule.roots:
        place = tmp_path / name / "deep"
        place.mkdir(parents=True)
        (place / "sound.py").write_text("VALUE = 1\n")
    assert scan(tmp_path, rule) == []

    for name in rule.roots:
        planted = tmp_path / name / "deep/planted.py"
        planted.write_text(rule.broken)
        [found] = scan(tmp_path, rule)
        assert found.startswith(f"{name}/deep/planted.py:")
        planted.unlink()


@each_rule
def test_a_root_without_sources_is_a_finding(rule: Rule, tmp_path: Path) -> None:
    assert scan(tmp_path, rule) == [f"{name}:0 nothing to read there" for name in rule.roots]


@each_rule
def test_who_may_is_there_and_does(rule: Rule) -> None:
    used = {line.partition(":")[0] for line in scan(ROOT, replace(rule, but=()))}

    assert used == {*rule.but}
