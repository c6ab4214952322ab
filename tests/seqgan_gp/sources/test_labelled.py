import gzip
import importlib
import io
import re
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_core.errors import DataError, UsageError
from gan_core.storage import hub
from seqgan_gp.sources import labelled, stdin
from seqgan_gp.sources.base import PIECE, Source
from seqgan_gp.sources.content import HEAD
from seqgan_gp.sources.labelled import LabelledSource, open_labelled, without_labels

TAB = "good\tI liked it\nbad\tI did not\ngood\tfine\nbad\tnot fine\n"
SHARD = "news.en-0000{}-of-00100"


def pairs(source):
    """The sentences of a source with the names of their classes, None for no label."""
    found = []
    for block, numbers in list(source.blocks()):
        names, places = source.in_order()
        sentences = block.decode().split("\n")[:-1]
        assert numbers.dtype == np.int16 and len(numbers) == len(sentences)
        shown = [None if label < 0 else names[label] for label in places[numbers].tolist()]
        found += zip(shown, sentences, strict=True)
    return found


def read(spec, labels="auto", bad_utf8="error"):
    return pairs(open_labelled(str(spec), bad_utf8, labels))


def form(spec, labels="auto"):
    return open_labelled(str(spec), "error", labels).form


def refused(spec, *mentions, labels="auto", **options):
    """Assert that the source is refused in one sentence that mentions all of that."""
    with pytest.raises(DataError) as caught:
        read(spec, labels, **options)
    message = str(caught.value)
    assert caught.value.exit_code == 3
    assert "\n" not in message and not re.search(r"[\x00-\x1f\x7f]", message)
    for mention in mentions:
        assert str(mention) in message, message


@pytest.fixture
def write(tmp_path):
    """Write files, text or bytes, into a folder and return its path, or that of the only file."""

    def writing(files, folder="data"):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            (tmp_path / folder / name).write_bytes(content)
        return tmp_path / folder / name if len(files) == 1 else tmp_path / folder

    return writing


class TestTab:
    @pytest.mark.parametrize("labels", ["auto", "tab"])
    @pytest.mark.parametrize("change", [str.encode, lambda text: gzip.compress(text.encode())])
    def test_plain_or_gzip(self, write, labels, change):
        assert read(write({"f": change(TAB)}), labels) == [
            ("good", "I liked it"),
            ("bad", "I did not"),
            ("good", "fine"),
            ("bad", "not fine"),
        ]

    def test_carriage_returns_and_a_byte_order_mark(self, write):
        content = b"\xef\xbb\xbf" + TAB.replace("\n", "\r\n").encode()
        assert read(write({"f.txt": content})) == read(write({"g.txt": TAB}))

    def test_several_files_share_their_classes(self, write, tmp_path):
        folder = write(
            {"1.txt": "b\tone\nc\ttwo\nb\tx\nc\ty\n", "2.txt.gz": gzip.compress(b"a\tthree\nb\tfour\na\tz\na\t-")}
        )
        found = [
            ("b", "one"),
            ("c", "two"),
            ("b", "x"),
            ("c", "y"),
            ("a", "three"),
            ("b", "four"),
            ("a", "z"),
            ("a", "-"),
        ]
        assert read(folder) == read(f"{tmp_path}/data/*") == found
        assert open_labelled(str(folder), "error", "auto").in_order()[0] == ()  # before they were met

    def test_standard_input(self, monkeypatch):
        stdin.spooled_stdin.cache_clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TAB.encode())))
        assert read("-")[:2] == [("good", "I liked it"), ("bad", "I did not")]
        stdin.spooled_stdin().close()
        stdin.spooled_stdin.cache_clear()

    def test_lines_without_a_label_and_blank_ones(self, write):
        text = "a\tone\n\ttwo\n\n  \nb\t\n  \tthree\n \t \na \tfour\na\tfive\tsix\n"
        found = [("a", "one"), (None, "two"), (None, ""), (None, "  "), ("b", ""), (None, "three"), (None, " ")]
        assert read(write({"f": text}), "tab") == [*found, ("a", "four"), ("a", "five\tsix")]

    @pytest.mark.parametrize(
        ("labels", "order"),
        [
            (["b", "é", "a", "B", "10", "9"], ["10", "9", "B", "a", "b", "é"]),
            (["10", "9", "-3", "0"], ["-3", "0", "9", "10"]),
            (["10", "9", "09", "x"], ["09", "10", "9", "x"]),
            (["10", "9", "09"], ["09", "9", "10"]),
        ],
    )
    def test_order_of_classes(self, write, labels, order):
        path = write({"f": "".join(f"{label}\tx\n" for label in labels)})
        source = open_labelled(str(path), "error", "tab")
        assert [name for name, _ in pairs(source)] == labels
        assert list(source.in_order()[0]) == order

    def test_numbers_stay_from_one_reading_to_the_next(self, write):
        source = open_labelled(str(write({"f": TAB})), "error", "tab")
        first, second = ([numbers.tolist() for _, numbers in source.blocks()] for _ in range(2))
        assert first == second == [[1, 0, 1, 0]]

    def test_bad_utf8(self, write):
        path = write({"f": b"a\tone\nb\t\xff\n\xe9\ttwo\n" + b"b\tthree\n" * 9})
        found = [("a", "one"), ("b", "\ufffd"), ("\ufffd", "two")] + [("b", "three")] * 9
        assert read(path, bad_utf8="replace") == found
        assert read(path, bad_utf8="skip") == found[:1] + found[3:]
        refused(path, path, "UTF-8 in line 2")


