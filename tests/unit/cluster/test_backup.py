"""A cluster's state in one file, and back."""

from pathlib import Path

import pytest

from mizzen.cluster import backup as backups
from mizzen.cluster import config as configs
from mizzen.cluster.config import ClusterConfig, ConfigError
from mizzen.store.base import Compacted
from mizzen.store.sqlite import SqliteStore


async def cluster(directory: Path) -> SqliteStore:
    """A running store with one object, and the files beside it."""
    configs.save(ClusterConfig("lab", directory))
    (directory / "pki").mkdir()
    (directory / "pki" / "ca.crt").write_text("the CA")
    (directory / "encryption.key").write_text("the key")
    store = SqliteStore(directory / "store.db")
    await store.put("pods/default/a", b"one")
    return store


async def test_a_backup_of_a_running_store_restores_elsewhere(tmp_path: Path) -> None:
    store = await cluster(tmp_path / "old")
    target = tmp_path / "backup.tar.gz"
    backups.backup(tmp_path / "old", target)
    assert target.stat().st_mode & 0o777 == 0o600
    await store.put("pods/default/a", b"two")
    await store.close()
    assert backups.restore(target, tmp_path / "new") is None
    restored = SqliteStore(tmp_path / "new" / "store.db")
    found = await restored.get("pods/default/a")
    assert found is not None
    assert found.data == b"one"
    assert (tmp_path / "new" / "pki" / "ca.crt").read_text() == "the CA"
    await restored.close()


async def test_clients_that_saw_more_than_the_backup_holds_must_list_again(tmp_path: Path) -> None:
    store = await cluster(tmp_path / "c")
    backups.backup(tmp_path / "c", tmp_path / "b")
    later = await store.put("pods/default/b", b"lost")
    await store.close()
    aside = backups.restore(tmp_path / "b", tmp_path / "c")
    assert aside is not None
    assert (aside / "store.db").exists()
    restored = SqliteStore(tmp_path / "c" / "store.db")
    assert restored.revision > later
    with pytest.raises(Compacted):
        await anext(restored.watch("", after=later))
    assert await restored.put("pods/default/b", b"again", expect=0) > later
    await restored.close()


async def test_what_is_no_backup_changes_nothing(tmp_path: Path) -> None:
    store = await cluster(tmp_path / "c")
    await store.close()
    (tmp_path / "junk").write_bytes(b"no archive")
    with pytest.raises(ConfigError, match="cannot be read"):
        backups.restore(tmp_path / "junk", tmp_path / "c")
    assert (tmp_path / "c" / "store.db").exists()
    with pytest.raises(ConfigError, match="there is no cluster"):
        backups.backup(tmp_path / "void", tmp_path / "b")


async def test_no_half_of_a_backup_is_left_of_a_damaged_store(tmp_path: Path) -> None:
    store = await cluster(tmp_path / "c")
    await store.close()
    (tmp_path / "c" / "store.db").write_bytes(b"\xa5" * 8192)
    with pytest.raises(ConfigError, match="is damaged"):
        backups.backup(tmp_path / "c", tmp_path / "b")
    assert not (tmp_path / "b").exists()
