"""XML of routers: what is read, and what would cost too much."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse.errors import ProtocolError
from pulse.net.portmap.soap import DEPTH_LIMIT, SIZE_LIMIT, envelope, leaves, read

ANSWER = b"""<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<u:GetExternalIPAddressResponse xmlns:u="urn:x">
<NewExternalIPAddress> 203.0.113.7 </NewExternalIPAddress><NewExternalIPAddress>2.2.2.2</NewExternalIPAddress>
</u:GetExternalIPAddressResponse></s:Body></s:Envelope>"""

LAUGHS = b"""<!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><lolz>&b;</lolz>"""
FOREIGN = b"""<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>"""


def test_texts_are_found_by_their_names_without_prefixes() -> None:
    assert leaves(read(ANSWER)) == {"NewExternalIPAddress": "203.0.113.7"}


@pytest.mark.parametrize("data", [LAUGHS, FOREIGN, b"<!DOCTYPE html><html/>"])
def test_a_document_type_is_refused_before_anything_is_expanded_or_fetched(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="document type"):
        read(data)


def test_size_and_depth_are_bounded() -> None:
    read(b"<a>" * DEPTH_LIMIT + b"</a>" * DEPTH_LIMIT)
    with pytest.raises(ProtocolError, match="deeper than"):
        read(b"<a>" * (DEPTH_LIMIT + 1) + b"</a>" * (DEPTH_LIMIT + 1))
    with pytest.raises(ProtocolError, match="bytes"):
        read(b"<a>" + b" " * SIZE_LIMIT + b"</a>")


@pytest.mark.parametrize(
    "data", [b"", b"<a>", b"<a></b>", b"\xff\xfe", b"<a/><b/>", b"<a>&nbsp;</a>", b'<?xml version="1.0" encoding="x"?>']
)
def test_what_is_no_xml_is_nonsense(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(data)


def test_the_encoding_it_claims_does_not_matter() -> None:
    data = b'<?xml version="1.0" encoding="UTF-16"?><a><b>1</b></a>'

    assert leaves(read(data)) == {"b": "1"}


@given(st.binary(max_size=100) | st.text("<>/ab!?[]&;'\"= ", max_size=60).map(str.encode))
def test_no_bytes_of_a_router_raise_anything_but_our_error(data: bytes) -> None:
    with suppress(ProtocolError):
        leaves(read(data))


def test_a_call_is_these_bytes() -> None:
    assert envelope("urn:x:1", "Do", {"A": "<&>", "B": 7}) == (
        b'<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
        b's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
        b'<s:Body><u:Do xmlns:u="urn:x:1"><A>&lt;&amp;&gt;</A><B>7</B></u:Do></s:Body></s:Envelope>\r\n'
    )
