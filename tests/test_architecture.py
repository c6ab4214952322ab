"""Rules of the house that a reader relies on."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("gan_core", "seqgan_gp", "image_gan", "seqgan_gp_cli", "experiments", "robustness", "benchmarks", "data")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
# package -> the packages of ours that it may import
ARROWS = {
    "gan_core": {"gan_core"},
    "seqgan_gp": {"gan_core", "seqgan_gp"},
    "image_gan": {"gan_core", "image_gan"},
    "seqgan_gp_cli": {"gan_core", "seqgan_gp", "image_gan", "seqgan_gp_cli"},
    "experiments": {"gan_core", "seqgan_gp", "image_gan", "experiments"},
    "robustness": {"gan_core", "seqgan_gp", "image_gan", "robustness", "seqgan_gp_cli"},
    "benchmarks": {"gan_core", "seqgan_gp", "image_gan", "benchmarks"},
    "data": set(),
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield f"{'.' * node.level}{node.module or ''}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_one_way_and_files_stay_short(path):
    allowed = ARROWS[path.relative_to(ROOT).parts[0]]
    for name in imports(path):
        assert not name.startswith("."), "imports are absolute"
        assert name.partition(".")[0] not in set(ARROWS) - allowed, name
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    text = path.read_text()
    for call in ("pickle.load", "torch.load(", "np.load(", "trust_remote_code", "eval(", "exec("):
        for line in (line for line in text.splitlines() if call in line):
            safe = {"torch.load(": "weights_only=True", "np.load(": "allow_pickle=False", "eval(": ".eval()"}
            assert safe.get(call, "never") in line, line


def test_importing_a_package_brings_no_heavy_one():
    packages = "seqgan_gp_cli, seqgan_gp.corpus.corpus, image_gan.dataset.dataset"
    code = f"import sys, {packages}; print(*({{'torch', 'datasets'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "" and done.returncode == 0, done.stderr


def test_documents_name_only_files_that_exist():
    listed = [line.split()[0] for line in (ROOT / "ARCHITECTURE.md").read_text().splitlines() if line.startswith("  ")]
    names = {path.name for path in FILES}
    assert all(name in names for name in listed if name.endswith(".py"))


@pytest.mark.slow
def test_a_wheel_installs_no_module_of_a_general_name(tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    (wheel,) = tmp_path.glob("*.whl")
    listing = subprocess.run([sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True).stdout
    names = [line.split()[0] for line in listing.splitlines()[1:]]
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"gan_core", "seqgan_gp", "image_gan", "seqgan_gp_cli"}
    assert any(name.endswith("data/wordnet/noun.txt.gz") for name in names)
    assert any(name.endswith("data/fashion-mnist/train-images-idx3-ubyte.gz") for name in names)
