"""Types: which texts can be names, that no name can be taken for an id, and how link types are written."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.core.types import (
    LEAST_PREFIX,
    SHORT_ID,
    LinkType,
    Network,
    is_domain,
    is_network_name,
    is_node_name,
    may_name_node,
    spaced,
)

LABELS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)


def test_link_types_go_over_the_wire_and_to_programs_as_the_words_people_see() -> None:
    words = ["-", "quic", "direct_quic", "websocket"]

    assert [*map(str, LinkType)] == words
    assert msgspec.json.encode([*LinkType]) == msgspec.json.encode(words)
    assert msgspec.msgpack.encode([*LinkType]) == msgspec.msgpack.encode(words)


@pytest.mark.parametrize("text", ["a", "vm-01", "cafe-host", "x" * 63, "abc"])
def test_a_label_names_a_node(text: str) -> None:
    assert is_node_name(text)


@pytest.mark.parametrize("text", ["", "-a", "a-", "A", "a.b", "a_b", "x" * 64, "ä", "a\n", "a b"])
def test_what_is_no_label_names_nothing(text: str) -> None:
    assert not is_node_name(text)
    assert not is_network_name(text)


@pytest.mark.parametrize("text", ["localhost", "wpad", "isatap"])
def test_what_programs_take_for_something_else_is_given_to_no_node_any_more(text: str) -> None:
    assert not may_name_node(text)
    assert is_node_name(text)


@given(st.text("0123456789abcdef", min_size=LEAST_PREFIX, max_size=63))
def test_what_reads_as_the_beginning_of_an_id_names_no_node_but_may_name_a_network(text: str) -> None:
    assert not is_node_name(text)
    assert is_network_name(text)


@given(LABELS)
def test_every_other_label_names_both(text: str) -> None:
    assert is_network_name(text)
    assert is_node_name(text) or set(text) <= set("0123456789abcdef")


def test_the_label_of_a_network_holds_its_name_and_its_first_ca() -> None:
    assert Network("default", "ab" * 32).label == "default." + "ab" * 32


def test_the_short_form_of_an_id_is_long_enough_to_be_typed_back() -> None:
    assert SHORT_ID >= LEAST_PREFIX


def test_a_ca_hash_is_shown_in_three_groups() -> None:
    assert spaced("a91f22c077e4" + "0" * 52) == "a91f 22c0 77e4"


@pytest.mark.parametrize("text", ["example.com", "mesh", "a-b.c1.example"])
def test_a_domain_is_labels_with_dots(text: str) -> None:
    assert is_domain(text)


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "Example.com", "-a.b", "a_b.c", "example.com.", "x" * 64, "a." * 130]
)
def test_what_is_no_domain(text: str) -> None:
    assert not is_domain(text)
