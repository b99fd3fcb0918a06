"""k-NN against the official implementation, and what must not change its answers."""

import numpy as np
import pytest
import torch

from franca.eval.benchmark import ClassificationInputs, ImageFeatures
from franca.eval.knn import correct_within, few_shot_rows, knn, principal_axes, vote
from franca.eval.neighbours import cosine_search

CPU = torch.device("cpu")


def features(cls, labels):
    return ImageFeatures(cls_blocks=cls[:, None], mean_patch=cls, labels=labels)


def scores(bank, bank_labels, query, counts, *, num_classes, block=256):
    similarity, index = cosine_search(query, bank, neighbours=max(counts), block=block, device=CPU)
    found = vote(
        similarity, bank_labels[index], counts=counts, temperature=0.07, num_classes=num_classes
    )
    return found, similarity, bank_labels[index]


@pytest.fixture
def case(oracle):
    def load(name):
        arrays = oracle("knn")
        inputs = (
            arrays[f"in/{name}/{key}"] for key in ("bank", "bank_label", "query", "query_label")
        )
        return arrays, *map(torch.from_numpy, inputs)

    return load


@pytest.mark.parametrize(
    ("name", "counts"),
    [("main", [10, 20, 100, 200]), ("bank_smaller_than_k", [10, 15]), ("one_query_one_class", [3])],
)
def test_matches_the_official_implementation(case, name, counts):
    arrays, bank, bank_labels, query, labels = case(name)
    num_classes = int(arrays[f"out/{name}/num_classes"])
    found, similarity, neighbour_labels = scores(
        bank, bank_labels, query, counts, num_classes=num_classes
    )
    np.testing.assert_allclose(similarity, arrays[f"out/{name}/topk_similarity"], atol=1e-5)
    expected = arrays[f"out/{name}/topk_label"]
    swapped = np.argwhere(neighbour_labels.numpy() != expected)
    for query_row, rank in swapped:  # only neighbours equally far up to rounding may swap
        near = similarity[query_row, max(0, rank - 1) : rank + 2]
        assert near.diff().abs().min() < 1e-6
    assert len(swapped) <= 4
    for count in counts:
        expected = arrays[f"out/{name}/k{count}/probability"]
        np.testing.assert_allclose(found[count], expected, atol=1e-5)
        for rank in (1, 5):
            hits = correct_within(found[count], labels, ranks=rank).sum()
            wanted = round(float(arrays[f"out/{name}/k{count}/top{rank}"]) * len(labels))
            # Ties at score 0 are arbitrary: few neighbours cannot fill five ranks.
            ambiguous = int(((found[count] > 0).sum(1) < min(rank, num_classes)).sum())
            assert abs(int(hits) - wanted) <= ambiguous


@pytest.mark.parametrize("kept", [32, 16, 8, 4, 2])
def test_truncated_features_match(case, kept):
    arrays, bank, bank_labels, query, labels = case("main")
    found, *_ = scores(bank[:, :kept], bank_labels, query[:, :kept], [20], num_classes=10)
    expected = arrays[f"out/main/first{kept}dims/probability"]
    np.testing.assert_allclose(found[20], expected, atol=1e-5)
    top1 = round(float(arrays[f"out/main/first{kept}dims/top1"]) * len(labels))
    assert int(correct_within(found[20], labels, ranks=1).sum()) == top1


@pytest.mark.parametrize("attempt", [0, 1])
def test_few_shot_banks_match(case, attempt):
    arrays, bank, bank_labels, query, labels = case("main")
    rows = torch.from_numpy(arrays[f"out/main/fewshot5/try{attempt}/index"])
    assert arrays[f"out/main/fewshot5/try{attempt}/k_used"].tolist() == [5]
    assert bank_labels[rows].bincount().tolist() == [5] * 10
    found, *_ = scores(bank[rows], bank_labels[rows], query, [5], num_classes=10)
    top1 = round(float(arrays[f"out/main/fewshot5/try{attempt}/k5/top1"]) * len(labels))
    assert int(correct_within(found[5], labels, ranks=1).sum()) == top1


def test_original_dino_script_agrees(case):
    arrays, bank, bank_labels, query, labels = case("main")
    found, *_ = scores(bank, bank_labels, query, [10, 20, 100, 200], num_classes=10)
    for count, score in found.items():
        percent = [
            100 * float(correct_within(score, labels, ranks=rank).double().mean())
            for rank in (1, 5)
        ]
        expected = arrays[f"out/main/k{count}/dino_top1_top5_percent"]
        assert percent[0] == pytest.approx(expected[0])
        if count > 10:  # with ten neighbours the fifth class often has score 0
            assert percent[1] == pytest.approx(expected[1])


