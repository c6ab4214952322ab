import os

# Idle OpenMP threads sleep instead of spinning: on a busy machine spinning makes small tensors slow. Set before torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread_and_a_seed():
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the user's cache; all of one session share one."""
    root = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("SEQGAN_GP_CACHE", str(root))