LABELS = st.sampled_from(["a", "b", "long label", "é漢", "", "😀" * 64])
SENTENCES = st.text(st.sampled_from("xyz é漢😀\t\u2028"), max_size=12)
BLANK = st.sampled_from(["", " ", "\u3000 "])


class TestInStep:
    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.tuples(LABELS, SENTENCES) | BLANK, min_size=1), st.integers(1, 40), st.integers(1, 5))
    def test_in_blocks_cut_anywhere(self, lines, size, most):
        """Against a split of each line by itself, wherever the pieces of the file end and however lines are grouped."""
        content = "".join((line if isinstance(line, str) else "\t".join(line)) + "\n" for line in lines).encode()

        class Pieces(Source):
            def pieces(self, start, end):
                yield 0, "f", (content[at : at + size] for at in range(0, len(content), size))

            chunks = whole_files = fingerprint = None

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(labelled, "LINES", most)
            found = pairs(LabelledSource(Pieces("f", 0, "error"), "tab"))
        want = [(None, line) if isinstance(line, str) else (line[0] or None, line[1]) for line in lines]
        assert found == want

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(LABELS, SENTENCES) | BLANK, min_size=1))
    def test_without_labels(self, lines):
        text = "".join((line if isinstance(line, str) else "\t".join(line)) + "\n" for line in lines)
        sentences, labels = without_labels(text.encode())
        want = [("", line) if isinstance(line, str) else line for line in lines]
        assert sentences.decode() == "".join(f"{sentence}\n" for _, sentence in want)
        assert [label.decode() for label in labels.tolist()] == [label for label, _ in want]

    def test_memory_is_bounded(self, write):
        """However long the labels are that many short lines have."""
        path = write({"f.gz": gzip.compress((("é" * 60) + "\tx\n" + "a\tx\n" * 9).encode() * 100_000, 1)})
        source = open_labelled(str(path), "error", "tab")
        tracemalloc.start()
        total = sum(len(numbers) for _, numbers in source.blocks())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total == 1_000_000
        assert peak < 80 << 20


