"""Folders of pictures as people have them."""

import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torchvision import datasets

from naslab import tasks
from naslab.errors import DataError
from naslab.tasks import Images, folders, pictures

RNG = np.random.default_rng(0)


def picture(height=6, width=6):
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def fill(folder, count=4, names=("ants", "bees"), suffix=".png"):
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture().save(folder / name / f"{number}{suffix}")
    return folder


# --- parts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "val"),
        ("Training", "Validation"),
        ("TRAIN", "valid"),
        ("train", "test"),
        ("training", "TESTING"),
        ("training_set", "Test-Set"),
    ],
)
@pytest.mark.parametrize("inside", ["", "photos", "photos/photos"])
def test_two_parts_are_learnt_from_and_tested_on(tmp_path, train, test, inside):
    fill(tmp_path / inside / train, 4)
    fill(tmp_path / inside / test, 3)
    task = Images.from_folder(tmp_path)
    assert task.class_names == ("ants", "bees")
    assert (len(task.train), len(task.test), task.validation) == (8, 6, 0)
    assert f"training images from {os.path.join(inside, train)}; test images from" in repr(task)
    assert tasks.from_spec(task.spec()).fingerprint() == task.fingerprint()


def test_of_three_parts_a_search_learns_its_architecture_from_the_validation_data(tmp_path):
    for part, count in (("train", 5), ("val", 3), ("test", 2)):
        fill(tmp_path / part, count)
    task = Images.from_folder(tmp_path)
    assert (len(task.train), len(task.test), task.validation) == (16, 4, 6)
    weights, architecture = task.split_train_valid(0, 0.2)
    held = {np.asarray(Image.open(path)).tobytes() for path in (tmp_path / "val").rglob("*.png")}
    assert {task.train.images[index].permute(1, 2, 0).numpy().tobytes() for index in architecture} == held
    assert sorted(torch.cat([weights, architecture]).tolist()) == list(range(16))
    assert "the last 6 training images are for validation" in repr(task)
    small = task.subset(8, 2, seed=1)
    assert (len(small.train), small.validation, len(small.split_train_valid(0)[1])) == (8, 3, 3)
    assert {1, 0} == set(small.train.labels[:5].tolist()) == set(small.train.labels[5:].tolist())
    for some in (task, small, small.augmented(flip=True)):
        again = tasks.from_spec(some.spec())
        assert (again.spec(), again.validation) == (some.spec(), some.validation)
    assert [len(task.subset(count).split_train_valid(0)[1]) for count in (2, 3, 16)] == [1, 1, 6]
    with pytest.raises(DataError, match="2 training images at least"):
        task.subset(1)
    without = Images.from_folder(tmp_path, validation=False)
    assert (len(without.train), without.validation) == (10, 0)
    assert "left out: 1 (val/)" in repr(without)


BAD_LAYOUTS = {
    "val and test": (lambda folder: (fill(folder / "val"), fill(folder / "test")), "val and test, but no folder train"),
    "train and others": (
        lambda folder: (fill(folder / "train"), fill(folder / "more")),
        r"found train without a val or test beside it; give '.*train' itself",
    ),
    "a part without classes": (
        lambda folder: (fill(folder / "train"), fill(folder, names=["test"])),
        r"in .*/test \(cats.*found 4 pictures, but no folders",
    ),
    "parts without classes": (
        lambda folder: fill(folder, names=["train", "val"]),
        "/train .*4 pictures, but no folders",
    ),
    "twice the same part": (
        lambda folder: (fill(folder / "train"), fill(folder / "Training"), fill(folder / "val")),
        "Training and train, and both may be the train set",
    ),
    "pictures alone": (
        lambda folder: [picture().save(folder / f"{number}.png") for number in range(3)],
        "found 3 pictures, but no folders; move the pictures of each class into a folder",
    ),
    "one class": (
        lambda folder: fill(folder, names=["ants"]),
        "of at least two classes, and found the folder ants alone",
    ),
    "an empty class": (lambda folder: (fill(folder), (folder / "wasps").mkdir()), r"none that can be read .*in wasps"),
    "an empty class of a part": (
        lambda folder: (fill(folder / "train"), fill(folder / "val"), (folder / "val" / "wasps").mkdir()),
        r"one folder of pictures a class in .*/val, and found none that can be read .*in wasps",
    ),
    "a class of text": (
        lambda folder: (fill(folder), (folder / "wasps").mkdir(), (folder / "wasps" / "a.txt").write_text("wasp")),
        "none that can be read .*in wasps",
    ),
    "a class in one part": (
        lambda folder: (fill(folder / "train"), fill(folder / "val", names=("ants", "wasps"))),
        r"must hold the same classes; only one has \['bees', 'wasps'\]",
    ),
    "deep": (
        lambda folder: (fill(folder), folder.joinpath("ants", *["x"] * (folders.DEEP + 2)).mkdir(parents=True)),
        "nested more than 50 deep",
    ),
}


