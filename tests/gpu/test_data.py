"""Images and labels on the device are those of the CPU."""

import pytest
import torch

import naslab as nl

AUGMENTATIONS = [{}, {"padding": 4}, {"flip": True}, {"cutout": 8}, {"padding": 4, "flip": True, "cutout": 16}]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda given: " ".join(given) or "none")
def test_a_mini_batch_is_that_of_the_cpu(augmentation, split, quick_device, clothes):
    task = clothes.augmented(**{"padding": 0, "flip": False, "cutout": 0, **augmentation})
    where = torch.tensor([5, 0, 199, 5, 17])
    for draw in range(3):  # later mini-batches may be made otherwise than the first
        x, y = (
            task.batch(where, split=split, augment=torch.Generator().manual_seed(draw), device=device)
            for device in (quick_device, "cpu")
        )
        assert {tensor.device.type for tensor in x} == {quick_device}
        torch.testing.assert_close(x[0].cpu(), y[0], rtol=1e-6, atol=1e-6)  # but for a fused multiply-add
        assert torch.equal(x[1].cpu(), y[1])


def test_rows_of_a_mini_batch_are_those_of_the_whole(quick_device, clothes):
    def batch(rows):
        return clothes.augmented(flip=True, padding=4).batch(
            torch.arange(8), augment=torch.Generator().manual_seed(1), device=quick_device, rows=rows
        )

    images, labels = batch(slice(None))
    half, its_labels = batch(slice(4, 8))
    assert torch.equal(half, images[4:])
    assert torch.equal(its_labels, labels[4:])


def test_text_is_that_of_the_cpu(quick_device):
    task = nl.tasks.LanguageModel.from_text("to be or not to be, that is the question\n" * 60, unit="characters")
    example = [task.example(4, device=device) for device in (quick_device, "cpu")]
    tensors = [nl.trees.tensors(each) for each in example]
    for ours, theirs in zip(*tensors, strict=True):
        assert torch.equal(ours.cpu(), theirs)
