"""Files of granted locations: what is granted and nothing beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.model.statement import Session
from headwater.query.arrow_writes import WriteMode
from headwater.query.location_files import LocationFiles
from headwater.storage.s3 import s3_client
from headwater.storage.s3_objects import S3Objects
from headwater.storage.seaweed import EmbeddedS3
from platform_fixture import Platform, running_platform

DENIED = ErrorCode.PERMISSION_DENIED


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    with running_platform(tmp_path_factory.mktemp("locations")) as platform:
        platform.run(platform.session(), "CREATE USER alice")
        platform.run(platform.session(), "CREATE ROLE readers")
        yield platform


class World:
    """Folders with files, and alice, who may read `in` and write `out`."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self.platform = platform
        self.alice: Session = platform.session("alice")
        self.folder = folder
        self.files = LocationFiles(platform.parts.access, (folder / "home",))
        for name in ("in/a=1/x.csv", "in/y.csv", "in2/z.csv", "home/token", "in/secret/s.csv"):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name)
        (folder / "out").mkdir()
        self.admin(f"GRANT READ FILES ON LOCATION '{folder}/in' TO USER alice")
        self.admin(f"GRANT WRITE FILES ON LOCATION '{folder}/out/' TO USER alice")

    def admin(self, sql: str) -> None:
        self.platform.run(self.platform.session(), sql)

    def fetch(self, *paths: str | Path, most: int = 10**6) -> dict[str, str]:
        """What is fetched, by its name, with a umask that hides everything."""
        before = os.umask(0o077)
        try:
            return self._fetch(*paths, most=most)
        finally:
            os.umask(before)

    def _fetch(self, *paths: str | Path, most: int) -> dict[str, str]:
        inbox = self.folder / f"inbox-{len(list(self.folder.iterdir()))}"
        inbox.mkdir(mode=0o755)
        names, _ = self.files.fetch(self.alice, [str(path) for path in paths], inbox, most=most)
        assert all((inbox / name).exists() for name in names)
        for path in inbox.rglob("*"):
            assert path.stat().st_mode & 0o005 >= (5 if path.is_dir() else 4)
        return {
            str(path.relative_to(inbox)): path.read_text()
            for path in sorted(inbox.rglob("*"))
            if path.is_file()
        }

    def refused(self, *paths: str | Path) -> ErrorCode:
        with pytest.raises(HeadwaterError) as refused:
            self.fetch(*paths)
        return refused.value.code


@pytest.fixture
def world(platform: Platform, tmp_path: Path) -> World:
    return World(platform, tmp_path)


def test_a_folder_a_file_and_a_pattern(world: World) -> None:
    folder = world.folder
    everything = {
        "0/a=1/x.csv": "in/a=1/x.csv",
        "0/secret/s.csv": "in/secret/s.csv",
        "0/y.csv": "in/y.csv",
    }
    assert world.fetch(folder / "in") == everything
    assert world.fetch(f"file://{folder}/in/") == everything
    assert world.fetch(folder / "in" / "y.csv") == {"0/y.csv": "in/y.csv"}
    assert world.fetch(f"{folder}/in/*.csv") == {"0/y.csv": "in/y.csv"}
    assert world.refused(folder / "in" / "nothing") is ErrorCode.FILE_NOT_FOUND
    assert world.refused(f"{folder}/in/*.zip") is ErrorCode.FILE_NOT_FOUND


def test_nothing_beside_it(world: World) -> None:
    folder = world.folder
    for path in (
        folder / "in2",
        folder / "in2/z.csv",
        folder,
        folder / "home/token",
        "/etc/passwd",
        "/proc/self/environ",
        f"{folder}/*",
        f"{folder}/i*/y.csv",
        "s3://bucket/x",
        folder / "nothing-here",
    ):
        assert world.refused(path) is DENIED, path
    for path in (
        f"{folder}/in/../home/token",
        "relative",
        f"{folder}/in/%2e%2e/home",
        f"{folder}/in/*/../../home/token",
    ):
        assert world.refused(path) in (DENIED, ErrorCode.INVALID_LOCATION), path


def test_links_are_worth_what_they_lead_to(world: World) -> None:
    folder = world.folder
    (folder / "in/link.csv").symlink_to(folder / "home/token")
    assert world.refused(folder / "in/link.csv") is DENIED
    assert world.refused(folder / "in") is DENIED
    (folder / "in/link.csv").unlink()
    (folder / "in/folder").symlink_to(folder / "home")
    assert world.refused(folder / "in/folder/token") is DENIED
    assert world.refused(folder / "in/folder") is DENIED
    assert "home/token" not in world.fetch(folder / "in").values(), "folders are not followed"
    (folder / "in/y2.csv").symlink_to(folder / "in/y.csv")
    assert world.fetch(folder / "in/y2.csv") == {"0/y2.csv": "in/y.csv"}
    os.mkfifo(folder / "in/pipe")
    world.fetch(folder / "in")


def test_denies_win_below_a_grant(world: World) -> None:
    world.admin(f"DENY READ FILES ON LOCATION '{world.folder}/in/secret' TO USER alice")
    assert world.refused(world.folder / "in/secret/s.csv") is DENIED
    assert world.refused(world.folder / "in") is DENIED
    assert world.fetch(world.folder / "in/a=1") == {"0/x.csv": "in/a=1/x.csv"}


def test_revoke_and_show(world: World) -> None:
    location = f"LOCATION '{world.folder}/in'"
    shown = world.platform.rows(world.alice, f"SHOW GRANTS ON {location}")
    assert [row[3:7] for row in shown] == [
        ("grant", "READ FILES", "location", f"file://{world.folder}/in")
    ]
    world.admin(f"REVOKE READ FILES ON {location} FROM USER alice")
    assert world.refused(world.folder / "in/y.csv") is DENIED


