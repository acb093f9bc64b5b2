"""Names of functions say verb and object."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.policy.names import PACKAGES, is_bare_participle, participles

ROOT = Path(__file__).parents[2]


def test_no_function_is_named_by_a_bare_participle() -> None:
    assert [*participles(ROOT)] == []


@pytest.mark.parametrize("name", ["told", "ended", "taken_back", "looked_up", "kept"])
def test_a_bare_participle_is_recognised(name: str) -> None:
    assert is_bare_participle(name)


@pytest.mark.parametrize(
    "name", ["mark_ended", "tell", "read", "seed", "named_inputs", "is_kept", "find", "taken_ms"]
)
def test_a_verb_or_a_noun_is_no_bare_participle(name: str) -> None:
    assert not is_bare_participle(name)


def test_a_new_function_of_such_a_name_is_found(tmp_path: Path) -> None:
    source = "class A:\n    @property\n    def told(self): ...\n\n    def kept(self): ...\n"
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "planted.py").write_text(source, encoding="utf-8")

    assert [*participles(tmp_path)] == [("kept", f"{package}/planted.py:5") for package in PACKAGES]
