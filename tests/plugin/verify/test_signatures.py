"""A sign-off is signed by as many people as the policy says, and others' tools can read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format  # type: ignore[import-untyped]  # no types of their own
from in_toto_attestation.predicates.test_result.v0.test_result_pb2 import (  # type: ignore[import-untyped]  # as above
    TestResult as ResultMessage,
)
from in_toto_attestation.v1.statement import Statement  # type: ignore[import-untyped]  # as above
from in_toto_attestation.v1.statement_pb2 import (  # type: ignore[import-untyped]  # as above
    Statement as StatementMessage,
)
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer._key import Key, SSlibKey

from pytest_spec11.canon import canonical
from pytest_spec11.cli import main
from pytest_spec11.errors import BadInput
from pytest_spec11.evidence import archive, attestation
from pytest_spec11.requirements.policy import read
from pytest_spec11.verify import Expectation, Report, trust, verify
from tests.plugin.releases import Release

TWO = '[signing]\nthreshold = 2\nkeys = ["{}", "{}", "{}"]\n'


class Desk:
    """Three people with keys, and a release that two of them have to sign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = [folder / f"{name}.pem" for name in ("ann", "bob", "cid")]
        self.keys = [attestation.public(attestation.new_key(path)) for path in self.paths]
        self.policy = TWO.format(*self.keys)
        self.release = Release(folder / "bundle" / "r1", self.policy)
        self.signoff = self.release.sign_off()

    def sign(self, *people: int) -> None:
        for each in people:
            assert main(["sign", str(self.signoff), "--key", str(self.paths[each])]) == 0

    def verify_bundle(self, policy: Path | None = None) -> Report:
        return verify(self.folder / "bundle", policy)

    @property
    def envelope(self) -> Path:
        return self.signoff.with_name("signoff.dsse.json")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def codes(report: Report) -> set[str]:
    return {each.code for each in report.findings}


def test_two_different_people_make_it_go_and_one_twice_does_not(desk: Desk) -> None:
    assert codes(desk.verify_bundle()) == {"E-SIGNATURE"}
    desk.sign(0)
    desk.sign(0)
    assert desk.verify_bundle().findings[0].text == "1 of 2 demanded signatures"
    desk.sign(2)
    report = desk.verify_bundle()
    assert (report.verdict, report.findings) == ("GO", ())
    assert report.signers == tuple(sorted([desk.keys[0], desk.keys[2]]))


def test_a_stranger_signs_in_vain(desk: Desk) -> None:
    desk.sign(0)
    attestation.new_key(desk.folder / "eve.pem")
    assert main(["sign", str(desk.signoff), "--key", str(desk.folder / "eve.pem")]) == 0
    assert codes(desk.verify_bundle()) == {"E-SIGNATURE"}


def test_whoever_verifies_may_bring_the_keys_that_he_trusts(desk: Desk) -> None:
    desk.sign(0, 1)
    mine = desk.folder / "mine.toml"
    mine.write_text(f'[signing]\nthreshold = 1\nkeys = ["{desk.keys[2]}"]\n')
    assert codes(desk.verify_bundle(mine)) == {"E-SIGNATURE"}
    desk.sign(2)
    assert desk.verify_bundle(mine).verdict == "GO"
    mine.write_text("[signing]\nthreshold = 0\nkeys = []\n")
    assert main(["verify", str(desk.folder / "bundle"), "--policy", str(mine)]) == 3


def payload_of_another(desk: Desk) -> None:
    """What was signed is about another sign-off, whatever lies beside it."""
    other = Release(desk.folder / "other" / "r1", desk.policy)
    other.lane("policy", startedAt=other.stand.now_ms - 99_000)
    signoff = other.sign_off()
    for path in desk.paths:
        assert main(["sign", str(signoff), "--key", str(path)]) == 0
    desk.envelope.write_bytes(signoff.with_name("signoff.dsse.json").read_bytes())


def change_field(name: str, value: object) -> Callable[[Desk], None]:
    def change(desk: Desk) -> None:
        said = json.loads(desk.envelope.read_text())
        desk.envelope.write_text(json.dumps({**said, name: value}))

    return change


@pytest.mark.parametrize(
    "spoil",
    [
        payload_of_another,
        change_field("payload", "e30="),
        change_field("payload", 7),
        change_field("payloadType", "text/plain"),
        change_field("signatures", [{"sig": "AAAA"}, {"sig": "AAAA"}]),
        change_field("signatures", {}),
        lambda desk: desk.envelope.write_bytes(b"\xff"),
        lambda desk: desk.envelope.unlink(),
    ],
    ids=["another", "payload", "number", "type", "signatures", "table", "bytes", "none"],
)
def test_what_is_not_signed_by_them_is_no_go(spoil: Callable[[Desk], object], desk: Desk) -> None:
    desk.sign(0, 1)
    assert desk.verify_bundle().verdict == "GO"
    spoil(desk)
    report = desk.verify_bundle()
    assert (report.verdict, codes(report)) == ("NO_GO", {"E-SIGNATURE"})


