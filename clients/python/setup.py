"""Generates the package holdfast_api from the IDL when the client is installed.

Needs the Thrift compiler. See pyproject.toml for everything else.
"""

import pathlib
import subprocess

from setuptools import setup
from setuptools.command.build_py import build_py

IDL = pathlib.Path(__file__).resolve().parents[2] / "thrift"


class BuildWithApi(build_py):
    """build_py, and the generated package beside ours."""

    def run(self) -> None:
        super().run()
        pathlib.Path(self.build_lib).mkdir(parents=True, exist_ok=True)
        for name in ("holdfast", "watch", "keys", "admin"):
            subprocess.run(["thrift", "-strict", "--gen", "py", "-I", str(IDL), "-out",
                            self.build_lib, str(IDL / f"{name}.thrift")], check=True)
        (pathlib.Path(self.build_lib) / "__init__.py").unlink(missing_ok=True)


setup(cmdclass={"build_py": BuildWithApi})
