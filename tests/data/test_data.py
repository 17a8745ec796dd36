import gzip
import json

import pytest

import naslab.data
from naslab.errors import DataError


@pytest.mark.parametrize("name", naslab.data.names())
def test_every_bundled_file_is_what_its_sidecar_says(name):
    assert naslab.data.verify(name) == naslab.data.path(name)
    licence = naslab.data.sidecar(name)["licence"]
    assert (naslab.data.HERE / licence.partition("(")[2].rstrip(")")).is_file(), "the licence text lies beside"


def test_the_benchmark_is_bundled():
    assert "nasbench201.csv.gz" in naslab.data.names()


def test_the_text_is_all_there():
    shakespeare = gzip.decompress(naslab.data.read("shakespeare.txt.gz")).decode()
    assert (len(shakespeare), shakespeare.count("\n")) == (1_115_394, 40_000)
    for name, tokens in (("wikitext2_valid.txt.gz", 217_646), ("wikitext2_test.txt.gz", 245_569)):
        text = gzip.decompress(naslab.data.read(name)).decode()
        assert len(text.split()) + text.count("\n") == tokens, "the published count has an end of sentence every line"
    assert "Attribution-ShareAlike 3.0" in (naslab.data.HERE / "licences" / "wikitext-2.txt").read_text()


def test_unknown_name():
    with pytest.raises(DataError, match=r"did you mean 'nasbench201.csv.gz'"):
        naslab.data.path("nasbench2011.csv.gz")


def test_damage_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(naslab.data, "HERE", tmp_path)
    (tmp_path / "few.txt").write_bytes(b"three")
    sidecar = {"source": "here", "licence": "none", "sha256": "0" * 64, "citation": "none"}
    (tmp_path / "few.json").write_text(json.dumps(sidecar))
    with pytest.raises(DataError, match="damaged"):
        naslab.data.verify("few.txt")
    del sidecar["licence"]
    (tmp_path / "few.json").write_text(json.dumps(sidecar))
    with pytest.raises(DataError, match="lacks licence"):
        naslab.data.sidecar("few.txt")
