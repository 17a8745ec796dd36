"""A user's own table from a CSV file: what it holds, what it refuses and with which words."""

import csv
import json
from dataclasses import dataclass

import numpy as np
import pytest

import naslab as nl
from naslab.architecture import Choice
from naslab.benchmarks import OwnTable, from_csv, from_spec
from naslab.errors import DataError, NaslabError, SpecError
from naslab.spaces.subset import Subset

SPACE = nl.spaces.NASBench201.paper()
CELLS = [SPACE.sample(np.random.default_rng(seed)) for seed in range(8)]


@dataclass(frozen=True)
class Pairs(nl.spaces.Space):
    """Two words: four architectures."""

    name = "pairs"

    def next_choice(self, prefix):
        return Choice(str(len(prefix)), ("a", "b")) if len(prefix) < 2 else None

    def build(self, architecture, task):
        raise NotImplementedError

    def graph(self, architecture):
        raise NotImplementedError


def text_of(cell):
    a, b, c, d, e, f = cell.choices
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


@pytest.fixture
def write(tmp_path):
    def write(*lines, name="mine.csv"):
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def mine(write):
    rows = [f"{text_of(cell)},{70 + number},{10.5 * number}" for number, cell in enumerate(CELLS)]
    return write("architecture,accuracy,train_seconds", *rows)


def test_every_figure_is_where_the_file_says(mine):
    table = from_csv(mine, SPACE, "accuracy")
    assert len(table) == 8
    assert table.metrics == ("accuracy", "train_seconds")
    for number, cell in enumerate(CELLS):
        record = table.query(cell)
        assert (record.index, record.architecture, dict(record.figures)) == (
            number,
            cell,
            {"accuracy": 70.0 + number, "train_seconds": 10.5 * number},
        )
    assert table.best().index == 7
    assert table.best("train_seconds").index == 0
    assert table.regret(CELLS[2]) == 5
    assert table.rank(CELLS[2]) == 6


def test_a_part_of_the_space_is_a_space_of_its_own(mine):
    table = from_csv(mine, SPACE, "accuracy")
    assert isinstance(table.space, Subset)
    assert table.space.size == 8
    for searcher in (nl.searchers.RandomSearch, nl.searchers.LocalSearch):
        search = nl.Search(searcher(table.space, seed=0), estimator=table, budget=60)
        assert {getattr(event, "status", None) for event in search} == {"done"}
        assert search.best == CELLS[7]


def test_all_of_a_space_is_that_space(tmp_path):
    small = Pairs()
    path = tmp_path / "all.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["flops", "cell"])
        for number, cell in enumerate(small.enumerate()):
            writer.writerow([number, json.dumps(list(cell.choices))])
    table = from_csv(path, small, "flops", architecture="cell")
    assert table.space == small
    assert len(table) == 4
    assert table.best().index == 0, "little is wanted of flops"
    assert table.column("flops").tolist() == list(range(4))


def test_choices_as_json_where_the_space_reads_no_text(write, tmp_path):
    space = nl.spaces.MetaQNN()
    assert not hasattr(space, "parse")
    cells = list({space.sample(np.random.default_rng(seed)) for seed in range(5)})
    path = tmp_path / "chain.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["architecture", "x"], *([json.dumps(c.choices), n] for n, c in enumerate(cells))])
    table = from_csv(path, space, "x", direction="max")
    assert [table.at(n) for n in range(len(cells))] == cells


def test_it_comes_back_from_its_spec_and_only_with_the_same_file(mine, tmp_path):
    table = from_csv(mine, SPACE, "accuracy", metrics=["accuracy"])
    assert table.metrics == ("accuracy",)
    spec = json.loads(json.dumps(table.spec()))
    again = from_spec(spec)
    assert isinstance(again, OwnTable)
    assert again.spec() == table.spec()
    assert again.fingerprint() == table.fingerprint()
    assert again.choices == table.choices
    moved = mine.rename(tmp_path / "moved.csv")
    assert from_spec({**spec, "path": str(moved)}).fingerprint() == table.fingerprint()
    moved.write_text(moved.read_text().replace("71", "72"))
    with pytest.raises(DataError, match=r"not the file that it was.*begin a new run"):
        from_spec({**spec, "path": str(moved)})
    assert from_csv(moved, SPACE, "accuracy", metrics=["accuracy"]).fingerprint() != table.fingerprint()


def test_a_search_goes_on_with_it(mine, tmp_path):
    table = from_csv(mine, SPACE, "accuracy")
    search = nl.Search(nl.searchers.RandomSearch(table.space, seed=3), estimator=table, budget=6, run=tmp_path / "run")
    next(search)
    search.close()
    again = nl.Search.open(tmp_path / "run")
    assert len(list(again)) == 5
    again.close()


