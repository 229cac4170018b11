"""What the tests of benchmarks share with those of training: toy data."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "train"))  # toys.py and prepared_folders.py
