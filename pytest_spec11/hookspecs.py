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
    """The system under test: how to start it and where it answers. None: another plugin decides.

    The plugin calls it at most once in each pytest process, after collection, and only when a
    selected test needs it. Implement it in the ``conftest.py`` of the root directory (or in a
    plugin): under xdist the controller collects no tests, but starts what all workers share. The
    plugin does not call it if ``--spec11-base-url``, ``--spec11-app-dsn`` or
    ``--spec11-sys-dsn`` names a running system: that system is the target.
    """


@pytest.hookspec
def pytest_spec11_saboteurs(config: pytest.Config) -> Sequence[Saboteur]:  # type: ignore[empty-body]  # a specification
    """Saboteurs for this target; ids begin with ``http.``, ``sql.``, ``proc.`` or ``file.``.

    The plugin calls it only for a sabotaged run (``spec11 sabotage`` or ``--spec11-saboteur``). It
    adds the benign twins itself.
    """
