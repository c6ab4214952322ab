"""Rules of the house that a reader relies on."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.imports import circles, graph, imports, rooms, upward

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "gan_core",
    "seqgan_gp",
    "image_gan",
    "point_gan",
    "seqgan_gp_cli",
    "examples",
    "experiments",
    "robustness",
    "benchmarks",
    "data",
)
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
# package -> the packages of ours that it may import
ARROWS = {
    "gan_core": {"gan_core"},
    "seqgan_gp": {"gan_core", "seqgan_gp"},
    "image_gan": {"gan_core", "image_gan"},
    "point_gan": {"gan_core", "point_gan"},
    "seqgan_gp_cli": {"gan_core", "seqgan_gp", "image_gan", "point_gan", "seqgan_gp_cli"},
    "examples": {"gan_core", "seqgan_gp", "image_gan", "point_gan"},
    "experiments": {"gan_core", "seqgan_gp", "image_gan", "point_gan", "experiments"},
    "robustness": {"gan_core", "seqgan_gp", "image_gan", "robustness", "seqgan_gp_cli"},
    "benchmarks": {"gan_core", "seqgan_gp", "image_gan", "point_gan", "benchmarks"},
    "data": set(),
}


# The rooms of each package, lowest floor first: a room imports rooms of lower floors, and files of its own.
FLOORS = {
    "gan_core": (
        ("errors", "text", "sample", "ops", "discovery"),
        ("schedules",),
        ("runtime", "storage"),
        ("labels", "networks"),
        ("parts",),
        ("game",),
        ("domain", "evaluation"),
        ("recipes",),
        ("training",),
    ),
    "seqgan_gp": (
        ("choices", "lines"),
        ("tokenizers", "sources", "networks"),
        ("corpus",),
        ("scores",),
        ("settings",),
        ("domain",),
    ),
    "image_gan": (
        ("choices",),
        ("sources", "networks", "grids"),
        ("dataset",),
        ("scores",),
        ("settings",),
        ("domain",),
    ),
    "point_gan": (("networks", "scores", "sources", "pictures", "settings"), ("domain",)),
    "seqgan_gp_cli": (
        ("flags", "screen"),
        ("help",),
        ("options",),
        ("domains",),
        ("load",),
        ("evaluate", "sample", "show", "train"),
        ("commands",),
    ),
}


def faults(root):
    """Circles of imports and upward arrows in a tree, at the level of modules and of rooms."""
    modules = graph(root, tuple(FLOORS))
    found = [" -> ".join(circle) for circle in circles(modules) + circles(rooms(modules))]
    for package, floors in FLOORS.items():
        named = tuple(tuple(f"{package}.{room}" for room in floor) for floor in floors)
        found += upward(rooms(modules), named)
    return found


def test_rooms_stand_on_their_floors_and_no_imports_go_in_a_circle():
    assert faults(ROOT) == []


@pytest.mark.parametrize(
    ("file", "line", "fault"),
    [
        ("gan_core/ops/precision.py", "from gan_core.training import loop", "gan_core.ops -> gan_core.training"),
        ("gan_core/parts/base.py", "import gan_core.game.game", "gan_core.parts -> gan_core.game"),
        (
            "gan_core/game/prior.py",
            "def late():\n    from gan_core.game.game import Game",
            "gan_core.game.game -> gan_core.game.prior",
        ),
        (
            "seqgan_gp/lines.py",
            "from seqgan_gp.domain import from_checkpoint, open_domain, report",
            "seqgan_gp.lines -> seqgan_gp.domain",
        ),
        ("gan_core/attic/old.py", "", "gan_core.attic stands on no floor"),
    ],
)
def test_a_planted_upward_import_is_found(tmp_path, file, line, fault):
    for package in FLOORS:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    planted = tmp_path / file
    planted.parent.mkdir(exist_ok=True)
    planted.write_text((planted.read_text() if planted.exists() else "") + f"\n{line}\n")
    assert any(fault in found for found in faults(tmp_path))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_arrows_point_one_way_and_files_stay_short(path):
    allowed = ARROWS[path.relative_to(ROOT).parts[0]]
    for name in imports(path):
        assert not name.startswith("."), "imports are absolute"
        assert name.partition(".")[0] not in set(ARROWS) - allowed, name
    assert len(path.read_text().splitlines()) <= 400


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_is_unpickled(path):
    text = path.read_text().replace("ast.literal_eval(", "")  # which reads literals and calls nothing
    for call in ("pickle.load", "torch.load(", "np.load(", "trust_remote_code", "eval(", "exec("):
        for line in (line for line in text.splitlines() if call in line):
            safe = {"torch.load(": "weights_only=True", "np.load(": "allow_pickle=False", "eval(": ".eval()"}
            assert safe.get(call, "never") in line, line


@pytest.mark.parametrize("path", sorted((ROOT / "gan_core").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_core_knows_no_command_line(path):
    """Messages name options by `named`, whose form the user interface sets; the same goes for the domains."""
    assert not {"click", "tqdm"} & {name.partition(".")[0] for name in imports(path)}
    assert not re.findall(r"(?<![\w-])--[a-z][\w-]*", path.read_text())


def test_importing_a_package_brings_no_heavy_one():
    packages = "seqgan_gp_cli, seqgan_gp.corpus.corpus, image_gan.dataset.dataset"
    code = f"import sys, {packages}; print(*({{'torch', 'datasets'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "" and done.returncode == 0, done.stderr


def test_documents_name_only_files_and_rooms_that_exist():
    names = {path.name for path in FILES} | {"cli.py"}
    folders = {f"{path.name}/" for path in ROOT.rglob("*") if path.is_dir() and ".venv" not in path.parts}
    listed = (ROOT / "ARCHITECTURE.md").read_text().partition("```")[2].partition("```")[0]
    for word in re.findall(r"[\w/]+(?:\.py|/)", listed):
        assert word in names | folders, word


@pytest.mark.slow
def test_a_wheel_installs_no_module_of_a_general_name(tmp_path):
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(tmp_path), str(ROOT)]
    assert subprocess.run(command, capture_output=True).returncode == 0
    (wheel,) = tmp_path.glob("*.whl")
    listing = subprocess.run([sys.executable, "-m", "zipfile", "-l", str(wheel)], capture_output=True, text=True).stdout
    names = [line.split()[0] for line in listing.splitlines()[1:]]
    tops = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"gan_core", "seqgan_gp", "image_gan", "point_gan", "seqgan_gp_cli"}
    assert any(name.endswith("data/wordnet/noun.txt.gz") for name in names)
    assert any(name.endswith("data/fashion-mnist/train-images-idx3-ubyte.gz") for name in names)
