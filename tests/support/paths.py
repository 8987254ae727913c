"""Where the generated packages, the Python client and the programs under test are.

ctest says so in the environment (cmake/python.cmake). By hand, the newest build folder is taken.
"""

from __future__ import annotations

import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def build_dir() -> pathlib.Path:
    """The build folder."""
    if "HOLDFAST_BUILD_DIR" in os.environ:
        return pathlib.Path(os.environ["HOLDFAST_BUILD_DIR"])
    generated = [*ROOT.glob("build/gen/py/holdfast_api"), *ROOT.glob("build/*/gen/py/holdfast_api")]
    if not generated:
        raise FileNotFoundError("no generated Python below build/: build first, or set "
                                "HOLDFAST_BUILD_DIR")
    return max(generated, key=lambda p: p.stat().st_mtime).parents[2]


def install() -> None:
    """Put the packages on the path of this process and its children."""
    for folder in (build_dir() / "gen" / "py", ROOT / "clients" / "python"):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    os.environ["PYTHONPATH"] = os.pathsep.join(
        [str(build_dir() / "gen" / "py"), str(ROOT / "clients" / "python"), str(ROOT / "tests")])


def program(name: str) -> pathlib.Path:
    """A program of the build."""
    return build_dir() / "bin" / name


def shim() -> pathlib.Path:
    """The library that is preloaded into servers (tests/chaos/shim). The loader would only warn on
    the server's stderr if it were not there, and the server run without it."""
    library = program("libchaos-shim.so")
    if not library.exists():
        raise FileNotFoundError(f"{library} is not built: `ninja -C {build_dir()} chaos-shim`")
    return library
