"""The ground truth of revisited Oxford and Paris as JSON, read from its pickle without running it.

A pickle is a program that may call anything. This reader lets it build lists, dictionaries,
numbers, strings and plain NumPy arrays, and refuses whatever else it names, before it is called.
"""

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

_KEYS: Final = ("imlist", "qimlist", "gnd")
_NUMPY: Final = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    ),
}


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"the pickle encodes as {encoding!r}: not plain data, nothing was run")
    return text.encode("latin1")


# How bytes are written for Python 2: text to be encoded, or nothing.
_STAND_INS: Final[Mapping[tuple[str, str], Callable[..., bytes]]] = {
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): lambda: b"",
}


class _PlainData(pickle.Unpickler):
    """Builds plain data only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _STAND_INS:
            return _STAND_INS[module, name]
        if (module, name) not in _NUMPY:
            raise ValueError(f"the pickle names {module}.{name}: not plain data, nothing was run")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def convert(file: Path) -> Path:
    """Write gnd_<set>.json beside gnd_<set>.pkl and return its path.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it names anything but plain data, or holds something else than ground truth.
    """
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: not there; get it from cmp.felk.cvut.cz/revisitop/data/datasets"
        )
    with file.open("rb") as stream:
        try:
            found = _PlainData(stream, encoding="latin1").load()
        except (pickle.UnpicklingError, EOFError, AttributeError, IndexError) as error:
            raise ValueError(f"{file}: not a readable pickle ({error})") from error
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error
    if not isinstance(found, dict) or any(key not in found for key in _KEYS):
        raise ValueError(f"{file}: expected a dictionary with {', '.join(_KEYS)}")
    target = file.with_suffix(".json")
    temporary = target.with_suffix(".json.tmp")
    text = json.dumps({key: _plain(found[key]) for key in _KEYS}, indent=1)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(target)
    return target


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value
