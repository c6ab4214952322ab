"""The benchmarks: both sides learn the same, costs are counted right, and each piece runs at a small size."""

import importlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu, gpu_train, memory, scaling, time_to_target, work
from benchmarks.__main__ import main
from benchmarks.plain import ImageBlock, gradient_penalty
from benchmarks.steps import CASES, Setting, table
from benchmarks.tables import Row, arguments, report
from benchmarks.tables import table as table_of_rows
from benchmarks.time_to_target import Mark, Side, reached
from benchmarks.timing import Timed, in_turns

CPU = torch.device("cpu")
SMALL = {"text-128": {"width": 8, "batch_size": 4}, "resnet-wgan-gp": {"width": 8, "batch_size": 4}}


def copied(mine, plain, real):
    """The toolkit's critic with the weights of the plain one."""
    with torch.no_grad():
        for its, ours in zip(plain.parameters(), mine.parameters(), strict=True):
            if real.x.ndim == 3 and its.ndim == 2:  # the head sees rows flattened by symbols, ours by positions
                its = its.unflatten(1, (-1, real.x.shape[2])).transpose(1, 2).flatten(1)
            ours.copy_(its.view_as(ours))
    return mine


@pytest.mark.parametrize("name", SMALL)
def test_the_plain_critic_step_has_the_gradients_of_the_toolkits(name):
    setting = Setting(CASES[name], CPU, **SMALL[name])
    plain = setting.plain()
    game = setting.game()
    copied(game.critic.net, plain.critic, setting.real)
    fake = torch.rand_like(setting.real.x)
    torch.manual_seed(1)
    loss = plain.critic(fake).mean() - plain.critic(setting.real.x).mean()
    loss = loss + gradient_penalty(plain.critic, setting.real.x, fake)
    loss.backward()
    torch.manual_seed(1)
    game._made = lambda latent: type(setting.real)(fake)
    terms, _, _ = game._critic_gradients(setting.real, None, frozenset({"gp"}))
    torch.testing.assert_close(terms["total"], loss.detach(), rtol=1e-4, atol=1e-4)
    norms = [torch.stack([p.grad.norm() for p in net.parameters()]) for net in (plain.critic, game.critic.net)]
    torch.testing.assert_close(norms[1], norms[0], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_every_case_has_networks_of_the_published_size_on_both_sides(name):
    given = {} if name.startswith("resnet") else {"width": 16}
    setting = Setting(CASES[name], CPU, **given)
    plain, game = setting.plain(), setting.game()
    for theirs, ours in ((plain.generator, game.generator.net), (plain.critic, game.critic.net)):
        assert sum(p.numel() for p in theirs.parameters()) == sum(p.numel() for p in ours.parameters())
    small = setting.real.x[:2]
    assert torch.isfinite(plain.critic_step(small))


def test_tasks_take_turns_and_the_table_gives_ratios():
    order = []
    timed = in_turns({"plain": lambda: order.append("a"), "fp32": lambda: order.append("b")}, 3, CPU)
    assert order == ["a", "b", "a", "b", "b", "a", "a", "b"] and timed["plain"].ratio == 1
    found = {"title": "T", "gflop": 10.0, "critic step": {"plain": Timed(1, 1, 1, 1), "fp32": Timed(0.5, 2, 1.5, 3)}}
    row = table([found], {"fp32": 40.0}).splitlines()[-1]
    assert row == "| T | critic step | fp32 | 500.0 | 2.00 (1.50, 3.00) | 20 (50%) |"


def test_a_turn_is_as_many_calls_as_fit():
    calls = []
    in_turns({"short": lambda: (calls.append(1), time.sleep(0.01))}, 2, CPU, turn=0.1)
    assert 2 + 2 * 5 <= len(calls) <= 2 + 2 * 10


def test_what_the_first_step_of_a_race_took_stands_apart():
    steps = []
    side = Side(lambda number: steps.append(number) or time.sleep(0.05 if number == 0 else 0.0), lambda: None)
    side.advance(2)
    first = side.first
    side.advance(3)
    assert steps == [0, 1, 2, 3, 4] and side.step == 5
    assert 0.05 <= first == side.first < side.seconds


def test_a_target_is_reached_between_two_scores():
    assert reached(Mark(500, 20.0, 0.5), Mark(1000, 30.0, 0.3), 0.35) == Mark(
        pytest.approx(875), pytest.approx(27.5), 0.35
    )
    assert reached(Mark(500, 20.0, 0.5), Mark(1000, 30.0, 0.35), 0.35) == Mark(1000, 30.0, 0.35)


def test_seconds_to_the_target_are_added_up_where_all_reached_it():
    plain, toolkit = {"steps": 30.0, "seconds": 60.0, "first": 0.1}, {"steps": 20.0, "seconds": 40.0, "first": 10.0}
    both = {0: {"plain": plain, "toolkit": toolkit}, 1: {"plain": plain, "toolkit": toolkit | {"seconds": 20.0}}}
    rows = time_to_target.table(both).splitlines()
    assert rows[2] == "| 0 | 30, 60 | 20, 40 | 10 | 1.50 |"
    assert rows[-1] == "| all | 60, 120 | 40, 60 | 20 | 2.00 |"
    rows = time_to_target.table(both | {2: {"plain": plain}}).splitlines()
    assert rows[-1] == "| 2 | 30, 60 | not reached |  |  |"


def test_a_block_adds_its_shortcut():
    x = torch.randn(1, 3, 4, 4)
    assert torch.equal(ImageBlock([], [])(x), 2 * x)


def test_the_cost_of_text_is_that_of_its_convolutions():
    setting = Setting(CASES["text-128"], CPU, width=16, batch_size=4, seq_len=8)
    found = work.cost_of(setting, setting.game(compile=False))
    symbols, rows, products = setting.domain.samples.tokenizer.size, 4 * 8, np.array([5 * 16 * 16] * 10, np.float64)
    linear, blocks, ends = 2.0 * 4 * 128 * 8 * 16, 2.0 * rows * products.sum(), 2.0 * rows * symbols * 16
    generator, critic = linear + blocks + ends, ends + blocks + 2.0 * 4 * 8 * 16
    assert found.critic_step.flops == generator + 10 * critic
    assert found.generator_step.flops == 3 * generator + 2 * critic
    assert found.iteration.flops == 10 * found.critic_step.flops + found.generator_step.flops
    assert found.critic_step.learned == sum(p.numel() for p in setting.game(compile=False).critic.net.parameters())


def test_a_product_moves_its_operands_and_its_result():
    found = work.forward(torch.nn.Linear(3, 5, bias=False), torch.empty(2, 3, device="meta"))
    assert (found.flops, found.moved) == (2 * 2 * 3 * 5, 2 * 3 + 3 * 5 + 2 * 5)
    assert (found + work.Work(learned=10)).bytes(2) == 2 * found.moved + 280


def test_the_cost_of_a_resnet_has_a_mean_in_its_convolution():
    setting = Setting(CASES["resnet-wgan-gp"], CPU, width=16, batch_size=4)
    pixels = 2.0 * 4 * 16 * 16  # products of a pixel of 16 channels in a batch of 4
    first = 2.0 * 4 * 16 * 3 * (9 * 32**2 + 16**2) + pixels * 16 * 16**2  # 3x3 and 1x1 from pixels; 4x4 of stride 2
    second = pixels * (9 * 16**2 + 16 * 8**2 + 8**2)
    critic = first + second + pixels * 4 * 9 * 8**2 + 2.0 * 4 * 16
    assert work.forward(setting.game().critic.net, setting.real.x.to("meta"), None).flops == critic


def test_a_slope_is_the_exponent_of_a_power():
    sizes = [8, 16, 64, 128]
    assert scaling.slope(sizes, [3 * size**1.7 for size in sizes]) == pytest.approx(1.7)


def test_rows_become_a_table():
    row = Row("steps", "text", "bf16", 2.456, "times as fast", 2.0, 3.0, "1234.5 ms")
    assert list(table_of_rows([row, Row("memory", "text", "plain", 1234.5, "MB")]))[2:] == [
        "| steps | text | bf16 | 2.46 | 2 | 3 | times as fast | 1234.5 ms |",
        "| memory | text | plain | 1,234 |  |  | MB |  |",
    ]


def test_a_row_is_printed_before_the_next_is_measured(capsys):
    row = Row("steps", "text", "bf16", 2.456, "times as fast", 2.0, 3.0, "1234.5 ms")

    def rows():
        yield row
        assert "| 1234.5 ms |" in capsys.readouterr().out
        yield row

    report(rows(), CPU, arguments("Measure.").parse_args([]))
    assert capsys.readouterr().out.count("| 1234.5 ms |") == 1


def called(monkeypatch, run, *args):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *args])
    run()