class TestFile:
    def test_a_file_a_class(self, write):
        folder = write(
            {"dogs.txt": "one\ntwo\n", "cats.txt.gz": gzip.compress(b"three\nfour"), "b.TXT": "five\n\n \nsix\n"}
        )
        files = [("b", "five"), ("b", ""), ("b", " "), ("b", "six"), ("cats", "three"), ("cats", "four")]
        assert read(folder) == read(folder, "file") == [*files, ("dogs", "one"), ("dogs", "two")]
        assert open_labelled(str(folder), "error", "auto").in_order()[0] == ("b", "cats", "dogs")

    def test_order_is_of_the_files_and_numbers_are_known_before(self, write):
        folder = write({"10.txt": "a\nb\n", "9.txt": "c\nd\n"})
        source = open_labelled(str(folder), "error", "auto")
        assert source.in_order()[0] == source.given == ("10", "9")
        assert source.about() == {"labels": "file", "classes": ("10", "9")}

    def test_files_of_one_name_are_one_class(self, tmp_path):
        for folder in ("x", "y"):
            (tmp_path / folder).mkdir()
            for name in ("pos", "neg"):
                (tmp_path / folder / f"{name}.txt").write_text(f"{folder} {name}\n")
        found = [("neg", "x neg"), ("pos", "x pos"), ("neg", "y neg"), ("pos", "y pos")]
        assert read(f"{tmp_path}/*/*.txt", "file") == found
        assert form(f"{tmp_path}/*/*.txt") == "none"

    def test_a_tab_is_a_character_there(self, write):
        assert read(write({"a.txt": "x\ty\nz\n", "b.txt": "\tu\nv\n"}), "file")[0] == ("a", "x\ty")

    def test_wordnet(self):
        source = open_labelled("wordnet", "error", "auto")
        assert source.form == "file" and source.given == ("adjective", "adverb", "noun", "verb")