def test_rights_on_the_catalog_are_no_rights_on_files(world: World) -> None:
    files = LocationFiles(world.platform.parts.access, ())
    for user in ("alice", "admin"):
        session = world.platform.session(user)
        with pytest.raises(HeadwaterError) as refused:
            files.fetch(session, [str(world.folder / "in2")], world.folder, most=10)
        assert refused.value.code is DENIED
    for sql in (
        "GRANT READ FILES ON CATALOG lake TO USER alice",
        f"GRANT SELECT ON LOCATION '{world.folder}/in2' TO USER alice",
        f"GRANT ALL PRIVILEGES ON LOCATION '{world.folder}/in2' TO USER alice",
        "GRANT READ FILES ON LOCATION '/' TO USER alice",
        "GRANT READ FILES ON LOCATION '/etc' TO USER alice",
        f"GRANT READ FILES ON LOCATION '{world.platform.parts.settings.home_path}' TO USER alice",
        f"GRANT READ FILES ON LOCATION '{world.folder}/../x' TO USER alice",
    ):
        with pytest.raises(HeadwaterError):
            world.admin(sql)


def test_only_who_manages_grants_them(world: World) -> None:
    with pytest.raises(HeadwaterError) as refused:
        world.platform.run(
            world.alice, f"GRANT READ FILES ON LOCATION '{world.folder}/in2' TO USER alice"
        )
    assert refused.value.code is DENIED


def test_no_room(world: World) -> None:
    with pytest.raises(HeadwaterError) as refused:
        world.fetch(world.folder / "in", most=5)
    assert refused.value.code is ErrorCode.EXCEEDED_RESULT_SIZE


def test_writing(world: World) -> None:
    out, made = world.folder / "out/result", world.folder / "outbox/w"

    def make(**files: str) -> None:
        made.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (made / name).write_text(text)

    make(one="1")
    (made / "evil").symlink_to("/etc/passwd")
    os.link(world.folder / "home/token", made / "token")
    (made / "folder").symlink_to(world.folder / "home")
    assert world.files.check_target(world.alice, str(out), WriteMode.ERROR_IF_EXISTS)
    assert world.files.publish(world.alice, made, str(out), WriteMode.ERROR_IF_EXISTS) == 1
    assert [path.name for path in out.iterdir()] == ["one"]
    with pytest.raises(HeadwaterError) as refused:
        world.files.check_target(world.alice, str(out), WriteMode.ERROR_IF_EXISTS)
    assert refused.value.code is ErrorCode.TABLE_ALREADY_EXISTS
    assert not world.files.check_target(world.alice, str(out), WriteMode.IGNORE)
    (made / "one").unlink()
    make(two="2")
    world.files.publish(world.alice, made, str(out), WriteMode.APPEND)
    assert sorted(path.name for path in out.iterdir()) == ["one", "two"]
    world.files.publish(world.alice, made, str(out), WriteMode.OVERWRITE)
    assert [path.name for path in out.iterdir()] == ["two"]
    assert [path.name for path in out.parent.iterdir()] == ["result"]
    (world.folder / "out/away").symlink_to(world.folder / "home")
    for path in (world.folder / "in/x", world.folder / "home/x", world.folder / "out/away"):
        with pytest.raises(HeadwaterError) as refused:
            world.files.publish(world.alice, made, str(path), WriteMode.OVERWRITE)
        assert refused.value.code is DENIED


def test_objects_of_s3_are_files_like_others(
    world: World, embedded_s3: EmbeddedS3, tmp_path: Path
) -> None:
    """What Spark's plans and job runs read from S3: granted prefixes, less what is denied."""
    endpoint = embedded_s3.endpoint
    s3 = s3_client(endpoint)
    s3.create_bucket(Bucket="plans")
    for key in ("in/a.csv", "in/x/b.csv", "in/y/b.csv", "in/_SUCCESS", "in2/c.csv", "in/no/d.csv"):
        s3.put_object(Bucket="plans", Key=key, Body=key.encode())
    world.files = LocationFiles(world.platform.parts.access, (), S3Objects(endpoint))
    assert world.refused("s3://plans/in/a.csv") is DENIED
    world.admin("GRANT READ FILES ON LOCATION 's3://plans/in' TO USER alice")
    assert world.fetch("s3://plans/in/a.csv") == {"0/a.csv": "in/a.csv"}
    assert world.fetch("s3a://plans/in/x") == {"0/b.csv": "in/x/b.csv"}
    assert world.fetch("s3://plans/in/?/*.csv") == {
        "0/b.csv": "in/x/b.csv",
        "0/1-b.csv": "in/y/b.csv",
    }
    assert world.refused("s3://plans/in/nothing") is ErrorCode.FILE_NOT_FOUND
    for path in ("s3://plans/in2/c.csv", "s3://plans/", "s3://plans/i*/c.csv"):
        assert world.refused(path) is DENIED
    everything = world.fetch("s3://plans/in/")
    assert sorted(everything) == ["0/a.csv", "0/no/d.csv", "0/x/b.csv", "0/y/b.csv"]
    world.admin("DENY READ FILES ON LOCATION 's3://plans/in/no' TO USER alice")
    assert world.refused("s3://plans/in/") is DENIED
    with pytest.raises(HeadwaterError) as refused:
        world.fetch("s3://plans/in/a.csv", most=3)
    assert refused.value.code is ErrorCode.EXCEEDED_RESULT_SIZE
    world.admin("GRANT WRITE FILES ON LOCATION 's3://plans/in' TO USER alice")
    with pytest.raises(HeadwaterError) as refused:
        world.files.check_target(world.alice, "s3://plans/in/out", WriteMode.APPEND)
    assert refused.value.code is ErrorCode.NOT_SUPPORTED
