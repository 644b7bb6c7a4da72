"""The build steps that pyproject.toml cannot say: what of the checkout goes into the wheel, or what points to it."""

from __future__ import annotations

import glob
import os
import shlex

from setuptools import setup
from setuptools.command.build_py import build_py

from distutils.command.build_scripts import build_scripts  # isort: skip  # setuptools' own, which it puts there


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


class BuildLauncher(build_scripts):
    """Builds the launcher; that of an editable installation knows where the checkout is."""

    editable_mode = False

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            return
        launcher = os.path.join(self.build_dir, "cmanager")
        with open(launcher, encoding="utf-8") as file:
            text = file.read()
        client = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cmanager", "warm", "command.py")
        with open(launcher, "w", encoding="utf-8") as file:
            file.write(text.replace("\nclient=\n", f"\nclient={shlex.quote(client)}\n", 1))


setup(cmdclass={"build_py": BuildWithShipped, "build_scripts": BuildLauncher})
