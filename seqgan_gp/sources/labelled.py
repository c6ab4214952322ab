"""Lines with labels, in one of three forms: lines of label<TAB>sentence, a file for each class, a column of the hub's.

`open_labelled` settles which form the data has, if any. Its `blocks()` are the lines as the rest of the package sees
them, without their labels, and in step with them the number of each line's class. Classes are numbered as they are
met, so that no reading is spent on finding them; `in_order` tells where each number ends up.
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
from seqgan_gp.lines import in_parts, line_bounds, solid_lines
from seqgan_gp.sources.base import Part, Source
from seqgan_gp.sources.cleaning import LONGEST, clean_blocks, fault
from seqgan_gp.sources.files import FileSource
from seqgan_gp.sources.open import LM1B_SHARD, open_source

LINES = 1 << 13  # lines whose labels are in memory at a time
TAB = 9


class LabelledSource:
    """A source and its labels.

    Attributes:
        source: the lines as they are read.
        form: "tab", lines of label<TAB>sentence; "file", a class a file; "column", of the hub's; or "none".
        given: the names of the classes, where they are known before the lines are read; else ().
        names: of the classes met so far, by their numbers.
    """

    def __init__(self, source: Source, form: str):
        self.source = source
        self.form = form
        self.given: tuple[str, ...] = ()
        self.numbers = {b"": UNKNOWN}  # of labels
        if isinstance(source, FileSource) and form == "file":
            called = [class_name(path) for _, path in source.files]
            self.given = tuple(dict.fromkeys(called))  # files of one name, in several folders, are one class
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
        """What identifies the labels, besides the content of the source; {} where nothing is labelled."""
        return {} if self.form == "none" else {"labels": self.form, "classes": self.given}

    def blocks(self, part: Part | None = None) -> Iterator[tuple[bytes, np.ndarray | None]]:
        """Yield the blocks of the source without labels, and with each the numbers (lines,) of its lines' classes.

        part: only its lines are read, see `Source.blocks`.

        The numbers are int16, UNKNOWN where a line has no label, and in place of the array None where nothing is
        labelled.

        Raises:
            DataError: the source is unusable, or a label is.
        """
        if self.form == "none":
            for block in self.source.blocks(part):
                yield block, None
            return
        for file, block in self.source.numbered_blocks(part):
            if self.form == "file":
                yield block, np.full(block.count(b"\n"), self.number_of_file[file], np.int16)
                continue
            for part in in_parts(block, LINES):
                yield self.divided(part, file)

    def divided(self, block: bytes, file: int) -> tuple[bytes, np.ndarray]:
        """A block of lines label<TAB>sentence, of the file of that number, as sentences and numbers of classes."""
        try:
            sentences, labels = without_labels(block)
            different, inverse = np.unique(labels, return_inverse=True)
            numbers = [self.number(label) for label in different.tolist()]
        except ValueError as error:
            raise DataError(first_fault(self.source, file)) from error
        return sentences, np.array(numbers, np.int16)[inverse]

    def number(self, label: bytes) -> int:
        """The number of a label, the next one if it is new.

        Raises:
            ValueError: it cannot be a label.
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
        """Refuse more classes than labels can tell apart."""
        if len(self.names) > MAX_CLASSES:
            raise DataError(
                f"{self.source.description} has more than {MAX_CLASSES:,} classes: put them into fewer, or give "
                f"{named('labels', 'none')}"
            )

    def in_order(self) -> tuple[tuple[str, ...], np.ndarray]:
        """The names of the classes in order, and the place (classes + 1,) in it of each number, the last of UNKNOWN.

        Given classes stay in the order that they have; others are sorted, numerically if all are whole numbers.
        """
        names = list(self.given) or sorted_names(self.names)
        places = {name: place for place, name in enumerate(names)}
        return tuple(names), np.array([places[name] for name in self.names] + [UNKNOWN], np.int16)


def sorted_names(names: Collection[str]) -> list[str]:
    """Names of classes in order: numerically if all are whole numbers."""
    whole = all(re.fullmatch(r"-?[0-9]+", name) for name in names)
    return sorted(names, key=(lambda name: (int(name), name)) if whole else None)


