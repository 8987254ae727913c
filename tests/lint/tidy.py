"""clang-tidy on what changed lately outside the tests, or on everything.

What passed once is remembered by content in build/lint, so that a second run is quick. With a time
limit the files that were not reached are named, never passed over in silence.
"""

import hashlib
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, Optional, Set

from tree import Problem, cpp_files

DAY_S = 24 * 60 * 60
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"  # git's name for a tree without files
BUILD_FOLDERS = ("build", "build/dev")


def _git(root: Path, *words: str) -> List[str]:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True,
                          check=False)
    return done.stdout.split("\n") if done.returncode == 0 else []


def _base(root: Path) -> str:
    """What the change is measured against."""
    head = _git(root, "rev-parse", "HEAD")[:1]
    for branch in ("origin/main", "main"):
        merge_base = _git(root, "merge-base", "HEAD", branch)[:1]
        if merge_base and merge_base != head:
            return merge_base[0]
    newest = int(_git(root, "log", "-1", "--format=%ct")[0])
    day_before = _git(root, "rev-list", "-1", f"--before={newest - DAY_S}", "HEAD")[0]
    return day_before or EMPTY_TREE


def changed(root: Path) -> Set[str]:
    """Files that differ from the main branch; on it, from a day before its last commit."""
    names = _git(root, "diff", "--name-only", _base(root))
    return {name for name in names + _git(root, "ls-files", "-o", "--exclude-standard") if name}


def compile_commands(root: Path) -> Optional[Path]:
    return next((root / f for f in BUILD_FOLDERS if (root / f / "compile_commands.json").is_file()),
                None)


def compiled(database: Path) -> List[Path]:
    return [Path(entry["file"]) for entry in
            json.loads((database / "compile_commands.json").read_text())]


def stamp(root: Path, source: Path) -> Path:
    """Where it is remembered that this content, beside these headers, passed."""
    digest = hashlib.sha256((root / ".clang-tidy").read_bytes())
    for path in [source] + [root / p for p in cpp_files(root) if p.suffix == ".h"]:
        digest.update(path.read_bytes())
    return root / "build" / "lint" / f"{source.stem}-{digest.hexdigest()[:24]}"


def tidy(root: Path, database: Path, source: Path, deadline: float) -> Optional[str]:
    """None if not reached in time, else what clang-tidy had against the file."""
    passed = stamp(root, source)
    if passed.exists():
        return ""
    if time.monotonic() > deadline:
        return None
    done = subprocess.run(["clang-tidy", "--quiet", "-p", str(database),
                           "--extra-arg=-fsized-deallocation",
                           # The flags are GCC's, which knows warnings that clang does not.
                           "--extra-arg=-Wno-unknown-warning-option", str(source)], cwd=root,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return (done.stdout + done.stderr).strip() or f"exit {done.returncode}"
    passed.parent.mkdir(parents=True, exist_ok=True)
    passed.touch()
    return ""


def check(root: Path, everything: bool, limit_s: float) -> List[Problem]:
    database = compile_commands(root)
    if database is None:
        return [Problem("build", 0, "no compile_commands.json: build first")]
    sources = [s for s in compiled(database) if s.is_relative_to(root)
               and not s.is_relative_to(root / "build")]
    if not everything:
        names = {name for name in changed(root) if not name.startswith("tests/")}
        sources = [s for s in sources if s.relative_to(root).as_posix() in names]
    deadline = time.monotonic() + limit_s
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        reports = [pool.submit(tidy, root, database, s, deadline) for s in sources]
        said = [report.result() for report in reports]
    late = [s.relative_to(root).as_posix() for s, text in zip(sources, said) if text is None]
    print(f"clang-tidy: {len(sources) - len(late)} of {len(sources)} files"
          + (f" in {limit_s:.0f} s; not reached: {' '.join(late)}" if late else ""))
    return [Problem(s.relative_to(root).as_posix(), 0, text)
            for s, text in zip(sources, said) if text]