def test_the_second_person_signs_the_file_that_came(desk: Desk) -> None:
    desk.sign(0)
    out = desk.folder / "release.spec11"
    words = ["export", str(desk.release.folder), "--signoff", str(desk.signoff), "--out", str(out)]
    assert main(words) == 0
    assert main(["verify", str(out)]) == 1
    assert main(["sign", str(out), "--key", str(desk.paths[1])]) == 0
    assert main(["verify", str(out)]) == 0
    assert archive.member(out, "signoff.json") == desk.signoff.read_bytes()
    assert main(["import", str(out), "--dir", str(desk.folder / "there")]) == 0
    assert verify(desk.folder / "there").verdict == "GO"


def test_others_verify_the_signatures_and_read_the_statement(desk: Desk) -> None:
    desk.sign(0, 1)
    envelope = Envelope.from_dict(json.loads(desk.envelope.read_text()))
    theirs: list[Key] = [
        SSlibKey(key, "ed25519", "ed25519", {"public": key}) for key in (desk.keys[0], desk.keys[1])
    ]
    assert set(envelope.verify(theirs, 2)) == {desk.keys[0], desk.keys[1]}
    stranger = SSlibKey(desk.keys[2], "ed25519", "ed25519", {"public": desk.keys[2]})
    with pytest.raises(VerificationError):
        envelope.verify([theirs[0], stranger], 2)

    said = json.loads(envelope.payload)
    Statement.copy_from_pb(json_format.Parse(envelope.payload, StatementMessage())).validate()
    json_format.ParseDict(said["predicate"], ResultMessage())  # refuses what it does not know
    assert said["_type"] == "https://in-toto.io/Statement/v1"
    assert said["subject"][0]["digest"] == {"gitTree": "x", "gitCommit": "x"}
    assert said["predicate"]["result"] == "PASSED"
    assert said["predicate"]["passedTests"] == ["S1.a", "S1.b"]


@pytest.mark.parametrize("content", [b"", b"no key", b"{}"])
def test_what_is_no_key_and_what_is_no_sign_off_is_bad_input(content: bytes, desk: Desk) -> None:
    garbage = desk.folder / "garbage"
    garbage.write_bytes(content)
    assert main(["sign", str(desk.signoff), "--key", str(garbage)]) == 3
    assert main(["sign", str(garbage), "--key", str(desk.paths[0])]) == 3
    assert main(["sign", "--new-key", str(desk.paths[0])]) == 3
    assert main(["sign", "--key", str(desk.paths[0])]) == 3
    assert desk.paths[0].stat().st_mode & 0o777 == 0o600


def test_a_reader_learns_what_was_released_and_says_what_is_expected(desk: Desk) -> None:
    desk.sign(0, 1)
    said = json.loads(desk.signoff.read_bytes())
    here = said["binding"]
    report = desk.verify_bundle()

    told = (report.commit, report.tree, report.app_version, report.scope, report.judged_at)
    assert told == (
        here["commit"], here["tree"], here["appVersion"], said["scope"], said["judgedAt"]
    )  # fmt: skip

    def expect(**wanted: Any) -> tuple[str, set[str]]:
        found = verify(desk.folder / "bundle", None, Expectation(**wanted))
        return found.verdict, codes(found)

    assert expect(commit=here["commit"], app_version=here["appVersion"]) == ("GO", set())
    assert expect(commit="f" * 40) == ("NO_GO", {"E-COMMIT"})
    assert expect(app_version="another") == ("NO_GO", {"E-APPVERSION"})
    assert expect(max_age_h=1e-9) == ("NO_GO", {"E-STALE"})


