"""`python -m activae`: the command `activae`."""

import sys

from activae.cli.console import main

if __name__ == "__main__":
    sys.exit(main())
