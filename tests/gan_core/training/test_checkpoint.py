"""Sealed folders and checkpoints: whole or not there, and never used when damaged."""

import json
import os
import shutil

import pytest
import torch

from gan_core.errors import CheckpointError
from gan_core.storage.sealed import MANIFEST, DamagedError, replacing, sealed_folder, verify
from gan_core.training import checkpoint
from tests.toy import ToyDomain, game, play


def seal(target, text="hello"):
    with sealed_folder(target, kind="test") as folder:
        (folder / "a.txt").write_text(text)
        (folder / "b.bin").write_bytes(bytes(1000))


def damage(path, kind):
    data = bytearray(path.read_bytes())
    if kind == "bit":
        data[len(data) // 2] ^= 1
    path.unlink() if kind == "missing" else path.write_bytes(
        data[:-1] if kind == "cut" else data if kind == "bit" else b""
    )


def test_a_sealed_folder_holds_what_was_written(tmp_path):
    seal(tmp_path / "x")
    assert verify(tmp_path / "x")["kind"] == "test"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    seal(tmp_path / "x", "again")
    assert (tmp_path / "x/a.txt").read_text() == "again" and [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_failure_leaves_the_old_folder_and_no_other(tmp_path):
    seal(tmp_path / "x")
    with pytest.raises(KeyError), sealed_folder(tmp_path / "x") as folder:
        (folder / "a.txt").write_text("half")
        raise KeyError
    assert (tmp_path / "x/a.txt").read_text() == "hello" and [p.name for p in tmp_path.iterdir()] == ["x"]
    verify(tmp_path / "x")


@pytest.mark.parametrize("kind", ["bit", "cut", "empty", "missing"])
@pytest.mark.parametrize("name", ["a.txt", "b.bin", MANIFEST])
def test_damage_is_found_and_named(tmp_path, name, kind):
    seal(tmp_path / "x")
    damage(tmp_path / "x" / name, kind)
    with pytest.raises(DamagedError):
        verify(tmp_path / "x")


def test_extra_files_and_hostile_manifests_are_refused(tmp_path):
    seal(tmp_path / "x")
    (tmp_path / "x/extra").write_text("")
    with pytest.raises(DamagedError, match="extra"):
        verify(tmp_path / "x")
    (tmp_path / "x/extra").unlink()
    for text in ("[]", "{}", '{"files": 3}', '{"files": {"a.txt": 1}}', "[" * 100_000, '{"files": {"../a.txt": {}}}'):
        (tmp_path / "x" / MANIFEST).write_text(text)
        with pytest.raises(DamagedError):
            verify(tmp_path / "x")


@pytest.fixture
def played():
    made = game(["began", "spectral"], numbers={"spectral.on": "both"}, ema=0.9)
    made.losses[0].k.fill_(0.5)
    play(made, 3, ToyDomain())
    return made


def test_a_checkpoint_restores_everything(tmp_path, played):
    saved = checkpoint.save(tmp_path, played, ToyDomain(), {"seconds": 1.5}, keep=2)
    assert saved.folder.name == "step-000003"
    assert {p.name for p in saved.folder.iterdir()} == {
        "generator.safetensors", "ema.safetensors", "critic.safetensors", "state.pt", "toy.json", MANIFEST
    }  # fmt: skip
    fresh = game(["began", "spectral"], numbers={"spectral.on": "both"}, ema=0.9, seed=5)
    assert checkpoint.restore(checkpoint.newest(tmp_path), fresh) == {"seconds": 1.5}
    assert float(fresh.losses[0].k) == float(played.losses[0].k) != 0
    for a, b in ((fresh, played),):
        assert a.step == b.step == 3 and a.critic_turns == b.critic_turns == 6
        for x, y in zip(a.critic.net.state_dict().values(), b.critic.net.state_dict().values(), strict=True):
            assert torch.equal(x, y)
    fresh.rules = played.rules
    assert play(fresh, 2, ToyDomain()) == play(played, 2, ToyDomain())


def test_only_the_newest_are_kept(tmp_path, played):
    for step in (3, 7, 12):
        played.step = step
        checkpoint.save(tmp_path, played, ToyDomain(), {}, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000007", "step-000012"]


@pytest.mark.parametrize("kind", ["bit", "cut", "empty", "missing"])
def test_a_damaged_checkpoint_is_named_and_passed_over(tmp_path, played, kind, capsys):
    for step in (3, 7):
        played.step = step
        checkpoint.save(tmp_path, played, ToyDomain(), {}, keep=2)
    for path in sorted((tmp_path / "step-000007").iterdir())[:4]:
        damage(path, kind)
    assert checkpoint.newest(tmp_path).step == 3
    assert "step-000007" in capsys.readouterr().err
    damage(tmp_path / "step-000003/state.pt", kind)
    with pytest.raises(CheckpointError, match="damaged"):
        checkpoint.newest(tmp_path)


def test_another_games_checkpoint_is_refused(tmp_path, played):
    saved = checkpoint.save(tmp_path, played, ToyDomain(), {}, keep=1)
    with pytest.raises(CheckpointError, match="does not match"):
        checkpoint.restore(saved, game(["wasserstein"]))
    with pytest.raises(CheckpointError, match=r"there is no checkpoint"):
        checkpoint.newest(tmp_path / "nothing")


def test_a_pickle_in_state_pt_is_not_executed(tmp_path, played):
    class Trap:
        def __reduce__(self):
            return (os.system, (f"touch {tmp_path}/executed",))

    saved = checkpoint.save(tmp_path, played, ToyDomain(), {}, keep=1)
    torch.save(Trap(), saved.folder / "state.pt")
    with pytest.raises(CheckpointError):
        checkpoint.restore(saved, played)
    assert not (tmp_path / "executed").exists()


def test_manifest_has_a_checksum_for_every_file(tmp_path, played):
    saved = checkpoint.save(tmp_path, played, ToyDomain(), {}, keep=1)
    manifest = json.loads((saved.folder / MANIFEST).read_text())
    assert set(manifest["files"]) == {p.name for p in saved.folder.iterdir()} - {MANIFEST}
    assert all(len(entry["sha256"]) == 64 for entry in manifest["files"].values())


def test_replacing_is_whole_or_not_at_all_and_keeps_folders_that_hold_something(tmp_path):
    path = tmp_path / "out"
    with replacing(path) as temporary:
        temporary.write_text("first")
    with pytest.raises(ValueError), replacing(path) as temporary:
        temporary.write_text("second")
        raise ValueError
    assert path.read_text() == "first" and len(list(tmp_path.iterdir())) == 1
    folder = tmp_path / "folder"
    folder.mkdir()
    with replacing(folder) as temporary:
        temporary.mkdir()
        (temporary / "a").write_text("a")
    for make in (lambda t: t.mkdir(), lambda t: t.write_text("x")):
        with pytest.raises(OSError), replacing(folder) as temporary:
            make(temporary)
    assert [p.name for p in folder.iterdir()] == ["a"] and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("keep", [1, 2])
def test_damaged_ones_of_later_steps_push_no_good_one_out(tmp_path, played, keep):
    """A run went back behind them; what it saves then counts as the newest."""
    for step in (3, 7, 12):
        played.step = step
        checkpoint.save(tmp_path, played, ToyDomain(), {}, keep=3)
    for step in (7, 12):
        damage(tmp_path / f"step-{step:06d}" / "state.pt", "bit")
    played.step = checkpoint.newest(tmp_path).step + 1
    saved = checkpoint.save(tmp_path, played, ToyDomain(), {}, keep=keep)
    assert checkpoint.newest(tmp_path) == saved and saved.step == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000003", "step-000004"][-keep:]


def test_copies_under_other_names_stay(tmp_path, played):
    for step in (3, 7):
        played.step = step
        checkpoint.save(tmp_path, played, ToyDomain(), {}, keep=1)
        shutil.copytree(tmp_path / f"step-{step:06d}", tmp_path / f"step-{step:06d}-mine")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000003-mine", "step-000007", "step-000007-mine"]
    assert checkpoint.newest(tmp_path).step == 7


def test_no_checkpoint_yet_is_not_a_damaged_one(tmp_path, played):
    assert checkpoint.latest(tmp_path) is None
    (tmp_path / ".step-000003.9.tmp").mkdir()
    assert checkpoint.latest(tmp_path) is None
    saved = checkpoint.save(tmp_path, played, ToyDomain(), {}, keep=1)
    assert checkpoint.latest(tmp_path) == saved
    damage(saved.folder / "state.pt", "cut")
    with pytest.raises(CheckpointError, match="every checkpoint there is damaged"):
        checkpoint.latest(tmp_path)
