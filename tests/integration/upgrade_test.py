"""Servers of the feature level before become today's one by one, under work."""

import pathlib
import subprocess
import sys

from support import paths

ROLLING = pathlib.Path(__file__).resolve().parents[1] / "compat" / "rolling.py"


def test_servers_of_the_level_before_are_replaced_one_by_one():
    done = subprocess.run([sys.executable, str(ROLLING), str(paths.program("holdfastd-previous"))],
                          capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    # Neither may have been skipped because both programs are of one level.
    assert "is in force, after" in done.stdout
    assert "the older program took no part" in done.stdout
