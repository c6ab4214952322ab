import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_core.errors import CheckpointError, UsageError
from seqgan_gp import tokenizers
from seqgan_gp.choices import TOKENIZERS
from seqgan_gp.lines import END, code_rows, drop_blank, first_code_points, in_parts
from seqgan_gp.tokenizers import load, train, wordpieces
from seqgan_gp.tokenizers.base import PAD, UNK
from seqgan_gp.tokenizers.characters import ByteTokenizer, CharTokenizer

LINES = [
    "The cat sat on the mat, and the dog sat on the log.",
    "  leading, double  and trailing spaces  ",
    "`backticks` are ``ordinary`` symbols`",
    "tab\tand carriage\rreturn",
    "▁the mark of SentencePiece▁ and ▅ and \x1a and \x1a_ and \x1a\x1a",
    "<pad> <unk> <s> </s> <0x41> \x1apad \x1aunk",
    "안녕하세요 세계",
    "שלום עולם",
    "ACGTACGTTTAGGGACCA",
    "👩‍👩‍👧 family 🇰🇷 é é",
    "P@ssw0rd!`~\\",
    "U+2028 \u2028 and U+0085 \x85 and \x0b \x0c \x1c are no line ends",
    "\ufeffa byte order mark, \ufffd, \uffff and \U0010ffff",
    "",
    " ",
    "x",
]
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"), max_size=40)


def block_of(lines):
    return "".join(line + "\n" for line in lines).encode()


@pytest.fixture(scope="module")
def trained():
    """A tokenizer of each kind."""
    corpus = [line for line in LINES if line] * 20
    sizes = {"byte": None, "char": None, "bpe": 420, "unigram": 350}
    return {kind: train(kind, [block_of(corpus)], sizes[kind], 4096) for kind in TOKENIZERS}


@pytest.mark.parametrize("kind", TOKENIZERS)
class TestEveryKind:
    def test_round_trip(self, trained, kind):
        tokenizer = trained[kind]
        rows = tokenizer.encode_block(block_of(LINES), 256)
        assert rows.shape == (len(LINES), 256)
        assert rows.dtype == tokenizer.dtype == (np.uint8 if tokenizer.size <= 256 else np.uint16)
        assert (rows[:, -1] == PAD).all()  # every line fits
        assert rows.max() < tokenizer.size
        assert tokenizer.decode(rows) == LINES

    def test_round_trip_of_any_text(self, trained, kind):
        """Bytes and pieces reproduce text they never saw; characters do when they are in the vocabulary."""

        @settings(max_examples=60, deadline=None)
        @given(st.lists(TEXT, min_size=1, max_size=8))
        def check(lines):
            block = block_of(lines)
            tokenizer = train("char", [block], 65535, 600) if kind == "char" and "".join(lines) else trained[kind]
            rows = tokenizer.encode_block(block, 600)
            assert tokenizer.decode(rows) == lines
            assert (tokenizer.canonical(rows) == rows).all()

        check()

    def test_any_ids_decode(self, trained, kind):
        """A generator writes what it likes: every row is a text without newlines, and ends at the first PAD."""
        tokenizer = trained[kind]
        random = np.random.default_rng(0)
        ids = random.integers(0, tokenizer.size, (300, 16))
        texts = tokenizer.decode(ids)
        assert len(texts) == 300
        assert not any("\n" in text or "\0" in text for text in texts)
        assert tokenizer.decode(tokenizer.canonical(ids)) == texts
        assert tokenizer.decode(np.zeros((2, 5), np.int64)) == ["", ""]
        assert tokenizer.decode(np.zeros((0, 5), np.int64)) == []

    def test_cut_lines_are_prefixes(self, trained, kind):
        tokenizer = trained[kind]
        whole = tokenizer.encode_block(block_of(LINES), 200)
        for length in (1, 7, 32):
            assert (tokenizer.encode_block(block_of(LINES), length) == whole[:, :length]).all()

    def test_canonical(self, trained, kind):
        ids = np.array([[5, 0, 6, 7], [0, 1, 2, 3], [4, 5, 6, 7]])
        canonical = trained[kind].canonical(ids)
        assert canonical.tolist() == [[5, 0, 0, 0], [0, 0, 0, 0], [4, 5, 6, 7]]
        assert canonical.dtype == trained[kind].dtype

    def test_same_lines_make_the_same_tokenizer(self, trained, kind):
        corpus = [line for line in LINES if line] * 20
        blocks = [block_of(corpus[:100]), block_of(corpus[100:])]
        again = train(kind, blocks, None if kind in ("byte", "char") else trained[kind].size, 4096)
        assert again.fingerprint() == trained[kind].fingerprint()
        assert len({tokenizer.fingerprint() for tokenizer in trained.values()}) == len(TOKENIZERS)

    def test_save_and_load(self, trained, kind, tmp_path):
        tokenizer = trained[kind]
        names = tokenizer.save(tmp_path)
        assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
        loaded = load(tmp_path)
        assert loaded.fingerprint() == tokenizer.fingerprint()
        assert (loaded.kind, loaded.size, loaded.unk) == (kind, tokenizer.size, tokenizer.unk)
        ids = np.random.default_rng(1).integers(0, tokenizer.size, (100, 20))
        assert loaded.decode(ids) == tokenizer.decode(ids)
        assert (loaded.symbols(ids) == tokenizer.symbols(ids)).all()
        block = block_of(LINES)
        assert (loaded.encode_block(block, 64) == tokenizer.encode_block(block, 64)).all()

    def test_symbols(self, trained, kind):
        tokenizer = trained[kind]
        rows = tokenizer.encode_block(block_of(LINES), 24)
        symbols = tokenizer.symbols(rows)
        assert symbols.dtype == np.uint32
        assert symbols.max() < tokenizer.symbol_count
        if kind in ("byte", "char"):
            assert (symbols == rows).all()
            assert tokenizer.unit == ("bytes" if kind == "byte" else "code points")
        else:
            width = tokenizer.max_chars
            expected = [[*map(ord, text[:width]), *[END] * (width - len(text))] for text in tokenizer.decode(rows)]
            assert symbols.tolist() == expected

    def test_damaged_files(self, trained, kind, tmp_path):
        for name in trained[kind].save(tmp_path):
            content = (tmp_path / name).read_bytes()
            for damage in (content[:-9], b"", b"[" * 100_000, b"\xff" + content, b"[]", b'{"format": 1}'):
                (tmp_path / name).write_bytes(damage)
                with pytest.raises(CheckpointError) as caught:
                    load(tmp_path)
                assert caught.value.exit_code == 4
                assert str(tmp_path) in str(caught.value)
                assert "\n" not in str(caught.value)
            (tmp_path / name).unlink()
            with pytest.raises(CheckpointError, match="No such file"):
                load(tmp_path)
            (tmp_path / name).write_bytes(content)
        load(tmp_path)