@pytest.mark.parametrize("case", BAD_LAYOUTS)
def test_a_layout_that_is_none_is_refused_with_what_was_found(tmp_path, case):
    make, message = BAD_LAYOUTS[case]
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        Images.from_folder(tmp_path)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "photos.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"photos\.zip is a file; unpack it"):
        Images.from_folder(tmp_path / "photos.zip")


@pytest.mark.parametrize("names", [("bus", "car", "train"), ("test tubes", "train sets", "val")])
def test_a_class_may_be_called_train(tmp_path, names):
    fill(tmp_path, names=names)
    assert Images.from_folder(tmp_path).class_names == names


def test_folders_beside_the_parts_are_left_out_and_empty_parts_are_none(tmp_path):
    for name in ("train", "test", "masks"):
        fill(tmp_path / name)
    (tmp_path / "val").mkdir()
    (tmp_path / "labels.csv").write_text("")
    picture().save(tmp_path / "cover.png")
    task = Images.from_folder(tmp_path)
    assert (len(task.train), len(task.test)) == (8, 8)
    assert "left out: 4 (labels.csv, masks/, val/, ...)" in repr(task)


# --- what is no picture ----------------------------------------------------------------------------------


def test_hidden_files_and_litter_are_left_out_and_counted(tmp_path):
    fill(tmp_path / "photos")
    expected = Images.from_folder(tmp_path).fingerprint()
    for folder in (tmp_path, tmp_path / "photos", tmp_path / "photos" / "ants"):
        for name in (".DS_Store", "Thumbs.db", "desktop.ini", "notes.txt"):
            (folder / name).write_text("x")
        for name in (".ipynb_checkpoints", "__MACOSX", ".git"):
            (folder / name).mkdir()
            picture().save(folder / name / "0.png")
        picture().save(folder / "._0.png")
    task = Images.from_folder(tmp_path)
    assert task.fingerprint() == expected
    assert "left out: 24 (.DS_Store, ._0.png, .git/, ...)" in repr(task)


def test_pictures_are_found_as_torchvision_finds_them(tmp_path):
    """Subfolders, capital letters, links: the order decides what a seeded split is."""
    fill(tmp_path, suffix=".PNG")
    for inside in ("a", "a-b", "a/c", "B"):
        (tmp_path / "ants" / inside).mkdir()
        picture().save(tmp_path / "ants" / inside / "0.jpg")
    (tmp_path / "bees" / "link.png").symlink_to(tmp_path / "ants" / "0.PNG")
    (tmp_path / "bees" / "linked").symlink_to(tmp_path / "ants" / "a")
    part = folders.look(tmp_path).parts["train"]
    theirs = datasets.ImageFolder(tmp_path)
    assert list(zip(part.pictures, part.labels, strict=True)) == theirs.samples
    assert list(part.classes) == theirs.classes


def test_links_in_circles_and_pipes_are_left_out(tmp_path):
    fill(tmp_path)
    (tmp_path / "ants" / "up").symlink_to(tmp_path)
    (tmp_path / "bees" / "self").symlink_to(tmp_path / "bees")
    os.mkfifo(tmp_path / "bees" / "pipe.png")
    found = folders.look(tmp_path)
    assert len(found.parts["train"].pictures) == 8
    assert set(found.left_out) == {"ants/up/", "bees/self/", "bees/pipe.png"}


