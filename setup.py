"""What pyproject.toml cannot say: a wheel carries configs/ inside the package."""

from pathlib import Path
from shutil import copytree

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Puts the configs where `activae.config.program` looks for them; a checkout has its own."""

    def run(self) -> None:
        """Build, and copy them."""
        super().run()
        if not self.editable_mode:
            place = Path(self.build_lib, "activae", "configs")
            copytree("configs", place, dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfigs})
