"""One mutant: which reading of which test it changes, where in it, and how."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Final

_VARYING: Final = re.compile(r"[^\s/&=?,;:'\"()\[\]]*\d[^\s/&=?,;:'\"()\[\]]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A change of one reading, addressed without anything that differs from run to run.

    ``shape`` is what was read, its numbers and ids left out; ``nth`` says which of the readings of
    that shape, None: each of them. ``field`` names the place for a person.
    """

    source: str
    shape: str
    nth: int | None
    path: tuple[str | int, ...]
    operator: str
    field: str
    value: Any = None
    proves: bool = True  # False: a test that looks at types alone would see it, too

    @property
    def words(self) -> str:
        """What it does, for a person."""
        which = "" if self.nth is None else f", reading {self.nth + 1}"
        how = f"set to {self.value}" if self.operator == "set" else self.operator
        return f"{self.shape}{which}: {self.field} {how}"

    def to_json(self) -> dict[str, Any]:
        """The mutant as it is handed over."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Mutant:
        """The mutant that :meth:`to_json` gave."""
        return cls(**{**data, "path": tuple(data["path"])})


def find_shape(ref: str) -> str:
    """What an observation read, without the numbers and ids that each run makes anew."""
    return _VARYING.sub("*", ref)
