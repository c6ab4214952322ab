"""Hostile inputs: for each kind of file that a command reads, a random change and the attacks that we know of.

An attack fills a folder and returns the arguments of the command line that is run in it.
"""

import functools
import gzip
import io
import json
import random
import shutil
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from robustness.mutations import ESCAPES, deflate_bomb, gzip_bomb, mutated, npy_header, pickle_of, zip_of

GIGABYTE = 1 << 30
TINY = ["--width", "4", "--z-dim", "4", "--batch-size", "4", "--threads", "1", "--max-time", "10s"]
TEXT = ["train-text", *TINY, "--depth", "1", "--seq-len", "8", "--steps", "1", "--eval-every", "0"]
IMAGE = ["train-image", *TINY, "--arch", "mlp", "--generator-norm", "none", "--size", "8", "--dry-run"]
SOUND = "sound.txt"  # good lines, beside the hostile ones


@dataclass
class Scene:
    """Where an attack takes place.

    here: the folder that the command runs in, empty. good: files and runs as they should be, never changed.
    outside: files that nothing may change. marker: what code would make, if any were run.
    """

    here: Path
    good: Path
    outside: Path
    marker: Path
    rng: random.Random

    def write(self, name: str, content: bytes) -> str:
        """A file in the folder."""
        path = self.here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return name

    def sound(self, name: str) -> bytes:
        """The content of a good file."""
        return (self.good / name).read_bytes()


Attack = Callable[[Scene], list[str]]


def lines_of(scene: Scene, content: bytes, name: str = "lines.txt") -> list[str]:
    """A command that reads lines of text."""
    data = scene.write(name, content)
    scene.write(SOUND, scene.sound("lines.txt"))
    how = ["--bad-utf8", scene.rng.choice(("error", "replace", "skip"))]
    kind = scene.rng.choice(("char", "byte", "bpe"))
    trains = [*TEXT, "--data", data, "--tokenizer", kind, "--vocab-size", "256" if kind == "byte" else "300", *how]
    return scene.rng.choice((trains, [*trains, "--dry-run"], ["evaluate", data, "--data", SOUND, *how]))


def images_of(scene: Scene, content: bytes, name: str, data: str = "") -> list[str]:
    """A command that reads images: from the file, or from the folder that it stands in."""
    scene.write(name, content)
    how = ["--bad-images", scene.rng.choice(("error", "skip"))]
    return [*IMAGE, "--data", data or name, *how]


def corpus(scene: Scene) -> list[str]:
    """Lines, plain, packed or labelled."""
    name = scene.rng.choice(("lines.txt", "labelled.txt", "packed.gz"))
    content = scene.sound(name.replace("packed.gz", "lines.txt"))
    packed = gzip.compress(content) if name == "packed.gz" else content
    return lines_of(scene, mutated(packed, scene.rng), name)


def corpus_with_escapes(scene: Scene) -> list[str]:
    """Terminal escapes in lines, in labels and in the name of the file."""
    text = "".join(f"{ESCAPES.splitlines()[0]}{i % 3}\tline {ESCAPES} {i}\n" for i in range(40))
    return lines_of(scene, text.encode("utf-8", "replace"), "\x1b[31mred\n\u202e.txt")


CORPORA = (b"a", b"\r", b"\n", b"a\n", "\u202e\n".encode(), b"a\tb\n")


def corpus_bomb(scene: Scene, unit: bytes) -> list[str]:
    """A gigabyte of something, packed into a megabyte."""
    return lines_of(scene, gzip_bomb(unit, GIGABYTE), "bomb.gz")


