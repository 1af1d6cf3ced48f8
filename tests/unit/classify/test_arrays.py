from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from emwatch.classify.bundles.arrays import bounded_arrays


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def claiming(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    """An archive whose one array claims a shape in its header and holds nothing."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        header = str({"descr": kind, "fortran_order": False, "shape": shape}).encode().ljust(117) + b"\n"
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00\x76\x00" + header)
    return file.getvalue()


def test_arrays_come_back_as_they_were_written() -> None:
    given = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32(2), "c": np.zeros((0, 10), np.float32)}
    found = bounded_arrays(npz(**given))

    assert found.keys() == given.keys()
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 31, 1 << 31, 1 << 31), (20_000_000,)])
def test_an_array_that_claims_too_much_is_refused_before_memory_is_asked_for(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="claim more than 67108864 bytes"):
        bounded_arrays(claiming(shape))


def test_many_arrays_that_claim_too_much_together_are_refused() -> None:
    file = io.BytesIO()
    np.savez_compressed(file, **{f"a{number}": np.zeros(5_000_000, np.float32) for number in range(4)})

    with pytest.raises(ValueError, match="claim more than"):
        bounded_arrays(file.getvalue())


@pytest.mark.parametrize("content", [b"", b"PK", npz(a=1)[:-30], b"\x80\x04."])
def test_what_is_no_npz_is_refused(content: bytes) -> None:
    with pytest.raises((ValueError, zipfile.BadZipFile, OSError)):
        bounded_arrays(content)


def test_an_array_of_objects_and_one_without_its_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="Python objects"):
        bounded_arrays(claiming((1,), "|O"))
    for shape in ((100,), (-100, 5)):
        with pytest.raises((ValueError, EOFError)):
            bounded_arrays(claiming(shape))