def test_the_command_names_the_release_and_refuses_another(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.sign(0, 1)
    here = json.loads(desk.signoff.read_bytes())["binding"]
    bundle = str(desk.folder / "bundle")
    capsys.readouterr()

    assert main(["verify", bundle, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["commit"], said["app_version"]) == (here["commit"], here["appVersion"])
    assert main(["verify", bundle, "--app-version", "2.0.0", "--max-age-h", "24"]) == 1
    told = capsys.readouterr().out
    assert f"commit {here['commit']}, tree {here['tree']}" in told
    assert "E-APPVERSION" in told


WEAK = (0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18, 2**255 - 1)


@pytest.mark.parametrize("place", WEAK, ids=str)
@pytest.mark.parametrize("sign", [0, 1 << 255], ids=["even", "odd"])
def test_a_key_under_which_everybody_signs_is_refused_by_both(
    tmp_path: Path, place: int, sign: int
) -> None:
    key = (place | sign).to_bytes(32, "little").hex()
    path = tmp_path / "spec11.toml"
    path.write_text(f'[signing]\nthreshold = 1\nkeys = ["{key}"]\n')

    with pytest.raises(BadInput, match="everybody can sign"):
        read(path.read_bytes())
    with pytest.raises(BadInput, match="everybody can sign"):
        verify(tmp_path, path)


def test_a_point_of_order_eight_is_refused_by_both() -> None:
    for text in (
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    ):
        assert trust.is_weak(text)
        with pytest.raises(BadInput, match="everybody can sign"):
            read(f'[signing]\nthreshold = 1\nkeys = ["{text}"]\n'.encode())


LOOSE: dict[str, tuple[str, str, Callable[[str], str]]] = {
    "upper case": ("threshold = 2", "threshold = 2", str.upper),
    "a text": ("threshold = 2", 'threshold = "2"', str),
    "a fraction": ("threshold = 2", "threshold = 2.0", str),
    "a flag": ("threshold = 2", "threshold = true", str),
    "another key": ("threshold = 2", "threshold = 2\nmood = 1", str),
}


@pytest.mark.parametrize("name", LOOSE)
def test_a_policy_is_read_as_strictly_by_the_verifier(desk: Desk, name: str) -> None:
    old, new, spell = LOOSE[name]
    keys = [spell(key) for key in desk.keys]
    path = desk.folder / "loose.toml"
    path.write_text(TWO.format(*keys).replace(old, new))

    with pytest.raises(BadInput):
        desk.verify_bundle(path)
    with pytest.raises(BadInput):
        read(path.read_bytes())


@pytest.mark.parametrize(
    ("asked", "code"),
    [('app_version = "2.0.0"', "E-APPVERSION"), ('mandatory = ["S9.other"]', "E-POLICY")],
)
def test_a_policy_of_another_release_is_no_go(desk: Desk, asked: str, code: str) -> None:
    desk.sign(0, 1)
    path = desk.folder / "another.toml"
    path.write_text(f"[release]\n{asked}\n{desk.policy}")

    assert codes(desk.verify_bundle(path)) == {code}


def test_one_person_under_two_spellings_does_not_count_twice(desk: Desk) -> None:
    desk.sign(0)
    path = desk.folder / "twice.toml"
    path.write_text(TWO.format(desk.keys[0], desk.keys[0].upper(), desk.keys[1]))

    with pytest.raises(BadInput, match="64 lower-case hex digits"):
        desk.verify_bundle(path)


def test_the_first_digits_of_a_commit_name_it_when_there_are_seven() -> None:
    said = {"binding": {"commit": "0123456789" * 4, "appVersion": "v"}, "judgedAt": 0}

    told = [[*Expectation(commit=each).disagreements(said)] for each in ("0123456", "012345", "1")]

    assert [len(each) for each in told] == [0, 1, 1]


STATEMENTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "another predicate": lambda said: said.update(predicateType="https://example.org/other/v1"),
    "a claim less": lambda said: said["predicate"]["passedTests"].pop(),
    "a failure more": lambda said: said["predicate"]["failedTests"].append("S1.a"),
    "no list": lambda said: said["predicate"].pop("passedTests"),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_of_other_claims_is_no_signature_under_this_one(desk: Desk, name: str) -> None:
    content = desk.signoff.read_bytes()
    said = json.loads(attestation.statement(json.loads(content), content))
    STATEMENTS[name](said)
    ann, bob = map(attestation.load_key, desk.paths[:2])
    first = attestation.open_envelope(attestation.sign_payload(canonical(said), None, ann))
    desk.envelope.write_bytes(attestation.sign_payload(canonical(said), first, bob))

    assert codes(desk.verify_bundle()) == {"E-SIGNATURE"}


ENVELOPES: dict[str, Callable[[str], str]] = {
    "a part twice": lambda text: text.replace("{", '{"payloadType":"x",', 1),
    "a part more": lambda text: text.replace("{", '{"more":1,', 1),
    "a signature with more": lambda text: text.replace('{"keyid"', '{"more":1,"keyid"', 1),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_an_envelope_has_its_parts_once_and_no_others(desk: Desk, name: str) -> None:
    desk.sign(0, 1)
    desk.envelope.write_text(ENVELOPES[name](desk.envelope.read_text()))

    assert codes(desk.verify_bundle()) == {"E-SIGNATURE"}
