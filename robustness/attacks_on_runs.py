"""Hostile runs: config.json, tokenizers and checkpoints that someone else made, sealed as if they were whole."""

import io
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from gan_core.storage.sealed import MANIFEST, manifest_text, sha256
from robustness.attacks import DATA, GIGABYTE, IMAGE, TEXT, Attack, Scene, copied, each
from robustness.mutations import DEEP, ESCAPES, deflate_bomb, mutated, mutated_json, pickle_of, zip_of

RUNS = ("text", "pieces", "image")
Change = Any


def seal(folder: Path) -> None:
    """Write a manifest that fits the files of a checkpoint, so that nothing but the reading of them protects."""
    files = [path for path in sorted(folder.iterdir()) if path.name != MANIFEST and path.is_file()]
    entries = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in files}
    (folder / MANIFEST).write_text(manifest_text({"step": 1, "torch": torch.__version__, "files": entries}))


def checkpoint_of(run: Path) -> Path:
    """The checkpoint of a run of one step."""
    return run / "checkpoints" / "step-000001"


def used(scene: Scene, run: str, *ways: str) -> list[str]:
    """A command that reads a run: one of those ways, or any."""
    domain = "image" if run == "image" else "text"
    resume = [f"train-{domain}", "--resume", run, "--steps", "2", "--max-time", "10s"]
    commands = {
        "sample": ["sample", run, "--num", "4", "--out", "drawn.npz"],
        "printed": ["sample", run, "--num", "4", "--out", "drawn.png" if domain == "image" else "drawn.jsonl"],
        "evaluate": ["evaluate", run, "--num", "16"],
        "inspect": ["inspect", run],
        "json": ["inspect", run, "--json"],
        "resume": resume,
        "dry": [*resume, "--dry-run"],
    }
    return commands[scene.rng.choice(ways or tuple(commands))]


def config(scene: Scene) -> list[str]:
    """The config.json of a run, or a --config file, changed."""
    if scene.rng.random() < 0.25:
        return toml(scene, mutated(scene.sound("options.toml"), scene.rng))
    run = scene.rng.choice(RUNS)
    path = copied(scene, run) / "config.json"
    if scene.rng.random() < 0.3:
        path.write_bytes(mutated(path.read_bytes(), scene.rng))
    else:
        path.write_text(mutated_json(json.loads(path.read_text()), scene.rng), errors="replace")
    return used(scene, run)


def configured(scene: Scene, run: str, change: dict[str, Any], *ways: str) -> list[str]:
    """Values of config.json replaced; `numbers` are merged into those of the run."""
    path = copied(scene, run) / "config.json"
    about = json.loads(path.read_text())
    numbers = about["numbers"] | change.get("numbers", {})
    path.write_text(json.dumps(about | change | {"numbers": numbers}))
    return used(scene, run, *ways)


def toml(scene: Scene, content: bytes) -> list[str]:
    """A --config file."""
    command = TEXT[:1] if scene.rng.random() < 0.5 else IMAGE[:1]
    scene.write("lines.txt", scene.sound("lines.txt"))
    return [*command, "--config", scene.write("options.toml", content), "--width", "4", "--dry-run"]


def config_with_code(scene: Scene, *ways: str) -> list[str]:
    """A backbone that is a module beside the run."""
    scene.write("payload.py", f"import os\nos.mkdir({str(scene.marker)!r})\ndef run(images): ...\n".encode())
    return configured(scene, "image", {"numbers": {"backbone": "payload:run"}}, *ways)


def tokenizer(scene: Scene) -> list[str]:
    """The files of a tokenizer in a sealed checkpoint, one of them changed."""
    run = scene.rng.choice(("text", "pieces", "pieces"))
    folder = checkpoint_of(copied(scene, run))
    names = ["tokenizer.json"] + ["tokenizer.model"] * 3 * (run == "pieces")
    path = folder / scene.rng.choice(names)
    if path.suffix == ".json" and scene.rng.random() < 0.6:
        path.write_text(mutated_json(json.loads(path.read_text()), scene.rng), errors="replace")
    else:
        path.write_bytes(mutated(path.read_bytes(), scene.rng))
        about = json.loads((folder / "tokenizer.json").read_text()) if path.suffix != ".json" else {}
        if about:
            (folder / "tokenizer.json").write_text(json.dumps(about | {"model_sha256": sha256(path)}))
    seal(folder)
    return used(scene, run, "sample", "printed", "evaluate", "resume")


