"""Every option of the plugin, declared once: a field is a flag, an ini key and a typed value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import pytest

T = TypeVar("T", str, int, float, bool)
Check = Callable[[Any], str]

SCOPES: Final = ("demo", "signoff", "live-smoke")


def option(default: T, help_: str, check: Check = lambda _: "") -> T:
    """A field with its help text; typed as its value, so that ``settings.x`` is typed.

    ``check`` says what is wrong with a value that has the right type; empty when nothing is.
    """
    metadata = {"help": help_, "type": type(default), "check": check}
    made: T = field(default=default, metadata=metadata)
    return made


def _url(value: str) -> str:
    parts = urlsplit(value)
    good = not value or (parts.scheme in {"http", "https"} and bool(parts.hostname))
    return "" if good else f"{value!r} is no http:// or https:// URL"


def _route(value: str) -> str:
    return "" if not value or value.startswith("/") else f"{value!r} is no route: it begins with /"


def _scope(value: str) -> str:
    return "" if value in SCOPES else f"{value!r} is none of {', '.join(SCOPES)}"


def _number(value: int) -> str:
    return "" if value >= 0 else f"{value} is no number of runs"


def _seconds(value: float) -> str:
    return "" if math.isfinite(value) and value > 0 else f"{value:g} is no number of seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A field is a flag (``--spec11-base-url``), an ini key (``spec11_base_url``) and a value."""

    base_url: str = option("", "Attach to this running system; do not start a target.", _url)
    app_dsn: str = option("", "Attached system: libpq DSN of the application schema, read only.")
    sys_dsn: str = option("", "Attached system: libpq DSN of the durable engine's schema.")
    app_version: str = option("", "Attached system: the version under test.")
    identity: str = option("", "Attached system: route and key, as /healthz#version.", _route)
    dir: str = option(".spec11", "Directory for bundles of evidence, one directory per run.")
    catalogue: str = option("", "File with the claims; empty: the catalogue of the package.")
    scope: str = option("demo", "Claim scope of this run: demo, signoff, live-smoke.", _scope)
    claims: str = option("", "Run only the tests of these claims: ids, separated by commas.")
    saboteur: str = option("", "Faults to put between prover and target: ids, by commas.")
    findings: bool = option(False, "Write how each test ended to sabotage.ndjson in the bundle.")  # noqa: FBT003  # a default, not a call for action
    shard: str = option("", "Name of this part of a run that is split over machines.")
    start_s: float = option(60.0, "Longest time until the target is ready, in seconds.", _seconds)
    keep: int = option(0, "Keep the evidence of this many newest runs; 0: keep all.", _number)
    keep_logs: bool = option(False, "Keep the logs of the processes even if every test passed.")  # noqa: FBT003  # a default, not a call for action
    timings: bool = option(False, "Print the phases of the run and the time of each.")  # noqa: FBT003  # as above

    @property
    def saboteurs(self) -> tuple[str, ...]:
        """The ids of the faults, in the order in which they stand between prover and target."""
        return words(self.saboteur)

    @property
    def is_attached(self) -> bool:
        """Whether a running system was named, so that the plugin starts no process."""
        return bool(self.base_url or self.app_dsn or self.sys_dsn)


def words(text: str) -> tuple[str, ...]:
    """The words between the commas of ``text``, without spaces and empty words."""
    return tuple(each.strip() for each in text.split(",") if each.strip())


def add_options(parser: pytest.Parser) -> None:
    """Register every field of :class:`Settings` as a flag and as an ini key."""
    group = parser.getgroup("spec11", "proof by observation")
    for item in fields(Settings):
        flag, meaning, kind = flag_of(item.name), item.metadata["help"], item.metadata["type"]
        if kind is bool:
            group.addoption(flag, action="store_const", const=True, default=None, help=meaning)
        else:
            group.addoption(flag, default=None, metavar="VALUE", help=meaning)
        parser.addini(ini_of(item.name), meaning, type=kind, default=item.default)


def flag_of(name: str) -> str:
    """The flag of a field."""
    return f"--spec11-{name.replace('_', '-')}"


def ini_of(name: str) -> str:
    """The ini key of a field."""
    return f"spec11_{name}"


def read_settings(config: pytest.Config) -> Settings:
    """The settings: a flag beats the ini file, which beats the default.

    Raises pytest.UsageError that names every value which is not what its field takes.
    """
    values: dict[str, Any] = {}
    faults: list[str] = []
    for item in fields(Settings):
        try:
            values[item.name] = _read(config, item.name, item.metadata)
        except (ValueError, pytest.UsageError) as error:
            faults.append(str(error))
    if faults:
        raise pytest.UsageError("; ".join(faults))
    return Settings(**values)


def _read(config: pytest.Config, name: str, metadata: Mapping[str, Any]) -> object:
    """The value of a field, of its type. Raises ValueError or UsageError that names its origin."""
    given = config.getoption(ini_of(name))
    origin = ini_of(name) if given is None else flag_of(name)
    raw = config.getini(ini_of(name)) if given is None else given
    try:
        value = metadata["type"](raw)
    except ValueError:
        raise ValueError(f"{origin}: {raw!r} is no {metadata['type'].__name__}") from None
    if fault := metadata["check"](value):
        raise ValueError(f"{origin}: {fault}")
    return value