def gaussian_inputs(seed=0, dim=16, classes=4):
    source = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, dim, generator=source)
    parts = []
    for count in (120, 40):
        labels = torch.randint(classes, (count,), generator=source)
        noise = torch.randn(count, dim, generator=source)
        parts.append(features(centres[labels] + 1.5 * noise, labels))
    return ClassificationInputs(train=parts[0], test=parts[1], num_classes=classes)


def run(inputs, **changes):
    settings = {
        "neighbours": [1, 20],
        "headline": 20,
        "temperature": 0.07,
        "halvings": 6,
        "pca_dims": [2, 8, 16, 99],
        "shots": [],
        "attempts": 3,
        "leave_one_out": False,
        "block": 64,
    }
    return knn(inputs, seed=0, device=CPU, **(settings | changes)).evidence


def test_reports_every_variant_that_the_width_allows():
    evidence = run(gaussian_inputs())
    variants = {key.partition("@")[2] for key in evidence}
    halved = {f"d/{2**i}" for i in range(1, 5)}
    assert variants == {"k1", "k20", *halved, "pca2", "pca8", "pca16"}


def test_all_principal_components_keep_what_centring_leaves():
    inputs = gaussian_inputs()
    centre, axes = principal_axes(inputs.train.cls)
    spread = ((inputs.train.cls - centre) @ axes).var(0)
    assert torch.all(spread.diff() <= 1e-9)
    torch.testing.assert_close(axes.T @ axes, torch.eye(16).double())


def test_order_of_the_bank_and_rotation_change_nothing():
    inputs = gaussian_inputs()
    order = torch.randperm(120, generator=torch.Generator().manual_seed(1))
    rotation = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(2))).Q
    train, test = inputs.train, inputs.test
    shuffled = features(train.cls[order] @ rotation, train.labels[order])
    turned = ClassificationInputs(
        train=shuffled, test=features(test.cls @ rotation, test.labels), num_classes=4
    )
    before, after = run(inputs), run(turned)
    for key in ("correct@k20", "correct5@k20", "correct@pca8"):
        np.testing.assert_array_equal(before[key], after[key])
    assert np.any(before["correct@d/8"] != after["correct@d/8"])  # Matryoshka is about the axes


def test_constant_features_give_chance_and_ground_truth_gives_one():
    labels = torch.arange(40) % 4
    constant = features(torch.ones(40, 8), labels)
    evidence = run(ClassificationInputs(train=constant, test=constant, num_classes=4), pca_dims=[])
    assert evidence["correct@k20"].mean() == 0.25
    truth = features(torch.eye(4)[labels], labels)
    evidence = run(ClassificationInputs(train=truth, test=truth, num_classes=4), pca_dims=[])
    assert evidence["correct@k1"].all()
    assert evidence["correct@k20"].all()


def test_few_shots_are_of_every_class_and_other_ones_each_time():
    labels = torch.tensor([0] * 10 + [1] * 2 + [3] * 10)
    first, second = (few_shot_rows(labels, shots=4, seed=0, attempt=i) for i in (0, 1))
    assert labels[first].bincount().tolist() == [4, 2, 0, 4]
    assert len(first.unique()) == 10
    assert first.tolist() != second.tolist()


def test_few_shots_average_attempts_image_by_image():
    inputs = gaussian_inputs()
    evidence = run(inputs, shots=[1, 1000])
    few, all_of_them = (evidence[f"few_shot@{shots}"] for shots in (1, 1000))
    assert set(np.round(few * 3).astype(int)) <= {0, 1, 2, 3}
    assert few.mean() < all_of_them.mean()
    np.testing.assert_array_equal(all_of_them, evidence["correct@k20"])


def test_leaving_one_out_is_searching_the_others():
    inputs = gaussian_inputs()
    train = inputs.train
    evidence = run(inputs, leave_one_out=True)["left_out@k20"]
    for query in range(0, 120, 7):
        others = torch.arange(120) != query
        found, *_ = scores(
            train.cls[others], train.labels[others], train.cls[[query]], [20], num_classes=4
        )
        hit = correct_within(found[20], train.labels[[query]], ranks=1)
        assert bool(hit) == evidence[query]


def test_an_image_that_lies_in_the_bank_twice_does_not_hide_itself():
    twins = features(torch.eye(3).repeat(2, 1), torch.tensor([0, 1, 2, 1, 2, 0]))
    inputs = ClassificationInputs(train=twins, test=twins, num_classes=3)
    found = run(inputs, neighbours=[1], headline=1, leave_one_out=True, pca_dims=[])
    assert not found["left_out@k1"].any()  # its twin has another label
