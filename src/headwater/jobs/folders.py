"""Where runs' files are: HOME/runs/<id>/{entry/, journal.json, <attempt>/…}."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import stat
from pathlib import Path
from typing import BinaryIO

from headwater.errors import ErrorCode, error
from headwater.jobs.folder import AttemptFolder
from headwater.model.run import Run

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
EVENT_LOGS = "spark-events"
"""The folder in a run's own that a Spark in it writes its event logs to."""

_LONGEST_LOG = 256 * 1024 * 1024
_UPLOAD = re.compile(r"[0-9a-f]{32}")


class RunFolders:
    """Makes, finds and removes the folders of runs in one home."""

    def __init__(self, home: Path) -> None:
        self.path = home / "runs"
        self.uploads = home / "runs" / ".uploads"
        for folder in (self.path, self.uploads):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.ready_file = home / "ready.json"

    @property
    def driver(self) -> str:
        """This home's name among those that share a metastore; made once."""
        path = self.path / ".driver"
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            name = secrets.token_hex(8)
            partial = path.with_suffix(".partial")
            partial.write_text(name)
            partial.rename(path)
            return name

    def run(self, run_id: str) -> Path:
        """The folder of a run."""
        return self.path / run_id

    def attempt(self, run_id: str, number: int) -> AttemptFolder:
        """The folder of an attempt."""
        return AttemptFolder(self.run(run_id) / str(number))

    def entry(self, run: Run) -> Path:
        """Where a run's program is."""
        return self.run(run.id) / "entry" / run.spec.entry.name

    def event_logs(self, run_id: str, number: int) -> list[Path]:
        """The logs that Spark left in an attempt's folder, at most ten of 256 MiB."""
        return event_logs(self.attempt(run_id, number))

    def place_entry(self, run_id: str, name: str) -> Path:
        """Makes a run's folder; the path where its program goes."""
        folder = self.run(run_id) / "entry"
        folder.mkdir(mode=0o700, parents=True)
        return folder / name

    def write_token(self, folder: AttemptFolder, token: str) -> None:
        """Keeps the attempt's token in a file of mode 0600; the folder is 0700."""
        partial = folder.secrets / ".token.partial"
        partial.unlink(missing_ok=True)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(token)
        partial.rename(folder.secrets / "token")

    def remove_secrets(self, folder: AttemptFolder) -> None:
        """Removes the token of an attempt that has ended, wherever it was written."""
        shutil.rmtree(folder.secrets, ignore_errors=True)
        shutil.rmtree(folder.sockets, ignore_errors=True)

    def remove(self, run_id: str) -> None:
        """Removes all of a run's files."""
        shutil.rmtree(self.run(run_id), ignore_errors=True)

    def upload(self) -> tuple[str, Path]:
        """An id for a file that is being sent, and where its bytes go."""
        upload_id = secrets.token_hex(16)
        return upload_id, self.uploads / upload_id

    def take_upload(self, upload_id: str, owner_id: str, target: Path) -> None:
        """Moves the owner's upload to its run; raises FILE_NOT_FOUND."""
        source = self.uploads / upload_id
        if not _UPLOAD.fullmatch(upload_id) or self._owner(source) != owner_id:
            raise error(
                ErrorCode.FILE_NOT_FOUND,
                "there is no such upload",
                hint="send the file to /api/v1/job-files first; an upload is good for one run",
            )
        try:
            source.rename(target)
        except FileNotFoundError as exc:
            raise error(ErrorCode.FILE_NOT_FOUND, "there is no such upload") from exc
        source.with_suffix(".owner").unlink(missing_ok=True)

    def keep_upload(self, upload_id: str, owner_id: str) -> None:
        """Registers an upload that has arrived in full."""
        (self.uploads / upload_id).with_suffix(".owner").write_text(owner_id)

    def forget_uploads(self, before: float) -> None:
        """Removes uploads that nobody used, older than a Unix time."""
        for path in self.uploads.iterdir():
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < before:
                    path.unlink()

    def _owner(self, path: Path) -> str | None:
        try:
            return path.with_suffix(".owner").read_text()
        except FileNotFoundError:
            return None


def event_logs(attempt: AttemptFolder) -> list[Path]:
    """The logs that Spark left in an attempt's folder, at most ten of 256 MiB."""
    folder = attempt.work / EVENT_LOGS
    if folder.is_symlink() or not folder.is_dir():
        return []
    found = [each for each in sorted(folder.iterdir()) if not each.name.startswith(".")]
    return [each for each in found if each.lstat().st_size <= _LONGEST_LOG][:10]


def good_name(name: str) -> str:
    """The last part of a file name, if it is plain; raises INVALID_ARGUMENT."""
    last = name.replace("\\", "/").rpartition("/")[2]
    if not _NAME.fullmatch(last):
        raise error(
            ErrorCode.INVALID_ARGUMENT,
            f"{last[:40]!r} is no good name for a run's file",
            hint="use letters, digits and . _ -",
        )
    return last


def sha256_of(path: Path) -> str:
    """The file's SHA-256, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_plain(path: Path) -> BinaryIO:
    """Opens a file that a run wrote; refuses links and what is no regular file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise error(ErrorCode.INVALID_FILE, f"{path.name} is no regular file")
    return file
