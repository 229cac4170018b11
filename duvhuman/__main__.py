"""``python -m duvhuman``: the command line; see `duvhuman.cli`.

Conventions
-----------
The process ends with the exit code that `duvhuman.cli.main` returns.
"""

import sys

from duvhuman.cli import main

if __name__ == "__main__":
    sys.exit(main())
