"""How files are hurt: bytes and JSON changed at random, bombs, and pickles that would run something."""

import copy
import gzip
import json
import random
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

LARGE = 1 << 24  # bytes of zeros that are packed at once
DEEP = 100_000
ESCAPES = "\x1b[2J\x1b[31mred\x07\r\n\u202e\u2028\x9b"
NUMBERS = (-1, 0, 1, 127, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1)
VALUES = (
    -1, 0, 1, 1.5, 10**9, 10**30, -(2**63), 1e308, float("nan"), float("inf"), True, None, "", "64", "../../outside",
    "/dev/zero", ESCAPES, "\ud800", "x" * 100_000, [], {}, [[]], [0, "a"], {"a": {}}, list(range(1000)),
)  # fmt: skip
RAW = ("1e999", "9" * 5000, "1" + "0" * 400, "[" * DEEP, '{"a":' * DEEP, "[" * DEEP + "]" * DEEP, "NaN", "\\", '"\x00"')
PLACE = "place of what json.dumps would not write"


def mutated(content: bytes, rng: random.Random) -> bytes:
    """The content of a file with one to three changes."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        content = rng.choice(CHANGES)(content, rng)
    return content


def place(content: bytes, rng: random.Random) -> int:
    """A position; in half of the cases in the first bytes, where headers are."""
    end = len(content) if rng.random() < 0.5 else min(len(content), 64)
    return rng.randrange(end + 1)


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Up to eight bits flipped."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        at = place(content, rng)
        if at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(content: bytes, rng: random.Random) -> bytes:
    """The beginning."""
    return content[: rng.randrange(len(content) + 1)]


def spliced(content: bytes, rng: random.Random) -> bytes:
    """A part of the content over another one."""
    at, start, length = place(content, rng), place(content, rng), rng.randint(1, 4096)
    part = content[start : start + length]
    return content[:at] + part + content[at + len(part) :]


def repeated(content: bytes, rng: random.Random) -> bytes:
    """A part many times over."""
    at, length = place(content, rng), rng.randint(1, 64)
    return content[:at] + content[at : at + length] * rng.choice((2, 100, 10_000)) + content[at:]


def numbered(content: bytes, rng: random.Random) -> bytes:
    """An interesting number, of two to eight bytes, written over what stands there."""
    kind, size = rng.choice((("H", 2), ("I", 4), ("Q", 8)))
    number = rng.choice(NUMBERS) % (1 << 8 * size)
    at = place(content, rng)
    return content[:at] + struct.pack(rng.choice("<>") + kind, number) + content[at + size :]


def inserted(content: bytes, rng: random.Random) -> bytes:
    """Random bytes in between."""
    at = place(content, rng)
    return content[:at] + rng.randbytes(rng.randint(1, 300)) + content[at:]


def without(content: bytes, rng: random.Random) -> bytes:
    """A part left out."""
    at = place(content, rng)
    return content[:at] + content[at + rng.randint(1, 300) :]


CHANGES = (flipped, flipped, cut, spliced, repeated, numbered, numbered, inserted, without)


def mutated_json(value: Any, rng: random.Random) -> str:
    """A JSON value as text, with something else at one place, or without it."""
    value = copy.deepcopy(value)
    holders = list(walk(value))
    if not holders:
        return rng.choice(RAW)
    holder, key = rng.choice(holders)
    way = rng.random()
    if way < 0.15:
        del holder[key]
    elif way < 0.35:
        holder[key] = PLACE
        return json.dumps(value).replace(f'"{PLACE}"', rng.choice(RAW), 1)
    else:
        holder[key] = rng.choice(VALUES)
    return json.dumps(value)


def walk(value: Any) -> Any:
    """Every place in a JSON value: what holds it, and its key or index."""
    if isinstance(value, dict | list):
        for key, part in list(value.items() if isinstance(value, dict) else enumerate(value)):
            yield value, key
            yield from walk(part)


def pickle_of(folder: Path) -> bytes:
    """A pickle that makes a folder when it is loaded (protocol 0: os.mkdir called with its path)."""
    return f"cos\nmkdir\n(V{folder}\ntR.".encode()


@cache
def gzip_bomb(unit: bytes, size: int) -> bytes:
    """Some bytes over and over, `size` in all, as gzip: one member again and again."""
    count = LARGE // len(unit)
    return gzip.compress(unit * count, 9) * (size // (count * len(unit)))


@cache
def deflate_bomb(size: int, begin: bytes = b"") -> bytes:
    """Zeros, behind what they begin with, as a raw deflate stream."""
    packer = zlib.compressobj(9, wbits=-15)
    head = packer.compress(begin) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(LARGE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + block * (size // LARGE) + packer.flush()


def zip_of(name: str, packed: bytes, size: int, checksum: int = 0) -> bytes:
    """A zip of one deflated member, as it is given: its size and its checksum may be lies."""
    called = name.encode()
    about = struct.pack("<HHHHHIIIHH", 20, 0x800, 8, 0, 33, checksum, len(packed), size, len(called), 0)
    local = b"PK\3\4" + about + called + packed
    central = b"PK\1\2" + struct.pack("<H", 20) + about + struct.pack("<HHHII", 0, 0, 0, 0, 0) + called
    return local + central + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), len(local), 0)


def npy_header(shape: tuple[int, ...], kind: str = "|u1") -> bytes:
    """The header of a .npy file."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
