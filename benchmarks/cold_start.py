"""Wall time of one cold `duvhuman humanize` on one short file, beside a bare ``import torch`` and a bare Python.

python benchmarks/cold_start.py
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from plain_errors import run

EXAMPLE = Path(__file__).parent.parent / "examples" / "midi" / "bass.mid"


def main() -> None:
    """Run it; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "out.mid")
        humanize = ["-m", "duvhuman", "humanize", str(EXAMPLE), "-i", "bass", "-o", out, "--force", "--quiet"]
        commands = {
            "python -c pass": ["-c", "pass"],
            "python -c 'import duvhuman'": ["-c", "import duvhuman"],
            "python -c 'import torch'": ["-c", "import torch"],
            f"duvhuman humanize {EXAMPLE.name}": humanize,
        }
        for name, command in commands.items():
            times = []
            for _ in range(args.runs):
                start = time.perf_counter()
                subprocess.run([sys.executable, *command], check=True, capture_output=True)
                times.append(time.perf_counter() - start)
            print(f"{name:40} {median(times):6.2f} s (median of {args.runs})")


if __name__ == "__main__":
    run(main)
