"""Releases: installed whole or not at all, with a tiny release of its own; and the real ones."""

import hashlib
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

from headwater.errors import ErrorCode, HeadwaterError
from headwater.runtimes.releases.definition import DEFINITIONS, fits_python, load, names
from headwater.runtimes.releases.store import ReleaseStore
from releases_fixture import installed_release, release_store

BACKEND = """
import os, pathlib, time, zipfile
place = pathlib.Path({place!r})
def build_wheel(directory, config_settings=None, metadata_directory=None):
    with open(place / "built", "a") as marks:
        marks.write(f"{{os.getpid()}}\\n")
    while (place / "wait").exists():
        time.sleep(0.02)
    name = "slow-1.0-py3-none-any.whl"
    info = "slow-1.0.dist-info"
    wheel_file = "Wheel-Version: 1.0\\nGenerator: x\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
    with zipfile.ZipFile(os.path.join(directory, name), "w") as wheel:
        wheel.writestr("slow.py", "WORD = 'slow'")
        wheel.writestr(f"{{info}}/METADATA", "Metadata-Version: 2.1\\nName: slow\\nVersion: 1.0\\n")
        wheel.writestr(f"{{info}}/WHEEL", wheel_file)
        wheel.writestr(f"{{info}}/RECORD", f"slow.py,,\\n{{info}}/RECORD,,\\n")
    return name
"""


