"""`python -m governance.embedded`: what `make run` and `make demo-reset` call."""

import sys

from governance.embedded.command import main

sys.exit(main())
