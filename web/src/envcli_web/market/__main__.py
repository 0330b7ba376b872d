"""Allows ``python -m envcli_web.market``."""

import sys

from envcli_web.market.cli import main

sys.exit(main())
