"""``python -m pytest_spec11.cli``: the command where no script is installed."""

import sys

from pytest_spec11.cli import main

sys.exit(main())
