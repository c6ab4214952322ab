"""Files that cannot hurt: hostile inputs through the command line, and whatever hypothesis thinks of to the parsers."""

import ast
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gan_core import labels
from gan_core.errors import CheckpointError, DataError
from gan_core.storage.sealed import DamagedError, manifest_text, verify
from gan_core.text import plain
from gan_core.training.run import read_config
from image_gan.domain import from_checkpoint
from image_gan.settings import IMAGE
from image_gan.sources.open import open_source
from robustness.attacks_on_runs import KINDS
from robustness.hostile import good_files
from robustness.mutations import ESCAPES, mutated, npy_header
from seqgan_gp import tokenizers as tokenizer
from seqgan_gp.choices import MAX_VOCAB_SIZE
from seqgan_gp_cli import complain
from seqgan_gp_cli.domains import plan_of, refuse_code
from tests.command import one_sentence
from tests.test_architecture import FILES

ANYTHING = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from([10**400, ESCAPES]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def outdir(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of runs, and of the files that they were trained on."""
    folder = tmp_path_factory.mktemp("trained")
    good_files(folder)
    return folder / "here"


def assert_harmless(outdir, num, seed):
    """In a process of its own: the cases are forked from it, and have its memory."""
    args = ["--num", str(num), "--seed", str(seed), "--outdir", str(outdir)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "robustness.hostile", *args]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("| ")][1:]
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert {row[1].strip() for row in rows} == set(KINDS) and all(int(row[6]) == 0 for row in rows)
    assert sum(int(row[2]) for row in rows) == num


def test_hostile_inputs_do_no_harm(outdir):
    assert_harmless(outdir, 40, 1)


@pytest.mark.slow
def test_a_thousand_hostile_inputs_do_no_harm(outdir):
    assert_harmless(outdir, 1000, 0)


class TestTheHarness:
    """What it would find, it finds."""

    def test_faults_are_seen(self, tmp_path, monkeypatch):
        from robustness import hostile

        def attack(scene):
            (scene.marker.parent / "stray").write_bytes(b"")
            (scene.outside / "kept.txt").write_text("changed")
            return ["recipes", "\x1b[31m"]

        def contents(folder):
            return {"kept.txt": b"as it was"}

        monkeypatch.setattr(hostile, "KINDS", {"image": (attack, [attack])})
        monkeypatch.setattr(hostile, "MOST_BYTES", 1)
        monkeypatch.setattr(hostile, "contents", contents)
        monkeypatch.setattr(hostile, "good_files", lambda folder: None)
        (case,) = hostile.cases(tmp_path, 1, 0, ["image"])
        assert case.code == 2 and "wrote outside: stray" in case.faults and any("MB" in f for f in case.faults)
        assert (tmp_path / "faults" / "image-0" / "stderr").exists()

    def test_a_change_is_the_same_for_a_seed(self):
        import random

        content = bytes(range(256)) * 4
        changed = [mutated(content, random.Random(seed)) for seed in range(50)]
        assert changed == [mutated(content, random.Random(seed)) for seed in range(50)]
        assert len(set(changed)) > 40 and sum(part != content for part in changed) > 40


class TestParsers:
    """Only errors that a user can act on come out of the parsers, whatever they are given."""

    @ANYTHING
    @given(images=st.binary(max_size=80), header=st.lists(st.integers(0, 2**32 - 1), min_size=4, max_size=4))
    def test_idx(self, tmp_path, images, header):
        for number, content in enumerate((images, struct.pack(">4I", 0x803, *header[1:]) + images)):
            path = tmp_path / f"a{number}-idx3-ubyte"
            path.write_bytes(content)
            read_or_refuse(path)

    @ANYTHING
    @given(st.binary(max_size=40), st.binary(max_size=100), st.integers(0, 3))
    def test_cifar(self, tmp_path, names, content, records):
        (tmp_path / "batches.meta.txt").write_bytes(names)
        (tmp_path / "data_batch_1.bin").write_bytes((content + bytes(3073))[:3073] * records)
        read_or_refuse(tmp_path)

    @ANYTHING
    @given(
        st.lists(st.integers(-3, 9) | st.sampled_from([2**31, 2**40, 10**30]), max_size=5),
        st.sampled_from(["|u1", "|O", "<i8", "<f4", "<m8[s]", "|V3", "<U2", "|b1", "|S0", "nonsense"]),
        st.binary(max_size=200),
        st.sampled_from(["images", "labels", "x_train", "y_train", "x_test"]),
    )
    def test_npz(self, tmp_path, shape, kind, content, name):
        path = tmp_path / "a.npz"
        with zipfile.ZipFile(path, "w") as archive:
            if name != "images":
                archive.writestr("images.npy", npy_header((4, 2, 2)) + bytes(16))
            archive.writestr(f"{name}.npy", npy_header(tuple(shape), kind) + content)
        read_or_refuse(path)

    @ANYTHING
    @given(content=st.binary(max_size=300))
    def test_npz_and_zip_of_any_bytes(self, tmp_path, content):
        for name in ("a.npz", "a.zip"):
            (tmp_path / name).write_bytes(content)
            read_or_refuse(tmp_path / name)

    @ANYTHING
    @given(files=JSON | st.dictionaries(st.text(max_size=8), JSON, max_size=2), sealed=st.booleans())
    def test_manifest(self, tmp_path, files, sealed):
        about = {"files": files}
        text = manifest_text(about) if sealed else json.dumps(about)
        (tmp_path / "manifest.json").write_text(text, errors="replace")
        with pytest.raises(DamagedError) if files != {} or not sealed else nothing() as caught:
            verify(tmp_path)
        assert caught is None or "\n" not in str(caught.value)

    @ANYTHING
    @given(value=JSON, key=st.sampled_from(["domain", "recipe", "preset", "parts", "numbers", "data", "versions", "x"]))
    def test_config(self, tmp_path, value, key):
        (tmp_path / "config.json").write_text(json.dumps(CONFIG | {key: value}))
        with may_raise(CheckpointError):
            plan = plan_of(read_config(tmp_path), tmp_path)
            assert isinstance(plan.parts, tuple) and plan.settings(IMAGE)

    @ANYTHING
    @given(
        value=JSON,
        key=st.sampled_from(["width", "seed", "arch", "generator_lr", "data", "gp.weight", "ema", "x", "skip"]),
    )
    def test_numbers_of_a_config(self, tmp_path, value, key):
        (tmp_path / "config.json").write_text(json.dumps(CONFIG | {"numbers": {key: value}}))
        with may_raise(CheckpointError):
            plan_of(read_config(tmp_path), tmp_path)

    @ANYTHING
    @given(about=JSON, vocabulary=JSON | st.lists(st.integers(-1, 0x110001), max_size=5), wild=st.binary(max_size=50))
    def test_tokenizer(self, tmp_path, about, vocabulary, wild):
        texts = [about, {"format": 1, "kind": "char", "vocabulary": vocabulary}, {"format": 1, "kind": about}]
        for content in (*(json.dumps(text).encode() for text in texts), wild):
            (tmp_path / "tokenizer.json").write_bytes(content)
            with may_raise(CheckpointError):
                assert tokenizer.load(tmp_path).size <= MAX_VOCAB_SIZE

    @ANYTHING
    @given(size=JSON, names=JSON, counts=JSON)
    def test_labels_and_size_of_images(self, tmp_path, size, names, counts):
        (tmp_path / "images.json").write_text(json.dumps({"size": size, "channels": 1}))
        (tmp_path / "labels.json").write_text(json.dumps({"names": names, "counts": counts, "hidden": 0}))
        with may_raise(CheckpointError):
            labels.load(tmp_path)
        with may_raise(CheckpointError):
            from_checkpoint(IMAGE.settings(arch="mlp", generator_norm="none"), tmp_path)


CONFIG = {
    "domain": "image", "recipe": "sngan", "preset": "small", "parts": ["hinge", "spectral"], "numbers": {"width": 4},
    "data": {"fingerprint": "0"}, "versions": {"torch": "2"},
}  # fmt: skip


class nothing:
    """Nothing is expected to be raised."""

    def __enter__(self):
        return None

    def __exit__(self, *raised):
        return False


class may_raise:
    """An error of that kind, in one line without control characters, or none."""

    def __init__(self, *kinds):
        self.kinds = kinds

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        return kind is not None and issubclass(kind, self.kinds)


def read_or_refuse(path):
    with may_raise(DataError):
        source = open_source(str(path), max_pixels=10_000)
        source.fingerprint()
        for split in source.sizes:
            for images, numbers in source.blocks(split):
                assert images.dtype == np.uint8 and len(images) == len(numbers)


class TestRuns:
    """Runs of someone else's."""

    @pytest.fixture
    def run(self, here, trained):
        shutil.copytree(trained / "text", "run")
        shutil.copy(trained / "lines.txt", "lines.txt")
        return Path("run")

    @pytest.mark.parametrize(
        ("numbers", "mention"),
        [
            ({"width": 10**9}, "--width 1000000000"), ({"seq_len": 10**9}, "--seq-len"), ({"seed": 1e400}, "--seed"),
            ({"batch_size": True}, "--batch-size"), ({"width": [4]}, "width"), ({"colour": 1}, "colour"),
            ({"width": 16384}, "bytes of weights"), ({"depth": 256}, "bytes of weights"),
            ({"z_dim": 65536}, "bytes of weights"), ({"gp.weight": "x"}, "--gp-weight"),
        ],
    )  # fmt: skip
    def test_numbers_are_no_more_trusted_than_what_is_typed(self, run, call, numbers, mention):
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | {"numbers": config["numbers"] | numbers}))
        code, _, err = call("sample", run)
        assert code == 4 and mention in one_sentence(err)

    def test_a_batch_is_no_larger_than_memory(self, run, call):
        from seqgan_gp_cli.load import BATCH, load

        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | {"numbers": config["numbers"] | {"batch_size": 65536}}))
        assert load(str(run), None, "cpu").trained(0).batch_size == BATCH

    def test_parts_that_cannot_play_are_refused(self, run, call):
        config = json.loads((run / "config.json").read_text())
        for parts in ([], ["gp"], ["wasserstein", "wasserstein"], [["gp"]], "gp"):
            (run / "config.json").write_text(json.dumps(config | {"parts": parts}))
            for command in ("sample", "evaluate"):
                code, _, err = call(command, run)
                assert code == 4 and "config.json" in one_sentence(err)

    @pytest.mark.parametrize(
        "summary",
        [
            "[]", "[" * 100_000, '{"parameters": [1]}', "\xff",
            '{"parameters": {"a": "b"}, "steps": 1, "seconds": 1}',
            '{"evaluation": {"a": 1}}', '{"parameters": {"a": 1}, "steps": 1, "seconds": "x"}', " " * (1 << 24) + "{}",
        ],
    )  # fmt: skip
    def test_a_summary_is_not_believed(self, run, call, summary):
        (run / "summary.json").write_text(summary, encoding="latin-1")
        code, _, err = call("inspect", run)
        assert code == 4 and "summary.json is damaged" in one_sentence(err)

    def test_escapes_are_not_printed(self, run, call):
        config = json.loads((run / "config.json").read_text())
        (run / "config.json").write_text(json.dumps(config | {"recipe": ESCAPES, "preset": ESCAPES}))
        code, out, err = call("inspect", run)
        assert code == 0 and "\x1b" not in out + err and "recipe [2J[31mred" in out

    def test_the_code_of_a_backbone_is_the_users_choice(self, here, monkeypatch):
        refuse_code(Path("run"), "rotation", None)
        refuse_code(Path("run"), "inception:weights.pth", None)
        refuse_code(Path("run"), "my.module:embed", "my.module:embed")
        for chosen in (None, "classifier"):
            with pytest.raises(CheckpointError, match=r"config\.json names code, os:system: give --backbone os:system"):
                refuse_code(Path("run"), "os:system", chosen)


