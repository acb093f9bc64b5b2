"""Every option of the plugin, declared once: a field is a flag, an ini key and a typed value."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TypeVar

import pytest

T = TypeVar("T", str, float, bool)

_TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
_FALSE_WORDS = frozenset({"0", "false", "no", "off", ""})


def option(default: T, help_: str) -> T:
    """A field with its help text; typed as its value, so that ``settings.x`` is typed."""
    made: T = field(default=default, metadata={"help": help_, "type": type(default)})
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A field is a flag (``--spec11-base-url``), an ini key (``spec11_base_url``) and a value."""

    base_url: str = option("", "Attach to this running system instead of starting the target.")
    app_dsn: str = option("", "Attached system: libpq DSN of the application schema, read only.")
    sys_dsn: str = option("", "Attached system: libpq DSN of the durable engine's schema.")
    dir: str = option(".spec11", "Where bundles of evidence are kept, one directory per run.")
    catalogue: str = option("", "File with the claims; empty: the catalogue of this package.")
    scope: str = option("", "Claim scope of this run: demo, signoff or live-smoke; empty: demo.")
    start_s: float = option(60.0, "Longest that one process of the target may take to be ready.")
    keep_logs: bool = option(False, "Keep the processes' logs also when every test passed.")  # noqa: FBT003  # a default, not a call for action
    timings: bool = option(False, "Print the phases of the run and what each took.")  # noqa: FBT003  # as above

    @property
    def attached(self) -> bool:
        """Whether a running system was named, so that the plugin starts no process."""
        return bool(self.base_url or self.app_dsn or self.sys_dsn)


def add_options(parser: pytest.Parser) -> None:
    """Register every field of :class:`Settings` as a flag and as an ini key."""
    group = parser.getgroup("spec11", "proof by observation")
    for item in fields(Settings):
        flag = f"--spec11-{item.name.replace('_', '-')}"
        meaning = item.metadata["help"]
        if item.metadata["type"] is bool:
            group.addoption(flag, action="store_const", const="true", default=None, help=meaning)
        else:
            group.addoption(flag, default=None, metavar="VALUE", help=meaning)
        parser.addini(f"spec11_{item.name}", meaning, type="string", default=str(item.default))


def read_settings(config: pytest.Config) -> Settings:
    """The settings: a flag beats the ini file, which beats the default.

    Raises pytest.UsageError that names every value which is not of its type.
    """
    values: dict[str, object] = {}
    faults: list[str] = []
    for item in fields(Settings):
        name = f"spec11_{item.name}"
        flag = config.getoption(name)
        try:
            values[item.name] = _typed(config.getini(name) if flag is None else flag, item.metadata)
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise pytest.UsageError("; ".join(faults))
    return Settings(**values)  # type: ignore[arg-type]  # each value was made by its own field's type


def _typed(raw: str, metadata: object) -> object:
    """``raw`` as the type its field declares. Raises ValueError."""
    kind = metadata["type"]  # type: ignore[index]  # dataclasses type metadata as a mapping of Any
    if kind is bool:
        return _truth(raw)
    return kind(raw)


def _truth(raw: str) -> bool:
    word = raw.strip().lower()
    if word in _TRUE_WORDS:
        return True
    if word in _FALSE_WORDS:
        return False
    raise ValueError(f"{raw!r} is neither true nor false")