def tokenizer_of(scene: Scene, text: str) -> list[str]:
    """A tokenizer.json of one's own."""
    folder = checkpoint_of(copied(scene, "text"))
    (folder / "tokenizer.json").write_text(text)
    seal(folder)
    return used(scene, "text", "printed")


def pieces_of(scene: Scene, pieces: dict[int, str], normaliser: bytes = b"") -> list[str]:
    """A SentencePiece model with some of its pieces replaced, or one that rewrites text by rules of its own."""
    from sentencepiece import sentencepiece_model_pb2

    folder = checkpoint_of(copied(scene, "pieces"))
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((folder / "tokenizer.model").read_bytes())
    for number, piece in pieces.items():
        model.pieces[number].piece = piece
    if normaliser:
        model.normalizer_spec.precompiled_charsmap = normaliser
        model.denormalizer_spec.precompiled_charsmap = normaliser
    (folder / "tokenizer.model").write_bytes(model.SerializeToString())
    about = json.loads((folder / "tokenizer.json").read_text())
    about["model_sha256"] = sha256(folder / "tokenizer.model")
    (folder / "tokenizer.json").write_text(json.dumps(about))
    seal(folder)
    return used(scene, "pieces", "printed", "sample", "evaluate")


def checkpoint(scene: Scene) -> list[str]:
    """A file of a checkpoint changed; three times in four it is sealed again."""
    run = scene.rng.choice(RUNS)
    folder = checkpoint_of(copied(scene, run))
    path = scene.rng.choice(sorted(folder.iterdir()))
    if path.suffix == ".json" and scene.rng.random() < 0.7:
        path.write_text(mutated_json(json.loads(path.read_text()), scene.rng), errors="replace")
    else:
        path.write_bytes(mutated(path.read_bytes(), scene.rng))
    if path.name != MANIFEST and scene.rng.random() < 0.75:
        seal(folder)
    return used(scene, run)


def replaced(scene: Scene, run: str, name: str, content: bytes, *ways: str) -> list[str]:
    """A file of a sealed checkpoint of one's own."""
    folder = checkpoint_of(copied(scene, run))
    (folder / name).write_bytes(content)
    seal(folder)
    return used(scene, run, *ways)


def manifest_of(scene: Scene, name: str, about: Any) -> list[str]:
    """A manifest with an entry of one's own, its own checksum right."""
    folder = checkpoint_of(copied(scene, "text"))
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["sha256"]
    manifest["files"][name] = about
    (folder / MANIFEST).write_text(manifest_text(manifest))
    return used(scene, "text")


def with_state(scene: Scene, state: Any) -> list[str]:
    """A state.pt that holds something else."""
    file = io.BytesIO()
    torch.save(state, file)
    return replaced(scene, "text", "state.pt", file.getvalue(), "resume")


def state_with_a_pickle(scene: Scene, packed: bool) -> list[str]:
    """A state.pt that would run something when it is unpickled, new or old in form."""
    folder = checkpoint_of(copied(scene, "text"))
    content = pickle_of(scene.marker)
    if packed:
        file = io.BytesIO()
        with zipfile.ZipFile(folder / "state.pt") as sound, zipfile.ZipFile(file, "w") as archive:
            for name in sound.namelist():
                archive.writestr(name, content if name.endswith("data.pkl") else sound.read(name))
        content = file.getvalue()
    (folder / "state.pt").write_bytes(content)
    seal(folder)
    return used(scene, "text", "resume")


def state_bomb(scene: Scene) -> list[str]:
    """A state.pt whose pickle unpacks to a gigabyte."""
    packed = deflate_bomb(GIGABYTE)
    return replaced(scene, "text", "state.pt", zip_of("archive/data.pkl", packed, GIGABYTE), "resume")


def weights_of(scene: Scene, number: float, *ways: str) -> list[str]:
    """Weights that are all one number."""
    run = scene.rng.choice(RUNS)
    folder = checkpoint_of(copied(scene, run))
    for path in folder.glob("*.safetensors"):
        weights = load_file(path)
        for value in (value for value in weights.values() if value.is_floating_point()):
            value.fill_(number)
        save_file(weights, path)
    seal(folder)
    return used(scene, run, *ways)


