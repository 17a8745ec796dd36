"""What is said of the machine, and of what it lacks."""

import importlib
import subprocess
import sys

import pytest
import torch

import naslab as nl
from naslab.operations import kernels

module = importlib.import_module("naslab.machine")
"""`naslab.machine` itself is the function."""


def test_it_names_the_device_and_the_processors():
    found = nl.machine()
    assert found.device in ("cpu", "cuda")
    assert found.processors >= 1
    assert found.threads == torch.get_num_threads()
    assert f"torch {torch.__version__}" in str(found)
    assert any(text.startswith("a GPU: ") for text in found.missing) == (not torch.cuda.is_available())


@pytest.mark.parametrize(
    ("environment", "why"),
    [({"NASLAB_KERNELS": "0"}, "turns them off"), ({"CC": "no-such-compiler"}, "no C compiler .'no-such-compiler'.")],
)
def test_without_kernels_it_says_why_and_what_it_costs(monkeypatch, environment, why):
    monkeypatch.setattr(kernels, "available", lambda: False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = nl.machine()
    assert not found.kernels
    with pytest.raises(AssertionError, match=rf"compiled kernels: .*{why}.* about twice the time"):
        raise AssertionError(found.missing[0])
    assert "compiled kernels: no" in str(found)


def test_a_gpu_is_described_and_what_is_wrong_with_it(monkeypatch):
    class Properties:
        total_memory = 16_000_000_000

    monkeypatch.setattr(module, "why_no_cuda", lambda: "")
    monkeypatch.setattr(module, "available", lambda device="cpu": 500_000_000)
    for name, value in {
        "device_count": lambda: 1,
        "get_device_name": lambda device: "Tesla T4",
        "get_device_properties": lambda device: Properties,
        "is_bf16_supported": lambda including_emulation=True: including_emulation,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    found = nl.machine()
    assert found.gpus == ("Tesla T4, 16 GB, 500 MB free",)
    assert [text.split(":")[0] for text in found.missing if "cuda" in text or "T4" in text] == [
        "memory of cuda",
        "precision='bfloat16'",
    ]


@pytest.mark.slow
def test_it_is_printed_by_the_package_itself():
    said = subprocess.run([sys.executable, "-m", "naslab"], capture_output=True, text=True, check=True).stdout
    assert said.startswith("versions:")
    assert "processors:" in said
