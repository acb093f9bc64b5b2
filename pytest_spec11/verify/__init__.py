"""The verifier: checks offline, from its bytes alone, that a bundle is what was signed off.

It shares no module with the code that wrote or judged the bundle, because nobody would see a shared
error. It may import only ``errors``.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from pytest_spec11.errors import BadInput
from pytest_spec11.verify import store, trust
from pytest_spec11.verify.check import Check, Report
from pytest_spec11.verify.expectation import Expectation

__all__ = ["Expectation", "Report", "verify"]

_ANYTHING = Expectation()


def verify(path: Path, trusted: Path | None = None, expected: Expectation = _ANYTHING) -> Report:
    """The report on the bundle at ``path``; ``trusted`` is a policy whose keys must have signed.

    Without it the keys are those of the policy in the bundle. A release that is not the
    ``expected`` one, or not the one of ``trusted``, is NO_GO. Raises BadInput if ``path`` is not a
    bundle.
    """
    keys, asked = _load_policy(trusted)
    with store.open_store(path) as files:
        return Check(files, path.resolve().name, keys, (asked, expected)).report()


def _load_policy(path: Path | None) -> tuple[tuple[int, list[str]] | None, Expectation]:
    """Threshold and keys of a policy that the caller trusts, and the release that it asks for."""
    if path is None:
        return None, Expectation()
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        keys, asked = trust.read_keys(document), Expectation.of(document)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: {error}") from error
    if not keys[0]:
        raise BadInput(f"{path}: names no keys: there is no table signing")
    return keys, asked
