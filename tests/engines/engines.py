#!/usr/bin/env python3
"""Bring up what live tests need, on Debian or Ubuntu as root.

    engines.py up | down | status [engine …]

docker      An engine that is already running is used as it is. Otherwise dockerd is installed if
            need be, and started. With it comes a hub, a registry on 127.0.0.1, port 5000 or
            $LABKIT_HUB_PORT, that the engine asks before Docker Hub, with stand-ins for the images
            of the lessons.
qemu        qemu-img and qemu-io, and what makes and checks partitions and file systems.
virtualbox  A VBoxManage that is already there is used as it is. Otherwise VirtualBox is made in a
            folder, and /usr/local/bin/VBoxManage, or $LABKIT_VBOXMANAGE, runs it. It can do all but
            start machines.

Files, logs and pids are in /var/lib/labkit-engines, or in $LABKIT_ENGINES_DIR. `down` stops what
`up` started and removes nothing: neither packages, nor images, nor the hub's storage, nor
VirtualBox, which the next `up` finds again.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import standins
import virtualbox
from dockerd import HUB, EngineError, command_line, forget_dead_containerd, ping, spawn, wait_until

STATE = Path(os.environ.get("LABKIT_ENGINES_DIR", "/var/lib/labkit-engines"))
VIRTUALBOX = STATE / "virtualbox"
SOCKET = "/var/run/docker.sock"
QEMU = {
    "qemu-img": "qemu-utils",
    "qemu-io": "qemu-utils",
    "sfdisk": "fdisk",
    "mke2fs": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
}
LOCK = ["-o", "DPkg::Lock::Timeout=300"]  # another apt may be at work: wait for it


class Step:
    """What a step says when it is done; set `text` inside the block."""

    def __init__(self) -> None:
        self.text = ""


@contextmanager
def step() -> Iterator[Step]:
    """One line for one step, with its seconds."""
    start, said = time.monotonic(), Step()
    yield said
    say(said.text, time.monotonic() - start)


def say(text: str, seconds: float = 0.0) -> None:
    print(f"engines: {seconds:5.1f} s  {text}", flush=True)


# ---- programs ------------------------------------------------------------------------------------


def apt(*argv: str, where: Path | None = None) -> None:
    """Run apt-get; on failure refresh the package lists once and try again. Raises EngineError."""
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}

    def once(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["apt-get", "-q", *LOCK, *words],
            cwd=where,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    done = once(*argv)
    if done.returncode:
        once("update")
        done = once(*argv)
    if done.returncode:
        lines = done.stderr.splitlines()
        reason = [line for line in lines if line.startswith("E:")] or lines or ["no reason given"]
        raise EngineError(f"apt-get {argv[0]} failed: {reason[0]}")


def lacking(programs: dict[str, str]) -> list[str]:
    """The packages of those programs that are missing; a user's PATH may lack /usr/sbin."""
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
    return sorted(
        {package for program, package in programs.items() if not shutil.which(program, path=path)}
    )


def install(**programs: str) -> None:
    """Install the packages of those programs (program=package) that are not there yet."""
    packages = lacking(programs)
    if not packages:
        return
    names = ", ".join(packages)
    if not shutil.which("apt-get"):
        raise EngineError(f"{names} missing and no apt-get to install it: install it by hand")
    if os.geteuid() != 0:
        raise EngineError(f"{names} missing, and only root can install it: install it, or be root")
    with step() as done:
        apt("install", "-y", "--no-install-recommends", *packages)
        done.text = f"packages: installed {names}"


def install_mmdebstrap() -> None:
    install(mmdebstrap="mmdebstrap")
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():  # Ubuntu
        apt("install", "-y", "--no-install-recommends", "debian-archive-keyring")


def unpacked(package: str, program: str) -> Path:
    """A program out of a package that is unpacked in STATE rather than installed.

    Installed, docker-registry would start a service of its own, and busybox-static would remove
    busybox.
    """
    folder = STATE / "tools" / package
    if not (folder / program).exists():
        with step() as done:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            apt("download", package, where=folder)
            deb = next(folder.glob("*.deb"))
            subprocess.run(["dpkg-deb", "--extract", deb, folder], check=True)
            deb.unlink()
            done.text = f"packages: unpacked {package} in {folder}"
    return folder / program


def running(name: str) -> int:
    """The pid that `up` wrote for NAME if that process still lives, and is the one; else 0."""
    file = STATE / f"{name}.pid"
    pid = int(file.read_text() or 0) if file.exists() else 0
    return pid if pid and str(STATE) in command_line(pid) else 0


def stop(name: str, seconds: float) -> None:
    """Stop the process that `up` started as NAME, if any."""
    pid = running(name)
    if not pid:
        say(f"{name}: none of ours is running")
        return
    with step() as done:
        os.kill(pid, signal.SIGTERM)
        deadline, how = time.monotonic() + seconds, "stopped"
        while running(name):
            if time.monotonic() > deadline and how == "stopped":
                os.kill(pid, signal.SIGKILL)
                how = f"killed: it did not stop in {seconds:.0f} s"
            time.sleep(0.05)
        (STATE / f"{name}.pid").unlink(missing_ok=True)
        done.text = f"{name}: {how}"