def test_byte_order_marks_empty_lines_and_quotes_are_no_matter(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_bytes(b'\xef\xbb\xbfarchitecture,"a, b"\r\n\r\n' + f'"{text_of(CELLS[0])}", 1e1 \r\n\r\n'.encode())
    assert from_csv(path, SPACE, "a, b", direction="max").column().tolist() == [10.0]


GOOD, OTHER = text_of(CELLS[0]), text_of(CELLS[1])
BAD = {
    "empty": ([], {}, r"is empty; expected a header"),
    "header alone": (["architecture,accuracy"], {}, r"nothing below it"),
    "missing objective": (["architecture,acuracy", f"{GOOD},1"], {}, r"line 1: unknown column 'accuracy'.*acuracy"),
    "missing architecture": (["arch,accuracy", f"{GOOD},1"], {}, r"line 1: unknown column 'architecture'"),
    "unknown metric": (["architecture,accuracy", f"{GOOD},1"], {"metrics": ["x"]}, r"line 1: unknown column 'x'"),
    "column twice": (["architecture,accuracy,accuracy", f"{GOOD},1,2"], {}, r"line 1: the column 'accuracy'.*twice"),
    "malformed": (["architecture,accuracy", f"{GOOD},1", "|skip~0|,2"], {}, r"line 3: '\|skip~0\|' is no architecture"),
    "not a choice": (["architecture,accuracy", '"[""conv""]",2'], {}, r"line 2: .*is no architecture of 'nasbench201'"),
    "no list": (["architecture,accuracy", "7,2"], {}, r"line 2: '7' is no architecture.*JSON list"),
    "twice": (["architecture,accuracy", f"{GOOD},1", f"{OTHER},2", f"{GOOD},1"], {}, r"line 4: .*stands in line 2"),
    "no value": (
        ["architecture,accuracy", f"{GOOD},"],
        {},
        r"line 2: expected a number in column 'accuracy', got noth",
    ),
    "a word": (["architecture,accuracy", f"{GOOD},high"], {}, r"line 2: expected a number in column .*got 'high'"),
    "underscore": (
        ["architecture,accuracy", f"{GOOD},1_000"],
        {},
        r"line 2: '1_000' in column 'accuracy' has an underscore; write .* point, as 1000, and nothing between",
    ),
    "underscores": (["architecture,accuracy", f"{GOOD},-1_000_000.5"], {}, r"as -1000000\.5, and nothing between"),
    "an odd underscore": (["architecture,accuracy", f"{GOOD},1e1_0"], {}, r"line 2: expected a number .*got '1e1_0'"),
    "full width": (["architecture,accuracy", f"{GOOD},１２"], {}, r"line 2: expected a number .*got '１２'"),
    "Arabic": (["architecture,accuracy", f"{GOOD},٣"], {}, r"line 2: expected a number .*got '٣'"),
    "nan": (["architecture,accuracy", f"{GOOD},nan"], {}, r"line 2: 'accuracy' must be finite.*leave out"),
    "infinite": (["architecture,accuracy", f"{GOOD},1", f"{OTHER},-1e999"], {}, r"line 3: 'accuracy' must be finite"),
    "too short": (["architecture,accuracy,b", f"{GOOD},1"], {}, r"line 2: expected 3 fields.*got 2"),
    "too long": (["architecture,accuracy", f"{GOOD},1,5"], {}, r"line 2: expected 2 fields.*got 3"),
    "after empty lines": (["architecture,accuracy", "", "", f"{GOOD},x"], {}, r"line 4: expected a number"),
    "quotes": (["architecture,accuracy", f'"{GOOD},1'], {}, r"line 2: not CSV"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_refused(what, write):
    lines, options, words = BAD[what]
    path = write(*lines)
    if not lines:
        path.write_text("")
    with pytest.raises(DataError, match=words) as caught:
        from_csv(path, SPACE, "accuracy", **options)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("separator", [";", "\t"])
def test_what_spreadsheets_put_between_fields(tmp_path, mine, separator):
    path = tmp_path / "other.csv"
    path.write_text(mine.read_text().replace(",", separator))
    assert (from_csv(path, SPACE, "accuracy").column() == from_csv(mine, SPACE, "accuracy").column()).all()
    path.write_text(f"architecture{separator}accuracy\n{GOOD}{separator}91,5\n")
    with pytest.raises(DataError, match=r"line 2: '91,5' in column 'accuracy' has a comma; .*point, as 91\.5, and"):
        from_csv(path, SPACE, "accuracy")


def test_a_column_that_is_not_read_may_hold_anything(write):
    path = write("architecture,note,accuracy", f"{GOOD},fine,1", f"{OTHER},,2")
    with pytest.raises(DataError, match=r"line 2: expected a number in column 'note'.*metrics="):
        from_csv(path, SPACE, "accuracy")
    assert from_csv(path, SPACE, "accuracy", metrics=[]).column().tolist() == [1.0, 2.0]


def test_no_file_no_text_no_space(tmp_path, mine):
    with pytest.raises(DataError, match="cannot be read"):
        from_csv(tmp_path / "nowhere.csv", SPACE, "accuracy")
    with pytest.raises(DataError, match="cannot be read"):
        from_csv(tmp_path, SPACE, "accuracy")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"architecture,accuracy\n\xff\xfe")
    with pytest.raises(DataError, match=r"line 2: not UTF-8"):
        from_csv(binary, SPACE, "accuracy")
    with pytest.raises(SpecError, match="expected the space"):
        from_csv(mine, "nasbench201", "accuracy")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="list of columns"):
        from_csv(mine, SPACE, "accuracy", metrics="accuracy")
    with pytest.raises(SpecError, match="list of columns"):
        from_csv(mine, SPACE, "accuracy", metrics=5)  # type: ignore[arg-type]
    for path in (None, 5, ["mine.csv"]):
        with pytest.raises(SpecError, match="expected the path of a CSV file, got "):
            from_csv(path, SPACE, "accuracy")  # type: ignore[arg-type]
    with pytest.raises(SpecError, match="no metric"):
        from_csv(mine, SPACE, "architecture")


def test_whatever_the_bytes_are_the_error_is_ours(tmp_path, mine):
    """Lines cut, doubled and turned at random: either a table, or a clear error."""
    rng, path, whole = np.random.default_rng(0), tmp_path / "noise.csv", bytearray(mine.read_bytes())
    refused = 0
    for _ in range(200):
        content = bytearray(whole)
        for _ in range(int(rng.integers(1, 4))):
            content[int(rng.integers(len(content)))] = int(rng.choice(list(b'0123456789,"\n~|a\x00\xff')))
        path.write_bytes(content)
        try:
            from_csv(path, SPACE, "accuracy")
        except NaslabError:
            refused += 1
    assert 0 < refused < 200
