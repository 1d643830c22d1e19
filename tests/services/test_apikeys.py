"""Keys service: made once, told once, good until revoked."""

import logging
from pathlib import Path

import pytest

from pulse.core.trust.apikeys import MOST_KEYS, Scope
from pulse.errors import Conflict, NotFound, Refused, SystemRefused
from pulse.schemas.apikeys import ApiKeyRequest
from pulse.services.apikeys import ApiKeysService
from pulse.store import apikeys
from pulse.store.files import open_data_dir


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return open_data_dir(tmp_path / "data")


def started(data_dir: Path) -> ApiKeysService:
    """The service, as a start makes it."""
    return ApiKeysService.restored(data_dir)


async def test_a_key_is_good_for_its_scope_over_restarts_until_it_is_revoked(data_dir: Path) -> None:
    service = started(data_dir)
    reads = await service.create(ApiKeyRequest("grafana"))
    writes = await service.create(ApiKeyRequest("deploy", "write"))
    assert reads.key != writes.key

    service = started(data_dir)
    assert service.judge(reads.key) is Scope.READ
    assert service.judge(writes.key) is Scope.WRITE

    assert (await service.revoke("grafana")).id == reads.info.id
    for each in (service, started(data_dir)):
        assert each.judge(reads.key) is None
        assert each.judge(writes.key) is Scope.WRITE
        assert [key.name for key in await each.all()] == ["deploy"]


async def test_a_list_shows_no_key(data_dir: Path) -> None:
    service = started(data_dir)
    made = await service.create(ApiKeyRequest("grafana"))

    assert await service.all() == [made.info]
    assert made.key not in str(await service.all())


async def test_a_key_is_revoked_by_the_first_digits_of_its_id(data_dir: Path) -> None:
    service = started(data_dir)
    made = await service.create(ApiKeyRequest("grafana"))

    assert await service.revoke(made.info.id[:6]) == made.info


@pytest.mark.parametrize("named", ["", "nobody", "\x1b[2J"])
async def test_a_key_nobody_made_cannot_be_revoked(data_dir: Path, named: str) -> None:
    service = started(data_dir)
    await service.create(ApiKeyRequest("grafana"))

    with pytest.raises(NotFound, match="pulse api-key list") as refused:
        await service.revoke(named)
    assert "\x1b" not in str(refused.value)
    assert len(await service.all()) == 1


async def test_two_keys_do_not_share_a_name(data_dir: Path) -> None:
    service = started(data_dir)
    await service.create(ApiKeyRequest("grafana"))

    with pytest.raises(Conflict, match="pulse api-key revoke grafana"):
        await service.create(ApiKeyRequest("grafana", "write"))


@pytest.mark.parametrize("name", ["", "a b", "\x1b[2J", "x" * 64])
async def test_what_cannot_name_a_key_is_refused(data_dir: Path, name: str) -> None:
    with pytest.raises(Refused, match="cannot name a key"):
        await started(data_dir).create(ApiKeyRequest(name))


async def test_there_are_only_so_many(data_dir: Path) -> None:
    service = started(data_dir)
    for number in range(MOST_KEYS):
        await service.create(ApiKeyRequest(f"key-{number}"))

    with pytest.raises(Refused, match="Revoke one"):
        await service.create(ApiKeyRequest("one-more"))


async def test_a_key_that_is_not_on_disk_opens_nothing(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise SystemRefused("no space left")

    service = started(data_dir)
    monkeypatch.setattr(apikeys, "save", full)
    with pytest.raises(SystemRefused):
        await service.create(ApiKeyRequest("grafana"))

    assert await service.all() == []


async def test_keys_that_cannot_be_read_are_told_and_open_nothing(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = await started(data_dir).create(ApiKeyRequest("grafana"))
    (data_dir / "api-keys").write_bytes(b"rubbish")
    caplog.set_level(logging.WARNING)

    assert started(data_dir).judge(made.key) is None
    assert [record.message for record in caplog.records] == ["API keys lost"]


async def test_a_mistyped_key_is_answered_with_the_nearest(data_dir: Path) -> None:
    service = started(data_dir)
    await service.create(ApiKeyRequest("grafana"))

    with pytest.raises(NotFound, match="Did you mean grafana"):
        await service.revoke("grafna")
