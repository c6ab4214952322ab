"""The command line as a user meets it: what works, what is printed, and one sentence for everything that does not."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.command import one_sentence

ROOT = Path(__file__).parents[1]
SMALL = [
    "--threads",
    "1",
    "--width",
    "8",
    "--depth",
    "1",
    "--steps",
    "3",
    "--log-every",
    "1",
    "--sample-every",
    "2",
    "--batch-size",
    "8",
]
ENGLISH = [
    f"the {a} {b} of the {c}" for a in ("old", "new", "red") for b in ("house", "name") for c in ("sea", "town", "hill")
]


@pytest.fixture
def text_run(here, call):
    """A run of three steps on a few sentences."""
    Path("lines.txt").write_text("".join(line + "\n" for line in ENGLISH))
    code, out, err = call("train-text", "--data", "lines.txt", *SMALL)
    assert code == 0, err
    return Path("runs/00000-text-wgan-gp"), out


class TestTraining:
    def test_prints_the_run_and_how_to_go_on(self, text_run):
        path, out = text_run
        assert f"run:         {path}" in out and f"--resume {path}" in out and "tensorboard --logdir runs" in out
        assert "wasserstein + gp" in out and "samples at step 3" in out and "In short: JS-4 is" in out
        assert "step 3/3" in out and "gradient_norm" in out

    def test_writes_the_run_directory_of_the_design(self, text_run):
        path, _ = text_run
        config = json.loads((path / "config.json").read_text())
        assert config["numbers"]["width"] == 8 and config["versions"]["torch"] and config["data"]["fingerprint"]
        summary = json.loads((path / "summary.json").read_text())
        assert set(summary["evaluation"]) == {"heldout", "wgan-gp"} and summary["steps"] == 3
        nets = {f"{name}.safetensors" for name in ("generator", "ema", "critic")}
        there = {p.name for p in (path / "checkpoints/step-000003").iterdir()}
        assert there == nets | {"state.pt", "tokenizer.json", "labels.json", "manifest.json"}
        assert len((path / "samples/000003.txt").read_text().split("\n")) == 65
        assert (path / "samples/real.txt").read_text().strip()

    def test_resumes_to_what_an_uninterrupted_run_gives(self, text_run, call):
        path, _ = text_run
        assert call("train-text", "--resume", path, "--steps", 6)[0] == 0
        assert call("train-text", "--data", "lines.txt", *SMALL, "--steps", 6, "--name", "straight")[0] == 0
        for name in ("generator", "ema", "critic"):
            file = f"checkpoints/step-000006/{name}.safetensors"
            assert (path / file).read_bytes() == (Path("runs/00001-straight") / file).read_bytes()

    def test_resume_alone_takes_the_newest_run(self, text_run, call):
        code, out, _ = call("train-text", "--resume", "--steps", 4)
        assert (
            code == 0
            and "resuming at step 3" in out
            and json.loads((text_run[0] / "summary.json").read_text())["steps"] == 4
        )

    def test_a_resume_that_differs_names_each_option_and_both_values(self, text_run, call):
        code, _, err = call("train-text", "--resume", text_run[0], "--width", 16, "--gp-weight", 3, "--steps", 9)
        assert code == 4
        sentence = one_sentence(err)
        assert "--width 16 (the run has 8)" in sentence and "--gp-weight 3.0 (the run has 10.0)" in sentence
        Path("lines.txt").write_text("other\nlines\nthan\nbefore\n")
        code, _, err = call("train-text", "--resume", text_run[0], "--steps", 9)
        run_has = json.loads((text_run[0] / "config.json").read_text())["data"]["fingerprint"][:12]
        assert code == 4 and "--data lines.txt is not" in one_sentence(err) and f"run has {run_has}" in err

    def test_a_dry_run_shows_everything_and_writes_nothing(self, here, call):
        Path("lines.txt").write_text("".join(line + "\n" for line in ENGLISH))
        code, out, _ = call("train-text", "--data", "lines.txt", "--dry-run", "--recipe", "began")
        assert code == 0 and "began.gamma 0.5" in out and "parameters" in out and not Path("runs").exists()

    def test_a_config_file_and_the_command_line_over_it(self, here, call):
        Path("lines.txt").write_text("".join(line + "\n" for line in ENGLISH))
        Path("run.toml").write_text('data = "lines.txt"\nwidth = 24\nseq-len = 12\n[gp]\nweight = 5\n')
        code, out, _ = call("train-text", "--config", "run.toml", "--width", 16, "--dry-run")
        assert code == 0 and "width 16" in out and "seq_len 12" in out and "gp.weight 5.0" in out


class TestSampling:
    def test_exactly_as_many_as_asked_in_every_format(self, text_run, call):
        path, _ = text_run
        code, out, _ = call("sample", path, "--num", 37)
        assert code == 0 and len(out.split("\n")) == 38
        assert call("sample", path, "--num", 5)[1] == "".join(line + "\n" for line in out.split("\n")[:5])
        assert call("sample", path, "--num", 37, "--seed", 1)[1] != out
        for _ in range(2):  # written anew, not appended to
            assert call("sample", path, "--num", 37, "--out", "s.txt")[0] == 0
        assert Path("s.txt").read_text() == out
        assert call("sample", path, "--num", 37, "--out", "s.jsonl")[0] == 0
        assert "".join(json.loads(line)["text"] + "\n" for line in Path("s.jsonl").read_text().splitlines()) == out
        assert call("sample", path, "--num", 37, "--out", "s.npz")[0] == 0
        with np.load("s.npz", allow_pickle=False) as file:
            assert file["ids"].shape == (37, 32) and file["ids"].dtype == np.uint8

    def test_average_and_raw_weights_differ(self, text_run, call):
        path, _ = text_run
        assert call("sample", path, "--ema")[1] == call("sample", path)[1]
        code, out, _ = call("sample", path, "--raw", "--num", 3)
        assert code == 0 and len(out.split("\n")) == 4

    def test_the_vocabulary_travels_in_the_checkpoint(self, text_run, call):
        """Trap 12."""
        path, _ = text_run
        out = call("sample", path)[1]
        Path("lines.txt").unlink()
        assert call("sample", path)[1] == out
        tokenizer = path / "checkpoints/step-000003/tokenizer.json"
        tokenizer.write_text(tokenizer.read_text().replace("101", "102"))
        code, _, err = call("sample", path)
        assert code == 4 and "tokenizer.json" in err

    def test_what_cannot_be(self, text_run, call):
        path, _ = text_run
        for args, want in (
            (("nowhere",), 4), ((path, "--num", 0), 2), ((path, "--format", "npz"), 2),
            ((path, "--device", "cuda:77"), 2), ((path, "--out", "no/such/folder.txt"), 2),
        ):  # fmt: skip
            code, out, err = call("sample", *args)
            assert (code, out) == (want, "") and one_sentence(err)


class TestScoring:
    def test_one_json_object_and_nothing_else(self, text_run, call):
        path, _ = text_run
        for protocol in ("heldout", "wgan-gp"):
            code, out, _ = call("evaluate", path, "--protocol", protocol, "--json")
            report = json.loads(out)
            assert code == 0 and out.count("\n") == 1 and report["protocol"] == protocol
            assert set(report["js"]) == set(report["floor"]) == {"1", "2", "3", "4", "5", "6"}
            assert set(report["markov"]) == {"1", "2", "3", "4", "5"} and set(report["markov"]["3"]) == set(
                report["js"]
            )
            assert report["num_samples"] == (10_000 if protocol == "heldout" else 640) and report["num_reference"] > 0
        summary = json.loads((path / "summary.json").read_text())["evaluation"]["wgan-gp"]
        assert summary == json.loads(json.dumps(report))  # the same samples, the same score

    def test_two_files(self, here, call):
        Path("a.txt").write_text("".join(line + "\n" for line in ENGLISH[:6]))
        Path("b.txt").write_text("".join(line + "\n" for line in ENGLISH))
        args = ("evaluate", "a.txt", "--data", "b.txt", "--protocol", "plain", "--seq-len", 12, "--json")
        report = json.loads(call(*args)[1])
        assert (report["num_samples"], report["num_reference"], report["length"]) == (6, 18, 12) and 0 < report["js"][
            "4"
        ] < 1
        same = json.loads(call("evaluate", "b.txt", "--data", "b.txt", "--json")[1])
        assert set(same["js"].values()) == {0.0}
        code, out, _ = call("evaluate", "a.txt", "--data", "b.txt")
        assert code == 0 and "JS-4" in out and "real text" in out

    def test_other_real_lines(self, text_run, call):
        Path("other.txt").write_text("an entirely other text\nwith other words\n")
        code, out, _ = call("evaluate", text_run[0], "--data", "other.txt", "--num", 50, "--json")
        assert code == 0 and json.loads(out)["num_reference"] == 2 and json.loads(out)["num_samples"] == 50

    def test_what_cannot_be(self, text_run, call):
        path, _ = text_run
        for args, want in (
            (("nowhere.txt", "--data", "lines.txt"), 3), ((path, "--protocol", "plain"), 2), (("lines.txt",), 2),
            (("lines.txt", "--data", "lines.txt", "--protocol", "heldout"), 2), ((path, "--seq-len", 3), 2),
            (("lines.txt", "--data", "lines.txt", "--seq-len", 0), 2), ((path.parent,), 4),
        ):  # fmt: skip
            code, out, err = call("evaluate", *args)
            assert (code, out) == (want, "") and one_sentence(err), args


class TestShowing:
    def test_recipes(self, call):
        code, out, _ = call("recipes")
        assert code == 0 and "wgan-gp" in out and "pulling" in out
        code, out, _ = call("recipes", "r3gan")
        assert code == 0 and all(
            part in out for part in ("relativistic", "r1", "r2", "arXiv 2501.05441", "--r1-weight")
        )
        assert call("recipes", "dragan")[0] == 0 and call("recipes", "orthonormal-term")[0] == 0
        assert call("recipes", "nope")[0] == 2

    def test_inspect(self, text_run, call):
        path, _ = text_run
        summary = json.loads(call("inspect", path, "--json")[1])
        assert summary["step"] == 3 and summary["checkpoint"]["verified"] is True and summary["recipe"] == "wgan-gp"
        assert set(summary["parameters"]) == {"generator", "critic"} and summary["evaluation"]["wgan-gp"]["js"]
        code, out, _ = call("inspect", path)
        assert code == 0 and "verified" in out and "JS-4" in out
        assert call("inspect", path / "checkpoints")[0] == 0
        assert call("inspect", "nowhere")[0] == 4

    def test_doctor(self, call):
        code, out, _ = call("doctor")
        assert code == 0 and "torch" in out and "free disk" in out


CORPORA = {
    "dna": ("".join("ACGTTGCAAGCT"[i % 7 :] + "ACCA" * (i % 3) + "\n" for i in range(60)), "ACGT"),
    "korean": (
        "오늘은 날씨가 좋아서 산책을 했다\n어머니는 시장에서 사과를 사 오셨다\n기차가 늦게 도착해서 늦었다\n" * 7,
        None,
    ),
    "hebrew": ("שלום לכולם מהעיר הגדולה\nהספר נמצא על השולחן\nהרכבת יוצאת בבוקר מוקדם\n" * 7, None),
    "passwords": ("".join(f"{w}{i}!\n" for i in range(30) for w in ("dragon", "hunter", "pass`word")), None),
    "windows": ("first line\r\nsecond line\r\nthird line\r\n" * 9, None),
    "bom": ("\ufeffalpha beta\ngamma delta\nepsilon zeta\n" * 9, None),
}


@pytest.mark.parametrize("name", CORPORA)
def test_a_users_own_data_trains_samples_and_comes_back(name, call):
    text, alphabet = CORPORA[name]
    Path("own.txt").write_text(text, encoding="utf-8", newline="")
    code, _, err = call("train-text", "--data", "own.txt", *SMALL)
    assert code == 0, err
    path = Path("runs/00000-text-wgan-gp")
    real = (path / "samples/real.txt").read_text().splitlines()
    lines = {line.rstrip("\r").lstrip("\ufeff") for line in text.split("\n")}
    assert real and set(real) <= lines  # what was held out reads as it was written
    code, out, _ = call("sample", path, "--num", 20)
    assert code == 0 and len(out.split("\n")) == 21
    assert alphabet is None or set(out) <= set(alphabet + "\n\ufffd")
    assert json.loads(call("evaluate", path, "--protocol", "wgan-gp", "--json")[1])["js"]["1"] <= 1


@pytest.mark.parametrize("kind", ["byte", "char", "bpe", "unigram"])
def test_every_tokenizer_trains_and_samples(kind, text_run, call):
    size = [] if kind == "byte" else ["--vocab-size", {"char": 20, "bpe": 300, "unigram": 280}[kind]]
    code, _, err = call("train-text", "--data", "lines.txt", *SMALL, "--tokenizer", kind, *size, "--name", kind)
    assert code == 0, err
    assert call("sample", f"runs/00001-{kind}", "--num", 3)[0] == 0


@pytest.mark.parametrize(
    "recipe",
    [
        "gan",
        "gan-minimax",
        "dcgan",
        "lsgan",
        "wgan",
        "wgan-gp",
        "wgan-lp",
        "dragan",
        "sngan",
        "began",
        "ebgan",
        "r3gan",
    ],
)
def test_every_recipe_trains_on_text(recipe, text_run, call):
    code, _, err = call("train-text", "--data", "lines.txt", *SMALL, "--recipe", recipe)
    assert code == 0, err
    assert call("sample", f"runs/00001-text-{recipe}", "--num", 3)[0] == 0


BAD_DATA = {
    "missing": lambda: None,
    "empty": lambda: Path("x.txt").write_bytes(b""),
    "blank": lambda: Path("x.txt").write_bytes(b" \n\n\t\n"),
    "one line": lambda: Path("x.txt").write_bytes(b"only one line\n"),
    "one line, twice": lambda: Path("x.txt").write_bytes(b"only one line\n" * 2),
    "invalid UTF-8": lambda: Path("x.txt").write_bytes(b"good\n\xff\xfe bad\nfine\n"),
    "NUL bytes": lambda: Path("x.txt").write_bytes(b"a line\nwith a \0 byte\n" * 3),
    "binary": lambda: Path("x.txt").write_bytes(bytes(range(256)) * 50),
    "folder of nothing": lambda: Path("x.txt").mkdir(),
    "cut gzip": lambda: Path("x.txt").write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03abc"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_is_one_sentence_and_nothing_is_written(name, call):
    BAD_DATA[name]()
    code, _, err = call("train-text", "--data", "x.txt", *SMALL)
    assert code == 3 and "x.txt" in one_sentence(err) and not Path("runs").exists()


def test_an_unreadable_folder(call, monkeypatch):
    Path("locked").mkdir()
    Path("locked/a.txt").write_text("a\nb\n")

    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied", "locked")

    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    code, _, err = call("train-text", "--data", "locked", *SMALL)
    assert code == 3 and "locked" in one_sentence(err)


def test_invalid_utf8_replaced_or_skipped_is_counted(call):
    Path("x.txt").write_bytes(b"good line\n\xff\xfe bad\nfine line\nmore of it\n")
    for choice in ("replace", "skip"):
        code, out, err = call("train-text", "--data", "x.txt", *SMALL, "--bad-utf8", choice)
        assert code == 0 and f"1 lines not UTF-8 ({choice})" in out, err


def test_a_line_of_ten_megabytes(call):
    Path("x.txt").write_bytes(b"short line\nand another\n" + b"long " * 2_000_000 + b"\nlast line\n")
    code, _, err = call("train-text", "--data", "x.txt", *SMALL)
    assert code == 0, err


def test_an_unknown_hub_id_without_a_network(here):
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(here / "hf")}
    command = [sys.executable, str(ROOT / "cli.py"), "train-text", "--data", "hf:nobody/nothing@main:train", *SMALL]
    started = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 3 and "--data wordnet" in one_sentence(done.stderr)
    assert time.monotonic() - started < 10  # 2 seconds on an idle machine; this one may be loaded


@pytest.mark.parametrize(
    "args",
    [
        ("--seq-len", "0"), ("--seq-len", "99999"), ("--vocab-size", "1"), ("--vocab-size", "100000"),
        ("--generator-lr", "nan"), ("--gp-weight", "inf"), ("--began-gamma", "0.5"), ("--clip-bound", "0.1"),
        ("--steps", "-3"),
        ("--recipe", "nope"), ("--preset", "nope"), ("--add", "nope"), ("--without", "clip"), ("--max-time", "later"),
        ("--device", "tpu"), ("--add", "began"), ("--without", "wasserstein"), ("--config", "missing.toml"),
        ("--add", "spectral", "--add", "weight-norm"), ("--nonsense",), ("--name", "../x"), ("stray",),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_sentence(args, call):
    Path("lines.txt").write_text("".join(line + "\n" for line in ENGLISH))
    code, _, err = call("train-text", "--data", "lines.txt", *SMALL, *args)
    assert (code == 2 and args[0] in one_sentence(err).replace("=", " ")) or args[0] in ("--add", "--without", "stray")
    assert code == 2 and not Path("runs").exists()


def test_an_outdir_that_cannot_be_written(call):
    Path("lines.txt").write_text("".join(line + "\n" for line in ENGLISH))
    Path("file").write_text("")
    code, _, err = call("train-text", "--data", "lines.txt", *SMALL, "--outdir", "file/runs")
    assert code == 2 and "--outdir" in one_sentence(err)


class TestProcess:
    """The real command, in a process of its own."""

    def test_help_is_quick_and_imports_no_torch(self):
        command = [sys.executable, "-X", "importtime", str(ROOT / "cli.py"), "--help"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0 and "train-text" in done.stdout
        imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
        assert not imported & {"torch", "datasets", "numpy", "sentencepiece"}

    def test_without_a_command_it_shows_help(self):
        done = subprocess.run([sys.executable, str(ROOT / "cli.py")], capture_output=True, text=True)
        assert done.returncode == 2 and "train-text" in done.stdout

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_signal_saves_and_the_run_is_scorer(self, here, number, code):
        Path("lines.txt").write_text("".join(line + "\n" for line in ENGLISH))
        command = [
            sys.executable,
            str(ROOT / "cli.py"),
            "train-text",
            "--data",
            "lines.txt",
            *SMALL,
            "--steps",
            "100000",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if line.startswith("step 5/"):
                    break
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        assert process.returncode == code and "saved at step" in err and "Traceback" not in err
        (saved,) = Path("runs/00000-text-wgan-gp/checkpoints").iterdir()
        step = int(saved.name[5:])
        again = [*command[:2], "train-text", "--resume", "--steps", str(step + 2)]
        done = subprocess.run(again, capture_output=True, text=True)
        assert done.returncode == 0 and f"resuming at step {step}" in done.stdout, done.stderr

    def test_the_readers_end_of_a_pipe_may_close(self, here):
        Path("lines.txt").write_text("".join(line + "\n" for line in ENGLISH))
        python = [sys.executable, str(ROOT / "cli.py")]
        subprocess.run([*python, "train-text", "--data", "lines.txt", *SMALL], check=True, capture_output=True)
        shell = f"{sys.executable} {ROOT / 'cli.py'} sample runs/00000-text-wgan-gp --num 20000 | head -1"
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
        assert done.stdout.count("\n") == 1 and "Traceback" not in done.stderr and "Exception" not in done.stderr