def open_labelled(spec: str, bad_utf8: str, labels: str) -> LabelledSource:
    """The source that the option `data` names, with its labels.

    Args:
        spec: see `open_source`.
        bad_utf8: see `open_source`.
        labels: the form of the labels, of LABELLED; "auto" for the one that the data has, see `form_of`.

    Raises:
        DataError: nothing usable is there, or not in that form.
        UsageError: an option is none of its choices.
    """
    if labels not in LABELLED:
        raise UsageError(f"{named('labels', printable(labels))} is unknown: choose one of {', '.join(LABELLED)}")
    source = open_source(spec, bad_utf8, with_labels=labels == "auto")
    return LabelledSource(source, labels if labels == "none" else form_of(source, labels))


def form_of(source: Source, labels: str) -> str:
    """The form of the labels of a source, where `labels` is "auto", or else `labels` itself once it is found to fit.

    Data of the hub is "column" if it has a column of labels. Files are "tab" if `Heads` finds that they begin so. The
    files of a folder are "file" unless there is only one, they are lm1b's shards, or they have but a line or so each.

    Raises:
        DataError: the data has not that form, or only some of the files are labelled.
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
    shards = any(LM1B_SHARD.match(path.name) for _, path in files)
    if heads and source.is_folder and not shards and 1 < len(files) <= heads.lines / 2:
        return "file"
    return "none"


class Heads:
    """How the files of a source begin; blank lines count for nothing.

    Attributes:
        tabbed: the names of the files whose lines each hold exactly one tab.
        others: the names of the other files that hold lines.
        lines: how many there are in all files together.
        any_tab: whether there is a tab anywhere.
    """

    def __init__(self, source: FileSource):
        self.tabbed: list[str] = []
        self.others: list[str] = []
        self.lines = self.tabbed_lines = self.named_lines = 0
        self.any_tab = False
        self.different: set[bytes] = set()
        for name, head in source.heads():
            self.any_tab |= b"\t" in head
            self.add(name, [line for line in head.split(b"\n") if line.strip()])

    def add(self, name: str, lines: list[bytes]) -> None:
        """Count the lines of a file."""
        self.lines += len(lines)
        if not all(line.count(b"\t") == 1 for line in lines):
            self.others.append(name)
        elif lines:
            labels = [line.partition(b"\t")[0] for line in lines]
            self.tabbed.append(name)
            self.tabbed_lines += len(lines)
            self.named_lines += sum(0 < len(label.decode(errors="replace")) <= LONGEST for label in labels)
            if len(self.different) <= MAX_CLASSES:  # beyond that they are no labels, and not worth the memory
                self.different.update(labels)

    def are_labelled(self) -> bool:
        """Whether what stands before the tabs looks like labels: short, on most lines, and again and again the same.

        So text in two columns is not mistaken for labelled lines.
        """
        different = len(self.different - {b""})
        return bool(self.tabbed) and 2 * max(different, self.tabbed_lines - self.named_lines) <= self.tabbed_lines


def without_labels(block: bytes) -> tuple[bytes, np.ndarray]:
    """Divide lines of label<TAB>sentence: a block of the sentences, and the labels (lines,), bytes.

    A blank line without a tab stays as it is, and has the label b"".

    Raises:
        ValueError: another line has no tab, or a label is too long.
    """
    symbols = np.frombuffer(block, np.uint8)
    starts, ends = line_bounds(symbols)
    tabs = np.append(np.flatnonzero(symbols == TAB), len(symbols))
    first = tabs[np.searchsorted(tabs, starts)]  # at or after the start of the line, perhaps on a later line
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
    labels[columns >= widths[:, None]] = 0  # which numpy takes for the end of the bytes; no line holds it
    steps = np.zeros(len(symbols) + 1, np.int8)  # +1 where a label begins, -1 where the sentence does
    steps[starts] += 1
    steps[np.where(untabbed, starts, first + 1)] -= 1
    sentences = symbols[np.cumsum(steps[:-1], dtype=np.int8) == 0]
    return sentences.tobytes(), labels.view(f"S{labels.shape[1]}").ravel()


def first_fault(source: Source, file: int) -> str:
    """The sentence that names the first line of a file, by its number, which is not label<TAB>sentence."""
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
    """The class of a file of one class."""
    return re.sub(r"(\.txt)?(\.gz)?$", "", path.name, flags=re.IGNORECASE) or path.name


def shown(name: str) -> str:
    """A name of a class as it is shown in messages."""
    return repr(name[:LONGEST])


def remedy(action: str) -> str:
    """What to do about labels that cannot be used."""
    return f"{action}, or give {named('labels', 'none')}"