class TestBytes:
    def test_ids_are_the_bytes(self):
        rows = ByteTokenizer().encode_block("é`\n\nabcdef\n".encode(), 4)
        assert rows.tolist() == [[0xC3, 0xA9, 0x60, 0], [0, 0, 0, 0], [0x61, 0x62, 0x63, 0x64]]

    def test_wrong_utf8_and_newline(self):
        ids = np.array([[0xC3, 0x41, 0], [0xE2, 0x82, 0], [0x41, 10, 0x42]])
        assert ByteTokenizer().decode(ids) == ["\ufffdA", "\ufffd", "A B"]


class TestChars:
    def test_vocabulary_is_capped_by_frequency(self):
        tokenizer = train("char", [b"cccaab\n", "dbé\n".encode()], 5, 10)
        assert tokenizer.vocabulary.tolist() == [ord("c"), ord("a"), ord("b")]  # a before b: ties by code point
        assert tokenizer.size == 5
        rows = tokenizer.encode_block("abcdé\n".encode(), 6)
        assert rows.tolist() == [[3, 4, 2, UNK, UNK, PAD]]
        assert tokenizer.decode(rows) == ["abc\ufffd\ufffd"]

    def test_only_what_rows_hold_is_counted(self):
        assert train("char", [b"abXXXX\nbaYYYY\n"], 100, 2).vocabulary.tolist() == [ord("a"), ord("b")]

    def test_more_than_256_symbols(self):
        text = "".join(map(chr, range(0x4E00, 0x4E00 + 1000)))
        tokenizer = train("char", [f"{text}\n".encode()], 2048, 1000)
        assert (tokenizer.size, tokenizer.dtype) == (1002, np.uint16)
        assert tokenizer.decode(tokenizer.encode_block(f"{text}\n".encode(), 1000)) == [text]

    @settings(max_examples=100, deadline=None)
    @given(st.lists(TEXT, min_size=1, max_size=10), st.integers(1, 50), st.integers(1, 8))
    def test_equals_plain_python(self, lines, length, symbols):
        tokenizer = CharTokenizer(np.array([ord(c) for c in "ab é漢😀 "[:symbols]]))
        ids = {chr(code): number for number, code in enumerate(tokenizer.vocabulary, start=2)}
        expected = [[ids.get(c, UNK) for c in line[:length]] for line in lines]
        expected = [row + [PAD] * (length - len(row)) for row in expected]
        assert tokenizer.encode_block(block_of(lines), length).tolist() == expected

    @pytest.mark.parametrize(
        "vocabulary",
        [
            [],
            [97, 97],
            [10],
            [0],
            [-1],
            [END],
            [0xD800],
            ["a"],
            [97.0],
            [True],
            "abc",
            None,
            [10**30],
            list(range(11, 66000)),
        ],
    )
    def test_hostile_vocabulary(self, tmp_path, vocabulary):
        about = {"format": 1, "kind": "char", "vocabulary": vocabulary}
        (tmp_path / "tokenizer.json").write_text(json.dumps(about))
        with pytest.raises(CheckpointError, match="no usable tokenizer"):
            load(tmp_path)

    def test_huge_file_is_not_read(self, tmp_path):
        (tmp_path / "tokenizer.json").write_bytes(b" " * (tokenizers.ABOUT_LIMIT + 1))
        with pytest.raises(CheckpointError, match="larger than"):
            load(tmp_path)


