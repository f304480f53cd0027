"""Lightning callbacks that record a run."""

import sys
from types import ModuleType

# TensorBoard's own switch against importing TensorFlow, where it is installed: that takes seconds,
# and files on disk need none of it. It is asked when torch.utils.tensorboard is imported.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
