"""The ten-minute check of a GPU (`benchmarks/gpu`): no check ends it, its time is kept, a CPU can try it."""

import importlib
import json
import math
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def load(monkeypatch):
    """Imports a module of the check."""
    monkeypatch.syspath_prepend(str(ROOT))
    return lambda name: importlib.import_module(f"benchmarks.gpu.{name}")


@pytest.fixture
def report(load, tmp_path):
    said = []
    made = load("report").Report(1.0, {"gpu": "none"}, tmp_path / "sub" / "gpu.json", progress=said.append)
    made.said = said
    return made


def statuses(report):
    return {row.check: row.status for row in report.rows}


def test_what_fails_is_a_row_and_what_warns_is_kept(report, tmp_path):
    def warned():
        warnings.warn("slow path", stacklevel=1)
        return {"ms": 2.34567, "equal": True, "losses": [1.0, math.inf]}

    with report.section("one"):
        assert report.check("fails", lambda: {}["no such key"]) == {}
        assert report.check("goes on", warned)["equal"] is True
    with report.section("two"):
        report.leave_out("compiled", "compiling is for GPUs")
        raise ValueError("the section itself")
    assert statuses(report) == {
        "fails": "failed",
        "goes on": "ok",
        "compiled": "left out",
        "the section itself": "failed",
    }
    assert report.failed
    assert report.rows[0].found["error"] == "KeyError: 'no such key'"
    assert report.rows[1].warnings == ["UserWarning: slow path"]
    assert "ms 2.346; equal True; losses [1, inf]; 1 warnings" in report.table()
    assert "4 checks: 2 failed, 1 ok, 1 left out" in report.table()
    assert len(report.said) == 2, "progress before every check"
    kept = json.loads((tmp_path / "sub" / "gpu.json").read_text())
    assert kept["gpu"] == "none"
    assert [row["check"] for row in kept["rows"]] == list(statuses(report))


def test_a_failure_names_the_lines_of_naslab(load):
    import naslab as nl

    try:
        nl.spaces.NASBench201(channels=-1)
    except nl.errors.SpecError as error:
        found = load("report").failure(error)
    assert found["error"].startswith("SpecError: channels")
    assert ".py:" in found["at"]


def test_a_check_that_takes_too_long_is_stopped(report):
    def stubborn():
        while True:
            try:
                time.sleep(0.01)
            except Exception:  # as a compiler does, which goes on without what has failed
                continue

    begun = time.monotonic()
    with report.section("slow"):
        report.check("for ever", stubborn, most=0.1)
        report.check("after it", lambda: {"n": 1})
    assert time.monotonic() - begun < 5
    assert statuses(report) == {"for ever": "stopped", "after it": "ok"}
    assert not report.failed


def test_when_the_time_is_over_the_rest_is_left_out(load):
    now = [0.0]

    def slow():
        now[0] += 61
        return {}

    report = load("report").Report(1.0, {}, clock=lambda: now[0], progress=lambda _: None)
    with report.section("all"):
        report.check("long", slow)
        report.check("late", lambda: pytest.fail("there was no time"))
    assert statuses(report) == {"long": "ok", "late": "left out"}


def test_without_a_gpu_it_says_one_sentence(load, monkeypatch, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    main = load("__main__")
    for argument, code in (([], 0), (["--there"], 1)):
        monkeypatch.setattr(sys, "argv", ["gpu", *argument])
        with pytest.raises(SystemExit) as ended:
            main.main()
        assert ended.value.code == code
        said = capsys.readouterr()
        assert said.out.startswith("There is no GPU here")
        assert said.out.count("\n") == 1
        assert not said.err
    assert main.slug("NVIDIA H100 PCIe (80 GB)") == "nvidia-h100-pcie-80-gb"


def tried(tmp_path, minutes, *arguments):
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--minutes", str(minutes)]
    done = subprocess.run(
        [*command, "--folder", str(tmp_path), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=600
    )
    return done, json.loads((tmp_path / "gpu-cpu.json").read_text())


@pytest.mark.slow
def test_it_keeps_its_time_and_its_file_on_a_cpu(tmp_path):
    done, kept = tried(tmp_path, 0.05)
    assert done.returncode == 0, done.stderr
    rows = {(row["section"], row["check"]): row for row in kept["rows"]}
    assert kept["seconds"] < 30  # 3 s, and what lies between the checks on a machine that is busy
    assert rows["smoke", "Darts"]["status"] in ("ok", "stopped")
    assert rows["rounding", "bfloat16"]["status"] == "left out"
    assert {row["status"] for row in kept["rows"]} <= {"ok", "stopped", "left out"}
    assert len({section for section, _ in rows}) == 12
    assert all(f"{check} " in done.stdout for _, check in rows)


@pytest.mark.reliability
@pytest.mark.timeout(900)
def test_all_of_it_can_be_tried_on_a_cpu(tmp_path):
    done, kept = tried(tmp_path, 8)
    assert done.returncode == 0, done.stdout
    assert {row["status"] for row in kept["rows"]} == {"ok", "left out"}
    assert {row["found"]["because"] for row in kept["rows"] if row["status"] == "left out"}.isdisjoint({"no time left"})
