"""What is said of a machine's resolver, as programs read it."""

import msgspec

from pulse.schemas.resolver import ResolverInfo


def test_a_later_node_may_say_more() -> None:
    said = b'{"wanted":true,"resolver":"openresolv","device":"pulse0","server":"10.100.7.7:53","problem":"","since":7}'

    assert msgspec.json.decode(said, type=ResolverInfo) == ResolverInfo(
        True, "openresolv", "pulse0", "10.100.7.7:53", ""
    )
