"""Certificate schemas: what leaves the node is read back as it was."""

import msgspec
import pytest

from pulse.schemas.cert import CaBackup, FleetCertificate, SignedCertificate

FLEET = FleetCertificate("c" * 64, "cam-7", 0.0, 1e6, -5.0, "ended", False)
BACKUP = CaBackup("home", "/root/ca.backup", 1e9, 12)
SIGNED = SignedCertificate("a" * 64, "db", "10.100.1.2", 2e9, "-----BEGIN CERTIFICATE-----\n")


def test_json_and_back_is_the_same() -> None:
    for said in (FLEET, BACKUP, SIGNED):
        assert msgspec.json.decode(msgspec.json.encode(said), type=type(said)) == said


def test_a_standing_that_is_none_is_refused() -> None:
    said = msgspec.json.encode(FLEET).replace(b"ended", b"over!")
    with pytest.raises(msgspec.ValidationError, match="outlook"):
        msgspec.json.decode(said, type=FleetCertificate)