class TestWhatIsPrinted:
    def test_no_line_but_one_and_no_control_characters(self, capsys):
        assert complain("a\x1b[31mb\nc\u202ed\u2028e\x9b\ud800f", 3) == 3
        assert capsys.readouterr().err == "Error: a[31mb cd ef\n"
        complain("x" * 100_000, 1)
        assert len(capsys.readouterr().err) < 1100

    @given(st.text(max_size=50))
    def test_plain_text_is_one_harmless_line(self, text):
        shown = plain(text)
        assert plain(shown) == shown and len(shown.splitlines()) <= 1
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", shown)
        assert "\t" not in text or " " in shown

    @ANYTHING
    @given(st.lists(st.text(max_size=30), min_size=1, max_size=5))
    @example([" ", "0"])
    def test_tensorboard_shows_samples_as_they_are(self, lines):
        assert shown_by_tensorboard(lines) == [plain(line).rstrip() for line in lines]

    @pytest.mark.parametrize(
        "line",
        [
            "<script>alert(1)</script>", "```", "~~~", "    </code></pre><b>", "\u2028```\u2028# a", "&lt;b&gt;",
            "a\n\n# b", "\r\n<img src=x onerror=alert(1)>", "[a](javascript:alert(1))", "<!-- a", "<![CDATA[ a", "-->",
            "\x1b[31m", "| a | b |", "|---|---|", "<?php", "</pre>",
        ],
    )  # fmt: skip
    def test_markup_is_escaped(self, line):
        for lines in ([line], ["first", line, "last"], [line] * 3, ["", line]):
            assert shown_by_tensorboard(lines) == [plain(text).rstrip() for text in lines]