class TestPieces:
    def test_long_line_keeps_its_content(self):
        """SentencePiece would drop a line of 10,000 characters from training, without a word."""
        line = "brontosaurus " * 800
        tokenizer = train("bpe", [f"{line}\n".encode()], 280, 4096)
        pieces = {tokenizer.processor.id_to_piece(number) for number in range(258, 280)}
        assert {"b", "r", "▁brontosaurus"} <= pieces
        assert tokenizer.decode(tokenizer.encode_block(f"{line}\n".encode(), 4096)) == [line]

    @pytest.mark.parametrize("kind", ["bpe", "unigram"])
    def test_limits_that_the_message_gives_are_right(self, kind):
        block = block_of(["the quick brown fox jumps over the lazy dog"] * 50)
        for size, limit in ((2, "at least"), (60000, "at most")):
            with pytest.raises(UsageError, match=f"--vocab-size {size} .* {limit} ") as caught:
                train(kind, [block], size, 32)
            assert "\n" not in str(caught.value)
            assert caught.value.exit_code == 2
            right = int(str(caught.value).split()[-1])
            assert train(kind, [block], right, 32).size == right

    @pytest.mark.parametrize("kind", ["bpe", "unigram"])
    def test_nothing_to_learn(self, kind):
        with pytest.raises(UsageError, match=f"--tokenizer {kind} finds too little"):
            train(kind, ["▅▁\n".encode()], 300, 32)

    @pytest.mark.parametrize("kind", ["bpe", "unigram"])
    def test_special_names_in_the_data(self, kind):
        """Corpora are full of "<unk>"; as a piece of the data it must not clash with SentencePiece's own."""
        block = block_of(["a rare <unk> word , <pad> and <0x41> and <s>"] * 200)
        tokenizer = train(kind, [block], 274, 64)
        rows = tokenizer.encode_block(block, 64)
        assert (rows != UNK).all()
        assert block_of(tokenizer.decode(rows)) == block

    def test_max_chars(self, trained):
        assert trained["bpe"].max_chars == max(map(len, LINES))
        tabs = train("bpe", [block_of(["field\tfield\tfield"] * 50)], 265, 100)
        assert tabs.max_chars == 17
        words = train("bpe", [block_of(["abcdefgh " * 10] * 10)], 270, 4)
        assert words.max_chars == len(words.decode(words.encode_block(block_of(["abcdefgh " * 10]), 4))[0])

    def test_sample_is_even_and_bounded(self):
        texts = [f"{number:03}" for number in range(1000)]
        assert wordpieces.evenly_sampled(iter(texts), 3000) == texts
        assert wordpieces.evenly_sampled(iter(texts), 2999) == texts[::2]
        assert wordpieces.evenly_sampled(iter(texts), 100) == texts[::32]
        assert wordpieces.evenly_sampled(iter(["long"]), 1) == ["long"]

    def test_silent(self, capfd):
        train("bpe", [block_of(LINES * 3)], 340, 32)
        with pytest.raises(UsageError):
            train("unigram", [block_of(LINES)], 9999, 32)
        assert capfd.readouterr() == ("", "")

    def test_changed_model(self, trained, tmp_path):
        """Damage is found before SentencePiece reads a byte of it, even where it would not notice."""
        trained["bpe"].save(tmp_path)
        model = bytearray((tmp_path / "tokenizer.model").read_bytes())
        model[len(model) // 2] ^= 1
        (tmp_path / "tokenizer.model").write_bytes(model)
        with pytest.raises(CheckpointError, match=r"tokenizer\.model .*changed"):
            load(tmp_path)

    def test_long_pieces(self, trained, tmp_path):
        """A few samples of such a model would be gigabytes of text."""
        model_pb2 = pytest.importorskip("sentencepiece.sentencepiece_model_pb2")
        trained["bpe"].save(tmp_path)
        model = model_pb2.ModelProto()
        model.ParseFromString((tmp_path / "tokenizer.model").read_bytes())
        model.pieces[260].piece = "x" * 100  # SentencePiece itself refuses only longer ones
        content = model.SerializeToString()
        (tmp_path / "tokenizer.model").write_bytes(content)
        about = json.loads((tmp_path / "tokenizer.json").read_text())
        about["model_sha256"] = hashlib.sha256(content).hexdigest()
        (tmp_path / "tokenizer.json").write_text(json.dumps(about))
        with pytest.raises(CheckpointError, match="pieces of more than 16 characters"):
            load(tmp_path)

    def test_deep_and_foreign_descriptions(self, tmp_path):
        for text in ("[" * 100_000, "[]", '{"format": "\\u001b[31m\\n"}', '{"format": 1, "kind": {}}', "1e999"):
            (tmp_path / "tokenizer.json").write_text(text)
            with pytest.raises(CheckpointError) as caught:
                load(tmp_path)
            assert str(caught.value).isprintable()


class TestOptions:
    @pytest.mark.parametrize(
        ("kind", "vocab_size", "length", "mention"),
        [
            ("words", None, 32, "--tokenizer words"),
            ("char", 2, 32, "--vocab-size 2"),
            ("char", 65536, 32, "--vocab-size 65536"),
            ("bpe", 1, 32, "--vocab-size 1"),
            ("unigram", 70000, 32, "--vocab-size 70000"),
            ("byte", 100, 32, "--vocab-size"),
            ("char", 100, 0, "--seq-len 0"),
            ("byte", None, 4097, "--seq-len 4097"),
        ],
    )
    def test_out_of_range(self, kind, vocab_size, length, mention):
        with pytest.raises(UsageError, match=mention) as caught:
            train(kind, [b"text\n"], vocab_size, length)
        assert caught.value.exit_code == 2


class TestLines:
    @given(st.lists(TEXT | st.text(" \t\u3000\u2028\xa0\x1f"), min_size=1))
    def test_drop_blank(self, lines):
        block, solid = drop_blank(block_of(lines))
        kept = [line for line in lines if line and not line.isspace()]
        assert block == block_of(kept)
        if solid is None:
            assert kept == lines
        else:
            assert solid.tolist() == [line in kept for line in lines]

    @given(st.lists(TEXT), st.integers(1, 5))
    def test_in_parts(self, lines, count):
        parts = list(in_parts(block_of(lines), count))
        assert parts == [block_of(lines[start : start + count]) for start in range(0, len(lines), count)]

    @given(st.lists(TEXT | st.text("a\u00ff漢😀")), st.integers(1, 9))
    def test_first_code_points(self, lines, length):
        """Against each line by itself, where characters of one to four bytes are cut anywhere."""
        rows = first_code_points(block_of(lines), length)
        assert rows.shape == (len(lines), length)
        assert rows.tolist() == [[*map(ord, line[:length].ljust(length, "\n"))] for line in lines]

    def test_code_rows(self):
        assert code_rows("aé😀b\n\n".encode(), 3).tolist() == [[97, 0xE9, 0x1F600], [END] * 3]


def test_light_import():
    """Commands that need no data must not wait for these libraries."""
    heavy = "torch, sentencepiece, datasets, tqdm, pyarrow"
    code = f"""
import sys, seqgan_gp.tokenizers.wordpieces, seqgan_gp.corpus.corpus
import seqgan_gp.sources.open, seqgan_gp.sources.hub
print(*set({heavy.split(", ")}) & set(sys.modules))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
