"""Coverage-guided fuzzing of what reads idx and CIFAR files and the manifests of sealed folders, by Atheris.

    pip install atheris
    python -m robustness.fuzz_parsers [--minutes 10] [--parsers idx cifar manifest] [--outdir DIR]

Each parser runs in a process of its own for its share of the time, from a few good files. Only DataError and
DamagedError may come out of it, and no more memory may be taken than 512 MB. An input that did something else is left
in DIR; libFuzzer prints the number of executions and of edges covered.
"""

import argparse
import contextlib
import gzip
import hashlib
import importlib.util
import json
import multiprocessing
import os
import struct
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

PARSERS = ("idx", "cifar", "manifest")
MEGABYTES = 512
LONGEST = 1 << 14  # bytes of an input
PIXELS = 1 << 16  # of an image at most, so that executions stay short


def idx_seeds() -> list[bytes]:
    """Images in the idx format, plain and packed, each behind a byte that says how many of its bytes are images."""
    images = struct.pack(">4I", 0x803, 4, 3, 3) + bytes(range(36))
    labels = struct.pack(">2I", 0x801, 4) + bytes([0, 1, 2, 1])
    pairs = [(images, labels), (gzip.compress(images), gzip.compress(labels)), (images, b"")]
    return [bytes([len(a)]) + a + b for a, b in pairs]


def cifar_seeds() -> list[bytes]:
    """Records of CIFAR-10, each behind a byte for the length of the list of classes, and that list."""
    names = "\n".join(f"c{i}" for i in range(10)).encode()
    return [bytes([len(names)]) + names + (b"\3" + bytes(3072)) * 2, b"\0" + (b"\x09" + bytes(3072))]


def manifest_seeds() -> list[bytes]:
    """Manifests, behind a byte that says whether their own checksum is made right."""
    from gan_core.storage.sealed import manifest_text

    digest = hashlib.sha256(b"abc").hexdigest()
    sound = manifest_text({"step": 1, "files": {"a.bin": {"bytes": 3, "sha256": digest}}}).encode()
    return [b"\0" + sound, b"\1" + sound, b"\1{}"]


def read_all(spec: Path) -> None:
    """Read every image of a source."""
    from image_gan.sources.open import open_source

    source = open_source(str(spec), max_pixels=PIXELS)
    source.fingerprint()
    for split in source.sizes:
        for images, labels in source.blocks(split):
            assert len(images) == len(labels) and images.ndim == 4


def try_idx(folder: Path, content: bytes) -> None:
    """Read the files of an input as MNIST's."""
    split = 1 + content[0]
    (folder / "train-images-idx3-ubyte").write_bytes(content[1:split])
    labels = folder / "train-labels-idx1-ubyte"
    labels.unlink(missing_ok=True)
    if content[split:]:
        labels.write_bytes(content[split:])
    read_all(folder)


def try_cifar(folder: Path, content: bytes) -> None:
    """Read the files of an input as CIFAR-10's."""
    split = 1 + content[0]
    (folder / "batches.meta.txt").write_bytes(content[1:split])
    (folder / "data_batch_1.bin").write_bytes(content[split:])
    read_all(folder)


def try_manifest(folder: Path, content: bytes) -> None:
    """Verify a folder with a manifest."""
    from gan_core.storage.sealed import manifest_text, verify

    (folder / "a.bin").write_bytes(b"abc")
    text = content[1:].decode(errors="replace")
    if content[0] % 2:  # sealed, so that what stands behind the checksum is reached
        with contextlib.suppress(ValueError, RecursionError, AttributeError):
            text = manifest_text({key: value for key, value in json.loads(text).items() if key != "sha256"})
    (folder / "manifest.json").write_text(text, errors="replace")
    verify(folder)


def fuzz(name: str, seconds: int, outdir: Path) -> None:
    """Fuzz a parser; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["image_gan", "gan_core"]):
        import image_gan.sources.arrays  # noqa: F401  (imported here to be instrumented)
        from gan_core.errors import DataError
        from gan_core.storage.sealed import DamagedError

    attempts: dict[str, Callable[[Path, bytes], None]] = {"idx": try_idx, "cifar": try_cifar, "manifest": try_manifest}
    seeds = {"idx": idx_seeds, "cifar": cifar_seeds, "manifest": manifest_seeds}[name]()
    corpus = outdir / f"{name}-corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None))

    def one(content: bytes) -> None:
        if content:
            with contextlib.suppress(DataError, DamagedError):
                attempts[name](folder, content)

    limits = [f"-max_total_time={seconds}", f"-rss_limit_mb={MEGABYTES}", "-timeout=20", f"-max_len={LONGEST}"]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={outdir}/{name}-", str(corpus)], one)
    atheris.Fuzz()


def main() -> None:
    """Fuzz one parser after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--parsers", nargs="+", choices=PARSERS, default=list(PARSERS))
    parser.add_argument("--outdir", type=Path, default=Path("experiments-out/fuzz"))
    args = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.exit("Error: atheris is not installed: pip install atheris")
    args.outdir.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    spawned = multiprocessing.get_context("spawn")
    failed = []
    for name in args.parsers:
        seconds = max(1, round(60 * args.minutes / len(args.parsers)))
        process = spawned.Process(target=fuzz, args=(name, seconds, args.outdir.resolve()))
        process.start()
        process.join()
        print(f"{name}: {seconds} s, exit code {process.exitcode}", flush=True)
        failed += [name] if process.exitcode else []
    sys.exit(f"Error: {', '.join(failed)} crashed: the inputs are in {args.outdir}" if failed else 0)


if __name__ == "__main__":
    main()
