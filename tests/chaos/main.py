"""./dev chaos: real servers and clients under kill -9, freezes, partitions, bad disks and clocks.

Prints what was suffered and how long it took to get over it. Ends with 0 if every promise held, 1
if one did not (with all that is needed to look into it), 64 for a bad command line, 130 if
interrupted.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import List

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from support import paths  # noqa: E402

paths.install()

from support.cluster import die_with_the_test  # noqa: E402

from chaos.arguments import arguments  # noqa: E402
from chaos.run import Failed, Run  # noqa: E402

FAULTS_SHOWN = 20
EXIT_BROKEN, EXIT_INTERRUPTED = 1, 130
CLONE_NEWNS = 0x00020000
PR_SET_CHILD_SUBREAPER = 36
WATCHED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD}
#: Set in the environment of the process that plays, under the one that supervises.
INSIDE = "HOLDFAST_CHAOS_RUN"


def private_mounts() -> bool:
    """Give this process and its children mounts of their own, which end with them however they end.

    False where that is not permitted.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        return False
    return subprocess.run(["mount", "--make-rprivate", "/"], check=False,
                          stderr=subprocess.DEVNULL).returncode == 0


def folder_of(options: argparse.Namespace) -> pathlib.Path:
    """Where a run keeps what it saw."""
    return paths.build_dir() / "chaos" / f"seed-{options.seed}-{options.nodes}"


def report_failure(error: Failed, folder: pathlib.Path, options: argparse.Namespace) -> None:
    """All that is needed to look into it."""
    print(f"chaos: {error}\n\nThe last faults of seed {options.seed}:", file=sys.stderr)
    log = folder / "faults.log"
    faults = log.read_text().splitlines() if log.exists() else []
    print("\n".join(faults[-FAULTS_SHOWN:]), file=sys.stderr)
    print(f"\nfault log  {log}\nhistory    {folder / 'history.jsonl'}\n"
          f"repeat     ./dev chaos --seed={options.seed} --nodes={options.nodes} "
          f"--minutes={options.minutes:g}", file=sys.stderr)


def play(options: argparse.Namespace) -> int:
    """Run once, in this process."""
    may_mount = private_mounts()
    folder = folder_of(options)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    print(f"seed {options.seed}, {options.nodes} servers, {options.minutes:g} minutes"
          + ("" if may_mount else "; no mounts permitted here: the full disk is the shim's"),
          flush=True)
    run = Run(folder, options.seed, options.nodes, options.minutes, may_mount)
    try:
        run.play()
    except Failed as error:
        report_failure(error, folder, options)
        return EXIT_BROKEN
    print("\n".join(run.notes))
    shutil.rmtree(folder)
    return 0


def _begin_run() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, WATCHED)
    die_with_the_test()


def _children() -> List[int]:
    listed = pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in listed.split()]


def _end_all() -> None:
    """Kill whatever is left. What its parent left behind has become a child of this process."""
    while True:
        for pid in _children():
            os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def supervise(options: argparse.Namespace) -> int:
    """Run in a child, so that however it ends, wherever a signal meets it, all is cleaned up."""
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    flags = [f"--{name}={getattr(options, name)}" for name in ("minutes", "seed", "nodes")]
    with tempfile.TemporaryDirectory(prefix="holdfast-chaos-", ignore_cleanup_errors=True) as home:
        run = subprocess.Popen([sys.executable, "-B", __file__, *flags], preexec_fn=_begin_run,
                               env={**os.environ, INSIDE: "1", "TMPDIR": home})
        code = None
        while code is None and signal.sigwait(WATCHED) == signal.SIGCHLD:
            pid, status = os.waitpid(run.pid, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status) if pid else None
        _end_all()
    run.returncode = code or 0
    if code is None:
        print(f"chaos: interrupted; what was seen so far is in {folder_of(options)}",
              file=sys.stderr)
        return EXIT_INTERRUPTED
    return code if code >= 0 else EXIT_BROKEN


def main(given: List[str]) -> int:
    """Supervise a run, or be it."""
    options = arguments(given)
    return play(options) if INSIDE in os.environ else supervise(options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