# --- reading -----------------------------------------------------------------------------------------


def test_all_unreadable_pictures_are_named(tmp_path):
    fill(tmp_path, 9)
    whole = (tmp_path / "ants" / "0.png").read_bytes()
    damage = {
        "ants/cut.png": whole[:-40],
        "ants/empty.jpg": b"",
        "bees/text.jpg": b"hello",
        "bees/program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        "bees/9\n.png": b"",
    }
    for name, content in damage.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "bees" / "gone.png").symlink_to("nowhere.png")
    for size in (None, 4, torch.tensor(4)):
        with pytest.raises(DataError, match="6 of 24 pictures cannot be read") as caught:
            Images.from_folder(tmp_path, size)
        said = str(caught.value)
        assert "\n" not in said
        for name in (*damage, "bees/gone.png"):
            assert repr(str(tmp_path / name))[1:-1] in said
        assert "gone.png (there is no such file, or a link leads nowhere)" in said
    for number in range(9):
        (tmp_path / "ants" / f"{number}.png").write_bytes(whole[:-40])
    with pytest.raises(DataError, match=r"15 of 24 pictures cannot be read.*, and 5 more; repair them"):
        Images.from_folder(tmp_path)


def test_more_pixels_than_pil_allows_are_an_error(tmp_path, monkeypatch):
    fill(tmp_path)
    picture(20, 30).save(tmp_path / "ants" / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # PIL alone would only warn, up to 1,000
    with pytest.raises(DataError, match=r"1 of 9 pictures .*ants/large.png \(more pixels than PIL.Image.MAX_IMAGE"):
        Images.from_folder(tmp_path, 4)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    assert len(Images.from_folder(tmp_path, 4).train) == 7


def test_pictures_that_memory_does_not_hold_are_refused_before_they_are_read(tmp_path, monkeypatch):
    fill(tmp_path)
    with pytest.raises(DataError, match=r"8 images of 3 x 300000 x 300000 take 4320.0 GB"):
        Images.from_folder(tmp_path, 300_000)
    monkeypatch.setattr("naslab.tasks.arrays.available", lambda: 1000)
    with pytest.raises(DataError, match="of memory are free; give smaller images"):
        Images.from_dataset([(picture(), number % 2) for number in range(10)])


def test_pictures_of_many_sizes_ask_for_one(tmp_path):
    fill(tmp_path)
    picture(7, 6).save(tmp_path / "ants" / "tall.png")
    with pytest.raises(DataError, match=r"9 pictures have 2 sizes .* most often 6 x 6 \(8\), 7 x 6 \(1\); give size="):
        Images.from_folder(tmp_path)
    assert "brought to 5 x 4 pixels" in repr(Images.from_folder(tmp_path, (5, 4)))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_pictures_of_every_mode_become_colours(tmp_path, mode):
    fill(tmp_path)
    suffix = {"CMYK": ".tif", "YCbCr": ".jpg"}.get(mode, ".png")
    picture().convert(mode).save(tmp_path / "ants" / f"one{suffix}")
    assert Images.from_folder(tmp_path).input_shape == (3, 6, 6)


def test_of_an_animation_the_first_picture_is_taken(tmp_path):
    fill(tmp_path, 2)
    black, white = Image.new("RGB", (6, 6)), Image.new("RGB", (6, 6), "white")
    for name in ("ants", "bees"):
        shutil.rmtree(tmp_path / name)
        (tmp_path / name).mkdir()
        for number in range(3):
            black.save(tmp_path / name / f"{number}.gif", save_all=True, append_images=[white])
    assert int(Images.from_folder(tmp_path).train.images.max()) == 0


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("orientation", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_pictures_are_turned_as_viewers_show_them(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = orientation
    path = tmp_path / f"0{suffix}"
    picture(8, 12).save(path, exif=exif, lossless=True)
    with Image.open(path) as stored:
        shown = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    assert pictures.shown_size(path) == shown.shape[:2]
    assert np.array_equal(np.asarray(pictures.colours(path)), shown)
    with Image.open(path) as again:
        task = Images.from_arrays([again] * 10, np.arange(10) % 2)
        assert np.array_equal(task.train.images[0].permute(1, 2, 0), shown)
    for name in ("ants", "bees"):
        (tmp_path / name).mkdir()
        shutil.copy(path, tmp_path / name)
        shutil.copy(path, tmp_path / name / f"1{suffix}")
    path.unlink()
    for options in ({}, {"size": shown.shape[:2]}):
        task = Images.from_folder(tmp_path, **options)
        assert np.array_equal(task.train.images[0].permute(1, 2, 0), shown)


@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0"])
def test_damaged_exif_data_leaves_a_picture_as_it_lies(tmp_path, exif):
    picture(8, 12).save(tmp_path / "0.jpg", exif=exif)
    assert pictures.shown_size(tmp_path / "0.jpg") == (8, 12)
    assert pictures.colours(tmp_path / "0.jpg").size == (12, 8)


def test_long_reading_shows_a_bar_where_somebody_looks(tmp_path, monkeypatch):
    fill(tmp_path)
    shown = []
    monkeypatch.setattr(folders, "tqdm", lambda items, *_, disable, **__: shown.append(not disable) or items)
    Images.from_folder(tmp_path, progress=True)
    Images.from_folder(tmp_path, progress=False)
    assert shown == [True, True, False, False]


# --- what it is called -------------------------------------------------------------------------------------


def test_repr_says_what_was_found(tmp_path):
    fill(tmp_path, 5, names=[f"class {letter}" for letter in "abcdefghij"])
    (tmp_path / "read me.txt").write_text("")
    task = Images.from_folder(tmp_path, 4, seed=3)
    assert repr(task) == (
        f"<{tmp_path.name}: 40 + 10 images of 3x4x4, 10 classes: class a, class b, class c, class d, class e, class f, "
        "class g, class h, ...; 10 of 50 kept for the test (0.2 of each class, one at least; seed 3); brought to 4 x 4 "
        "pixels; left out: 1 (read me.txt)>"
    )
    assert str(task) == f"<{tmp_path.name}: 40 + 10 images of 3x4x4, 10 classes>"
    (tmp_path / "class\x1b[31m\n").mkdir()
    picture().save(tmp_path / "class\x1b[31m\n" / "0.png")
    picture().save(tmp_path / "class\x1b[31m\n" / "1.png")
    assert "\n" not in repr(Images.from_folder(tmp_path, 4))
    assert "\x1b" not in repr(Images.from_folder(tmp_path, 4))


# --- runs that are there already ---------------------------------------------------------------------------


def test_a_folder_of_an_earlier_run_is_read_and_split_as_it_was_then(tmp_path):
    """The fingerprints were recorded before splits were stratified and validation data was known."""
    x = (np.arange(40 * 3 * 6 * 5) % 251).astype(np.uint8).reshape(40, 3, 6, 5)
    for place in (".", "p/train", "p/test", "p/val"):
        for number, image in enumerate(x):
            folder = tmp_path / place / ("cat", "dog", "emu")[number % 3] / ("", "old")[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{number}.png")
    shutil.move(tmp_path / "p", tmp_path.with_name(f"{tmp_path.name}-p"))
    spec = {
        "task": "image_folder",
        "path": str(tmp_path),
        "size": None,
        "grey": False,
        "test_fraction": 0.2,
        "seed": 5,
        "augmentation": {"padding": 0, "flip": False, "cutout": 0},
        "fingerprint": "1d719234e7bb1f4d5f996c6a14a8903d",
    }
    task = tasks.from_spec(spec)
    assert task.spec() == spec
    assert [half[:5].tolist() for half in task.split_train_valid(2)] == [[28, 11, 12, 6, 30], [0, 27, 24, 14, 29]]
    assert tasks.from_spec(spec, Images.from_folder(tmp_path, seed=5)).spec()["fingerprint"] == spec["fingerprint"]
    parts = {"path": f"{tmp_path}-p", "seed": 0, "fingerprint": "8106edb4a29facc245e623973ff0e6f5"}
    assert tasks.from_spec({**spec, **parts}).spec() == {**spec, **parts}
