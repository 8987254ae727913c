"""holdfast-bench explains its own flags, and not those of the libraries it is built of."""

import os
import pathlib
import subprocess

BENCH = pathlib.Path(os.environ["HOLDFAST_BUILD_DIR"]) / "bin" / "holdfast-bench"


def test_help_lists_the_bench_s_own_flags():
    said = subprocess.run([BENCH, "--help"], capture_output=True, text=True, timeout=30, check=True)
    flags = [line.split()[0] for line in said.stdout.splitlines() if line.startswith("  --")]
    assert "--profile" in flags and "--value_bytes" in flags
    assert "--flagfile" not in flags and "--help" not in flags
    assert ".cc" not in said.stdout
