"""`python -m samnb.cli …`: the same as the command `samnb …`."""

from __future__ import annotations

import sys

from . import main

sys.exit(main())
