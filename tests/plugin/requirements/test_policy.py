"""A policy asks for more and never for less, and what it once asked for is remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_spec11.errors import BadInput
from pytest_spec11.requirements import catalogue, policy
from pytest_spec11.requirements.policy import Policy
from pytest_spec11.verdict import weakenings
from tests.plugin.judge.catalogues import DOCUMENT, STRICT
from tests.plugin.judge.test_gate import git

KEY, OTHER = "a" * 64, "b" * 64
WHOLE = f"""
[release]
app_version = "v1.2+3"
mandatory = ["S2.live"]
max_age_h = 12
clock_skew_s = 60
shards = ["one", "two"]

[signing]
threshold = 2
keys = ["{KEY}", "{OTHER}"]

[thresholds.p99_ms]
max = 300
[thresholds.rate]
min = 0.6
"""


def test_a_policy_is_read_whole() -> None:
    found = policy.read(WHOLE.encode())
    assert (found.app_version, found.mandatory) == ("v1.2+3", ("S2.live",))
    assert (found.max_age_h, found.clock_skew_s) == (12, 60)
    assert (found.shards, found.threshold, found.keys) == (("one", "two"), 2, (KEY, OTHER))
    assert found.thresholds["p99_ms"] == {"max": 300}
    assert policy.read(WHOLE.encode()).digest == found.digest != Policy().digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[waivers]\nS02 = 'later'", "there are no waivers"),
        ("[release]\nwaive = ['S02.x']", "there are no waivers"),
        ("[release]\nallow_flaky = true", "there are no waivers"),
        ("[thresholds.p99_ms]\nmax = 1\nskip_on_fridays = 1", "there are no waivers"),
        ("[release]\nmax_age_h = 25", "at most 24"),
        ("[release]\nmax_age_h = nan", "at most 24"),
        ("[release]\nmax_age_h = true", "at most 24"),
        ("[release]\nclock_skew_s = 121", "at most 120"),
        ("[release]\nclock_skew_s = 0", "at most 120"),
        ("[release]\nshards = ['a', 'a']", "different names"),
        ("[release]\nmandatory = 'S02'", "different names"),
        ("[release]\nrehearsal = 1", "true or false"),
        ("[release]\napp_version = 1", "is not a version"),
        ("[release]\napp_version = ''", "is not a version"),
        ("[release]\nmood = 'good'", "no such key"),
        ("[mood]\ngood = 1", "no such table"),
        ("release = 1", "not a table"),
        ("[signing]\nthreshold = 2\nkeys = []", "at least that many keys"),
        (f"[signing]\nthreshold = 0\nkeys = ['{KEY}']", "above 0"),
        (f"[signing]\nthreshold = 1\nkeys = ['{KEY}', '{KEY}']", "different keys"),
        ("[signing]\nthreshold = 1\nkeys = ['abc']", "64 lower-case hex digits"),
        ("[thresholds]\np99_ms = 300", "max, min or both"),
        ("[thresholds.p99_ms]\nmax = inf", "max, min or both"),
        ("[release", "policy spec11.toml"),
        ("x = '" + "y" * (1 << 20) + "'", "larger than"),
    ],
)
def test_what_is_no_policy_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said) as caught:
        policy.read(text.encode())
    assert "\n" not in str(caught.value) or text == "[release"


def test_every_weakening_is_listed() -> None:
    new = (
        f"[signing]\nthreshold = 1\nkeys = ['{KEY}', '{'c' * 64}']\n[thresholds.p99_ms]\nmax = 301"
    )
    assert list(
        weakenings.compare_policies(policy.read(WHOLE.encode()), policy.read(new.encode()))
    ) == [
        "policy: S2.live is no longer asked for",
        "policy: shard one is no longer asked for",
        "policy: shard two is no longer asked for",
        "policy: max_age_h went from 12 to 24",
        "policy: clock_skew_s went from 60 to 120",
        "policy: threshold of signatures went from 2 to 1",
        f"policy: key {'c' * 12} may sign now",
        "policy: max of p99_ms went from 300 to 301",
        "policy: rate has no min any more",
    ]
    assert list(
        weakenings.compare_policies(policy.read(new.encode()), policy.read(WHOLE.encode()))
    ) == ["policy: key bbbbbbbbbbbb may sign now"]


def test_a_catalogue_that_asks_less_is_listed() -> None:
    old, new = catalogue.parse_catalogue(STRICT), catalogue.parse_catalogue(DOCUMENT)
    assert list(weakenings.compare_catalogues(old, old)) == []
    assert list(weakenings.compare_catalogues(old, new)) == [
        "catalogue: S1.a has no saboteurs http.lie, sql.lie any more",
        "catalogue: S1.b has no saboteurs http.lie any more",
        "catalogue: lane check is no longer asked for",
        "catalogue: lane full is no longer asked for",
        "catalogue: lane policy is no longer asked for",
        "catalogue: lane quick is no longer asked for",
        "catalogue: posture strict is asked for less",
        "catalogue: posture oc is asked for less",
        "catalogue: proof-strength needs no kill matrix any more",
    ]


def test_what_a_branch_asks_less_than_its_merge_base_is_listed(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "spec11.toml").write_text("[release]\nmax_age_h = 1\n")
    test = '@pytest.mark.claim("S1.a")\ndef test_a(): ...\n'
    (tmp_path / "test_a.py").write_text(test * 2)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    known = catalogue.load()
    assert weakenings.measure(tmp_path, None, known, Policy()) == weakenings.Weakenings("", ())
    git(tmp_path, "checkout", "-qb", "branch")
    (tmp_path / "spec11.toml").unlink()
    (tmp_path / "test_a.py").write_text(test)
    git(tmp_path, "commit", "-qam", "second")
    found = weakenings.measure(tmp_path, None, known, Policy())
    assert len(found.base) == 40
    assert found.sentences == (
        "policy: max_age_h went from 1 to 24",
        'tests: claim("S1.a") marks 1 fewer',
    )
