"""Attacks on the sandbox, on every rung that works here, as root and as a user."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from headwater.runtimes.sandbox import sandbox, watch
from headwater.runtimes.sandbox.cgroups import Leaf
from headwater.runtimes.sandbox.sandbox import (
    Bind,
    Limits,
    Sandbox,
    SandboxKind,
    SandboxLevel,
    command,
    level,
)
from headwater.runtimes.supervisor import Launched

PYTHON = os.path.realpath(sys.executable)
BASE = Path(os.path.realpath(sys.base_prefix))
SECRET = "s3cret-of-the-server"
PRELUDE = """
import ctypes, json, os, resource, signal, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def tried(act):
    try:
        value = act()
    except BaseException as exc:
        return type(exc).__name__
    return value
def called(number, *arguments):
    if libc.syscall(number, *arguments) >= 0:
        return "worked"
    return os.strerror(ctypes.get_errno())
def tell(value):
    print(json.dumps(value))
"""


@dataclass
class Jail:
    """Runs Python code confined: on one rung, as root or as a user."""

    level: SandboxLevel
    as_user: bool
    folder: Path

    def __call__(self, code: str, *arguments: object, **options: object):
        ended = self.run(code, *arguments, **options)
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def run(self, code: str, *arguments: object, seconds: float = 60, **options: object):
        if self.as_user:  # as another user than root, who yet finds the files of this checkout
            prefix = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
        else:
            prefix = []
        confined = self.command(code, *arguments, **options)
        return subprocess.run(
            [*prefix, *confined.argv],
            env={**confined.environment, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=seconds,
            pass_fds=options.get("keep", ()),
        )

    def command(self, code: str, *arguments: object, **options: object):
        options.setdefault("ro", (BASE,))
        argv = [PYTHON, "-I", "-c", PRELUDE + textwrap.dedent(code), *map(str, arguments)]
        return command(argv, Sandbox(**options), self.level)


@pytest.fixture(
    params=[(kind, user) for kind in ("bubblewrap", "landlock") for user in (False, True)],
    ids=lambda param: f"{param[0]}-{'user' if param[1] else 'server'}",
)
def jail(request, tmp_path, monkeypatch):
    kind, as_user = request.param
    found = level(SandboxKind(kind))
    if found.kind != kind:
        if os.environ.get("HEADWATER_TESTS_REQUIRE_ALL") == "1":
            pytest.fail(found.detail)
        pytest.skip(found.detail)
    if as_user:
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            pytest.skip("needs root, to become a user who can read this checkout")
        monkeypatch.setattr(sandbox, "_is_root", lambda: False)
        monkeypatch.setattr(os, "getuid", lambda: 1000)
        monkeypatch.setattr(os, "getgid", lambda: 1000)
    monkeypatch.setenv("HEADWATER_TEST_SECRET", SECRET)
    return Jail(found, as_user, tmp_path)


def own_files(jail: Jail):
    inbox, outbox = jail.folder / "inbox", jail.folder / "outbox"
    inbox.mkdir()
    outbox.mkdir()
    (inbox / "table.parquet").write_text("rows")
    binds = {"ro": (BASE, Bind(inbox, "/inbox")), "rw": (Bind(outbox, "/outbox"),)}
    return inbox, outbox, binds


def test_it_sees_no_files_of_the_machine(jail):
    private = jail.folder / "private"
    private.write_text(SECRET)
    seen = jail(
        """
        def users(): return "root:" in open("/etc/passwd").read()
        tell({
            "users": tried(users),
            "private": tried(lambda: open(sys.argv[1]).read()),
            "home": tried(lambda: os.listdir(os.path.dirname(sys.argv[1]))),
            "root": tried(lambda: os.listdir("/root")),
            "var": tried(lambda: os.listdir("/var")),
            "escape": tried(lambda: open("/proc/self/root/var/log/dpkg.log").read()),
            "cwd": tried(lambda: open("/proc/1/cwd/etc/hostname").read()),
            "shadow": tried(lambda: open("/etc/shadow").read()),
        })
        """,
        private,
    )
    # the interpreter may live below /root; its path is then all there is to see
    assert seen.pop("root") in ("PermissionError", "FileNotFoundError", [".pyenv"])
    assert seen.pop("users") in (False, "PermissionError")
    assert all(value in ("PermissionError", "FileNotFoundError") for value in seen.values()), seen


def test_the_inbox_cannot_be_changed_and_the_outbox_can(jail):
    inbox, outbox, binds = own_files(jail)
    file = inbox / "table.parquet"
    file.chmod(0o666)
    before = file.stat()
    inside = Bind(inbox, "/inbox").seen(jail.level), Bind(outbox, "/outbox").seen(jail.level)
    seen = jail(
        """
        inbox, outbox = sys.argv[1:]
        file = inbox + "/table.parquet"
        changes = {
            "write": lambda: open(file, "a").write("x"),
            "truncate": lambda: os.truncate(file, 0),
            "chmod": lambda: os.chmod(file, 0o777),
            "chown": lambda: os.chown(file, os.getuid(), os.getgid()),
            "times": lambda: os.utime(file, (0, 0)),
            "xattr": lambda: os.setxattr(file, "user.x", b"1"),
            "unlink": lambda: os.unlink(file),
            "rename": lambda: os.rename(file, inbox + "/other"),
            "link": lambda: os.link(file, outbox + "/link"),
            "link inside": lambda: os.link(file, inbox + "/link"),
            "create": lambda: open(inbox + "/new", "w"),
            "mkdir": lambda: os.mkdir(inbox + "/folder"),
        }
        tell({
            "read": tried(lambda: open(file).read()),
            "out": tried(lambda: open(outbox + "/result", "w").write("done")),
            "changes": {name: tried(change) for name, change in changes.items()},
        })
        """,
        *inside,
        **binds,
    )
    assert seen["read"] == "rows"
    assert seen["out"] == 4
    assert (outbox / "result").read_text() == "done"
    worked = {name: how for name, how in seen["changes"].items() if not str(how).endswith("Error")}
    assert not worked
    after = file.stat()
    assert (after.st_mode, after.st_uid, after.st_mtime_ns, after.st_nlink) == (
        (before.st_mode, before.st_uid, before.st_mtime_ns, before.st_nlink)
    )
    assert sorted(path.name for path in inbox.iterdir()) == ["table.parquet"]


def test_it_cannot_look_into_other_processes(jail):
    with subprocess.Popen(["sleep", "60"], env={"SECRET": SECRET}) as other:
        try:
            seen = jail(
                """
                found = []
                for pid in filter(str.isdigit, os.listdir("/proc")):
                    for name in ("environ", "mem", "maps", "auxv", "syscall", "stack"):
                        if int(pid) == os.getpid(): continue
                        try:
                            with open(f"/proc/{pid}/{name}", "rb") as file:
                                if name == "mem": file.seek(4096)
                                data = file.read(65536)
                        except OSError:
                            continue
                        # its own first process and helpers may be seen, the secret may not
                        if sys.argv[2].encode() in data or pid == sys.argv[1]:
                            found.append((pid, name))
                iovec = (ctypes.c_size_t * 2)(0, 0)
                tell({
                    "found": found,
                    "attach": called(101, 16, int(sys.argv[1]), 0, 0),
                    "trace me": called(101, 0, 0, 0, 0),
                    "read": called(310, int(sys.argv[1]), iovec, 1, iovec, 1, 0),
                    "pidfd": called(438, 0, 0, 0),
                    "signal": tried(lambda: os.kill(int(sys.argv[1]), 9)),
                })
                """,
                other.pid,
                SECRET,
            )
            assert seen.pop("found") == []
            assert seen.pop("signal") in ("PermissionError", "ProcessLookupError")
            assert set(seen.values()) == {"Operation not permitted"}, seen
            assert other.poll() is None
        finally:
            other.kill()


def test_it_has_no_network(jail):
    name = f"headwater-test-{os.getpid()}"
    path = Path("/tmp") / f"{name}.sock"
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        named.bind(str(path))
        stack.callback(path.unlink)
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        abstract.bind("\0" + name)
        for listener in (tcp, udp, named, abstract):
            listener.setblocking(False)
        named.listen()
        abstract.listen()
        seen = jail(
            """
            tcp, udp, path, name = sys.argv[1:]
            def connect(family, address):
                with socket.socket(family) as connection:
                    connection.settimeout(2)
                    connection.connect(address)
            def send():
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
                    datagram.sendto(b"x", ("127.0.0.1", int(udp)))
            def of(family, kind=socket.SOCK_STREAM):
                with socket.socket(family, kind):
                    return "worked"
            tried(send)  # goes nowhere where there is a loopback of its own
            tell({
                "tcp": tried(lambda: connect(socket.AF_INET, ("127.0.0.1", int(tcp)))),
                "far": tried(lambda: connect(socket.AF_INET, ("192.0.2.1", 80))),
                "unix": tried(lambda: connect(socket.AF_UNIX, path)),
                "abstract": tried(lambda: connect(socket.AF_UNIX, chr(0) + name)),
                "name": tried(lambda: socket.gethostbyname("example.org")),
                "vsock": tried(lambda: of(socket.AF_VSOCK)),
                "packet": tried(lambda: of(socket.AF_PACKET, socket.SOCK_RAW)),
                "raw": tried(lambda: of(socket.AF_INET, socket.SOCK_RAW)),
                "crypto": tried(lambda: of(socket.AF_ALG, socket.SOCK_SEQPACKET)),
            })
            """,
            tcp.getsockname()[1],
            udp.getsockname()[1],
            path,
            name,
        )
        assert all(how not in (None, "worked") for how in seen.values()), seen
        with pytest.raises(BlockingIOError):
            udp.recv(10)
        for listener in (tcp, named, abstract):
            with pytest.raises(BlockingIOError):
                listener.accept()


def test_it_has_the_machines_network_where_it_is_given_it(jail):
    if jail.level.kind is not SandboxKind.BUBBLEWRAP:
        pytest.skip("Landlock gives single ports only")
    with socket.create_server(("127.0.0.1", 0)) as server:
        seen = jail(
            """
            with socket.create_connection(("localhost", int(sys.argv[1])), 5):
                tell("connected")
            """,
            server.getsockname()[1],
            network=True,
        )
    assert seen == "connected"


def test_it_cannot_reach_the_kernels_corners(jail):
    seen = jail(
        """
        NEWUSER, NEWNET, NEWNS = 0x10000000, 0x40000000, 0x20000
        calls = {
            "user namespace": (272, NEWUSER), "network namespace": (272, NEWNET),
            "clone": (56, NEWUSER | NEWNS | 17, 0, 0, 0, 0),
            "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0), "chroot": (161, b"/tmp"),
            "pivot": (155, b"/tmp", b"/tmp"), "setns": (308, 0, 0), "umount": (166, b"/proc", 2),
            "keys": (250, 0, 0), "bpf": (321, 0, 0, 0), "perf": (298, 0, 0, 0, 0, 0),
            "io_uring": (425, 1, 0), "userfault": (323, 1), "mount api": (430, b"tmpfs", 0),
            "handle": (304, 0, 0, 0), "module": (175, 0, 0, 0), "swap": (167, b"/x", 0),
        }
        def more():
            resource.setrlimit(resource.RLIMIT_NPROC, (10**6, 10**6))
            return "worked"
        def root():
            os.setuid(0)
            return "worked"
        tell({
            "calls": {name: called(*call) for name, call in calls.items()},
            "clone3": called(435, 0, 0),
            "limits": tried(more),
            "root": tried(root),
            "device": tried(lambda: os.mknod("/tmp/disk", 0o60600, os.makedev(254, 0))),
            "memory": tried(lambda: open("/dev/mem", "rb")),
            "uid": os.getuid(),
        })
        """
    )
    assert set(seen["calls"].values()) == {"Operation not permitted"}, seen["calls"]
    assert seen["clone3"] == "Function not implemented"
    assert seen["limits"].endswith("Error")
    assert seen["root"] in ("PermissionError", "OSError")  # the latter: there is no such user
    assert seen["device"].endswith("Error")
    assert seen["memory"].endswith("Error")
    assert seen["uid"] != 0


def test_descriptors_of_the_server_are_not_inherited(jail):
    private = jail.folder / "private"
    private.write_text(SECRET)
    leaked = os.open(private, os.O_RDONLY)
    os.set_inheritable(leaked, True)
    mine, theirs = socket.socketpair()
    kept = theirs.fileno()
    try:
        seen = jail(
            """
            found = {}
            for number in map(int, os.listdir("/proc/self/fd")):
                found[number] = tried(lambda: os.fstat(number).st_mode)
            tell(sorted(number for number, mode in found.items() if mode != "OSError"))
            """,
            keep=(kept,),
        )
    finally:
        os.close(leaked)
        mine.close()
        theirs.close()
    assert set(seen) == {0, 1, 2, kept}


def test_memory_ends_at_the_limit(jail):
    seen = jail(
        """
        def eat():
            return len(bytearray(1 << 30))
        tell(tried(eat))
        """,
        limits=Limits(memory_bytes=256 * 1024**2),
    )
    assert seen == "MemoryError"


def test_temporary_files_end_at_the_limit(jail):
    mark = Path("/dev/shm") / f"headwater-{os.getpid()}"
    mark.write_text(SECRET)
    try:
        seen = jail(
            """
            def fill(folder):
                with open(folder + "/big", "wb") as file:
                    for _ in range(64):
                        file.write(bytes(1 << 20))
                    return file.tell()
            tell({
                "shared": tried(lambda: fill("/dev/shm")),
                "temporary": tried(lambda: fill("/tmp")),
                "others": tried(lambda: open(sys.argv[1]).read()),
                "dev": tried(lambda: fill("/dev")),
                "root": tried(lambda: fill("/")),
                "etc": tried(lambda: fill("/etc")),
                "run": tried(lambda: fill("/run")),
            })
            """,
            mark,
            limits=Limits(temporary_bytes=8 * 1024**2),
        )
    finally:
        mark.unlink()
    assert all(str(how).endswith("Error") for how in seen.values()), seen


def test_a_fork_bomb_stays_within_its_limit(jail):
    if jail.as_user:
        pytest.skip("the kernel never counts the processes of the machine's root")
    seen = jail(
        """
        children = []
        try:
            while len(children) < 500:
                pid = os.fork()
                if not pid:
                    signal.pause()
                children.append(pid)
        except OSError as exc:
            print(json.dumps([type(exc).__name__, len(children)]))
        for pid in children:
            os.kill(pid, 9)
        """,
        limits=Limits(processes=40),
    )
    assert seen[0] == "BlockingIOError"
    assert 20 < seen[1] <= 40


def test_processor_time_ends_at_the_limit(jail):
    ended = jail.run("while True: pass", limits=Limits(cpu_seconds=1))
    assert ended.returncode != 0
    assert not ended.stdout


def test_it_dies_with_the_thread_that_started_it(jail):
    if jail.as_user:
        pytest.skip("the same on this rung as for the server")
    starter = subprocess.Popen(
        jail.command("print('up', flush=True); signal.pause()").argv,
        stdout=subprocess.PIPE,
        env={},
    )
    # a parent in between, whose death is the one that counts
    starter.kill()
    starter.communicate()
    code = (
        "import json, subprocess, sys, time\n"
        "child = subprocess.Popen(json.loads(sys.argv[1]), stdout=subprocess.PIPE, env={})\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)\n"
    )
    argv = json.dumps(list(jail.command("print('up', flush=True); signal.pause()").argv))
    with subprocess.Popen([PYTHON, "-c", code, argv], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        tree = [pid, *_below(pid)]
        parent.kill()
    deadline = time.monotonic() + 5
    while any(_runs(member) for member in tree) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_runs(member) for member in tree)


def test_the_whole_tree_ends_when_it_is_killed(jail):
    if jail.level.kind is not SandboxKind.BUBBLEWRAP:
        pytest.skip("needs processes of its own; elsewhere its control group is killed")
    confined = jail.command(
        """
        for _ in range(3):
            if not os.fork():
                os.setsid()
                if not os.fork():
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    signal.pause()
                os._exit(0)
        signal.pause()
        """
    )
    child = Launched(confined)
    deadline = time.monotonic() + 10
    while len(tree := _below(child.pid)) < 5 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(tree) >= 5
    assert watch.sample(child.pid).processes >= 5
    child.signal(signal.SIGKILL)
    child.wait()
    deadline = time.monotonic() + 5
    while any(_runs(member) for member in tree) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(_runs(member) for member in tree)


def test_a_control_group_counts_and_kills():
    group = Leaf.create(f"headwater-test-{os.getpid()}")
    if not group.exists:
        pytest.skip("no control group can be made here")
    try:
        confined = command(
            ("/bin/sh", "-c", "while :; do :; done"),
            Sandbox(cgroup=group),
            level(),
        )
        child = Launched(confined)
        time.sleep(0.5)
        group.kill()
        assert child.wait().status == -signal.SIGKILL
        assert group.cpu_seconds() > 0.05
    finally:
        group.end()
    assert not Leaf.find(group.name).exists


def test_the_level_says_why_it_is_not_better(monkeypatch):
    monkeypatch.setattr(sandbox, "bubblewrap_path", lambda: None)
    level.cache_clear()
    try:
        found = level()
    finally:
        level.cache_clear()
    assert found.kind is not SandboxKind.BUBBLEWRAP
    assert "not installed" in found.detail


def _below(pid: int) -> list[int]:
    import psutil

    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
