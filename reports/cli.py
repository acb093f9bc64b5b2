"""``spec11 report``: documents from bundles: a page for people, files for CI."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from pytest_spec11.errors import BadInput
from pytest_spec11.verdict import question
from pytest_spec11.verdict.question import Question
from reports import allure, ctrf, junit, markdown, sarif
from reports.dossier import Dossier


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "replace") + b"\n"


def _page(dossier: Dossier) -> bytes:
    """The page. Raises BadInput where what it is made with is not installed."""
    try:
        from reports import html  # noqa: PLC0415  # only a page needs it
    except ModuleNotFoundError as error:
        raise BadInput(f"a page needs {error.name}: pip install pytest-spec11[report]") from error
    return html.page(dossier).encode("utf-8", "replace")


# Option, what it writes, and how.
FILES: Final[tuple[tuple[str, str, Callable[[Dossier], bytes]], ...]] = (
    ("html", "one self-contained page", _page),
    ("junit", "JUnit XML", junit.document),
    ("ctrf", "CTRF JSON", lambda d: _json(ctrf.document(d))),
    ("sarif", "SARIF 2.1.0", lambda d: _json(sarif.document(d))),
    ("summary", "Markdown for a CI step", lambda d: markdown.text(d).encode("utf-8", "replace")),
)


def add(commands: Any) -> None:
    """Declare the command and its options."""
    made = commands.add_parser(
        "report", help="write a page, or files for CI, from bundles", allow_abbrev=False
    )
    question.add_options(made)
    for name, meaning, _ in FILES:
        made.add_argument(f"--{name}", type=Path, metavar="FILE", help=meaning)
    made.add_argument("--allure", type=Path, metavar="DIR", help="Allure results")
    made.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """0 when everything is written; what the verdict is, is the gate's exit status."""
    _remove_older(arguments)
    dossier = Dossier.of(Question.of(arguments))
    written = [*_write_reports(arguments, dossier)]
    if not written:
        written = [_write(_default(arguments), _page(dossier))]
    verdict = "GO" if dossier.go else "NO_GO"
    print(f"{verdict}: {', '.join(map(str, written))}")
    return 0


def _remove_older(arguments: argparse.Namespace) -> None:
    """Remove older reports: none may survive a call that gives no verdict."""
    given = [path for name, *_ in FILES if (path := getattr(arguments, name))]
    try:
        found = given if given or arguments.allure else [_default(arguments)]
        for path in (*found, *(allure.find_stale(arguments.allure) if arguments.allure else ())):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise BadInput(f"{error.filename}: {error.strerror}") from error


def _default(arguments: argparse.Namespace) -> Path:
    folder: Path = arguments.bundles[0]
    return folder / "report.html"


def _write_reports(arguments: argparse.Namespace, dossier: Dossier) -> Iterator[Path]:
    for name, _, made in FILES:
        if path := getattr(arguments, name):
            yield _write(path, made(dossier))
    if folder := arguments.allure:
        for name, content in allure.files(dossier):
            _write(folder / name, _json(content))
        yield folder


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    return path
