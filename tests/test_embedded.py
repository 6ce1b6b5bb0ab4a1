"""The embedded PostgreSQL survives what happens to folders, pid files and processes."""

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.harness import new_data_dir, remove_data_dir
from trading import embedded


@pytest.fixture
def folder() -> Iterator[Path]:
    """A temporary folder that PostgreSQL's user can reach."""
    path = new_data_dir()
    yield path
    remove_data_dir(path)


def ask(cluster: embedded.Cluster, question: str) -> object:
    with psycopg.connect(embedded.database_url(data_dir=cluster.data_dir), autocommit=True) as connection:
        cursor = connection.execute(question.encode())
        while cursor.nextset():
            pass
        row = cursor.fetchone()
        assert row is not None
        return row[0]


@pytest.mark.parametrize("name", ["plain", "with a space, a comma", "long-" * 30, "größe"])
def test_it_runs_in_any_folder_and_without_giving_up_durability(folder: Path, name: str) -> None:
    cluster = embedded.Cluster(data_dir=folder / name)
    cluster.start()
    try:
        wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "listen_addresses": ""}
        wanted |= {"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min", "TimeZone": "UTC"}
        assert {setting: ask(cluster, f"SHOW {setting}") for setting in wanted} == wanted
        assert ask(cluster, "SELECT current_database()") == "bourse"
        assert ask(cluster, "SHOW server_encoding") == "UTF8"
    finally:
        cluster.close()
    assert cluster.pid() is None


def test_the_last_one_out_stops_it(folder: Path) -> None:
    first, second = embedded.Cluster(data_dir=folder), embedded.Cluster(data_dir=folder)
    first.start()
    second.start()
    assert first.pid() == second.pid()
    first.close()
    assert second.pid() is not None
    assert ask(second, "SELECT 1") == 1
    second.close()
    assert (first.pid(), second.pid()) == (None, None)


def test_a_pid_file_that_names_another_living_process_is_not_believed(folder: Path) -> None:
    cluster = embedded.Cluster(data_dir=folder)
    cluster.start()
    pid_file = (folder / "postgres" / "postmaster.pid").read_text().splitlines()
    cluster.close()
    (folder / "postgres" / "postmaster.pid").write_text("\n".join([str(os.getpid()), *pid_file[1:]]) + "\n")

    assert cluster.pid() is None
    cluster.start()
    assert ask(cluster, "SELECT 1") == 1
    cluster.close()
    psutil.Process().status()  # ... and we, whom the file named, are still there


def test_what_was_committed_survives_a_crash_of_the_server(folder: Path) -> None:
    cluster = embedded.Cluster(data_dir=folder)
    cluster.start()
    assert ask(cluster, "SELECT 'kept' AS text INTO note; SELECT count(*) FROM note") == 1
    crashed = cluster.pid()
    psutil.Process(crashed).kill()

    cluster.start()
    assert cluster.pid() != crashed
    assert ask(cluster, "SELECT text FROM note") == "kept"
    cluster.close()


def test_a_first_start_that_was_cut_short_is_begun_again(folder: Path) -> None:
    (folder / "postgres.new").mkdir()
    (folder / "postgres.new" / "PG_VERSION").write_text("18\n")
    cluster = embedded.Cluster(data_dir=folder)
    cluster.start()
    assert ask(cluster, "SELECT 1") == 1
    cluster.close()
    assert not (folder / "postgres.new").exists()


def test_settings_of_ones_own_outlive_a_restart(folder: Path) -> None:
    cluster = embedded.Cluster(data_dir=folder)
    cluster.start()
    cluster.close()
    main = folder / "postgres" / "postgresql.conf"
    main.write_text(main.read_text() + "\nwork_mem = '7MB'\n")
    cluster.start()
    assert ask(cluster, "SHOW work_mem") == "7MB"
    assert main.read_text().count("include 'bourse.conf'") == 1
    cluster.close()


def test_a_server_that_cannot_start_shows_its_log(folder: Path) -> None:
    cluster = embedded.Cluster(data_dir=folder)
    cluster.start()
    cluster.close()
    main = folder / "postgres" / "postgresql.conf"
    main.write_text(main.read_text() + "\nno_such_setting = 1\n")
    with pytest.raises(embedded.EmbeddedDatabaseError, match="no_such_setting"):
        cluster.start()
    cluster.close()
