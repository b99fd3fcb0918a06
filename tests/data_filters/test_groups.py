"""Names of groups."""

from data_filters.groups import group_names, group_number, groups_in


def test_names_and_numbers():
    assert group_names(3) == ["group-000", "group-001", "group-002"]
    assert [group_number(name) for name in group_names(1001)] == list(range(1001))


def test_a_folder_lists_its_groups_by_number(tmp_path):
    for name in ("group-1000", "group-002", "group-999", "other"):
        (tmp_path / name).mkdir()
    assert groups_in(tmp_path) == ["group-002", "group-999", "group-1000"]
