"""What a machine is told: read from the environment; what would change results is refused."""

import platform
import subprocess
import sys

import pytest

from franca.train.machine import Machine, images_at_once, read_machine
from tests.franca.train.recipes import recipe

PLAIN = {"dino_head__batch_norm": False, "ibot_head__batch_norm": False}

# A block of 64 MiB is filled and freed, as a training step does with its tensors; page faults of
# the second time are counted.
FAULTS = """
import ctypes, resource
from franca.train.machine import keep_freed_memory
if {keep}:
    keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.memset.argtypes = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t
libc.free.argtypes = (ctypes.c_void_p,)
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(2**26)
    libc.memset(block, 1, 2**26)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_nothing_is_asked_for_by_default():
    assert read_machine({}) == Machine(images_at_once=None, recompute=False, compiled=False)


def test_each_variable_sets_what_it_names():
    environment = {
        "FRANCA_IMAGES_PER_DEVICE": "8",
        "FRANCA_RECOMPUTE": "1",
        "FRANCA_COMPILE": "1",
    }
    assert read_machine(environment) == Machine(images_at_once=8, recompute=True, compiled=True)
    assert read_machine(dict.fromkeys(environment, "")) == Machine()  # empty: not set


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("FRANCA_IMAGES_PER_DEVICE", "0", "at least 1"),
        ("FRANCA_IMAGES_PER_DEVICE", "half", "give a number of images"),
        ("FRANCA_RECOMPUTE", "yes", "give 1 or 0"),
        ("FRANCA_COMPILE", "2", "give 1 or 0"),
    ],
)
def test_another_value_is_refused_with_its_name(name, value, remedy):
    with pytest.raises(ValueError, match=rf"^{name}={value}: .*{remedy}"):
        read_machine({name: value})


@pytest.mark.parametrize(
    ("group", "processes", "most", "expected"),
    [
        (None, 2, None, 6),  # the whole share
        (3, 2, 6, 6),
        (3, 2, 5, 3),  # 4 and 5 do not divide the share, 3 is a whole group
        (2, 2, 5, 2),
        (2, 1, 5, 4),
    ],
)
def test_the_most_images_that_divide_the_share_into_whole_groups(group, processes, most, expected):
    cfg = recipe(global_batch_size=12, images_per_group=group, **PLAIN)
    machine = Machine(images_at_once=most)
    assert images_at_once(cfg, processes=processes, machine=machine) == expected


@pytest.mark.parametrize(
    ("changes", "processes", "most", "words"),
    [
        ({"images_per_group": 2}, 5, None, "no multiple of the 5 processes"),
        ({"images_per_group": None, **PLAIN}, 1, 6, "null, the whole batch"),
        ({"images_per_group": 4, **PLAIN}, 1, 3, "images_per_group: 4"),
        ({"images_per_group": 2}, 1, 6, "batch_norm need them together"),
    ],
)
def test_what_would_change_the_result_is_refused(changes, processes, most, words):
    cfg = recipe(global_batch_size=12, **changes)
    with pytest.raises(ValueError, match=words):
        images_at_once(cfg, processes=processes, machine=Machine(images_at_once=most))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize("keep", [True, False])
def test_kept_memory_costs_no_page_faults(keep):
    command = [sys.executable, "-c", FAULTS.format(keep=keep)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (int(done.stdout) < 100) == keep