def shown_by_tensorboard(lines):
    """What TensorBoard makes of lines that `Run.text` wrote: the text of its one block of code, a line each."""
    from html.parser import HTMLParser

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what TensorBoard brings along
        from tensorboard.plugin_util import markdown_to_safe_html

    class Page(HTMLParser):
        def __init__(self):
            super().__init__()
            self.text, self.tags = "", []

        def handle_starttag(self, tag, attributes):
            self.tags.append((tag, attributes))

        def handle_data(self, data):
            self.text += data

    page = Page()
    page.feed(markdown_to_safe_html("\n".join("    " + plain(line) for line in lines)))
    page.close()
    text = page.text.strip("\n").split("\n")
    shown = text[next((i for i, line in enumerate(text) if line.strip()), len(text)) :]  # blank first lines: below
    first = next((i for i, line in enumerate(lines) if plain(line).strip()), len(lines))
    assert {tag for tag, _ in page.tags} <= {"pre", "code"} and not any(about for _, about in page.tags)
    if first == len(lines):  # nothing to see
        return [plain(line).rstrip() for line in lines]
    return (
        [plain(line).rstrip() for line in lines[:first]]
        + [line.rstrip() for line in shown]
        + [""] * (len(lines) - first - len(shown))
    )


def test_a_config_file_of_any_depth_or_size_is_one_sentence(here, call):
    for text in ("a = " + "[" * 100_000, "steps = 1" + "0" * 400, "width = 1" + "0" * 5000, "#" * (1 << 21), "\0"):
        Path("run.toml").write_text(text)
        code, _, err = call("train-text", "--config", "run.toml", "--dry-run", "--width", "4", "--data", "nowhere")
        assert code in (2, 3) and one_sentence(err)


def test_nothing_that_runs_or_unpacks_by_itself_is_used():
    """What `tests/test_architecture.py` forbids by name is pickle's loaders; here all that could stand in for them."""
    modules = {"marshal", "shelve", "dill", "cloudpickle", "joblib", "tarfile"}
    calls = {"extractall", "extract", "unpack_archive", "Unpickler", "system", "popen", "unsafe_load", "full_load"}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not modules & {name.partition(".")[0] for name in names}, (path, names)
            if isinstance(node, ast.Attribute):
                assert node.attr not in calls, (path, node.lineno)
                pickled = isinstance(node.value, ast.Name) and node.value.id == "pickle"
                assert not pickled or node.attr == "UnpicklingError", (path, node.lineno)
            if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "shell", "trust_remote_code"):
                assert isinstance(node.value, ast.Constant) and node.value.value is False, (path, node.arg)
