"""pytest's way in: hooks only, and light, because pytest loads it at every start."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from pytest_spec11 import hookspecs, opened_files, options

if TYPE_CHECKING:
    from collections.abc import Generator

_SESSION = "spec11-session"


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Register the hooks that a conftest or another plugin may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Flags ``--spec11-…`` and ini keys ``spec11_…``; orders are taken before any test is there."""
    options.add_options(parser)
    if _is_stdin_socket():
        from pytest_spec11.mutants import handover  # noqa: PLC0415  # few runs are handed anything

        handover.receive()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Hear from the first conftest on which files the tree's code reads."""
    opened_files.watch(early_config.rootpath)


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; load the heavy half if a target is named."""
    for number in range(16):
        config.addinivalue_line("markers", f"S{number:02}: proves claims of scenario S{number:02}")
    config.addinivalue_line("markers", "claim(id): proves this claim of the catalogue")
    settings = options.read_settings(config)
    if settings.is_attached or config.hook.pytest_spec11_target.get_hookimpls():
        _activate(config, settings)


def pytest_sessionstart(session: pytest.Session) -> None:
    """How each test ends is heard in every run: a run that is controlled looks like any other."""
    plugins = session.config.pluginmanager
    proof = plugins.getplugin(_SESSION)
    if proof is not None:
        from pytest_spec11.session.sabotaged_run import SabotagedRun  # noqa: PLC0415  # the heavy half

        plugins.register(SabotagedRun(proof, proof.take_orders()), "spec11-findings")


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(
    collector: pytest.Collector,
) -> Generator[None, object, object]:
    """Load the heavy half if a test names a claim; it checks the claims that tests name."""
    made = yield
    items = [each for each in _as_list(made) if isinstance(each, pytest.Item) and _is_marked(each)]
    if items:
        config = collector.config
        if not config.pluginmanager.hasplugin(_SESSION):
            _activate(config, options.read_settings(config))
        config.pluginmanager.getplugin(_SESSION).check(collector, items)
    return made


def _is_stdin_socket() -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(0).st_mode)
    except OSError:
        return False  # closed


def _as_list(made: object) -> list[object]:
    return made if isinstance(made, list) else [made]


def _is_marked(item: pytest.Item) -> bool:
    """Whether a test has a claim marker."""
    return any(
        name == "claim" or (len(name) == len("S00") and name[0] == "S" and name[1:].isdigit())
        for name in (mark.name for mark in item.iter_markers())
    )


def _activate(config: pytest.Config, settings: options.Settings) -> None:
    from pytest_spec11.session import assertion_hook  # noqa: PLC0415  # the heavy half
    from pytest_spec11.session.proof_session import ProofSession  # noqa: PLC0415  # the heavy half

    pytest.register_assert_rewrite("pytest_spec11.oracles.snapshot")
    assertion_hook.switch_on(config)
    proof = ProofSession(config, settings)
    config.pluginmanager.register(proof, _SESSION)
    if proof.is_controller:
        from pytest_spec11.session.xdist_controller import XdistController  # noqa: PLC0415  # xdist

        config.pluginmanager.register(XdistController(proof), "spec11-xdist")
    config.pluginmanager.import_plugin("pytest_spec11.fixtures")
