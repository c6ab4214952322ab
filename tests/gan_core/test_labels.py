import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gan_core.errors import CheckpointError, DataError, UsageError
from gan_core.labels import LABELS_FILE, UNKNOWN, Labels, hidden, load, settle_labels, some_labelled

ANIMALS = Labels(("cat", "dog", "1"), (4, 1, 5), 2)


def refused(error, call, *mentions):
    """Assert that a call is refused in one sentence that mentions all of that."""
    with pytest.raises(error) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for mention in mentions:
        assert str(mention) in message, message


class TestLabels:
    def test_shares_are_of_the_labelled_examples(self):
        assert ANIMALS.shares == (0.4, 0.1, 0.5) and len(ANIMALS) == 3
        assert Labels().shares == () and len(Labels()) == 0

    @pytest.mark.parametrize(("name", "label"), [("cat", 0), ("dog", 1), ("0", 0), ("2", 2), ("1", 2)])
    def test_index_is_by_name_before_number(self, name, label):
        assert ANIMALS.index(name) == label

    @pytest.mark.parametrize("name", ["cow", "3", "-1", "", "00", "1.0", "²", "٣", "9" * 5000, "c\x1b[2Jat"])
    def test_no_such_class(self, name):
        refused(UsageError, lambda: ANIMALS.index(name), "--label ", "choose from cat, dog, 1")
        with pytest.raises(UsageError) as caught:
            ANIMALS.index(name)
        assert "\x1b" not in str(caught.value)

    def test_of_many_classes_some_are_listed(self):
        many = Labels(tuple(f"c{number}" for number in range(30)), (1,) * 30)
        refused(UsageError, lambda: many.index("x"), "c0, c1, ", "c11, ...")

    def test_of_a_run_without_labels(self):
        refused(UsageError, lambda: Labels().index("cat"), "--label cat", "leave it out")

    @pytest.mark.parametrize("labels", [Labels(), ANIMALS, Labels(("a\tb\n", "é\udc80"), (1, 2), 0)])
    def test_are_kept_in_a_checkpoint(self, tmp_path, labels):
        labels.save(tmp_path)
        assert load(tmp_path) == labels

    @pytest.mark.parametrize(
        "content",
        [
            "",
            "{",
            "[]",
            "3",
            "[" * 100_000,
            {"names": ["a"], "counts": [1]},
            {"names": ["a"], "counts": [1, 2], "hidden": 0},
            {"names": ["a"], "counts": [-1], "hidden": 0},
            {"names": ["a"], "counts": ["x"], "hidden": 0},
            {"names": ["a"], "counts": [float("inf")], "hidden": 0},
            {"names": ["a"], "counts": [1], "hidden": -1},
            {"names": 7, "counts": [1], "hidden": 0},
        ],
    )
    def test_unreadable(self, tmp_path, content):
        (tmp_path / LABELS_FILE).write_text(content if isinstance(content, str) else json.dumps(content))
        refused(CheckpointError, lambda: load(tmp_path), tmp_path / LABELS_FILE, "another run")

    def test_missing(self, tmp_path):
        refused(CheckpointError, lambda: load(tmp_path), LABELS_FILE)


class TestSettle:
    def test_counts(self):
        given_labels = np.array([0, 1, -1, 1, 2, -1, 1])
        labels, about = settle_labels(given_labels, ("a", "b", "c"), "data", classes=3)
        assert labels.dtype == np.int16 and labels.tolist() == given_labels.tolist()
        assert about == Labels(("a", "b", "c"), (1, 3, 1), 2)

    def test_nothing_labelled(self):
        unlabelled = np.broadcast_to(np.int16(UNKNOWN), (10_000_000,))
        labels, about = settle_labels(unlabelled, (), "data")
        assert about == Labels()
        assert np.shares_memory(labels, unlabelled)  # ten million times -1, in two bytes

    @pytest.mark.parametrize("wrong", [-2, 2, 30_000])
    def test_out_of_range(self, wrong):
        labels = np.array([0, 1, -1, wrong])
        refused(DataError, lambda: settle_labels(labels, ("a", "b"), "x.npz"), "x.npz", f"label {wrong},", "2 classes")

    @pytest.mark.parametrize(
        ("options", "mentions"),
        [
            ({"classes": 1}, ("x.npz", "2 classes", "--classes 1", "raise it")),
            ({"classes": 3}, ("x.npz", "2 classes", "--classes 3", "lower it")),
        ],
    )
    def test_another_number_of_classes(self, options, mentions):
        labels = np.array([0, 1])
        refused(DataError, lambda: settle_labels(labels, ("a", "b"), "x.npz", **options), *mentions)

    @pytest.mark.parametrize("labels", [[0, 2], [-1, 0, 2, 2]])
    def test_a_class_without_an_example(self, labels):
        """It stops a run that learns from labels, see test_refusals.py, and no other."""
        assert settle_labels(np.array(labels), ("a", "b", "c"), "x.npz")[1].counts[1] == 0

    @pytest.mark.parametrize(("options", "mention"), [({"classes": 2}, "--classes 2"), ({"per_class": 1}, "--labels-")])
    def test_options_for_labelled_data(self, options, mention):
        labels = np.array([-1, -1])
        refused(UsageError, lambda: settle_labels(labels, (), "x.npz", **options), mention, "x.npz", "leave it out")

    def test_more_labels_than_there_are(self):
        labels = np.array([0, 0, 0, 1, 1])

        def settle():
            return settle_labels(labels, ("a", "b"), "x.npz", per_class=3)

        refused(UsageError, settle, "--labels-per-class 3", "only 2", "'b'", "lower it")


class TestHidden:
    @given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 9))
    def test_so_many_of_each_class_stay_as_they_were(self, seed, classes, per_class):
        labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(-1, classes), 9)).astype(np.int16)
        shown = hidden(labels, classes, per_class, seed)
        assert shown.dtype == np.int16
        assert (shown[shown >= 0] == labels[shown >= 0]).all()
        assert np.bincount(shown[shown >= 0], minlength=classes).tolist() == [per_class] * classes

    def test_follows_the_seed(self):
        labels = np.arange(600, dtype=np.int16) % 3
        first, again, other = (hidden(labels, 3, 20, seed) for seed in (1, 1, 2))
        assert (first == again).all() and (first != other).any()

    def test_through_settle(self):
        labels = np.arange(600, dtype=np.int16) % 3
        labels[:30] = UNKNOWN
        labels.flags.writeable = False  # as mapped from a file
        shown, about = settle_labels(labels, ("a", "b", "c"), "data", per_class=20, seed=1)
        assert about == Labels(("a", "b", "c"), (20, 20, 20), 540)
        assert (shown == hidden(labels, 3, 20, 1)).all()


def test_some_labelled():
    assert some_labelled(np.array([-1, 2, -1, 0])).tolist() == [1, 3]
    assert some_labelled(np.array([1, 2])).tolist() == some_labelled(np.array([-1, -1])).tolist() == []


def test_importing_brings_no_torch():
    """Data is opened by commands that must not wait for it."""
    code = "import sys, gan_core.labels; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
