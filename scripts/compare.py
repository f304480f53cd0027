"""Say which condition wins, how sure that is, and what weakens the answer.

    python scripts/compare.py outputs/sweeps/NAME             a sweep, at any time
    python scripts/compare.py outputs                         all runs below a folder
    python scripts/compare.py SWEEP --by encoding.dim         by another key than activation
    python scripts/compare.py SWEEP --by activation,encoding.dim
    python scripts/compare.py SWEEP --metric test/SSIM --baseline relu
    python scripts/compare.py SWEEP --where data=mnist,digits --where optimizer.lr=1e-3
    python scripts/compare.py SWEEP --html report.html --latex table.tex --png figure.png

Runs are paired by seed and by every other key that is equal. The formulas: docs/statistics.md.
"""

from __future__ import annotations

import sys

from activae.cli.compare import main

if __name__ == "__main__":
    sys.exit(main(None, __doc__))