def test_quick_steps_and_scaling_end_in_one_table_and_in_json(here, monkeypatch, capsys):
    called(monkeypatch, main, "--quick", "--only", "steps", "scaling", "--rounds", "1", "--json", "found.json")
    printed = capsys.readouterr().out
    found = json.loads((here / "found.json").read_text())
    assert {row["piece"] for row in found["rows"]} == {"steps", "scaling"}
    assert found["machine"]["torch"] == torch.__version__ and found["machine"]["quick"]
    assert all(np.isfinite(row["value"]) for row in found["rows"])
    assert printed.splitlines()[: len(found["rows"]) + 2] == list(table_of_rows(Row(**row) for row in found["rows"]))


def test_memory_is_what_a_process_held_at_most():
    before = memory.held()
    block = torch.ones(before // 4 + 16_000_000)  # more than was ever held, and 64 MB
    found = memory.one("text-512", "plain fp32", CPU, memory.QUICK)
    assert found["peak"] >= max(before, 4 * len(block))
    plain = Setting(CASES["text-512"], CPU, **memory.QUICK).plain()
    assert found["weights"] == sum(p.numel() for net in (plain.generator, plain.critic) for p in net.parameters())


@pytest.mark.slow
def test_all_pieces_run_at_a_small_size(here, monkeypatch, capsys):
    called(monkeypatch, main, "--quick", "--rounds", "1")
    printed = capsys.readouterr().out
    assert all(f"| {piece} |" in printed for piece in ("steps", "scaling", "memory", "processes"))


@pytest.mark.parametrize("name", ["gpu", "gpu_train"])
def test_what_needs_a_gpu_says_so(name, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    module = importlib.import_module(f"benchmarks.{name}")
    given = ["ttur", "--data", "lines.txt"] if name == "gpu_train" else []
    for options in ([], ["--device", "cpu"], ["--quick"]):
        with pytest.raises(SystemExit) as stopped:
            called(monkeypatch, module.main, *given, *options)
        assert stopped.value.code == 2
        assert capsys.readouterr().err.count("needs an NVIDIA GPU and a PyTorch built for CUDA") == 1


GPU_ON_CPU = ["--device", "cpu", "--quick", "--how", "eager", "graph", "--rounds", "1"]


@pytest.fixture
def known_peaks(monkeypatch):
    """Measuring them takes long."""
    monkeypatch.setattr(gpu, "peaks", lambda device: {"fp32": 100.0, "bf16": 200.0})
    monkeypatch.setattr(gpu, "bandwidth", lambda device: 1e10)


def test_the_gpu_script_finds_what_is_wrong(here, monkeypatch, capsys, known_peaks):
    right = gpu.gradients

    def wrong(game):  # a penalty's share of the gradient is missing, say
        return [mean * (1.0 if game.engine.precision == "fp32" else 0.7) for mean in right(game)]

    monkeypatch.setattr(gpu, "gradients", wrong)
    with pytest.raises(SystemExit) as stopped:
        called(monkeypatch, gpu.main, *GPU_ON_CPU)
    printed = capsys.readouterr().out
    assert stopped.value.code == 1
    assert "skipped, as they need CUDA: graph fp32, eager tf32, graph tf32, graph bf16\n" in printed
    assert printed.count("right: at most") == 1 and printed.count("WRONG: at most") == 1


@pytest.mark.slow
@pytest.mark.parametrize("case", gpu.SIZES)
def test_the_gpu_script_is_content_on_a_cpu(case, here, monkeypatch, capsys, known_peaks):
    called(monkeypatch, gpu.main, *GPU_ON_CPU, "--case", case)
    printed = capsys.readouterr().out
    assert printed.count("right: at most") == 2 and "WRONG" not in printed


def test_a_trained_runs_scores_stand_beside_real_lines_and_markov_chains():
    js = {str(n): n / 10 for n in range(1, 7)}
    report = {"js": js, "num_samples": 640, "floor": dict(js, **{"4": 0.05}), "markov": {"3": dict(js, **{"6": 0.8})}}
    found = [{"step": 10, "seconds": 4.4, "evaluation": {"wgan-gp": report, "labels": {}}}]
    assert gpu_train.table(found).splitlines() == [
        "| step | seconds | JS-4, wgan-gp (640 samples) | JS-6, wgan-gp (640 samples) |",
        "| --- | --- | --- | --- |",
        "| 10 | 4 | 0.4000 | 0.6000 |",
        "| real lines |  | 0.0500 | 0.6000 |",
        "| Markov chain of order 3 |  | 0.4000 | 0.8000 |",
    ]


@pytest.mark.slow
def test_a_session_on_a_cpu_is_gone_on_with(data, capfd, monkeypatch):
    given = ["ttur", "--data", "lines.txt", "--out", "out", "--device", "cpu", "--quick"]
    for _ in range(2):
        called(monkeypatch, gpu_train.main, *given)
    printed = capfd.readouterr().out
    assert printed.count("| real lines |") == 2 and "resuming at step 6" in printed
    assert [line["step"] for line in json.loads(Path("out/ttur/scores.json").read_text())["scores"]] == [3, 6]


def test_the_shell_scripts_start_the_modules():
    scripts, environment = Path(gpu.__file__).parent, {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    for name in ("gpu", "gpu_train"):
        command = [scripts / f"{name}.sh", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0 and "--quick" in done.stdout, done.stderr
