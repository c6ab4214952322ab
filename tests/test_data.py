"""The built-in sentences and images: the scripts that make them, and the files as shipped."""

import gzip
import hashlib
import re
import runpy
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from image_gan.sources.built_in import BUILT_IN_CLASSES

DATA = Path(__file__).parents[1] / "data"
PARTS = ("noun", "verb", "adjective", "adverb")
NOTICE = "This software and database\n\nis provided AS IS."
HEAD = "".join(f"  {i} {line}  \n" for i, line in enumerate(NOTICE.split("\n"), 1))

# Gloss of a synset, and the lines it must give. All but a few are WordNet's own.
GLOSSES = {
    "noun": [
        ("a plain definition  ", ["a plain definition"]),
        ("the first;  the second; ; (the third)", ["the first", "the second", "the third"]),
        (
            'semicolon (in; parentheses); "in an example; too"',
            ["semicolon (in; parentheses)", "in an example; too"],
        ),
        (
            'the worst; "To be, or not to be"- Shakespeare; "a line"--E. A. Poe',
            ["the worst", "To be, or not to be", "a line"],
        ),
        (
            'the grave; "a lost soul" (Santayana); "the deserving poor" (often used ironically)',
            ["the grave", "a lost soul", "the deserving poor"],
        ),
        (
            'of trade; "he loaded it"women carrying things"',
            ["of trade", "he loaded it", "women carrying things"],
        ),
        (
            'of news; "an obituary notice"; "a notice of sale',
            ["of news", "an obituary notice", "a notice of sale"],
        ),
        (
            'of fear; "in bondage to fear:; "his bondage to Satan"; drop names"; "a wood-burning stove\'',
            ["of fear", "in bondage to fear", "his bondage to Satan", "drop names", "a wood-burning stove"],
        ),
        ("a drawing in a comic_strip; `Currier' prints", ["a drawing in a comic strip", "'Currier' prints"]),
        ("a mark (&); y = ax + b; ab; 1861-1865; BC", []),
        ('promise of reward as in "carrot and stick"', ["promise of reward as in 'carrot and stick'"]),
        ('of emoticons; ":-( and :-) are emoticons"', ["of emoticons", ":-( and :-) are emoticons"]),
    ],
    "verb": [
        ('a plain definition; "he took it"', ["he took it"]),  # the first is in noun
        ('take sides; "I"m siding against you"', ["take sides", "I'm siding against you"]),
        ('to swell, "Her faced puffed up"', ["to swell", "Her faced puffed up"]),
        ('hit :"He knocked the glass"', ["hit", "He knocked the glass"]),
        (
            'spell; "How do you spell this?" "We spelled it"; "a deal", "a blow" or "a cut"',
            ["spell", "How do you spell this?", "We spelled it", "a deal", "a blow", "a cut"],
        ),
        ('reach a goal, e.g., "make the first team"', ["reach a goal, e.g., 'make the first team'"]),
    ],
    "adjective": [
        (
            '( bridge) of a suit ,low ; "lang syne" is Scottish',
            ["(bridge) of a suit,low", "'lang syne' is Scottish"],
        ),
        (": of damp areas; having an .22 caliber", ["of damp areas", "having an .22 caliber"]),
    ],
    "adverb": [
        (
            'dryly; "`Yes,\' she said dryly"; "I know that," he said',
            ["dryly", "'Yes,' she said dryly", "'I know that,' he said"],
        ),
    ],
}


def lines(path):
    return gzip.decompress(path.read_bytes()).decode().splitlines()


@pytest.fixture
def made(tmp_path):
    for part, name in zip(PARTS, ("noun", "verb", "adj", "adv"), strict=True):
        synsets = [f"{i:08} 02 r 01 word 0 000 | {gloss}  \n" for i, (gloss, _) in enumerate(GLOSSES[part])]
        (tmp_path / f"data.{name}").write_text(HEAD + "".join(synsets))
    command = [sys.executable, str(DATA / "make_wordnet.py"), str(tmp_path), str(tmp_path / "out"), "--shortest", "3"]
    return tmp_path / "out", subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("part", PARTS)
def test_glosses_become_lines(made, part):
    assert lines(made[0] / f"{part}.txt.gz") == [line for _, want in GLOSSES[part] for line in want]