def header_of(scene: Scene, header: bytes, length: int | None = None) -> list[str]:
    """Weights whose file has a header of one's own."""
    content = struct.pack("<Q", len(header) if length is None else length) + header + bytes(64)
    return replaced(scene, "text", "generator.safetensors", content, "sample", "resume")


def linked(scene: Scene, name: str, target: str, *ways: str) -> list[str]:
    """A file or folder of a run that is a link to something outside."""
    path = copied(scene, "text") / name
    if path.is_dir():
        path.rename(path.with_name(f"{path.name}-before"))
    path.unlink(missing_ok=True)
    path.symlink_to(scene.outside / target)
    return used(scene, "text", *ways)


def log_of(scene: Scene, name: str, content: bytes, *ways: str) -> list[str]:
    """A file of a run, beside its checkpoints, of one's own."""
    (copied(scene, "text") / name).write_bytes(content)
    return used(scene, "text", *ways)


def labels_of(scene: Scene, names: list[str], counts: list[Any]) -> list[str]:
    """Classes of one's own."""
    about = json.dumps({"names": names, "counts": counts, "hidden": 0}).encode()
    return replaced(scene, "image", "labels.json", about, "printed", "sample")


HUGE = [{"numbers": {name: 10**9}} for name in ("width", "seq_len", "z_dim", "depth", "batch_size", "kernel", "size")]
LARGE = {"width": 16384, "z_dim": 65536, "depth": 256}  # each of them allowed
DESCRIBED = {"format": 1, "kind": "char"}

