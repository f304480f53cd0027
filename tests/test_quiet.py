"""Libraries of ours say nothing that a user could not use."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_cuda_home_without_a_gpu_and_a_font_cache_are_not_mentioned() -> None:
    code = (
        "import activae, logging, torch.utils.cpp_extension\n"
        "logging.getLogger('matplotlib.font_manager').warning('building the font cache')"
    )
    environment = {**os.environ, "CUDA_HOME": "/nowhere", "CUDA_VISIBLE_DEVICES": ""}

    found = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )

    assert found.stdout + found.stderr == ""
