"""The block decoder, on blocks made by hand."""

from struct import pack

from chalicelib.adapters.iotdb_blocks import decode


def block(kind: int, encoding: int, height: int, column: bytes) -> bytes:
    """A block of one column, at times 0, 1, 2, ..."""
    head = pack(">iBiBB", 1, kind, height, 2, encoding)
    return head + b"\0" + pack(f">{height}q", *range(height)) + column


def test_doubles_without_nulls() -> None:
    assert decode(block(4, 2, 2, b"\0" + pack(">2d", 1.5, -0.0))) == ([0, 1], [[1.5, -0.0]])


def test_integers_of_both_widths_with_nulls_that_take_no_room() -> None:
    assert decode(block(2, 2, 3, b"\1\x40" + pack(">2q", -(2**63), 5))).columns == [[-(2**63), None, 5]]
    assert decode(block(1, 1, 3, b"\1\x80" + pack(">2i", -1, 7))).columns == [[None, -1, 7]]


def test_floats() -> None:
    assert decode(block(3, 1, 1, b"\0" + pack(">f", 0.5))).columns == [[0.5]]


def test_booleans_keep_a_bit_for_nulls() -> None:
    assert decode(block(0, 0, 10, b"\0\xaa\x40")).columns == [[True, False] * 4 + [False, True]]
    assert decode(block(0, 0, 3, b"\1\x40\xa0")).columns == [[True, None, True]]


def test_texts() -> None:
    column = b"\1\x40" + pack(">i", 3) + "°!".encode() + pack(">i", 0)
    assert decode(block(5, 3, 3, column)).columns == [["°!", None, ""]]


def test_constant_column_is_repeated() -> None:
    assert decode(block(4, 4, 3, b"\2\0" + pack(">d", 2.5))).columns == [[2.5] * 3]


def test_block_without_rows() -> None:
    assert decode(block(4, 2, 0, b"\0")) == ([], [[]])
