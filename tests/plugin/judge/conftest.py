"""The small catalogue that verdicts are tried on."""

from __future__ import annotations

import pytest

from pytest_spec11.requirements import catalogue
from tests.plugin.judge.stand import small


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> catalogue.Catalogue:
    return small(tmp_path_factory.mktemp("catalogue"))
