"""Text that becomes HTML or SVG stays text, and there is one place in which it does."""

import ast
import html
import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from naslab import markup
from naslab.card import card

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("naslab_tests_strings", ROOT / "tests" / "hostile_strings.py")
hostile = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hostile)


class Read(HTMLParser):
    """The elements of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__(convert_charrefs=True)
        self.elements, self.text = [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, sorted(name for name, _ in attrs)))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.elements.append(("comment", []))

    handle_decl = handle_pi = unknown_decl = handle_comment


def test_there_are_enough_strings():
    assert len(hostile.STRINGS) >= 40
    assert len(set(hostile.STRINGS)) == len(hostile.STRINGS)


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_a_text_is_text_in_html_svg_and_plotly(text):
    expected = markup.clean(text)
    assert len(expected) <= markup.LONGEST
    assert not any(chr(code) in expected for code in hostile.UNSEEN)
    for page in (f"<p class=''>{markup.esc(text)}</p>", markup.html_of(markup.element("p", text))):
        read = Read(page)
        assert read.elements == [("p", ["class"])]
        assert read.text == expected.replace("\r\n", "\r\n")
    attribute = Read(f'<p title="{markup.esc(text)}"></p>')
    assert attribute.elements == [("p", ["title"])]
    root = ElementTree.fromstring(markup.svg_of(markup.element("text", text, id=text)))
    assert (len(root), list(root.attrib)) == (0, ["id"])
    assert root.text.split() == expected.split()
    told = markup.plotly(text)
    assert "<" not in told
    assert "%{" not in told
    assert "$" not in told
    assert html.unescape(told) == expected


def test_short_and_long():
    assert markup.clean("a" * markup.LONGEST) == "a" * markup.LONGEST
    assert markup.clean("a" * 10_000) == "a" * (markup.LONGEST - 1) + "…"
    assert markup.clean("größe λ 精度 דיוק 🙂\n\t") == "größe λ 精度 דיוק 🙂\n\t"
    assert markup.clean("a\u202eb") == "a\ufffdb"


def test_what_a_page_is_told():
    told = markup.page(
        {
            "a\u202e": [np.float32(0.5), float("nan"), float("inf"), 1e301, np.int64(3), True, None],
            3: ("x\x00", {"deep": np.array([1.0, np.nan])}),
            "svg": markup.Markup("<svg\x00/>"),
        }
    )
    assert told == {
        "a\ufffd": [0.5, None, None, None, 3, True, None],
        3: ("x\ufffd", {"deep": [1.0, None]}),
        "svg": "<svg\x00/>",
    }
    assert type(told["a\ufffd"][0]) is float
    assert type(told["a\ufffd"][4]) is int


@pytest.mark.parametrize("text", hostile.STRINGS)
def test_a_card_of_strangers(text):
    plain = card({"a": [1.0, 2.0, 3.0], "random": [1.0, 2.0, 4.0]}, what="x", notes=["n"], warnings=["w"], baseline="a")
    names = {text: [1.0, 2.0, 3.0], "random": [1.0, 2.0, 4.0]}
    foreign = card(names, what=text, notes=[text], warnings=[text], baseline=text, budget_unit=text)
    assert Read(foreign._repr_html_()).elements == Read(plain._repr_html_()).elements
    assert str(foreign).encode()  # half a surrogate pair cannot be sent to a notebook


TAGS = "a b br button circle code details div em extra g h[1-6] i img input li line ol p path pre rect script small "
TAGS += "span strong style sub summary sup svg table tbody td text th thead tr ul"
TAG = re.compile(rf"<\s*/?\s*({'|'.join(TAGS.split())})[\s/>]|<!|</")


def literals(tree):
    """The texts of a program that are no docstrings, with their lines."""
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.lineno, node.value


SOURCES = [*sorted((ROOT / "naslab").rglob("*.py")), *sorted((ROOT / "widgets").rglob("*.py"))]


@pytest.mark.slow
def test_tags_stand_in_one_place_only():
    found = [
        f"{file.relative_to(ROOT)}:{line}: {text[:60]!r}"
        for file in SOURCES
        if file.name != "markup.py"
        for line, text in literals(ast.parse(file.read_text(encoding="utf-8")))
        if TAG.search(text)
    ]
    assert not found, "write tags as elements of naslab.markup"


def test_nothing_else_escapes_or_writes_trees():
    for file in SOURCES:
        if file.name != "markup.py":
            text = file.read_text(encoding="utf-8")
            assert "import html" not in text, file
            assert "ElementTree" not in text, file


def test_views_tell_the_page_through_one_door():
    for file in SOURCES:
        if file.name != "page.py":
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"self\.send\(|anywidget\.AnyWidget|\.tag\(sync", text), file


def test_the_scripts_of_the_page_write_text_and_never_markup():
    forbidden = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|createContextualFragment"
    for file in (ROOT / "widgets" / "naslab_widgets").rglob("*.js"):
        assert not re.search(forbidden, file.read_text(encoding="utf-8")), file
