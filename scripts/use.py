"""Put a finished run to work on new data.

    python scripts/use.py encode outputs/RUN photos/ codes.npy
    python scripts/use.py reconstruct outputs/RUN photos/ again/ --sheet sheet.png
    python scripts/use.py score outputs/sweeps/NAME table.csv scores.csv
    python scripts/use.py decode outputs/RUN codes.npy photos/
    python scripts/use.py compress outputs/RUN photos/ photos.aez
    python scripts/use.py decompress outputs/RUN photos.aez photos.npy
    python scripts/use.py export outputs/RUN network.onnx
    python scripts/use.py probe outputs/RUN
    python scripts/use.py rate_distortion outputs/sweeps/NAME page.html
    python scripts/use.py explore outputs/RUN outputs/OTHER page.html
    python scripts/use.py fit-sampler outputs/RUN
    python scripts/use.py sample outputs/RUN 100 new.png

RUN is a run's folder, or a sweep's: the best run by validation is taken, and named. Each verb has
its own --help. In Python: activae.load(RUN).
"""

from __future__ import annotations

import sys

from activae.cli.use import main

if __name__ == "__main__":
    sys.exit(main(None, __doc__))
