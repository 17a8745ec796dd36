"""Pictures from data sets and folders: what is read, how, and what is refused."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from naslab import tasks
from naslab.errors import DataError
from naslab.tasks import Images

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8)
Y = np.arange(60) % 3


# --- data sets and folders --------------------------------------------------------------------------


class Pictures:
    """A torchvision-style data set."""

    classes = ("cat", "dog")

    def __init__(self, images, labels=None):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], index % 2 if self.labels is None else self.labels[index]


PIL = [Image.fromarray(image.transpose(1, 2, 0)) for image in X]


@pytest.mark.parametrize(
    "images",
    [PIL, [torch.from_numpy(image) for image in X], [image.transpose(1, 2, 0) for image in X]],
    ids=["PIL", "tensor", "array"],
)
def test_a_torchvision_style_data_set(images):
    task = Images.from_dataset(Pictures(images[:40]), Pictures(images[40:]))
    assert torch.equal(task.train.images, torch.from_numpy(X[:40]))
    assert torch.equal(task.test.images, torch.from_numpy(X[40:]))
    assert task.class_names == ("cat", "dog")
    assert task.name == "Pictures"
    assert len(Images.from_dataset(Pictures(images)).test) == 12


def test_channels_may_be_many_and_images_narrow_where_that_is_said():
    x = RNG.integers(0, 256, (60, 8, 9, 3), dtype=np.uint8)
    assert Images.from_arrays(x, Y, channels_first=True).input_shape == (8, 9, 3)
    assert Images.from_arrays(x[:, :4], Y).input_shape == (4, 9, 3), "four channels are no height"
    assert Images.from_arrays(x.repeat(2, 3), Y).input_shape == (8, 9, 6)


WIDE = np.linspace(0, 65535, 64).reshape(8, 8).round().astype(np.uint16)


def test_pictures_of_16_bits_keep_their_whole_range(tmp_path):
    wide = Image.fromarray(WIDE)
    assert wide.mode == "I;16"
    save(tmp_path, [wide] * 10)
    expected = torch.from_numpy(np.round(WIDE / 257.0).astype(np.uint8))
    for task in (Images.from_folder(tmp_path), Images.from_folder(tmp_path, grey=True)):
        assert torch.equal(task.train.images[3, 0], expected)
    task = Images.from_dataset(Pictures([wide] * 10))
    assert task.input_shape == (1, 8, 8)
    assert torch.equal(task.test.images[0, 0], expected)


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pictures_of_no_known_range_are_refused(tmp_path, kind):
    picture = Image.fromarray(WIDE.astype(kind))
    with pytest.raises(DataError, match=r"does not say which value is white.*Images.from_arrays"):
        Images.from_dataset(Pictures([picture] * 10))
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        picture.save(tmp_path / name / "0.tiff")
    with pytest.raises(DataError, match=r"2 of 2 pictures .*cat/0.tiff .*does not say which value is white"):
        Images.from_folder(tmp_path)


def test_transparent_pictures_are_laid_on_white(tmp_path):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4] = (10, 20, 30, 255)
    pixels[4:6] = (10, 20, 30, 0)
    pixels[6:] = (0, 0, 0, 128)
    clear = Image.fromarray(pixels)
    save(tmp_path, [clear] * 10)
    for task in (Images.from_folder(tmp_path), Images.from_dataset(Pictures([clear] * 10))):
        image = task.train.images[0]
        assert image[:, 0, 0].tolist() == [10, 20, 30]
        assert image[:, 5, 0].tolist() == [255, 255, 255]
        assert image[:, 7, 0].tolist() == [127, 127, 127]


def test_palettes_and_transparency_become_colours():
    task = Images.from_dataset(Pictures([picture.convert("RGBA") for picture in PIL]))
    assert task.input_shape == (3, 8, 8)
    task = Images.from_dataset(Pictures([picture.convert("L") for picture in PIL]))
    assert task.input_shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Pictures([]), "empty"),
        (iter(PIL), "must have a length"),
        (Pictures(["a"] * 4), "image 0 .* is neither"),
        (Pictures([*PIL[:3], PIL[3].resize((9, 8))]), r"image 3 is \[3, 8, 9\].*Resize"),
        (Pictures(PIL, labels=["cow"] * 60), "y holds the label 'cow', which is none of class_names.*known: cat, dog"),
        ([1, 2, 3], r"item 0 .* cannot be read as \(image, label\)"),
    ],
)
def test_bad_data_sets_are_refused(dataset, message):
    with pytest.raises(DataError, match=message):
        Images.from_dataset(dataset)


def save(folder, pictures, names=("cat", "dog")):
    for number, picture in enumerate(pictures):
        place = folder / names[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        picture.save(place / f"{number:03}.png")


def test_a_folder_of_pictures(tmp_path):
    save(tmp_path, PIL)
    task = Images.from_folder(tmp_path)
    assert task.class_names == ("cat", "dog")
    assert (task.input_shape, len(task.train), len(task.test)) == ((3, 8, 8), 48, 12)
    whole = {image.numpy().tobytes() for part in (task.train, task.test) for image in part.images}
    assert whole == {image.tobytes() for image in X}
    assert Images.from_folder(tmp_path, 4, grey=True).input_shape == (1, 4, 4)
    assert Images.from_folder(tmp_path, size=(4, 6)).input_shape == (3, 4, 6)
    task = Images.from_folder(tmp_path, size=np.int64(4), seed=np.int64(1))
    assert task.input_shape == (3, 4, 4)
    assert json.loads(json.dumps(task.spec()))["size"] == [4, 4]


def test_a_folder_with_train_and_test(tmp_path):
    save(tmp_path / "train", PIL[:40])
    save(tmp_path / "test", PIL[40:])
    task = Images.from_folder(tmp_path)
    assert (len(task.train), len(task.test)) == (40, 20)
    again = tasks.from_spec(json.loads(json.dumps(task.spec())))
    assert again.fingerprint() == task.fingerprint()


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        Images.from_folder(tmp_path / "none")
    with pytest.raises(DataError, match="one folder of pictures a class"):
        Images.from_folder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="one folder of pictures a class"):
        Images.from_folder(tmp_path)
    save(tmp_path, PIL)
    for size in (-4, 4.5, (4, 5, 6), "ab", (4, True)):
        with pytest.raises(DataError, match="size is a side"):
            Images.from_folder(tmp_path, size=size)
    (tmp_path / "cat" / "000.png").write_bytes((tmp_path / "cat" / "000.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"1 of 60 pictures cannot be read: .*cat/000.png \(image file is truncated"):
        Images.from_folder(tmp_path)


def test_folders_with_other_classes_in_the_test_are_refused(tmp_path):
    save(tmp_path / "train", PIL[:40])
    save(tmp_path / "test", PIL[40:], names=("cat", "wolf"))
    with pytest.raises(DataError, match=r"same classes.*\['dog', 'wolf'\]"):
        Images.from_folder(tmp_path)