def test_report_counts_and_licence(made):
    out, printed = made
    total = sum(len(lines(out / f"{part}.txt.gz")) for part in PARTS)
    kept = re.search(r"\| kept \| (\d+) \| (\d+) \|", printed)
    assert sum(map(int, kept.groups())) == total
    assert f"| all | {total} | {total} |" in printed
    assert "| dropped: duplicate | 1 | 0 |" in printed
    assert (out / "LICENSE").read_text() == NOTICE + "\n"


def test_gzip_header_has_no_time_and_no_name(made):
    for folder in (made[0], DATA / "wordnet"):
        for part in PARTS:
            assert (folder / f"{part}.txt.gz").read_bytes()[:8] == b"\x1f\x8b\x08" + bytes(5)


def test_shipped_files_are_the_card_s():
    card = (DATA / "wordnet/README.md").read_text()
    for part in PARTS:
        packed = (DATA / f"wordnet/{part}.txt.gz").read_bytes()
        for content in (packed, gzip.decompress(packed)):
            assert hashlib.sha256(content).hexdigest() in card
    assert runpy.run_path(str(DATA / "make_wordnet.py"))["report"](DATA / "wordnet") in card


def test_shipped_files_are_clean():
    everything = [line for part in PARTS for line in lines(DATA / f"wordnet/{part}.txt.gz")]
    assert len(everything) == len(set(everything)) > 140_000
    assert all(len(line) >= 24 and line == line.strip() for line in everything)
    assert all(" " <= c <= "~" for c in set("".join(everything)))  # so neither tabs nor control characters
    assert "Princeton" in (DATA / "wordnet/LICENSE").read_text()


FASHION = DATA / "fashion-mnist"


def idx(path):
    """The header and the rest of an idx file."""
    content = gzip.decompress(path.read_bytes())
    axes = content[3]
    return struct.unpack_from(f">{axes + 1}I", content), content[4 * (axes + 1) :]


def test_the_first_images_are_kept(tmp_path):
    source = tmp_path / "package/usr/share/datasets/fashion-mnist"
    readme = tmp_path / "package/usr/share/doc/dataset-fashion-mnist/README.md.gz"
    source.mkdir(parents=True)
    readme.parent.mkdir(parents=True)
    readme.write_bytes(gzip.compress(b"# About\n\n## License\n\nCopyright someone\n\nAs is.\n"))
    for part, number in (("train", 10_001), ("t10k", 2_001)):
        images = struct.pack(">4I", 0x803, number, 1, 2) + bytes(i % 251 for i in range(2 * number))
        (source / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        labels = struct.pack(">2I", 0x801, number) + bytes(i % 10 for i in range(number))
        (source / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    out = tmp_path / "out"
    command = [sys.executable, str(DATA / "make_fashion_mnist.py"), str(tmp_path / "package"), str(out)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "| 9 | Ankle boot | 1,000 | 200 |" in printed
    for part, number in (("train", 10_000), ("t10k", 2_000)):
        header, pixels = idx(out / f"{part}-images-idx3-ubyte.gz")
        assert header == (0x803, number, 1, 2)
        assert pixels == bytes(i % 251 for i in range(2 * number))
        assert idx(out / f"{part}-labels-idx1-ubyte.gz") == ((0x801, number), bytes(i % 10 for i in range(number)))
    assert (out / "LICENSE").read_text() == "Copyright someone\n\nAs is.\n"


def test_shipped_images_are_the_card_s():
    card = (FASHION / "README.md").read_text()
    module = runpy.run_path(str(DATA / "make_fashion_mnist.py"))
    assert module["report"](FASHION) in card
    assert module["CLASSES"] == BUILT_IN_CLASSES["fashion-mnist"]  # the script stands alone
    for part, number in module["NUMBERS"].items():
        header, pixels = idx(FASHION / f"{part}-images-idx3-ubyte.gz")
        assert header == (0x803, number, 28, 28) and len(pixels) == number * 784
        assert idx(FASHION / f"{part}-labels-idx1-ubyte.gz")[0] == (0x801, number)
        for kind in ("images-idx3", "labels-idx1"):
            assert (FASHION / f"{part}-{kind}-ubyte.gz").read_bytes()[:8] == b"\x1f\x8b\x08" + bytes(5)
    licence = (FASHION / "LICENSE").read_text()
    assert "Zalando SE" in licence and "WITHOUT WARRANTY OF ANY KIND" in licence