class TestForm:
    @pytest.mark.parametrize(
        ("files", "expected"),
        [
            ({"f": TAB}, "tab"),
            ({"f.txt": TAB, "g.txt": ""}, "tab"),
            ({"f.txt": TAB, "g.txt": "\n \n"}, "tab"),
            ({"f.txt": TAB, "g.txt": "\tone\n\ttwo\n"}, "tab"),  # semi-supervised: most lines together have labels
            ({"f": "one\ntwo\nthree\nfour\n"}, "none"),
            ({"f": TAB + "no tab\n"}, "none"),
            ({"f": TAB + "two\ttabs\there\n"}, "none"),
            (
                {"f": "an English sentence\tein deutscher Satz\nanother one\tnoch einer\n"},
                "none",
            ),  # two columns of text
            ({"f": "\tone\n\ttwo\n\tthree\na\tfour\n"}, "none"),  # indented text
            ({"f": ("x" * 65 + "\tone\n") * 9}, "none"),
            ({"f": ("x" * 64 + "\tone\n") * 9}, "tab"),
            ({"f.txt": "one\ntwo\n", "g.txt": "three\nfour\n"}, "file"),
            ({"f.txt": "one\ntwo\n"}, "none"),
            ({"f.txt": "a document\n", "g.txt": "another\n", "h.txt": "a third\nin two lines\n"}, "none"),
            ({SHARD.format(1): "one\ntwo\n", SHARD.format(2): "three\nfour\n"}, "none"),
        ],
    )
    def test_found_out(self, write, files, expected):
        assert form(write(files)) == expected

    def test_only_the_beginning_is_looked_at(self, write):
        begin = "a\tone\n" * (HEAD // 6 + 1)
        path = write({"f": begin + "no tab\n"})
        assert form(path) == "tab"
        refused(path, path, f"no tab in line {HEAD // 6 + 2}")
        assert form(write({"g": "x" * HEAD + "\n" + TAB})) == "none"

    def test_none_leaves_tabs_as_they_are(self, write):
        path = write({"f": TAB})
        source = open_labelled(str(path), "error", "none")
        assert list(source.blocks()) == [(TAB.encode(), None)]
        assert source.about() == {} and source.in_order()[0] == ()

    def test_unknown_option(self):
        with pytest.raises(UsageError, match="--labels maybe") as caught:
            open_labelled("wordnet", "error", "maybe")
        assert caught.value.exit_code == 2


class TestRefused:
    @pytest.mark.parametrize("labels", ["auto", "tab"])
    def test_a_line_without_a_tab(self, write, labels):
        path = write({"f.txt": b"a\tone\r\nb\ttwo\n\n" + b"a\tthree\n" * 600_000 + b"no tab\n" + b"a\tfour\n"})
        assert path.stat().st_size > PIECE
        refused(path, path, "no tab in line 600004", "begin it with a tab", "--labels none", labels=labels)

    def test_the_line_is_named_where_others_are_skipped(self, write):
        content = b"a\tone\n\xff\nb\t\xfe\n" + b"a\tthree\n" * 9 + b"no tab\n"
        path = write({"f": content})
        refused(path, path, "no tab in line 2", labels="tab", bad_utf8="replace")
        refused(write({"f": content.replace(b"\xff", b"\xff\t")}), "no tab in line 13", labels="tab", bad_utf8="skip")

    def test_the_file_is_named(self, write):
        folder = write({"a.txt": TAB, "b.txt": TAB + "no tab\n"})
        refused(folder, folder / "b.txt", "line 5", labels="tab")

    def test_labels_in_only_some_files(self, write):
        folder = write({"a.txt": TAB, "b.txt": "one\ntwo\n", "c.txt": TAB})
        refused(folder, folder / "a.txt", folder / "b.txt", "label both", "--labels none")
        assert form(folder, "file") == "file"

    @pytest.mark.parametrize(
        ("label", "mentions"),
        [
            ("x" * 65, ("line 3", "longer than 64 characters", "'" + "x" * 64 + "'")),
            ("x" * 3000, ("line 3", "longer than 64 characters")),
            ("漢" * 65, ("line 3", "longer than 64 characters")),
            ("a\x1b[31m", ("line 3", "control characters", r"'a\x1b[31m'")),
            ("a\rb", ("line 3", "control characters")),
            ("a\x7f", ("line 3", "control characters")),
        ],
    )
    def test_label(self, write, label, mentions):
        path = write({"f": f"a\tone\nb\ttwo\n{label}\tthree\n" + "a\tfour\n" * 9})
        refused(path, path, *mentions, "--labels none")

    def test_64_characters_are_not_too_long(self, write):
        assert read(write({"f": "😀" * 64 + "\tx\n"}), "tab") == [("😀" * 64, "x")]

    @pytest.mark.parametrize(("name", "mention"), [("x" * 65, "longer than 64"), ("a\x1b[31m", "control characters")])
    def test_name_of_a_file(self, write, name, mention):
        folder = write({f"{name}.txt": "one\ntwo\n", "b.txt": "three\nfour\n"})
        refused(folder, "data", mention, "--labels none")

    def test_tab_without_tabs(self, write):
        refused(write({"f": "one\ntwo\n"}), "f begins", "--labels tab", labels="tab")

    def test_file_on_one_file(self, write):
        path = write({"f.txt": "one\ntwo\n"})
        for spec in (path, path.parent):
            refused(spec, spec, "--labels file", "a folder with a file a class", labels="file")

    def test_too_many_classes(self, write, monkeypatch):
        path = write({"f": "".join(f"{number}\tx\n" for number in range(32_768))})
        refused(path, path, "more than 32,767 classes", "--labels none", labels="tab")
        (path.parent / "f").write_text("".join(f"{number}\tx\n" for number in range(32_767)))
        assert len(read(path, "tab")) == 32_767
        monkeypatch.setattr(labelled, "MAX_CLASSES", 1)
        refused(write({"a.txt": "one\ntwo\n", "b.txt": "three\n"}), "more than 1 classes", labels="file")

    def test_empty(self, write):
        for labels in ("auto", "tab"):
            refused(write({"f": gzip.compress(b"")}), "empty", labels=labels)


class TestHub:
    @pytest.fixture
    def loaded(self, monkeypatch):
        """Stand in for the hub: `loaded(columns, types)` makes every data set that one."""
        datasets = importlib.import_module("datasets")
        monkeypatch.setattr(hub, "hub_is_out_of_reach", lambda: False)
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.delenv("HF_DATASETS_OFFLINE", raising=False)

        def stand_in(columns, **classes):
            dataset = datasets.Dataset.from_dict(columns)
            for column, names in classes.items():
                dataset = dataset.cast_column(column, datasets.ClassLabel(names=names))
            answer(dataset)
            return dataset

        def answer(dataset):
            monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: dataset)

        stand_in.answer, stand_in.number = answer, datasets.Value("int64")
        return stand_in

    TEXTS = ("one", "two\nlines", "", None)

    def columns(self, **more):
        return {"text": [*self.TEXTS, *["many"] * 1500]} | {
            name: [*column, *column[:1] * 1500] for name, column in more.items()
        }

    def lines(self, *names):
        sentences = ["one", "two lines", "", ""]
        return list(zip(names, sentences, strict=True)) + [(names[0], "many")] * 1500

    def test_class_label_keeps_its_order(self, loaded):
        loaded(self.columns(kind=[1, 0, -1, None]), kind=["z", "a\u3000b"])
        source = open_labelled("hf:x", "error", "auto")
        assert source.form == "column" and source.given == ("z", "a\u3000b")
        assert pairs(source) == self.lines("a\u3000b", "z", None, None)
        assert source.source.description == "hf:x, column 'text'"

    def test_strings_are_sorted(self, loaded):
        loaded(self.columns(Label=["b", " a ", "", None]))
        source = open_labelled("hf:x", "error", "auto")
        assert pairs(source) == self.lines("b", "a", None, None) and source.in_order()[0] == ("a", "b")

    def test_whole_numbers_are_sorted_as_such(self, loaded):
        loaded(self.columns(labels=[10, 9, -1, None]))
        source = open_labelled("hf:x", "error", "auto")
        assert pairs(source) == self.lines("10", "9", None, None) and source.in_order()[0] == ("9", "10")

    def test_what_is_no_column_of_labels(self, loaded):
        for columns in ({"score": [1, 2, 3, 4]}, {"label": [0.5, 1.0, 2.0, 3.0]}, {"label": [[1], [2], [3], [4]]}):
            loaded(self.columns(**columns))
            assert form("hf:x") == "none"
        loaded(self.columns(coarse=[0, 1, 0, 1], fine=[1, 0, 0, 1]), coarse=["a", "b"], fine=["c", "d"])
        assert form("hf:x") == "none"  # which one?
        loaded(self.columns(label=[0, 1, 0, 1], fine=[1, 0, 0, 1]), label=["a", "b"], fine=["c", "d"])
        assert open_labelled("hf:x", "error", "auto").given == ("a", "b")

    def test_a_column_of_strings_called_label_is_not_the_text(self, loaded):
        loaded({"review": ["fine", "bad"], "label": ["+", "-"]})
        assert read("hf:x") == [("+", "fine"), ("-", "bad")]
        loaded({"label": ["a text", "another"]})
        assert form("hf:x") == "none"

    def test_without_labels(self, loaded):
        loaded(self.columns(label=["b", "a", "", None]))
        blocks = list(open_labelled("hf:x", "error", "none").blocks())
        assert b"".join(block for block, _ in blocks) == b"one\ntwo lines\n\n\n" + b"many\n" * 1500
        assert all(labels is None for _, labels in blocks)

    def test_fingerprint(self, loaded):
        def fingerprint(labels="auto"):
            source = open_labelled("hf:x", "error", labels)
            return source.source.fingerprint(), source.about()

        loaded(self.columns())
        bare = fingerprint()
        loaded(self.columns(label=[0, 1, 0, 1]), label=["a", "b"])
        assert fingerprint("none") == bare
        prints = [fingerprint()]
        loaded(self.columns(label=[0, 1, 0, 0]), label=["a", "b"])
        prints.append(fingerprint())
        loaded(self.columns(label=[0, 1, 0, 1]), label=["a", "c"])
        prints.append(fingerprint())
        assert prints[0][0] == prints[2][0] and all(
            a != b for a, b in zip(prints, prints[1:] + prints[:1], strict=True)
        )

    def test_refused(self, loaded):
        loaded(self.columns(label=["a", "x" * 65, "a", "a"]))
        refused("hf:x", "hf:x: row 1", "longer than 64", "--labels none")
        loaded(self.columns(label=["a", "a", "a\nb", "a"]))
        refused("hf:x", "hf:x: row 2", "control characters")
        loaded({"text": ["one\ttab", "none"]})
        refused("hf:x", "no tab in line 2", labels="tab")
        refused("hf:x", "hf:x", "--labels file", labels="file")

    @pytest.mark.parametrize("label", [2, -5])
    def test_out_of_range(self, loaded, label):
        dataset = loaded(self.columns(label=[0, 1, 0, 1]), label=["a", "b"])
        features = dataset.features
        wrong = dataset.cast_column("label", loaded.number)
        wrong = wrong.map(lambda _, row: {"label": label} if row == 1400 else {}, with_indices=True)
        wrong._info.features = features
        loaded.answer(wrong)
        refused("hf:x", "hf:x: row 1400", f"label {label}", "2 classes", "--labels none")
