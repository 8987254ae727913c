"""The IDL is the reference of generated clients: it compiles everywhere and says everything.

Every file passes the strict compiler for Python, C++, Go and Java without a warning; every struct,
field, enum value, service and method has a doc comment. The client's API keeps the shape that lets
old and new programs meet: no `required`, no defaults, enums that start at UNSPECIFIED, one error.
"""

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List

from tree import Problem, files

LANGUAGES = ("py", "cpp", "go", "java")
# Reserved in one of the four languages, or known to break its generated code.
RESERVED = frozenset(
    "list from with type class default import in is global lambda pass func map range select "
    "package interface delete new union register friend operator template this throw final native "
    "super synchronized uuid".split())
# Read by servers only, each with its own way of growing; the rest is the API of clients.
INTERNAL = ("command.thrift", "peer.thrift")


def compile_file(root: Path, path: Path, generator: str, out: str) -> str:
    """Whatever the compiler had to say; nothing when all is well."""
    done = subprocess.run(
        ["thrift", "-strict", "-I", str(root / path.parent), "--gen", generator, "-out", out,
         str(root / path)],
        capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).strip()
    return said or ("" if done.returncode == 0 else f"exit {done.returncode}")


def undocumented(model: Dict[str, Any]) -> Iterator[str]:
    for enum in model["enums"]:
        yield from (f"{enum['name']}.{m['name']}" for m in enum["members"] if "doc" not in m)
    for struct in model["structs"]:
        yield from (f"{struct['name']}.{f['name']}" for f in struct["fields"] if "doc" not in f)
    for service in model["services"]:
        functions = service["functions"]
        yield from (f"{service['name']}.{f['name']}" for f in functions if "doc" not in f)
    for kind in ("enums", "structs", "services", "constants"):
        yield from (item["name"] for item in model[kind] if "doc" not in item)


def misshapen(model: Dict[str, Any]) -> Iterator[str]:
    for enum in model["enums"]:
        if not any(m["value"] == 0 and m["name"].endswith("UNSPECIFIED") for m in enum["members"]):
            yield f"{enum['name']} does not start at 0 = UNSPECIFIED"
    for struct in model["structs"]:
        for field in struct["fields"]:
            name = f"{struct['name']}.{field['name']}"
            if field["required"] == "required":
                yield f"{name} is required: it could never be left out again"
            if "default" in field:
                yield f"{name} has a default: readers would disagree about it"
            if field["name"] in RESERVED:
                yield f"{name} is a reserved word of some language"
    for service in model["services"]:
        for method in service["functions"]:
            if not method["exceptions"]:
                yield f"{service['name']}.{method['name']} cannot fail cleanly: it throws nothing"


def check_file(root: Path, path: Path, out: str) -> List[Problem]:
    said = [f"{language}: {text}" for language in LANGUAGES
            if (text := compile_file(root, path, language, out))]
    if said:
        return [Problem(str(path), 0, text) for text in said]
    failed = compile_file(root, path, "json", out)
    if failed:
        return [Problem(str(path), 0, f"json: {failed}")]
    model = json.loads((Path(out) / f"{path.stem}.json").read_text())
    problems = [f"{name} has no doc comment" for name in undocumented(model)]
    if path.name not in INTERNAL:
        problems += misshapen(model)
    return [Problem(str(path), 0, text) for text in problems]


def check(root: Path) -> List[Problem]:
    with tempfile.TemporaryDirectory() as out:
        return [p for path in files(root, (".thrift",)) for p in check_file(root, path, out)]
