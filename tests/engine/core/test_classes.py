from __future__ import annotations

import pytest

from engine.core import results


@pytest.mark.parametrize("token", [each for told in results.SPOKEN.values() for each in told])
@pytest.mark.parametrize("around", ["x{}", "{}x", "_{}", "{}_", "1{}", "{}1", "é{}"])
def test_a_token_within_a_longer_one_says_nothing(token: str, around: str) -> None:
    within = {"killed process", "out of memory"}  # more than one word: no other class is in them
    expected = results.NONZERO
    if token not in within:
        assert results.classify_exit(1, around.format(token)) == expected


@pytest.mark.parametrize(
    ("code", "token"),
    [(code, each) for code, told in results.SPOKEN.items() for each in told],
)
@pytest.mark.parametrize("around", ["{}", "({})", "a: {}.", "{}-like", "\n{}\n"])
def test_a_whole_token_says_its_class_in_any_case(code: str, token: str, around: str) -> None:
    for text in (token, token.upper(), token.replace(" ", " \t ")):
        assert results.classify_exit(1, around.format(text)) == code


def test_a_command_that_succeeds_is_believed_whatever_it_says() -> None:
    assert results.classify_exit(0, "timeout: out of memory, network down") == "NONE"
