"""Lines with labels, in one of three forms: lines of label<TAB>sentence, one file per class, or a column of a table.

`open_labelled` determines the form of the data. `LabelledSource.blocks` yields the lines without their labels, and the
class number of each line beside them. Classes are numbered in the order in which they occur, so that finding them
needs no extra pass over the data; `in_order` maps these numbers to the final order of the classes.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np

from gan_core.errors import DataError, UsageError, named
from gan_core.labels import MAX_CLASSES, UNKNOWN
from gan_core.text import printable
from seqgan_gp.choices import LABELLED
from seqgan_gp.lines import in_blocks, line_bounds, solid_lines
from seqgan_gp.sources.base import Chunk, Source
from seqgan_gp.sources.cleaning import LONGEST, clean_blocks, fault
from seqgan_gp.sources.files import LM1B_SHARD, FileSource
from seqgan_gp.sources.open import open_source

LINES = 1 << 13  # lines whose labels are decoded at a time
TAB = 9


class LabelledSource:
    """A source and its labels.

    Attributes:
        source: the lines, labels included.
        form: "tab" (lines of label<TAB>sentence), "file" (one file per class), "column" (a column of a table) or
            "none".
        given: the names of the classes, if they are known before the lines are read; else ().
        names: the names of the classes met so far, in the order of their numbers.
    """

    def __init__(self, source: Source, form: str):
        self.source = source
        self.form = form
        self.given: tuple[str, ...] = ()
        self.numbers = {b"": UNKNOWN}  # label -> class number
        if isinstance(source, FileSource) and form == "file":
            called = [class_name(file.path) for file in source.files]
            self.given = tuple(dict.fromkeys(called))  # files of equal names in several folders are one class
            place = {name: number for number, name in enumerate(self.given)}
            self.number_of_file = [place[name] for name in called]
        elif form == "column":
            self.given = source.classes
            self.numbers |= {str(number).encode(): number for number in range(len(self.given))}
        for name in self.given:
            if what := fault(name):
                raise DataError(f"{source.description} has a class {shown(name)} that {what}: {remedy('rename it')}")
        self.names = list(self.given)
        self.check_number()

    def about(self) -> dict[str, object]:
        """Return what identifies the labels besides the content of the source; {} if nothing is labelled."""
        return {} if self.form == "none" else {"labels": self.form, "classes": self.given}

    def blocks(self, chunk: Chunk | None = None) -> Iterator[tuple[bytes, np.ndarray | None]]:
        """Yield the blocks of the source without labels, each with the class numbers of its lines.

        The numbers are an int16 array (lines,), UNKNOWN for a line without a label. If nothing is labelled, None is
        yielded in place of the array.

        chunk: read only the lines of this chunk, see `Source.blocks`.

        Raises:
            DataError: the source or a label cannot be used.
        """
        if self.form == "none":
            for block in self.source.blocks(chunk):
                yield block, None
            return
        for file, block in self.source.numbered_blocks(chunk):
            if self.form == "file":
                yield block, np.full(block.count(b"\n"), self.number_of_file[file], np.int16)
                continue
            for lines in in_blocks(block, LINES):
                yield self.divided(lines, file)

    def divided(self, block: bytes, file: int) -> tuple[bytes, np.ndarray]:
        """Divide a block of lines label<TAB>sentence into a block of sentences and their class numbers (lines,).

        file: index of the file that the block was read from.

        Raises:
            DataError: a label cannot be used; the message names the file and the line.
        """
        try:
            sentences, labels = without_labels(block)
            different, inverse = np.unique(labels, return_inverse=True)
            numbers = [self.number(label) for label in different.tolist()]
        except ValueError as error:
            raise DataError(first_fault(self.source, file)) from error
        return sentences, np.array(numbers, np.int16)[inverse]

    def number(self, label: bytes) -> int:
        """Return the class number of a label. A new label gets the next number.

        Raises:
            ValueError: the bytes cannot be a label.
        """
        if label not in self.numbers:
            if fault(label.decode()):
                raise ValueError("it cannot be a label")
            bare = label.decode().strip()
            if bare.encode() not in self.numbers:
                self.numbers[bare.encode()] = len(self.names)
                self.names.append(bare)
                self.check_number()
            self.numbers[label] = self.numbers[bare.encode()]
        return self.numbers[label]

    def check_number(self) -> None:
        """Raise DataError if there are more classes than a label can encode."""
        if len(self.names) > MAX_CLASSES:
            raise DataError(
                f"{self.source.description} has more than {MAX_CLASSES:,} classes: put them into fewer, or give "
                f"{named('labels', 'none')}"
            )

    def in_order(self) -> tuple[tuple[str, ...], np.ndarray]:
        """Return the sorted class names, and the index in them of each class number so far, UNKNOWN appended.

        The array of indices is int16 (classes + 1,). Given classes keep their order; others are sorted, numerically
        if all are whole numbers.
        """
        names = list(self.given) or sorted_names(self.names)
        places = {name: place for place, name in enumerate(names)}
        return tuple(names), np.array([places[name] for name in self.names] + [UNKNOWN], np.int16)


def sorted_names(names: Collection[str]) -> list[str]:
    """Sort class names, numerically if all are whole numbers."""
    whole = all(re.fullmatch(r"-?[0-9]+", name) for name in names)
    return sorted(names, key=(lambda name: (int(name), name)) if whole else None)


def open_labelled(spec: str, bad_utf8: str, labels: str) -> LabelledSource:
    """Return the source that the option `data` names, with its labels.

    Args:
        spec: see `open_source`.
        bad_utf8: see `open_source`.
        labels: the form of the labels, one of LABELLED; "auto" detects the form, see `form_of`.

    Raises:
        DataError: the data cannot be used, or does not have that form.
        UsageError: an option is none of its choices.
    """
    if labels not in LABELLED:
        raise UsageError(f"{named('labels', printable(labels))} is unknown: choose one of {', '.join(LABELLED)}")
    source = open_source(spec, bad_utf8, with_labels=labels == "auto")
    return LabelledSource(source, labels if labels == "none" else form_of(source, labels))


def form_of(source: Source, labels: str) -> str:
    """Detect the form of the labels of a source if `labels` is "auto"; else check that the source fits `labels`.

    A table with a column of labels has the form "column". Files have the form "tab" if `Heads.are_labelled`. The files
    of a folder have the form "file", unless there is only one, they are lm1b shards, or they hold fewer than about two
    lines each.

    Raises:
        DataError: the data does not have that form, or only some of the files are labelled.
    """
    if source.labelled:
        return "column"
    files = source.files if isinstance(source, FileSource) else []
    if labels == "file":
        if len(files) < 2:
            raise DataError(
                f"{source.description} is not several files, as {named('labels', 'file')} needs: give a folder with a "
                "file a class"
            )
        return labels
    heads = Heads(source) if isinstance(source, FileSource) else None
    if labels == "tab":
        if heads and not heads.any_tab:
            raise DataError(
                f"{source.description} begins with lines without a tab, where {named('labels', 'tab')} needs "
                f"label<TAB>sentence: add the labels, or give {named('labels', 'none')}"
            )
        return labels
    if heads and heads.are_labelled():
        if heads.others:
            raise DataError(
                f"{heads.tabbed[0]} has lines of label<TAB>sentence and {heads.others[0]} has not: label both, or give "
                f"{named('labels', 'none')}"
            )
        return "tab"
    shards = any(LM1B_SHARD.match(file.path.name) for file in files)
    if heads and source.is_folder and not shards and 1 < len(files) <= heads.lines / 2:
        return "file"
    return "none"


class Heads:
    """Statistics of the first lines of a source's files. Blank lines are ignored.

    Attributes:
        tabbed: the names of the files in which every line holds exactly one tab.
        others: the names of the other files that hold lines.
        lines: number of lines in all files together.
        any_tab: whether any line holds a tab.
    """

    def __init__(self, source: FileSource):
        self.tabbed: list[str] = []
        self.others: list[str] = []
        self.lines = self.tabbed_lines = self.named_lines = 0
        self.any_tab = False
        self.different: set[bytes] = set()
        for file in source.files:
            head = source.head(file)
            self.any_tab |= b"\t" in head
            self.add(file.name, [line for line in head.split(b"\n") if line.strip()])

    def add(self, name: str, lines: list[bytes]) -> None:
        """Add the first lines of a file to the statistics."""
        self.lines += len(lines)
        if not all(line.count(b"\t") == 1 for line in lines):
            self.others.append(name)
        elif lines:
            labels = [line.partition(b"\t")[0] for line in lines]
            self.tabbed.append(name)
            self.tabbed_lines += len(lines)
            self.named_lines += sum(0 < len(label.decode(errors="replace")) <= LONGEST for label in labels)
            if len(self.different) <= MAX_CLASSES:  # so many cannot be labels, and would only take memory
                self.different.update(labels)

    def are_labelled(self) -> bool:
        """Whether the texts before the tabs look like labels: short, on most lines, and each used twice on average.

        Text in two columns fails this test.
        """
        different = len(self.different - {b""})
        return bool(self.tabbed) and 2 * max(different, self.tabbed_lines - self.named_lines) <= self.tabbed_lines


def without_labels(block: bytes) -> tuple[bytes, np.ndarray]:
    """Divide a block of lines label<TAB>sentence into a block of sentences and an array (lines,) of labels as bytes.

    A blank line without a tab is kept, with the label b"".

    Raises:
        ValueError: another line has no tab, or a label is too long.
    """
    symbols = np.frombuffer(block, np.uint8)
    starts, ends = line_bounds(symbols)
    tabs = np.append(np.flatnonzero(symbols == TAB), len(symbols))
    first = tabs[
        np.searchsorted(tabs, starts)
    ]  # first tab at or after the start of the line; it may be on a later line
    untabbed = first > ends
    if untabbed.any():
        solid = solid_lines(block)
        if solid is None or (untabbed & solid).any():
            raise ValueError("a line has no tab")
    widths = np.where(untabbed, 0, first - starts)
    if (width := int(widths.max())) > 4 * LONGEST:
        raise ValueError("a label is too long")

    columns = np.arange(max(1, width))
    labels = symbols[np.minimum(starts[:, None] + columns, ends[:, None])]
    labels[columns >= widths[:, None]] = 0  # numpy ends a bytes value at NUL, which no line holds
    steps = np.zeros(len(symbols) + 1, np.int8)  # +1 where a label begins, -1 where its sentence begins
    steps[starts] += 1
    steps[np.where(untabbed, starts, first + 1)] -= 1
    sentences = symbols[np.cumsum(steps[:-1], dtype=np.int8) == 0]
    return sentences.tobytes(), labels.view(f"S{labels.shape[1]}").ravel()


def first_fault(source: Source, file: int) -> str:
    """Return an error message that names the first line of a file which is not a valid label<TAB>sentence."""
    name, pieces = next((name, pieces) for number, name, pieces in source.pieces(0, source.size) if number == file)
    number = 0
    for block in clean_blocks(pieces, name, "replace", Counter()):
        for line in block.decode().split("\n")[:-1]:
            number += 1
            label, tab, _ = line.partition("\t")
            if line.strip() and not tab:
                action = remedy("add its label, begin it with a tab if it has none")
                return f"{name} has no tab in line {number}, where the others are label<TAB>sentence: {action}"
            if tab and (what := fault(label)):
                return f"{name} has a label {shown(label)} in line {number} that {what}: {remedy('mend it')}"
    return f"{name} changed while it was read: run again once it is complete"


def class_name(path: Path) -> str:
    """Return the class that a file's name stands for: the name without .txt and .gz."""
    return re.sub(r"(\.txt)?(\.gz)?$", "", path.name, flags=re.IGNORECASE) or path.name


def shown(name: str) -> str:
    """Quote the name of a class for a message."""
    return repr(name[:LONGEST])


def remedy(action: str) -> str:
    """Return the remedy of a message on labels: the action, or no labels."""
    return f"{action}, or give {named('labels', 'none')}"
