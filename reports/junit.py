"""JUnit XML, as CI servers read it, with the verdict as a test case of its own.

A CI that shows nothing but this file must not be green over a NO_GO.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from reports.dossier import VERDICT, Dossier, Test

FAULT: Final = {"failed": "failure", "error": "error", "xpassed": "failure"}
# XML 1.0 has no place for these, escaped or not.
_UNWRITABLE: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(dossier: Dossier) -> bytes:
    """The whole file."""
    root = Element("testsuites", name="spec11")
    by_file: dict[str, list[Test]] = defaultdict(list)
    for test in dossier.tests:
        by_file[test.file].append(test)
    for file, tests in by_file.items():
        _suite(root, file, tests)
    _verdict(root, dossier)
    indent(root)
    written: bytes = tostring(root, "utf-8", xml_declaration=True)
    return written + b"\n"


def _suite(root: Element, file: str, tests: Sequence[Test]) -> None:
    kinds = Counter(_kind(test) for test in tests)
    suite = SubElement(
        root,
        "testsuite",
        name=_clean_text(file),
        tests=str(len(tests)),
        failures=str(kinds["failure"]),
        errors=str(kinds["error"]),
        skipped=str(kinds["skipped"]),
        time=_seconds(sum(test.duration_ms for test in tests)),
    )
    for test in tests:
        case = SubElement(
            suite,
            "testcase",
            classname=_clean_text(file),
            name=_clean_text(test.name),
            time=_seconds(test.duration_ms),
        )
        if kind := _kind(test):
            SubElement(case, kind, message=_clean_text(test.message or test.outcome))


def _verdict(root: Element, dossier: Dossier) -> None:
    reds = 0 if dossier.go else 1
    suite = SubElement(
        root, "testsuite", name="spec11 gate", tests="1", failures=str(reds), errors="0",
        skipped="0", time="0.000",
    )  # fmt: skip
    case = SubElement(suite, "testcase", classname="spec11", name=VERDICT, time="0.000")
    if not dossier.go:
        failure = SubElement(case, "failure", message=_clean_text(f"NO_GO: {dossier.lines[0]}"))
        failure.text = _clean_text("\n".join(dossier.lines))


def _kind(test: Test) -> str:
    return "" if test.outcome == "passed" else FAULT.get(test.outcome, "skipped")


def _seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}"


def _clean_text(text: str) -> str:
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", text)
