import pytest
import torch


@pytest.fixture(autouse=True)
def two_threads_and_a_seed():
    torch.set_num_threads(2)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """No test reads or fills the user's cache; all of one session share one."""
    root = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("SEQGAN_GP_CACHE", str(root))
