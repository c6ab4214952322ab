"""Make the built-in sentences (data/wordnet/*.txt.gz) from WordNet 3.0's database files.

Every synset's gloss, such as `in a tidy manner; neatly; "a neatly tied bow"; "dress it up"- A. Poet`, gives
its definitions (split at semicolons) and its quoted examples (without the author), a line each.
"""

import argparse
import gzip
import hashlib
import re
import statistics
import string
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

PARTS = {"noun": "data.noun", "verb": "data.verb", "adjective": "data.adj", "adverb": "data.adv"}
ALPHABET = set(string.ascii_letters + string.digits + " !$%'(),-./:;?")
SHORTEST = 24  # characters: what is shorter is a label ("northern California") more often than a sentence

# What may follow a quoted example: an author or a note in parentheses.
AFTER = re.compile(r'(?<=") *(-.*|[A-Z][^"]*|\([^"]*\))$')
# A list of examples and nothing else; and a definition that runs into its example.
EXAMPLES = re.compile(r'("[^"]*"(\s*[,:.]|\s+or)?\s*)+')
RUN_ON = re.compile(r'(?P<definition>[^"]*[^".,:\s])\s*[,:]\s*(?P<example>"[^"]*")')


def segments(gloss: str) -> Iterator[str]:
    """Split a gloss at the semicolons that stand outside quotation marks and parentheses."""
    balanced = gloss.count('"') % 2 == 0  # if not, a mark is missing, and none can be trusted
    start = depth = 0
    quoted = False
    for i, c in enumerate(gloss):
        if c == '"':
            quoted = balanced and not quoted
        elif c == ";" and not quoted and depth == 0:
            yield gloss[start:i].strip()
            start = i + 1
        elif not quoted:
            depth += (c == "(") - (c == ")")
    yield gloss[start:].strip()


def parse(gloss: str) -> Iterator[tuple[str, str]]:
    """Yield ("definition" or "example", raw text) for each part of a gloss, in order."""
    gloss = re.sub(r'\b(\w)"(\w)\b', r"\1'\2", gloss)  # I"m
    balanced = gloss.count('"') % 2 == 0
    for segment in segments(gloss):
        segment = AFTER.sub("", segment)
        run_on = RUN_ON.fullmatch(segment)
        if '"' not in segment:
            yield "definition", segment
        elif not balanced or EXAMPLES.fullmatch(segment):
            for text in segment.split('"'):
                if re.search(r"\w\w", text):
                    yield "example", text if balanced else text.strip("' ")
        elif run_on:
            yield "definition", run_on["definition"]
            yield "example", run_on["example"].strip('"')
        else:  # marks within a definition: as in "carrot and stick"
            yield "definition", segment


def clean(text: str) -> str:
    """Tidy quotation marks, spaces, and what is left over at the ends."""
    text = " ".join(re.sub('["`]', "'", text).replace("_", " ").split())
    text = re.sub(r"(?<!\S)\( ", "(", re.sub(r" ([,;?!)])", r"\1", text))
    text = re.sub(r"^[,:]+ ", "", text).rstrip(" ,;:")
    return re.sub(r"^\(([^()]*)\)$", r"\1", text)


def read(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ("definition" or "example", clean line) for each part of each gloss of a database file."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith("  "):  # the licence
                for kind, text in parse(line.split(" | ", 1)[1].strip()):
                    yield kind, clean(text)


def licence(path: Path) -> str:
    """Return the licence that heads each database file, without its line numbers."""
    with path.open(encoding="utf-8") as file:
        head = (line for line in file if line.startswith("  "))
        return "".join(re.sub(r"^ +\d+ ?", "", line).rstrip() + "\n" for line in head)


def write(path: Path, lines: list[str]) -> None:
    """Write lines to a gzip file whose bytes depend on nothing else (but zlib's version)."""
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write("".join(line + "\n" for line in lines).encode())


def judge(text: str, seen: set[str], shortest: int) -> str:
    """Say "kept", or why a line is dropped."""
    if len(text) < shortest or text == text.upper():
        return "dropped: too short, or no lower-case letter"
    if not ALPHABET.issuperset(text):
        return "dropped: character outside the alphabet"
    return "dropped: duplicate" if text in seen else "kept"


def make(database: Path, out: Path, shortest: int = SHORTEST) -> Counter[tuple[str, str]]:
    """Write the sentences and their licence; count what became of each (definition or example, fate)."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "LICENSE").write_text(licence(database / PARTS["noun"]), encoding="utf-8")
    seen: set[str] = set()
    fates: Counter[tuple[str, str]] = Counter()
    for part, name in PARTS.items():
        lines = []
        for kind, text in read(database / name):
            fate = judge(text, seen, shortest)
            fates[kind, fate] += 1
            if fate == "kept":
                seen.add(text)
                lines.append(text)
        write(out / f"{part}.txt.gz", lines)
    return fates


def describe(lines: list[str]) -> list[object]:
    """Return the columns of the report that count lines, their lengths and their alphabet."""
    lengths = [len(line) for line in lines]
    mean, median = f"{statistics.mean(lengths):.1f}", f"{statistics.median(lengths):g}"
    return [len(lines), len(set(lines)), mean, median, max(lengths), len(set("".join(lines)))]


def table(head: str, rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    lines = [head.split("|"), ["---"] * (head.count("|") + 1), *cells]
    return "".join("| " + " | ".join(cell.strip() for cell in line) + " |\n" for line in lines)


def report(out: Path) -> str:
    """Describe the files in Markdown: counts, hashes, characters."""
    files = {f"`{part}.txt.gz`": (out / f"{part}.txt.gz").read_bytes() for part in PARTS}
    texts = {name: gzip.decompress(packed) for name, packed in files.items()}
    lines = {name: text.decode().splitlines() for name, text in texts.items()}
    counts = [[name, *describe(lines[name]), len(files[name]), len(texts[name])] for name in files]
    sizes = [sum(map(len, files.values())), sum(map(len, texts.values()))]
    everything = [line for part in lines.values() for line in part]
    counts.append(["all", *describe(everything), *sizes])
    hashes = [[name, *(f"`{hashlib.sha256(b[name]).hexdigest()}`" for b in (files, texts))] for name in files]
    characters = Counter("".join(everything)).most_common()
    listing = ", ".join(f"{'space' if c == ' ' else f'`{c}`'}\xa0{n:,}" for c, n in characters) + "."
    head = "file | lines | distinct | mean length | median | longest | alphabet | bytes | unpacked"
    listing = textwrap.fill(listing, 110).replace("\xa0", " ") + "\n"
    return "\n".join([table(head, counts), table("file | sha256 | sha256 unpacked", hashes), listing])


def main() -> None:
    """Make the files, then print the numbers of the data card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("database", type=Path, help="folder of data.noun, data.verb, data.adj and data.adv")
    parser.add_argument("out", type=Path, nargs="?", default=Path(__file__).parent / "wordnet")
    parser.add_argument(
        "--shortest", type=int, default=SHORTEST, metavar="N", help="characters of the shortest line kept"
    )
    args = parser.parse_args()
    fates = make(args.database, args.out, args.shortest)
    reasons = sorted({fate for _, fate in fates}, reverse=True)
    print(
        table(
            "fate | definitions | examples",
            [[r, fates["definition", r], fates["example", r]] for r in reasons],
        )
    )
    print(report(args.out), end="")


if __name__ == "__main__":
    main()