ON_RUNS: dict[str, tuple[Attack, list[Attack]]] = {
    "tokenizer": (
        tokenizer,
        [
            *each(
                tokenizer_of,
                [
                    (json.dumps(DESCRIBED | {"vocabulary": [0x1B, 0x07, 0x202E, 0x2028, 0x9B]}),),
                    (json.dumps(DESCRIBED | {"vocabulary": [10**30]}),), ("[" * DEEP,), (json.dumps([DESCRIBED]),),
                    (json.dumps({"format": ESCAPES, "kind": "char"}),), (json.dumps({"format": 1, "kind": []}),),
                    (json.dumps(DESCRIBED | {"vocabulary": list(range(32, 50_000))}),),
                ],
            ),
            *each(
                pieces_of,
                [
                    ({n: f"{n}" + "x" * 100_000 for n in range(258, 300)},), ({260: ESCAPES, 261: "\n\x00"},),
                    ({}, bytes(range(256)) * 8), ({}, struct.pack("<I", 1 << 31) + b"x" * 64), ({5: "<0x05>x"},),
                ],
            ),
        ],
    ),
    "config": (
        config,
        [
            *each(config_with_code, [("evaluate",), ("resume",)]),
            *each(configured, [(run, change) for change in HUGE for run in ("text", "image")]),
            *each(configured, [(run, {"numbers": LARGE}, way) for way in ("sample", "dry") for run in RUNS]),
            *each(
                configured,
                [
                    ("text", {"recipe": ESCAPES, "preset": ESCAPES}), ("text", {"parts": []}), ("text", {"data": []}),
                    ("text", {"parts": [["gp"], 3, None]}, "inspect"), ("image", {"parts": ["gp", "gp"]}),
                    ("text", {"domain": ESCAPES}), ("text", {"data": {"fingerprint": []}}, "resume"),
                    ("text", {"versions": [], "threads": ESCAPES}, "resume"), ("text", {"parts": ["gp"]}, "evaluate"),
                    ("image", {"numbers": {"generator_norm": "conditional"}}), ("text", {"numbers": {"data": ESCAPES}}),
                    ("text", {"numbers": {"data": "../outside"}}, "evaluate"), ("text", {"numbers": {ESCAPES: 1}}),
                    ("text", {"numbers": {"plateau_patience": 3}}, "resume"), ("text", {"x": "y" * (1 << 21)}),
                ],
            ),
            *each(
                toml,
                [
                    (b"a = " + b"[" * DEEP,), (b"steps = 1" + b"0" * 400,), (b"\xff\xfe",), (b'recipe = "\\u001b[2J"',),
                    (b'"\\u001b[31m" = 1',), (b"steps = 1e999",), (b"width = nan",), (b"[gp]\nweight = [1]",),
                    (b"[a.b.c]\nd = 1",), (b"seed = 1979-05-27",),
                ],
            ),
        ],
    ),
    "checkpoint": (
        checkpoint,
        [
            *each(state_with_a_pickle, [(True,), (False,)]),
            state_bomb,
            *each(
                manifest_of,
                [
                    ("../../../outside/kept.txt", {"bytes": 5, "sha256": "0"}), ("/etc/passwd", {"bytes": 1}),
                    ("a", {"bytes": float("inf"), "sha256": "0"}), ("a", {"bytes": 10**400, "sha256": []}),
                    (ESCAPES, {"bytes": 1, "sha256": "0"}), ("\ud800", {"bytes": 1, "sha256": "0"}), ("a", []),
                ],
            ),
            *each(
                linked,
                [
                    (name, target, "resume")
                    for name, target in (
                        ("lock", "kept.txt"), ("log.txt", "kept.txt"), ("metrics.jsonl", "kept.txt"),
                        ("samples", "folder"), ("checkpoints", "folder"), ("tensorboard", "folder"),
                        ("summary.json", "kept.txt"), ("curves.png", "kept.txt"),
                        ("checkpoints/step-000001/state.pt", "kept.txt"), ("config.json", "kept.txt"),
                        ("samples/000002.txt", "kept.txt"),
                    )
                ],
            ),
            *each(
                with_state,
                [
                    ({},), ([],), ({"game": {}},), ({"game": []},), (torch.zeros(3),), ({"game": {"step": "x"}},),
                    ({"game": None, "means": 1},),
                ],
            ),
            *each(weights_of, [(number,) for number in (float("nan"), float("inf"), 1e38)]),
            *each(
                header_of,
                [
                    (b"{}",), (b"{}", 1 << 63), (b"[" * DEEP,), (b'{"a":{"dtype":"F8_E8M0","shape":[4]}}',),
                    (b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,64]}}',),
                    (b'{"\\u001b[31m":{"dtype":"F32","shape":[16],"data_offsets":[0,64]}}',),
                    (b'{"a":{"dtype":"F4","shape":[128],"data_offsets":[0,64]}}',),
                ],
            ),
            *each(
                labels_of,
                [
                    ([ESCAPES, "b", "c"], [1, 1, 1]), (["a", "b", "c"], [0, 0, 0]), (["a", "b", "c"], [10**400, 1, 1]),
                    (["a", "b", "c"], [float("inf"), 1, 1]), (["x" * 10_000_000, "b", "c"], [1, 1, 1]),
                    (list(map(str, range(100_000))), [1] * 100_000),
                ],
            ),
            *each(
                replaced,
                [
                    ("image", "images.json", json.dumps({"size": size, "channels": channels}).encode(), "sample")
                    for size, channels in (
                        (10**9, 1), (-1, 1), (8, 10**9), (float("inf"), 1), (10**400, 1), ("8", "1"), (3, 3), (8, 0),
                    )
                ],
            ),
            *each(
                log_of,
                [
                    ("metrics.jsonl", b"\xff\xfe\n", "resume"), ("metrics.jsonl", b"[" * DEEP, "resume"),
                    ("metrics.jsonl", b'{"step": "x"}\n{"step": [1]}\n3\n', "resume"),
                    ("summary.json", b"[]", "inspect"), ("summary.json", b"[" * DEEP, "inspect", "json"),
                    ("summary.json", b"\xff", "inspect"), ("summary.json", b'{"evaluation": {"a": 1}}', "inspect"),
                    ("summary.json", b'{"parameters": [1], "steps": {}}', "inspect"),
                    ("summary.json", json.dumps({"domain": ESCAPES, "evaluation": {ESCAPES: {}}}).encode(), "inspect"),
                    ("summary.json", b'{"parameters": {"a": "b"}, "seconds": "x", "steps": 1}', "inspect"),
                ],
            ),
        ],
    ),
}  # fmt: skip

KINDS = DATA | ON_RUNS
