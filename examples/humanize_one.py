"""Humanizes one file: ``python examples/humanize_one.py examples/midi/guitar.mid`` writes ``guitar.human.mid``."""

import sys
from pathlib import Path

from duvhuman import humanize

source = Path(sys.argv[1])
humanize(source, "auto").save(source.stem + ".human.mid")
