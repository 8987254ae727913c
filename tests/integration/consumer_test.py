"""docs/cpp-client.md as a project of somebody else: installed, found, built and run."""

import re
import shutil
import subprocess

import pytest
from support import paths
from support.cluster import Cluster

GUIDE = (paths.ROOT / "docs" / "cpp-client.md").read_text(encoding="utf-8")


def block(language):
    """The page's one block in a language."""
    found = re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    assert len(found) == 1
    return found[0]


def cached(name):
    """What the build was configured with."""
    text = (paths.build_dir() / "CMakeCache.txt").read_text(encoding="utf-8")
    return re.search(rf"^{name}:\w+=(.*)$", text, re.MULTILINE)[1]


def call(*words):
    """Run a program that must succeed."""
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True,
                          timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def consumer(tmp_path_factory):
    """Builds the page's project; a function that runs it at a port."""
    folder = tmp_path_factory.mktemp("consumer")
    assert "cmake --install build --component client --prefix" in block("sh")
    call("cmake", "--install", paths.build_dir(), "--component", "client", "--prefix",
         folder / "holdfast")
    (folder / "CMakeLists.txt").write_text(block("cmake"), encoding="utf-8")
    sanitize = cached("HOLDFAST_SANITIZE")
    compiler_flags = "-Wall -Wextra -Werror" + (f" -fsanitize={sanitize}" if sanitize else "")
    generator = ("-G", "Ninja") if shutil.which("ninja") else ()

    def run(port):
        program = block("cpp").replace("7411", str(port))
        (folder / "nightly.cc").write_text(program, encoding="utf-8")
        call("cmake", *generator, "-S", folder, "-B", folder / "build",
             f"-DCMAKE_PREFIX_PATH={folder / 'holdfast'}", f"-DCMAKE_CXX_FLAGS={compiler_flags}")
        call("cmake", "--build", folder / "build")
        return call(folder / "build" / "nightly")
    return run


def test_the_page_s_project_builds_and_does_what_it_says(consumer):
    with Cluster(1) as cluster:
        said = consumer(cluster.nodes[1].client_port)
    assert re.fullmatch(r"step 0 with token (\d+)\nstep 1 with token \1\nstep 2 with token \1\n"
                        r"leader is 10.0.0.7:8080\n", said)
