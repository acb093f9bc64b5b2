"""From a checkout to GO: the way of a team whose system keeps every claim."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata

from tests.plugin.team import Team

BASIS = (
    "GO for the release: 3 of 3 needed claims proven; never seen red: none; "
    "weaker than the merge base: none; plugins besides pytest: "
)
DEMO = "the scope demo is never GO (claim_scope_demo)"


def test_a_committed_tree_with_every_claim_proven_is_go(team: Callable[..., Team]) -> None:
    ours = team()
    ours.commit()

    found = ours.run("--spec11-scope", "signoff")

    near = ours.bundle.relative_to(ours.path)
    assert found.status == 0
    assert found.summary == [
        "S00  2 of 2 claims proven: It is there",
        "S01  1 of 1 claims proven: It takes orders",
        "NO_GO for the release: no claim was tried under mutants (E-WEAK-ORACLE)",
        f"evidence: {near}",
        f"next: spec11 sabotage --green {near}",
    ]
    assert ours.gate().status == 1
    assert ours.sabotage("--green", str(near)).status == 0
    said = ours.gate()
    assert said.status == 0
    _, _, plugins = " ".join(said.out.split()).partition(BASIS)
    assert f"pytest-xdist {metadata.version('pytest-xdist')}" in plugins.split(", ")
    assert ours.verdict()["claims"] == dict.fromkeys(
        ("S00.answers", "S00.lives", "S01.takes-orders"), "PASS"
    )


def test_a_slice_says_what_it_proves_and_that_it_is_no_release(team: Callable[..., Team]) -> None:
    ours = team()
    ours.commit()

    found = ours.run("-m", "S00")

    assert found.status == 0
    assert found.summary == [
        "S00  2 of 2 claims proven: It is there",
        "not run: S01 (1 claim)",
        f"NO_GO for the release: 1 of 3 needed claims unproven; {DEMO}",
        f"evidence: {ours.bundle.relative_to(ours.path)}",
        "next: pytest --spec11-scope signoff",
    ]
    assert ours.reasons(scope="demo") == {
        "demo": ["claim_scope_demo"],
        "S01.takes-orders": ["E-DESELECTED"],
    }


def test_the_same_suite_outside_of_git_is_bound_to_no_commit(team: Callable[..., Team]) -> None:
    ours = team()

    found = ours.run("--spec11-scope", "signoff")

    assert found.status == 0
    assert "no commit" in " ".join(found.summary)
    found_codes = {code for codes in ours.reasons().values() for code in codes}
    assert found_codes == {"E-BINDING", "E-WEAK-ORACLE"}
