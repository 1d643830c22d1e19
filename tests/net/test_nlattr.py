"""Attributes: filled up to four bytes, and read as far as they say."""

from pulse.net.nlattr import aligned, attribute, attributes_in, number, unpack


def test_what_was_put_together_is_read_again() -> None:
    body = b"head" + attribute(3, b"name\0") + number(4, 7)

    assert len(body) == aligned(len(body))
    found = attributes_in(body, 4)
    assert (found[3], unpack(found[4])) == (b"name\0", 7)


def test_a_length_that_lies_ends_the_reading() -> None:
    assert attributes_in(b"\x02\x00\x01\x00rest", 0) == {}
