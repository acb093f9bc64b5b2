"""pytest's way in: hooks only, and light, because pytest loads it at every start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_spec11 import hookspecs, options

if TYPE_CHECKING:
    from collections.abc import Generator

_SESSION = "spec11-session"


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """The hooks that others may implement."""
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Flags ``--spec11-…`` and ini keys ``spec11_…``."""
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Markers are known; the heavy half is there when a target is."""
    for number in range(16):
        config.addinivalue_line("markers", f"S{number:02}: proves claims of scenario S{number:02}")
    config.addinivalue_line("markers", "claim(id): proves this claim of the catalogue")
    settings = options.read_settings(config)
    if settings.attached or config.hook.pytest_spec11_target.get_hookimpls():
        _activate(config, settings)


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem(
    collector: pytest.Collector, obj: object
) -> Generator[None, object, object]:
    """A test that names a claim wakes the heavy half, which checks what it names."""
    if _is_idle(collector.config) and _is_marked(collector, obj):
        _activate(collector.config, options.read_settings(collector.config))
    made = yield
    if not _is_idle(collector.config):
        items = made if isinstance(made, list) else [made]
        collector.config.pluginmanager.getplugin(_SESSION).check(collector, items)
    return made


def _is_idle(config: pytest.Config) -> bool:
    """Whether nothing in this run has asked for the plugin so far."""
    return not config.pluginmanager.hasplugin(_SESSION)


def _is_marked(collector: pytest.Collector, obj: object) -> bool:
    marks = [*getattr(obj, "pytestmark", ()), *collector.iter_markers()]
    names = {getattr(mark, "name", "") for mark in marks}
    return any(name == "claim" or (name[:1] == "S" and name[1:].isdigit()) for name in names)


def _activate(config: pytest.Config, settings: options.Settings) -> None:
    from pytest_spec11 import hearing  # noqa: PLC0415  # the heavy half
    from pytest_spec11.session import ProofSession  # noqa: PLC0415  # the heavy half

    pytest.register_assert_rewrite("pytest_spec11.oracles.snapshot")
    hearing.switch_on(config)
    config.pluginmanager.register(ProofSession(config, settings), _SESSION)
    config.pluginmanager.import_plugin("pytest_spec11.fixtures")
