import time

import pytest
import torch

from naslab.errors import SpecError
from naslab.randomness import torch_generator
from naslab.tasks import Augmentation, Images


def drawn(augmentation, images, seed=0):
    draws = augmentation.draw(len(images), *images.shape[2:], torch_generator(seed))
    return draws, augmentation.move(images, draws)


def test_a_crop_is_the_padded_picture_seen_through_a_window():
    images = torch.randint(1, 256, (50, 3, 7, 9), dtype=torch.uint8, generator=torch_generator(1))
    draws, moved = drawn(Augmentation(padding=2), images)
    padded = torch.zeros(50, 3, 11, 13, dtype=torch.uint8)
    padded[:, :, 2:-2, 2:-2] = images
    for i, (row, column) in enumerate(draws.corner.tolist()):
        assert torch.equal(moved[i], padded[i, :, row : row + 7, column : column + 9])


def test_a_flip_mirrors_left_and_right_and_follows_the_crop():
    images = torch.randint(1, 256, (50, 3, 7, 9), dtype=torch.uint8, generator=torch_generator(1))
    draws, moved = drawn(Augmentation(padding=2, flip=True), images)
    _, cropped = drawn(Augmentation(padding=2), images)  # the corner is drawn first
    for i, mirrored in enumerate(draws.mirrored.tolist()):
        assert torch.equal(moved[i], cropped[i].flip(-1) if mirrored else cropped[i])
    _, only_flipped = drawn(Augmentation(flip=True), images)
    same = (only_flipped == images).flatten(1).all(1)
    assert 0 < same.sum() < 50
    assert torch.equal(only_flipped[~same], images[~same].flip(-1))


def test_corners_and_flips_are_uniform():
    draws = Augmentation(padding=4, flip=True).draw(9000, 8, 8, torch_generator(0))
    for axis in range(2):
        often = torch.bincount(draws.corner[:, axis], minlength=9)
        assert len(often) == 9, "corners from 0 to 2 * padding"
        assert (often - 1000).abs().max() < 150  # 5 standard deviations
    assert abs(draws.mirrored.float().mean() - 0.5) < 0.03


def test_cutout_zeroes_one_square_that_may_reach_over_the_edge():
    images = torch.ones(2000, 2, 12, 10)
    augmentation = Augmentation(cutout=4)
    draws = augmentation.draw(2000, 12, 10, torch_generator(0))
    holes = augmentation.cut(images, draws) == 0
    assert torch.equal(holes[:, 0], holes[:, 1]), "the same square in every channel"
    for i, (row, column) in enumerate(draws.hole.tolist()):
        expected = torch.zeros(12, 10, dtype=torch.bool)
        expected[max(0, row - 2) : row + 2, max(0, column - 2) : column + 2] = True
        assert torch.equal(holes[i, 0], expected)
    assert draws.hole.amin(0).tolist() == [0, 0]
    assert draws.hole.amax(0).tolist() == [11, 9]


def test_without_anything_to_do_the_images_stay():
    images = torch.rand(4, 1, 5, 5)
    draws, moved = drawn(Augmentation(), images)
    assert moved is images
    assert Augmentation().cut(images, draws) is images


@pytest.mark.parametrize("values", [{"padding": -1}, {"cutout": 2.5}, {"padding": True}, {"flip": 1}])
def test_nonsense_is_refused(values):
    with pytest.raises(SpecError, match=f"{next(iter(values))} (is|must be)"):
        Augmentation(**values)


def test_a_batch_takes_about_a_millisecond():
    task = Images.from_arrays(
        torch.randint(0, 256, (200, 3, 32, 32), dtype=torch.uint8),
        torch.arange(200) % 10,
        augmentation=Augmentation(padding=4, flip=True, cutout=16),
    )
    generator, indices = torch_generator(0), torch.arange(64)
    times = []
    for _ in range(100):
        start = time.perf_counter()
        task.batch(indices, augment=generator)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.01, "tens of milliseconds would be a loop over the images"