# ---- docker --------------------------------------------------------------------------------------


def docker(*argv: str, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["docker", *argv], capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(argv, 124, "", f"no answer in {seconds:.0f} s")


def engine() -> str:
    """Name and version of the engine that `docker` talks to; empty when none answers."""
    if not shutil.which("docker"):
        return "Docker" if ping(SOCKET) else ""
    done = docker("version", "--format", "{{.Server.Version}}", seconds=20)
    return f"Docker {done.stdout.strip()}" if done.returncode == 0 and done.stdout.strip() else ""


def ours() -> bool:
    """Whether the engine that `docker` talks to is one that `up` started."""
    return bool(running("dockerd")) and os.environ.get("DOCKER_HOST") in (
        None,
        "",
        f"unix://{SOCKET}",
    )


def up_docker() -> bool:
    """Make sure that an engine answers. Returns whether it is ours, hence asks our hub."""
    found = engine()
    if found and not ours():
        where = os.environ.get("DOCKER_HOST") or "its usual socket"
        say(f"docker: {found} is already running at {where}; used as it is")
        return False
    if found:
        say(f"docker: already running, {found}")
        return True
    if host := os.environ.get("DOCKER_HOST"):
        raise EngineError(
            f"no engine answers at DOCKER_HOST={host}: start that one, or unset DOCKER_HOST"
        )
    if os.geteuid() != 0:
        raise EngineError(
            "no Docker engine answers, and only root can bring one up: start yours, or be root"
        )
    install(dockerd="docker.io", iptables="iptables", ip="iproute2")
    install(
        docker="docker-cli"
    )  # a package of its own since Debian 13; before, docker.io brought it
    if found := engine():
        say(f"docker: the package started {found}; used as it is")
        return False
    with step() as done:
        # The flags and the machine's own daemon.json may not say the same thing twice, so use an
        # empty one.
        config, log, pid = STATE / "daemon.json", STATE / "dockerd.log", STATE / "dockerd.pid"
        config.write_text("{}\n")
        pid.unlink(missing_ok=True)
        forget_dead_containerd(Path("/var/run/docker"))
        process = spawn(
            [
                "dockerd",
                f"--host=unix://{SOCKET}",
                f"--registry-mirror={HUB}",
                f"--pidfile={pid}",
                f"--config-file={config}",
            ],
            log,
        )
        wait_until(lambda: ping(SOCKET), process, 60, log)
        done.text = f"docker: started {engine()} (log: {log})"
    return True


def pullable() -> None:
    """Say whether an engine that is not ours can get the lessons' images.

    Raises EngineError if not.
    """
    if docker("image", "inspect", "hello-world").returncode == 0:
        say("hub: not needed, as this engine is not ours; it has hello-world")
        return
    with step() as done:
        pull = docker("pull", "--quiet", "hello-world")
        if pull.returncode:
            reason = (pull.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise EngineError(f"this engine is not ours and cannot pull hello-world: {reason}")
        docker("image", "rm", "hello-world")
        done.text = "hub: not needed, as this engine is not ours; it can pull hello-world"


# ---- the local hub -------------------------------------------------------------------------------


def hub_answers() -> bool:
    try:
        with urllib.request.urlopen(f"{HUB}/v2/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def up_hub() -> None:
    """Serve the stand-ins, building those that are missing or whose recipe changed."""
    if running("registry") and hub_answers():
        say(f"hub: already running at {HUB}")
    elif hub_answers():
        raise EngineError(
            f"another registry than ours answers at {HUB}: stop it, or set LABKIT_HUB_PORT"
        )
    else:
        found = shutil.which("docker-registry")
        program = Path(found) if found else unpacked("docker-registry", "usr/bin/docker-registry")
        with step() as done:
            config, log = STATE / "registry.yml", STATE / "registry.log"
            config.write_text(
                "version: 0.1\n"
                "log: {level: warn, accesslog: {disabled: true}}\n"
                f"storage: {{filesystem: {{rootdirectory: {STATE / 'registry'}}}}}\n"
                f"http: {{addr: '{HUB.removeprefix('http://')}'}}\n"
            )
            process = spawn([str(program), "serve", str(config)], log)
            (STATE / "registry.pid").write_text(f"{process.pid}\n")
            wait_until(hub_answers, process, 20, log)
            done.text = f"hub: started at {HUB} (log: {log})"
    record = STATE / "standins.json"
    missing = standins.missing(record)
    if missing:
        install_mmdebstrap()
        busybox = unpacked("busybox-static", "bin/busybox")
        for name, seconds in standins.build(missing, busybox, record, STATE / "build.log"):
            say(f"hub: built {name}:{standins.STANDINS[name]}", seconds)
    say(f"hub: serves {', '.join(f'{name}:{tag}' for name, tag in standins.STANDINS.items())}")


# ---- commands ------------------------------------------------------------------------------------
# A status raises EngineError when something that `up` would bring up is not there.


def docker_up() -> None:
    if up_docker():
        up_hub()
    else:
        pullable()


def docker_down() -> None:
    stop("dockerd", 40)
    stop("registry", 10)


def docker_status() -> None:
    found = engine()
    if not found:
        raise EngineError("docker: no engine answers; run engines.py up")
    say(f"docker: {found}, {'ours' if ours() else 'not ours'}")
    if ours():
        missing = (
            standins.missing(STATE / "standins.json") if hub_answers() else list(standins.STANDINS)
        )
        if missing:
            raise EngineError(f"hub: {', '.join(missing)} not served at {HUB}; run engines.py up")
        say(f"hub: {HUB} serves all stand-ins")


def qemu_up() -> None:
    install(**QEMU)
    qemu_status()


def qemu_down() -> None:
    say("qemu: nothing of it stays running")


def qemu_status() -> None:
    if packages := lacking(QEMU):
        raise EngineError(f"qemu: {', '.join(packages)} missing; run engines.py up")
    said = subprocess.run(
        ["qemu-img", "--version"], capture_output=True, text=True, check=True
    ).stdout
    say(f"qemu: {said.splitlines()[0]}")


def virtualbox_up() -> None:
    if found := virtualbox.others(VIRTUALBOX):
        say(f"virtualbox: {virtualbox.version(found)} is at {found}; used as it is")
        if virtualbox.is_ours(virtualbox.WRAPPER, VIRTUALBOX):  # of before that one came
            virtualbox.WRAPPER.unlink()
            say(f"virtualbox: removed our {virtualbox.WRAPPER}, which may hide it")
        return
    virtualbox.check_wrapper(VIRTUALBOX)
    if not VIRTUALBOX.exists():
        if os.geteuid() != 0:
            raise EngineError(
                "no VBoxManage here, and only root can bring one up: install VirtualBox, or be root"
            )
        install_mmdebstrap()
        with step() as done:
            virtualbox.build(VIRTUALBOX, STATE / "virtualbox.log")
            done.text = f"virtualbox: made {VIRTUALBOX}"
    with step() as done:
        virtualbox.wrap(VIRTUALBOX)
        done.text = (
            f"virtualbox: {virtualbox.version(str(virtualbox.WRAPPER))} is at {virtualbox.WRAPPER}"
        )


def virtualbox_down() -> None:
    """End the servers that run from our folder: unused, they would end by themselves in seconds."""
    pids = virtualbox.servers(VIRTUALBOX)
    if not pids:
        say("virtualbox: no VBoxSVC of ours is running")
        return
    with step() as done:
        deadline, number = time.monotonic() + 10, signal.SIGTERM
        while left := set(pids) & set(virtualbox.servers(VIRTUALBOX)):
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            if time.monotonic() > deadline:
                number = signal.SIGKILL
            time.sleep(0.05)
        done.text = f"virtualbox: stopped {len(pids)} VBoxSVC"


def virtualbox_status() -> None:
    mine = virtualbox.WRAPPER if virtualbox.is_ours(virtualbox.WRAPPER, VIRTUALBOX) else None
    found = virtualbox.others(VIRTUALBOX) or (str(mine) if mine and VIRTUALBOX.exists() else "")
    if not found:
        raise EngineError("virtualbox: no VBoxManage here; run engines.py up")
    say(
        f"virtualbox: {virtualbox.version(found)} is at {found}, "
        f"{'ours' if found == str(mine) else 'not ours'}"
    )


COMMANDS: dict[str, dict[str, Callable[[], None]]] = {
    "up": {"docker": docker_up, "qemu": qemu_up, "virtualbox": virtualbox_up},
    "down": {"docker": docker_down, "qemu": qemu_down, "virtualbox": virtualbox_down},
    "status": {"docker": docker_status, "qemu": qemu_status, "virtualbox": virtualbox_status},
}


def main() -> int:
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("engine", nargs="*", choices=[*COMMANDS["up"], "all"], default="all")
    words = parser.parse_args()
    steps = [
        run
        for name, run in COMMANDS[words.command].items()
        if name in words.engine or "all" in words.engine
    ]
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(143)
    )  # an exception, so the builder's engine is removed
    try:
        with ExitStack() as stack:
            if (
                words.command != "status" and os.geteuid() == 0
            ):  # others only look, and use what is there
                STATE.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context((STATE / "lock").open("w"))
                fcntl.flock(
                    lock, fcntl.LOCK_EX
                )  # one at a time: a second `up` waits, then finds all running
            for run in steps:
                run()
    except (EngineError, OSError, subprocess.SubprocessError) as error:
        print(f"engines: failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "engines: failed: interrupted; what was started keeps running until `down`",
            file=sys.stderr,
        )
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
