import gzip
import hashlib
import pickle

import numpy as np
import pytest
import torch
from torchvision import datasets

from naslab import data, tasks
from naslab.errors import DataError

RNG = np.random.default_rng(0)


def write_idx(folder, train=30, test=10, pack=bytes):
    """Fashion-MNIST's four files in the official format, small."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for stem, count in (("train", train), ("t10k", test)):
        images = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in ((f"{stem}-images-idx3-ubyte", images), (f"{stem}-labels-idx1-ubyte", labels)):
            content = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes()
            name = name if pack is bytes else f"{name}.gz"
            (folder / name).write_bytes(pack(content))
            arrays[name.removesuffix(".gz")] = array
    return arrays


def test_the_bundled_fashion_mnist_is_balanced_licensed_and_what_it_was():
    task = tasks.FashionMNIST()
    assert (len(task.train), len(task.test), task.input_shape, task.classes) == (10_000, 2_000, (1, 28, 28), 10)
    assert torch.bincount(task.train.labels).tolist() == [1000] * 10
    assert torch.bincount(task.test.labels).tolist() == [200] * 10
    assert task.class_names[9] == "Ankle boot"
    assert task.fingerprint() == "7653b04e97265aa78092561a1706adb1"
    assert float(task.mean / 255) == pytest.approx(0.286, abs=0.001), "the published mean of the whole set"
    assert float(task.std / 255) == pytest.approx(0.353, abs=0.002)
    assert task.augmentation.flip
    assert "MIT" in data.sidecar("fashion_mnist.npz")["licence"]
    assert "Zalando" in (data.HERE / "licences" / "fashion-mnist.txt").read_text()
    assert tasks.from_spec(task.spec()).fingerprint() == task.fingerprint()


@pytest.mark.parametrize("place", [".", "FashionMNIST/raw"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gz"])
def test_the_whole_fashion_mnist_from_files(tmp_path, place, pack):
    arrays = write_idx(tmp_path / place, pack=pack)
    task = tasks.FashionMNIST(tmp_path)
    assert np.array_equal(task.train.images[:, 0], arrays["train-images-idx3-ubyte"])
    assert np.array_equal(task.test.labels, arrays["t10k-labels-idx1-ubyte"])
    assert task.spec()["root"] == str(tmp_path)
    assert tasks.from_spec(task.spec()).fingerprint() == task.fingerprint()


def test_changed_files_are_noticed_when_a_task_is_made_again(tmp_path):
    write_idx(tmp_path)
    spec = tasks.FashionMNIST(tmp_path).spec()
    write_idx(tmp_path)
    with pytest.raises(DataError, match="not the data that was used before"):
        tasks.from_spec(spec)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-5], "cut short or too long"),
        (lambda content: content + b"x", "cut short or too long"),
        (lambda content: b"PNG" + content, "not an idx file"),
        (lambda content: content[:6], "not an idx file"),
        (lambda content: b"", "not an idx file"),
        (lambda content: content[:4] + b"\xff" * 12 + content[16:], "cut short or too long"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, damage, message):
    write_idx(tmp_path)
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DataError, match=message):
        tasks.FashionMNIST(tmp_path)


def test_a_truncated_gz_is_refused(tmp_path):
    write_idx(tmp_path, pack=lambda content: gzip.compress(content)[:-20])
    with pytest.raises(DataError, match="cannot be read"):
        tasks.FashionMNIST(tmp_path)


def test_a_missing_root_says_what_was_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"expected train-images-idx3-ubyte or .*download=True"):
        tasks.FashionMNIST(tmp_path / "none")
    with pytest.raises(DataError, match="needs root"):
        tasks.FashionMNIST(download=True)
    with pytest.raises(DataError, match="there is no folder"):
        tasks.CIFAR10(tmp_path / "none")
    with pytest.raises(DataError, match="CIFAR100 is not in"):
        tasks.CIFAR100(tmp_path)


def test_download_goes_through_torchvision(tmp_path, monkeypatch):
    monkeypatch.setattr(
        datasets, "FashionMNIST", lambda root, download: write_idx(root / "FashionMNIST" / "raw") if download else None
    )
    assert len(tasks.FashionMNIST(tmp_path, download=True).train) == 30

    def offline(root, download):
        raise RuntimeError("Error downloading train-images")

    monkeypatch.setattr(datasets, "FashionMNIST", offline)
    assert len(tasks.FashionMNIST(tmp_path, download=True).train) == 30, "what is there is not fetched again"
    with pytest.raises(DataError, match="could not be downloaded"):
        tasks.FashionMNIST(tmp_path / "other", download=True)


def test_digits():
    task = tasks.Digits()
    assert (len(task.train) + len(task.test), task.input_shape, task.classes) == (1797, (1, 8, 8), 10)
    assert 0 <= float(task.train.images.min()) < float(task.train.images.max()) == 1
    assert not task.augmentation.flip, "a mirrored 2 is no 2"


def write_cifar(folder, name, monkeypatch):
    """CIFAR in its official format with two images a file, whose checksums torchvision is told."""
    dataset = getattr(datasets, name)
    key = "labels" if name == "CIFAR10" else "fine_labels"
    lists, arrays = {}, {}
    for which in ("train_list", "test_list"):
        lists[which] = []
        for number, (file, _) in enumerate(getattr(dataset, which)):
            pixels = RNG.integers(0, 256, (2, 3072), dtype=np.uint8)
            arrays[file] = pixels
            content = pickle.dumps({"data": pixels, key: [number % 10, 9]})
            path = folder / dataset.base_folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            lists[which].append([file, hashlib.md5(content).hexdigest()])
        monkeypatch.setattr(dataset, which, lists[which])
    names = [f"class {n}" for n in range(10 if name == "CIFAR10" else 100)]
    content = pickle.dumps({dataset.meta["key"]: names})
    (folder / dataset.base_folder / dataset.meta["filename"]).write_bytes(content)
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": hashlib.md5(content).hexdigest()})
    return arrays


@pytest.mark.parametrize(("name", "first"), [("CIFAR10", "data_batch_1"), ("CIFAR100", "train")])
def test_cifar_through_torchvision(tmp_path, monkeypatch, name, first):
    arrays = write_cifar(tmp_path, name, monkeypatch)
    task = getattr(tasks, name)(tmp_path)
    assert task.input_shape == (3, 32, 32)
    assert task.classes == (10 if name == "CIFAR10" else 100)
    assert task.class_names[0] == "class 0"
    assert np.array_equal(task.train.images[:2].flatten(1), arrays[first]), "channels first, as in the file"
    assert task.train.labels[1] == 9
    assert tasks.from_spec(task.spec()).fingerprint() == task.fingerprint()
    damaged = tmp_path / getattr(datasets, name).base_folder / first
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=f"{name} is not in"):
        getattr(tasks, name)(tmp_path)
