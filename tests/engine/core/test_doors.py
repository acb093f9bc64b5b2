from __future__ import annotations

import hmac
from hashlib import sha256

import pytest

from engine.core import doors as rules
from engine.core.doors import Role

SECRET, OLD = b"a-secret-of-the-sender", b"the-secret-before-that"
BODY = b'{"payload": {"choice": "yes"}}'
NOW_S = 1_800_000_000
KEYS = {
    Role.OPERATOR: (b"operator-token-number-1", b"operator-token-number-2"),
    Role.READER: (b"reader-token-number-one",),
}


def code(body: bytes = BODY, at_s: int = NOW_S, secret: bytes = SECRET) -> str:
    return hmac.new(secret, f"{at_s}.".encode() + body, sha256).hexdigest()


@pytest.mark.parametrize(
    ("token", "role"),
    [
        (b"operator-token-number-1", Role.OPERATOR),
        (b"operator-token-number-2", Role.OPERATOR),
        (b"reader-token-number-one", Role.READER),
        (b"reader-token-number-on", None),
        (b"reader-token-number-onE", None),
        (b"", None),
    ],
)
def test_a_token_proves_the_role_of_its_list(token: bytes, role: Role | None) -> None:
    assert rules.role_of(token, KEYS) is role


def test_a_token_of_two_lists_proves_nothing() -> None:
    assert rules.role_of(b"x" * 16, {Role.READER: [b"x" * 16], Role.OPERATOR: [b"x" * 16]}) is None


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        (["Bearer abc"], b"abc"),
        (["bearer   abc=="], b"abc=="),
        (["BEARER a.b_c~d+e/f-1 "], b"a.b_c~d+e/f-1"),
        ([], None),
        (["abc"], None),
        (["Basic abc"], None),
        (["Bearer"], None),
        (["Bearer "], None),
        (["Bearer a b"], None),
        (["Bearer \u00e4bc"], None),
        (["Bearer abc,def"], None),
        (["Bearer abc", "Bearer abc"], None),
    ],
)
def test_one_bearer_header_holds_one_token(headers: list[str], token: bytes | None) -> None:
    assert rules.bearer(headers) == token


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("x" * 15, "shorter than 16 characters"),
        ("", "not of letters"),
        ("with a space in the middle", "not of letters"),
        ("ümlaut-in-a-long-token", "not of letters"),
    ],
)
def test_a_weak_key_is_refused_and_not_quoted(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault) as refused:
        rules.require_key(text)

    assert not text or text not in str(refused.value)


def test_a_proof_covers_the_body_it_was_made_for() -> None:
    found = rules.proof([f"t={NOW_S},v1={code()}"])

    assert found is not None
    assert found.covers(BODY, [SECRET])
    assert not found.covers(BODY + b" ", [SECRET])
    assert not found.covers(BODY, [OLD])
    assert not found.covers(BODY, [])


def test_a_proof_is_of_its_moment() -> None:
    found = rules.proof([f"t={NOW_S + 1},v1={code()}"])

    assert found is not None
    assert not found.covers(BODY, [SECRET])


@pytest.mark.parametrize(
    ("skew_s", "fresh"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)]
)
def test_a_proof_counts_for_five_minutes_around_its_moment(skew_s: int, *, fresh: bool) -> None:
    found = rules.proof([f"t={NOW_S},v1={code()}"])

    assert found is not None
    assert found.is_fresh(NOW_S + skew_s) is fresh


def test_secrets_are_exchanged_one_by_one_at_either_end() -> None:
    both = rules.proof([f"t={NOW_S},v1={code(secret=OLD)},v1={code()}"])
    old = rules.proof([f"t={NOW_S},v1={code(secret=OLD)}"])

    assert both is not None
    assert old is not None
    assert both.covers(BODY, [SECRET])
    assert old.covers(BODY, [SECRET, OLD])


@pytest.mark.parametrize(
    "header",
    [
        "",
        code(),
        f"v1={code()}",
        f"t={NOW_S}",
        f"t={NOW_S},v1=",
        f"t={NOW_S},v1={code()[:-1]}",
        f"t={NOW_S},v1={code().upper()}",
        f"t={NOW_S}, v1={code()}",
        f"t=0{NOW_S},v1={code()}",
        f"t=-{NOW_S},v1={code()}",
        f"t={NOW_S},v0={code()}",
        f"t={NOW_S},v1={code()},",
        f"t={NOW_S}" + f",v1={code()}" * 9,
    ],
)
def test_what_is_not_written_like_a_proof_is_none(header: str) -> None:
    assert rules.proof([header]) is None


def test_two_proofs_are_none() -> None:
    assert rules.proof([f"t={NOW_S},v1={code()}"] * 2) is None


@pytest.mark.parametrize(
    ("host", "misnamed"),
    [
        ("localhost", False),
        ("localhost:3001", False),
        ("LocalHost:3001", False),
        ("localhost.", False),
        ("localhost..", True),
        ("127.0.0.1:3001", False),
        ("127.8.9.1", False),
        ("[::1]:3001", False),
        ("[::1]", False),
        ("localhost.example.org:3001", True),
        ("127.0.0.1.example.org", True),
        ("192.0.2.1:3001", True),
        ("0.0.0.0:3001", True),
        ("", True),
    ],
)
def test_only_loopback_is_this_machine_under_every_name_server(
    host: str, *, misnamed: bool
) -> None:
    assert rules.Caller([host], [], []).misnames is misnamed


def test_who_names_no_host_is_no_browser() -> None:
    assert not rules.Caller([], [], []).misnames


HOST = "localhost:3001"


@pytest.mark.parametrize(
    ("sites", "origins", "foreign"),
    [
        ([], [], False),
        (["same-origin"], [f"http://{HOST}"], False),
        (["none"], [], False),
        ([], [f"http://{HOST}"], False),
        (["cross-site"], [], True),
        (["same-site"], [], True),
        (["same-origin", "cross-site"], [], True),
        (["Same-Origin"], [], True),
        ([], ["http://localhost:3002"], True),
        ([], ["https://example.org"], True),
        ([], [f"http://{HOST}", "https://example.org"], True),
        ([], ["HTTP://LocalHost:3001"], False),
        ([], ["http://["], True),
        ([], ["http://[::1"], True),
        ([], ["null"], True),
        ([], [""], True),
    ],
)
def test_a_page_is_its_own_or_that_of_another(
    sites: list[str], origins: list[str], *, foreign: bool
) -> None:
    assert rules.Caller([HOST], sites, origins).is_foreign is foreign
