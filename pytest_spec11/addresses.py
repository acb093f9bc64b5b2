"""The addresses of a stack, as a value that another process can read from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pytest_spec11.target import Target, describe_attached, fill_placeholders

Values = dict[tuple[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Everything that an oracle needs. An empty string or a missing entry: there is none."""

    base_url: str = ""
    app_dsn: str = ""
    sys_dsn: str = ""
    pids: Mapping[str, int] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)

    def dumps(self) -> str:
        """One JSON object; :meth:`loads` reads it back."""
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Address:
        """The address that :meth:`dumps` wrote."""
        return cls(**json.loads(text))


def address_of(
    target: Target, values: Values, pids: Mapping[str, int], logs: Mapping[str, Path]
) -> Address:
    """The target's addresses with ``values`` filled in; an address without value is empty."""
    return Address(
        base_url=_fill_known(target.base_url, values),
        app_dsn=_fill_known(target.app_dsn, values),
        sys_dsn=_fill_known(target.sys_dsn, values),
        pids=dict(pids),
        logs={name: str(path) for name, path in logs.items()},
    )


def attached_address(base_url: str, app_dsn: str, sys_dsn: str) -> Address:
    """The addresses of a system that somebody else started."""
    return address_of(describe_attached(base_url, app_dsn, sys_dsn), {}, {}, {})


def _fill_known(text: str, values: Values) -> str:
    try:
        return fill_placeholders(text, values)
    except KeyError:
        return ""