def picture(scene: Scene) -> list[str]:
    """Image files in a folder."""
    kind = scene.rng.choice(("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"))
    drawn = np.random.default_rng(scene.rng.randrange(1 << 30)).integers(0, 256, (9, 9, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(drawn).save(file, kind)
    scene.write("images/sound.png", scene.sound("images/0.png"))
    scene.write("images/other.png", scene.sound("images/1.png"))
    return images_of(scene, mutated(file.getvalue(), scene.rng), f"images/hurt.{kind.lower()}", "images")


def png(width: int, height: int, rows: bytes, colour: int = 2, extra: bytes = b"") -> bytes:
    """A PNG file of 8 bits a channel with a header of one's own."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


@functools.cache
def white(side: int, channels: int) -> bytes:
    """A square PNG of one colour: few bytes and many pixels."""
    return png(side, side, (b"\0" + b"\7" * (side * channels)) * side, {3: 2, 4: 6}[channels])


def picture_bomb(scene: Scene, content: Callable[[], bytes], size: str = "8") -> list[str]:
    """An image that is far larger than its file."""
    scene.write("images/sound.png", scene.sound("images/0.png"))
    scene.write("images/other.png", scene.sound("images/1.png"))
    return [*images_of(scene, content(), "images/bomb.png", "images"), "--size", size]


def text_chunk() -> bytes:
    """A PNG whose packed comment is a bomb."""
    comment = b"zTXtComment\0\0" + zlib.compress(bytes(1 << 28), 9)
    length = struct.pack(">I", len(comment) - 4)
    return png(8, 8, bytes(25 * 8), extra=length + comment + struct.pack(">I", zlib.crc32(comment)))


def named_picture(scene: Scene) -> list[str]:
    """Terminal escapes and newlines in the names of folders and files, one of them no image."""
    scene.write("images/\x1b[31mred\n/a.png", scene.sound("images/0.png"))
    return images_of(scene, b"no image", "images/\x1b[2J\u202e/b.png", "images")


def linked_picture(scene: Scene, target: str) -> list[str]:
    """A link in place of an image."""
    args = picture(scene)
    (scene.here / "images/a.png").symlink_to(target)
    return args


def idx(scene: Scene) -> list[str]:
    """MNIST's official files, packed or not, one of them changed."""
    packed = scene.rng.random() < 0.5
    hurt = scene.rng.choice(("images", "labels"))
    for what, number in (("images", 3), ("labels", 1)):
        name = f"train-{what}-idx{number}-ubyte"
        content = scene.sound(name)
        if what == hurt and scene.rng.random() < 0.7:
            content, hurt = mutated(content, scene.rng), ""
        content = gzip.compress(content) if packed else content
        scene.write(f"mnist/{name}{'.gz' * packed}", mutated(content, scene.rng) if what == hurt else content)
    return [*IMAGE, "--data", "mnist"]


def idx_bomb(scene: Scene, count: int, height: int, width: int, magic: int = 0x803) -> list[str]:
    """Headers that promise much, and zeros that go on and on."""
    bomb = gzip_bomb(b"\0", GIGABYTE)
    for what, header in (("images-idx3", (magic, count, height, width)), ("labels-idx1", (0x801, count))):
        begin = gzip.compress(struct.pack(f">{len(header)}I", *header))
        scene.write(f"mnist/train-{what}-ubyte.gz", begin + bomb)
    return [*IMAGE, "--data", "mnist"]


def cifar(scene: Scene) -> list[str]:
    """CIFAR-10's official binary files, one of them changed."""
    hurt = scene.rng.choice(("data_batch_1.bin", "test_batch.bin", "batches.meta.txt"))
    for name in ("data_batch_1.bin", "test_batch.bin", "batches.meta.txt"):
        content = scene.sound(f"cifar/{name}")
        scene.write(f"cifar/{name}", mutated(content, scene.rng) if name == hurt else content)
    return [*IMAGE, "--data", "cifar"]


def cifar_of(scene: Scene, name: str, content: Callable[[], bytes]) -> list[str]:
    """The same with a file of one's own."""
    args = cifar(scene)
    scene.write(f"cifar/{name}", content())
    return args


def padded(content: bytes) -> bytes:
    """Filled up to whole records of CIFAR-10."""
    return content + bytes(-len(content) % 3073)


def npz(scene: Scene) -> list[str]:
    """A .npz file, changed as a whole or in one member."""
    if scene.rng.random() < 0.4:
        return images_of(scene, mutated(scene.sound("images.npz"), scene.rng), "a.npz")
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(scene.sound("images.npz"))) as sound, zipfile.ZipFile(file, "w") as archive:
        hurt = scene.rng.choice(sound.namelist())
        for name in sound.namelist():
            archive.writestr(name, mutated(sound.read(name), scene.rng) if name == hurt else sound.read(name))
    return images_of(scene, file.getvalue(), "a.npz")


def npz_of(scene: Scene, *members: tuple[str, tuple[int, ...], str, bytes]) -> list[str]:
    """A .npz file of arrays whose shape and type are as they are given."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, shape, kind, content in members:
            archive.writestr(f"{name}.npy", npy_header(shape, kind) + content)
    return images_of(scene, file.getvalue(), "a.npz")


def npz_with_a_pickle(scene: Scene, array: str) -> list[str]:
    """An array of objects."""
    members = {"images": ((4, 8, 8), "|u1", bytes(256)), "labels": ((4,), "|i1", bytes(4))}
    members[array] = ((4,), "|O", pickle_of(scene.marker))
    return npz_of(scene, *((name, *about) for name, about in members.items()))


def npz_bomb(scene: Scene, shape: tuple[int, ...]) -> list[str]:
    """Images that unpack to a gigabyte of zeros."""
    packed = deflate_bomb(GIGABYTE, npy_header(shape))
    return images_of(scene, zip_of("images.npy", packed, GIGABYTE + 128), "a.npz")


def zipped(scene: Scene) -> list[str]:
    """A zip of images, changed."""
    return images_of(scene, mutated(scene.sound("images.zip"), scene.rng), "a.zip")


def zip_named(scene: Scene, name: str) -> list[str]:
    """A zip with a member of that name beside good ones."""
    file = io.BytesIO(scene.sound("images.zip"))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(name.replace("OUTSIDE", str(scene.outside))), scene.sound("images/0.png"))
    return images_of(scene, file.getvalue(), "a.zip")


def zip_with_a_link(scene: Scene) -> list[str]:
    """A member that is a symbolic link, as unzip would make it."""
    file = io.BytesIO(scene.sound("images.zip"))
    with zipfile.ZipFile(file, "a") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, str(scene.outside / "kept.txt"))
    return images_of(scene, file.getvalue(), "a.zip")


def zip_bomb(scene: Scene, size: int, told: int) -> list[str]:
    """A member that unpacks to that many bytes, and says how many."""
    return images_of(scene, zip_of("a/bomb.png", deflate_bomb(size), told), "a.zip")


def parquet(scene: Scene) -> list[str]:
    """A data set in parquet with its file changed."""
    name = scene.rng.choice(("text.parquet", "images.parquet"))
    return parquet_of(scene, name, mutated(scene.sound(name), scene.rng))


def parquet_of(scene: Scene, name: str, content: bytes) -> list[str]:
    """The same with content of one's own."""
    scene.write("local/train.parquet", content)
    ways = ("hf:local", "local/train.parquet")  # by the hub's library, or of text by ourselves
    return [*TEXT, "--data", scene.rng.choice(ways)] if name == "text.parquet" else [*IMAGE, "--data", ways[0]]


def parquet_table(scene: Scene, name: str, columns: dict[str, list]) -> list[str]:
    """A data set with columns of one's own; OUTSIDE in a path stands for a folder outside."""
    import pyarrow.parquet

    kinds = {"image": pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])}
    for row in (row for row in columns.get("image", ()) if row and row.get("path")):
        row["path"] = row["path"].replace("OUTSIDE", str(scene.outside))
    arrays = {called: pyarrow.array(rows, kinds.get(called)) for called, rows in columns.items()}
    table = pyarrow.table(arrays)
    if "image" in columns:
        about = {"info": {"features": {"image": {"_type": "Image"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(about)})
    file = io.BytesIO()
    pyarrow.parquet.write_table(table, file)
    return parquet_of(scene, name, file.getvalue())


def with_readme(scene: Scene, name: str, readme: str) -> list[str]:
    """A sound data set whose card says where its files are, or what they hold."""
    args = parquet_of(scene, name, scene.sound(name))
    scene.write("local/README.md", readme.replace("OUTSIDE", str(scene.outside)).encode())
    return args


def copied(scene: Scene, run: str) -> Path:
    """A good run, to be hurt, beside the data that it was trained on."""
    shutil.copytree(scene.good / run, scene.here / run)
    for data in ("lines.txt", "images.npz"):
        scene.write(data, scene.sound(data))
    return scene.here / run


def each(attack: Callable[..., list[str]], rows: Sequence[tuple]) -> list[Attack]:
    """An attack with several arguments, one after the other."""
    return [functools.partial(_called, attack, row) for row in rows]


def _called(attack: Callable[..., list[str]], row: tuple, scene: Scene) -> list[str]:
    return attack(scene, *row)


DATA: dict[str, tuple[Attack, list[Attack]]] = {
    "corpus": (corpus, [corpus_with_escapes, *each(corpus_bomb, [(unit,) for unit in CORPORA])]),
    "image": (
        picture,
        [
            *each(
                picture_bomb,
                [
                    (functools.partial(png, 60_000, 60_000, bytes(1 << 16)),), (functools.partial(white, 7000, 4),),
                    (functools.partial(white, 7000, 3), "0"), (text_chunk,),
                ],
            ),
            named_picture,
            *each(linked_picture, [("/dev/zero",), ("/proc/self/mem",), ("a.png",), ("/nowhere",)]),
        ],
    ),
    "idx": (
        idx,
        each(
            idx_bomb,
            [(GIGABYTE, 1, 1), (GIGABYTE // 64, 8, 8), ((1 << 32) - 1, 8, 8), (4, 1 << 31, 1 << 31), (4, 0, 8)],
        ),
    ),
    "cifar": (
        cifar,
        each(
            cifar_of,
            [
                ("data_batch_1.bin", lambda: padded(gzip_bomb(b"\0", GIGABYTE))),
                ("data_batch_1.bin", lambda: padded(gzip.compress(bytes(5000)))),
                ("batches.meta.txt", lambda: b"\x1b[31mred " * 10), ("batches.meta.txt", lambda: bytes(1 << 28)),
            ],
        ),
    ),
    "npz": (
        npz,
        [
            *each(npz_with_a_pickle, [("images",), ("labels",)]),
            *each(npz_bomb, [((GIGABYTE, 1, 1),), ((-1, 8, 8),), ((1, 1 << 15, 1 << 15),), ((1 << 40, 8, 8),)]),
            *each(
                npz_of,
                [
                    (("images", (-8, 8, 8), "|u1", bytes(512)), ("labels", (-8,), "|u1", bytes(1 << 28))),
                    (("images", (4, -8, -8), "|u1", bytes(256)),), (("images", (True, 8, 8), "|u1", bytes(64)),),
                    (("images", (4, 8, 8), "|u1", bytes(256)), ("labels", (4,), "<m8[s]", bytes(32))),
                    (("images", (1 << 28, 1, 1), "|u1", b""), ("labels", (1 << 28,), "<i8", bytes(1 << 28))),
                    (("\x1b[31m", (4, 8, 8), "|u1", bytes(256)),), (("images", (4, 8, 8) + (1,) * 60, "|u1", b"a"),),
                ],
            ),
        ],
    ),
    "zip": (
        zipped,
        [
            *each(
                zip_named,
                [("../escaped.png",), ("OUTSIDE/a.png",), ("a\\..\\..\\b.png",), ("C:\\a.png",), ("\x1b[31m/a.png",)],
            ),
            zip_with_a_link,
            *each(zip_bomb, [(GIGABYTE, GIGABYTE), (GIGABYTE, 1000), (GIGABYTE // 8, GIGABYTE // 8), (1 << 24, 1)]),
        ],
    ),
    "parquet": (
        parquet,
        [
            *each(
                parquet_table,
                [
                    ("images.parquet", {"image": [{"bytes": None, "path": "/dev/zero"}] * 4}),
                    ("images.parquet", {"image": [{"bytes": None, "path": "OUTSIDE/picture.png"}] * 4}),
                    ("images.parquet", {"image": [{"bytes": None, "path": None}, None]}),
                    ("text.parquet", {"text": [ESCAPES + str(i) for i in range(9)], "label": [ESCAPES] * 9}),
                    ("text.parquet", {"text": ["a", None, ""] * 9, "label": [None, 1 << 62, -5] * 9}),
                    ("text.parquet", {"\x1b[31mred\n": [1] * 9}),
                ],
            ),
            *each(
                with_readme,
                [
                    ("text.parquet", "---\nconfigs:\n- config_name: a\n  data_files: OUTSIDE/*.txt\n---\n"),
                    ("text.parquet", "---\ndataset_info:\n  features: [\x1b, {name: text, dtype: list}]\n---\n"),
                    ("text.parquet", "---\n!!python/object/apply:os.mkdir [executed]\n---\n"),
                    ("text.parquet", "---\na: &a [x]\nb: &b [*a, *a]\n- ]\n---\n"),
                ],
            ),
        ],
    ),
}  # fmt: skip
