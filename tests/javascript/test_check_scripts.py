"""`make check` finds mistakes in the page's scripts, and needs no network to pass."""

import importlib.util
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("naslab_tests_check_scripts", ROOT / "widgets" / "check_scripts.py")


@pytest.fixture
def check(tmp_path, monkeypatch):
    """A copy of the checker whose scripts are `tmp_path/static` and which has no packages."""
    module = importlib.util.module_from_spec(SPEC)
    SPEC.loader.exec_module(module)
    if module.node()[0] is None:
        pytest.skip("there is no node to check the page's scripts with")
    (tmp_path / "static").mkdir()
    (tmp_path / "tests").mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / "widgets" / name, tmp_path)
    for name, path in {
        "WIDGETS": tmp_path,
        "SCRIPTS": tmp_path / "static",
        "TESTS": tmp_path / "tests",
        "PACKAGES": tmp_path / "node_modules",
        "LOCK": tmp_path / "package-lock.json",
        "STAMP": tmp_path / "node_modules" / ".lock",
    }.items():
        monkeypatch.setattr(module, name, path)
    monkeypatch.setenv("npm_config_registry", "http://127.0.0.1:9/")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    return module


@pytest.mark.slow
def test_without_a_network_types_and_lint_are_left_out_with_a_word_and_syntax_is_checked(check, tmp_path, capfd):
    (tmp_path / "static" / "good.js").write_text("export const answer = 42;\n")
    assert check.main() == 0
    assert "types and lint are left out" in capfd.readouterr().out
    (tmp_path / "static" / "bad.js").write_text("export const answer = ;\n")
    assert check.main() == 1
    assert "bad.js" in capfd.readouterr().err


def test_packages_of_another_lock_are_not_used(check, monkeypatch):
    check.PACKAGES.mkdir()
    check.STAMP.write_text("another lock")
    assert not check.installed(None)
    check.STAMP.write_text(check.hashlib.sha256(check.LOCK.read_bytes()).hexdigest())
    assert check.installed(None)


def test_the_lock_names_no_registry_and_a_checksum_for_each_package():
    text = (ROOT / "widgets" / "package-lock.json").read_text(encoding="utf-8")
    packages = text.count('"node_modules/')
    assert packages > 50
    assert text.count('"integrity": "sha512-') == packages
    assert '"resolved"' not in text
