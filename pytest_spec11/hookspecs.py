"""Hooks that a conftest file or another plugin may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest loads this module at every start; it stays light
    from collections.abc import Sequence

    from pytest_spec11.saboteurs.saboteur import Saboteur
    from pytest_spec11.target import Target


@pytest.hookspec(firstresult=True)
def pytest_spec11_target(config: pytest.Config) -> Target | None:
    """The system under test: how to start it and where it answers; None passes the question on.

    Asked at most once in each pytest process, after collection, and only when a selected test
    needs it. Implement it in the ``conftest.py`` of the root directory (or in a plugin): under
    xdist the controller, which collects nothing, starts what all workers share. With
    ``--spec11-base-url`` and its kin it is not asked: the named system is the target.
    """


@pytest.hookspec
def pytest_spec11_saboteurs(config: pytest.Config) -> Sequence[Saboteur]:  # type: ignore[empty-body]  # a specification
    """Faults that know the system under test; ids begin ``http.``, ``sql.``, ``proc.``, ``file.``.

    Asked only when a run is to be sabotaged, by ``spec11 sabotage`` or ``--spec11-saboteur``. The
    benign twins are there by themselves.
    """
