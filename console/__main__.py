"""`python -m auditbus.console` is `auditbus`."""

import sys

from auditbus.console.entry import main

sys.exit(main())
