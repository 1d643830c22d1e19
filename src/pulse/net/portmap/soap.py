"""XML of routers: descriptions of devices, and SOAP.

Invariant: no document type is read, so there are no entities to expand and nothing to fetch, and size and depth are
bounded; names are without their prefixes, for routers disagree about those.
"""

from collections.abc import Iterable, Mapping
from typing import Final
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat
from xml.sax.saxutils import escape

from pulse.errors import ProtocolError

SIZE_LIMIT: Final = 64 * 1024
DEPTH_LIMIT: Final = 32

_SOAP: Final = (
    '<?xml version="1.0"?>\r\n'
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" '
    's:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">'
    '<s:Body><u:{action} xmlns:u="{service}">{arguments}</u:{action}></s:Body></s:Envelope>\r\n'
)


def read(data: bytes) -> Element:
    """Read a document. Raises ProtocolError for whatever is none."""
    if len(data) > SIZE_LIMIT:
        raise ProtocolError(f"XML of {len(data)} bytes; {SIZE_LIMIT} are allowed")
    try:
        return _Reader().read(data)
    except (expat.ExpatError, ValueError) as error:
        raise ProtocolError(f"the router's XML is none: {error}") from error


def leaves(element: Element) -> dict[str, str]:
    """Text by name of every element that holds nothing but text; of several with one name the first."""
    found: dict[str, str] = {}
    for each in element.iter():
        if not len(each):
            found.setdefault(each.tag, (each.text or "").strip())
    return found


def envelope(service: str, action: str, arguments: Mapping[str, object]) -> bytes:
    """Word the call of a SOAP action; routers want the arguments in the order of their specification."""
    words = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in arguments.items())
    return _SOAP.format(action=action, service=service, arguments=words).encode("ascii")


class _Reader:
    def __init__(self) -> None:
        self._builder, self._depth = TreeBuilder(), 0
        # Whatever encoding it claims: what names and numbers are made of is the same in all that routers use.
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._builder.data

    def read(self, data: bytes) -> Element:
        self._parser.Parse(data, True)
        return self._builder.close()

    def _refuse(self, *_: object) -> None:
        raise ProtocolError("the router's XML has a document type")

    def _start(self, name: str, _: Iterable[str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_LIMIT:
            raise ProtocolError(f"the router's XML is deeper than {DEPTH_LIMIT}")
        self._builder.start(name.rpartition(":")[2], {})

    def _end(self, name: str) -> None:
        self._depth -= 1
        self._builder.end(name.rpartition(":")[2])
