"""Duplicates and leaks as slow, obvious loops over pairs of images held in memory."""

LEVELS = ("same_bytes", "same_pixels", "near_duplicate")


def alike(one, other, *, level, radius, min_contrast, mirrored):
    """Whether two images are one by a criterion: rows of records.SIGNATURE."""
    if level == "near_duplicate":
        if min(one["contrast"], other["contrast"]) < min_contrast:
            return False
        hashes = [other["perceptual"], *([other["mirrored"]] if mirrored else [])]
        return any((one["perceptual"] ^ each).bit_count() <= radius for each in hashes)
    column = {"same_bytes": "sha256", "same_pixels": "pixels"}[level]
    return one[column] == other[column]


def grouped(images, criteria, **how):
    """The group of each image, named by its first: whoever is alike by any criterion, and so on."""
    names = list(range(len(images)))
    changed = True
    while changed:
        changed = False
        for i, one in enumerate(images):
            for j, other in enumerate(images):
                if names[i] != names[j] and any(
                    alike(one, other, level=each, **how) for each in criteria
                ):
                    names[i] = names[j] = min(names[i], names[j])
                    changed = True
    return names


def judged(images, evaluation, *, evaluation_radius, **how):
    """(filter, reason, detail) of each image; None three times for one that is kept.

    Args:
        images: Rows of records.SIGNATURE with `area` and `size`, in the order of the source.
        evaluation: The same with `name`, in the order of the index.
        evaluation_radius: Bits in which hashes of copies of evaluation images may differ.
        how: `radius`, `min_contrast`, `mirrored`.
    """
    verdicts = [(None, None, None)] * len(images)
    for number, level in enumerate(LEVELS):
        groups = grouped(images, LEVELS[: number + 1], **how)
        for i in range(len(images)):
            group = [image for image, name in zip(images, groups, strict=True) if name == groups[i]]
            best = min(group, key=lambda e: (-e["area"], -e["size"], e["sha256"], e["row_id"]))
            if best is not images[i] and verdicts[i][0] is None:
                verdicts[i] = ("duplicates", level, best["row_id"])
    leaks = {}
    theirs = {**how, "radius": evaluation_radius, "mirrored": False}
    for i, image in enumerate(images):
        for level in reversed(LEVELS):
            matches = [each for each in evaluation if alike(image, each, level=level, **theirs)]
            if matches:
                leaks[i] = ("evaluation_sets", level, matches[0]["name"])
    for i, name in enumerate(groups):
        linked = [j for j in leaks if groups[j] == name]
        if linked:
            verdicts[i] = ("evaluation_sets", "copy_of_leak", images[min(linked)]["row_id"])
    for i, leak in leaks.items():
        verdicts[i] = leak
    return verdicts
