"""The one build step that pyproject.toml cannot say: the checkout's configuration and recipes go into the wheel."""

from __future__ import annotations

import glob
import os

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithShipped(build_py):
    """Copies plugins.toml and registry/*.toml, which stay the only source, to cmanager/_shipped of the build."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        shipped = os.path.join(self.build_lib, "cmanager", "_shipped")
        self.mkpath(os.path.join(shipped, "registry"))
        self.copy_file("plugins.toml", os.path.join(shipped, "plugins.toml"))
        for recipe in glob.glob("registry/*.toml"):
            self.copy_file(recipe, os.path.join(shipped, "registry", os.path.basename(recipe)))


setup(cmdclass={"build_py": BuildWithShipped})