class Lab:
    """A folder with declarations, packages and a store of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages = folder / "packages"
        self.definitions = folder / "definitions"
        self.root = folder / "releases"
        for path in (self.packages, self.definitions):
            path.mkdir()
        self.store = ReleaseStore(self.root, self.definitions)

    def wheel(self) -> str:
        """Makes the package `tiny`; its hash."""
        path = self.packages / "tiny-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            body = b"WORD = 'tiny'\n"
            digest = fetch_digest(body)
            wheel.writestr("tiny.py", body)
            info = "tiny-1.0.dist-info"
            wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
            wheel.writestr(
                f"{info}/WHEEL",
                "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            )
            wheel.writestr(
                f"{info}/RECORD", f"tiny.py,sha256={digest},{len(body)}\n{info}/RECORD,,\n"
            )
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def sdist(self) -> str:
        """Makes the package `slow`, whose build waits while the file `wait` is there; its hash."""
        path = self.packages / "slow-1.0.tar.gz"
        project = (
            '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
            '[project]\nname = "slow"\nversion = "1.0"\n'
        )
        files = {
            "pyproject.toml": project,
            "backend.py": BACKEND.format(place=str(self.folder)),
            "PKG-INFO": "Metadata-Version: 2.2\nName: slow\nVersion: 1.0\n",
        }
        with tarfile.open(path, "w:gz") as archive:
            for name, text in files.items():
                entry = tarfile.TarInfo(f"slow-1.0/{name}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def declare(self, name: str, lock: str, more: str = "", python: str = ">=3.11,<4.0") -> None:
        (self.definitions / f"{name}.toml").write_text(
            f'summary = "a test"\npython = "{python}"\n{more}'
        )
        (self.definitions / f"{name}.lock").write_text(lock)

    def start(self, name: str) -> subprocess.Popen[str]:
        """Installs in another process."""
        code = (
            "import sys; from pathlib import Path\n"
            "from headwater.runtimes.releases.store import ReleaseStore\n"
            "store = ReleaseStore(Path(sys.argv[1]), Path(sys.argv[2]))\n"
            "print(store.install(sys.argv[3]).path)\n"
        )
        argv = [sys.executable, "-c", code, str(self.root), str(self.definitions), name]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def left(self) -> list[str]:
        """What lies in the store beside locks and marks of use."""
        if not self.root.exists():
            return []
        names = (str(path.relative_to(self.root)) for path in self.root.iterdir())
        return sorted(name for name in names if not name.endswith(".lock") and ".used" not in name)


def fetch_digest(body: bytes) -> str:
    import base64

    return base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b"=").decode()


@pytest.fixture
def lab(tmp_path, monkeypatch):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "packages"))
    return Lab(tmp_path)


def until(condition, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_release_is_installed_used_and_removed(lab):
    lab.declare("tiny", f"tiny==1.0 --hash=sha256:{lab.wheel()}\n")
    assert lab.store.installed("tiny") is None
    heard = []
    release = lab.store.ensure("tiny", lambda what, share: heard.append((what, share)))
    done = [share for _, share in heard]
    assert done == sorted(done)
    assert done[-1] == 1.0
    said = subprocess.run(
        [release.python, "-I", "-c", "import tiny; print(tiny.WORD, tiny.__cached__)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.startswith("tiny ")
    assert str(release.path) in said
    assert release.packages["tiny"] == "1.0"
    assert lab.store.verify("tiny") == []
    # another look finds it without the packages
    shutil.rmtree(lab.packages)
    assert lab.store.ensure("tiny") == release
    [status] = lab.store.list()
    assert status.installed == release
    assert status.last_used is not None
    archive = lab.root / "archives" / f"{release.identity}-java.jsa"
    archive.parent.mkdir()
    archive.touch()
    assert lab.store.collect(1) == []
    assert archive.exists()
    assert lab.store.collect(-1) == [f"tiny/{release.identity}"]
    assert lab.store.installed("tiny") is None
    assert not archive.exists()
    assert not lab.store.remove("tiny")


def test_a_changed_declaration_is_another_release(lab):
    lock = f"tiny==1.0 --hash=sha256:{lab.wheel()}\n"
    lab.declare("tiny", lock)
    first = lab.store.ensure("tiny")
    lab.declare("tiny", lock, '[conf]\n"spark.sql.x" = "1"\n')
    assert lab.store.installed("tiny") is None
    second = lab.store.ensure("tiny")
    assert second.path != first.path
    assert first.path.is_dir()  # whatever runs on it goes on
    assert lab.store.remove("tiny")
    assert lab.left() == ["tiny"] or lab.left() == []


def test_a_package_with_another_hash_is_refused_and_nothing_is_installed(lab):
    lab.wheel()
    lab.declare("tiny", f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(HeadwaterError) as raised:
        lab.store.ensure("tiny")
    assert raised.value.code is ErrorCode.RELEASE_INVALID
    assert "tiny" in raised.value.message
    assert lab.store.installed("tiny") is None
    assert lab.left() in ([], ["tiny"])


def test_without_a_network_it_says_what_to_do(lab, monkeypatch):
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://user:hidden@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    lab.declare("tiny", f"tiny==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(HeadwaterError) as raised:
        lab.store.ensure("tiny")
    assert raised.value.code is ErrorCode.RELEASE_UNAVAILABLE
    assert "mirror" in raised.value.hint
    assert "hidden" not in str(raised.value)
    assert lab.store.installed("tiny") is None


def test_a_killed_installation_leaves_nothing_half(lab):
    lab.declare("slow", f"slow==1.0 --hash=sha256:{lab.sdist()}\n")
    (lab.folder / "wait").touch()
    installing = lab.start("slow")
    until(lambda: (lab.folder / "built").exists())
    builder = int((lab.folder / "built").read_text().split()[0])
    assert any(name.startswith(".slow.") for name in lab.left())
    installing.send_signal(signal.SIGKILL)
    installing.communicate()
    assert lab.store.installed("slow") is None
    (lab.folder / "wait").unlink()
    release = lab.store.ensure("slow")
    assert lab.left() == ["slow"]
    assert lab.store.verify("slow") == []
    assert release.packages["slow"] == "1.0"
    until(lambda: not Path(f"/proc/{builder}").exists())


def test_two_installations_at_once_make_one(lab):
    lab.declare("slow", f"slow==1.0 --hash=sha256:{lab.sdist()}\n")
    (lab.folder / "wait").touch()
    both = [lab.start("slow") for _ in range(2)]
    until(lambda: (lab.folder / "built").exists())
    time.sleep(0.5)
    (lab.folder / "wait").unlink()
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0] == said[1][0]
    assert len((lab.folder / "built").read_text().split()) == 1


def test_a_changed_file_is_found(lab):
    lab.declare("tiny", f"tiny==1.0 --hash=sha256:{lab.wheel()}\n")
    release = lab.store.ensure("tiny")
    [file] = release.path.glob("venv/lib/*/site-packages/tiny.py")
    file.write_text("WORD = 'evil'\n")
    assert lab.store.verify("tiny") == [str(file.relative_to(release.path))]
    file.unlink()
    assert lab.store.verify("tiny") == [str(file.relative_to(release.path))]


def test_a_jar_with_another_checksum_is_refused_and_nothing_is_installed(lab):
    if shutil.which("mvn") is None:
        pytest.skip("Maven is not installed")
    lab.declare(
        "jars",
        f"tiny==1.0 --hash=sha256:{lab.wheel()}\n",
        f'[[jars]]\ncoordinates = "io.delta:delta-storage:4.1.0"\nsha256 = "{"0" * 64}"\n',
    )
    with pytest.raises(HeadwaterError) as raised:
        lab.store.ensure("jars")
    if raised.value.code is ErrorCode.RELEASE_UNAVAILABLE:
        if os.environ.get("HEADWATER_TESTS_REQUIRE_ALL") == "1":
            raise raised.value
        pytest.skip("the jar cannot be fetched here")
    assert raised.value.code is ErrorCode.RELEASE_INVALID
    assert "delta-storage" in raised.value.message
    assert lab.store.installed("jars") is None
    assert not list(lab.root.glob("jars/*"))


def test_an_unknown_release_and_an_unfit_python_are_named(lab):
    with pytest.raises(HeadwaterError) as raised:
        lab.store.ensure("../tiny")
    assert raised.value.code is ErrorCode.RELEASE_NOT_FOUND
    lab.declare("later", "", python=">=3.98,<3.99")
    with pytest.raises(HeadwaterError) as raised:
        lab.store.ensure("later")
    assert raised.value.code is ErrorCode.RELEASE_UNAVAILABLE
    assert "3.98" in raised.value.message
    with pytest.raises(HeadwaterError) as raised:
        lab.store.verify("later")
    assert raised.value.code is ErrorCode.RELEASE_NOT_FOUND


def test_python_versions_are_compared_as_numbers():
    assert fits_python(">=3.9,<3.13", (3, 11))
    assert not fits_python(">=3.9,<3.13", (3, 13))
    assert not fits_python(">=3.11", (3, 9))


@pytest.mark.parametrize("name", names())
def test_what_is_declared_is_pinned(name):
    """Every requirement is locked with hashes, and no file names where things come from."""
    definition = load(name)
    text = (DEFINITIONS / f"{name}.toml").read_text()
    declared = tomllib.loads(text)
    locked = definition.lock
    for requirement in declared["requirements"]:
        assert re.search(rf"^{re.match('[a-z-]+', requirement)[0]}==", locked, re.MULTILINE)
    pins = [line for line in locked.splitlines() if not line.startswith(" ")]
    assert all("==" in pin for pin in pins if pin)
    assert locked.count("--hash=sha256:") >= len(pins)
    assert "://" not in text + locked + definition.build_lock + definition.java_lock
    assert bool(definition.java) == any(pin.startswith("pyspark==") for pin in pins)
    assert definition.summary
    assert definition.features


@pytest.mark.parametrize("name", ["sail", "spark-4.1"])
def test_the_real_releases_are_as_they_were_installed(name):
    installed_release(name)
    assert release_store().verify(name) == []
    started = time.monotonic()
    assert release_store().ensure(name)
    assert time.monotonic() - started < 2
