"""Names of classes; errors and warnings about classes with too few examples."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from naslab.errors import DataError, whole


def names_of_classes(
    classes: int | None, given: Sequence[str] | None, said: Sequence[str] | None, train: Tensor, test: Tensor
) -> tuple[str, ...]:
    """Returns a name for each class; by default its number.

    Args:
        classes: number of classes. None: the number of names; without names, the largest label + 1, and then every
            class must have a training image.
        given: class names from the user.
        said: class names found in the labels, if those are text; used if `given` is None.
        train, test: [N] int64, labels of the training and test set.
    """
    names = said if given is None else given
    if classes is None and names is not None:
        classes = len(names)
    elif classes is None:
        classes = max(int(train.max()), int(test.max())) + 1
        check_no_class_is_empty(train, test, classes)
    classes = whole("classes", classes, 1, error=DataError)
    found = tuple(map(str, range(classes) if names is None else names))
    if len(found) != classes:
        came = f"not {len(found)}" if said is None else f"and the labels say {len(found)}: {', '.join(found[:3])}"
        raise DataError(f"{classes} classes need {classes} class_names, {came}")
    return found


def check_no_class_is_empty(train: Tensor, test: Tensor, classes: int) -> None:
    """Raises `DataError` if some label below the inferred number of classes has no training image."""
    known = set(train.tolist())
    if len(known) < 2 or len(known) == classes:  # a single class is refused elsewhere
        return
    only_tested = sorted(set(test.tolist()) - known)
    if only_tested:
        raise DataError(
            f"there are test images but no training images of the classes {some(only_tested)}; give more images of "
            "them, leave them out, or give classes= to have it so"
        )
    # The first few empty labels suffice for the error: a stray label of a million must not make a list of a million.
    empty = [label for label in range(min(classes, max(known) + 1, len(known) + 4)) if label not in known]
    raise DataError(
        f"labels go from 0 to {classes - 1}, yet no image has the label {some(empty)}; relabel them 0 to "
        f"{len(known) - 1} with y = np.unique(y, return_inverse=True)[1], or give classes={classes} to have "
        "classes without images"
    )


def rare(labels: Tensor, names: Sequence[str]) -> list[str]:
    """Returns a warning, as a list of one, if data to be split has classes with a single image; else an empty list."""
    values, counts = labels.unique(return_counts=True)
    alone = [names[label] for label in values[counts == 1].tolist()]
    if not alone:
        return []
    shown = ", ".join(f"{name!r} (1 image)" for name in alone[:5]) + (", ..." if len(alone) > 5 else "")
    return [
        f"{'a class has' if len(alone) == 1 else f'{len(alone)} classes have'} too few images to be in both the "
        f"training and the test set: {shown}; such an image is trained on, and the class is never tested; give more "
        "images of it, or a test set of your own"
    ]


def some(labels: Sequence[int], names: Sequence[str] | None = None) -> str:
    """Returns the first three labels as text, by name if names are given."""
    shown = [str(label) if names is None else names[label] for label in labels[:3]]
    return ", ".join(shown) + (", ..." if len(labels) > 3 else "")
