"""The local hub's images: stand-ins named as on Docker Hub, always the same bytes.

They are built in a private engine and pushed to the hub, so the engine that lessons use is never
touched.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from dockerd import HUB, Dockerd, EngineError

RECIPES = Path(__file__).parent / "standins"
# Order matters: httpd is built on the debian that the hub then already serves.
STANDINS = {
    "hello-world": "latest",
    "busybox": "latest",
    "debian": "bookworm-slim",
    "httpd": "latest",
}
# Everything in an image that is newer gets this date (reproducible-builds.org): the day Debian 12
# came out.
EPOCH = 1686355200
CREATED = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH))
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def key(name: str) -> str:
    """What a stand-in depends on: its recipe, debian's for httpd, this file, and the machine."""
    folders = [RECIPES / name, *([RECIPES / "debian"] if name == "httpd" else [])]
    files = sorted(file for folder in folders for file in folder.iterdir() if file.is_file())
    digest = hashlib.sha256(platform.machine().encode())
    for file in [*files, Path(__file__)]:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def served(name: str) -> bool:
    """Whether the hub has this stand-in (Docker Registry HTTP API V2, `HEAD manifests`)."""
    url = f"{HUB}/v2/library/{name}/manifests/{STANDINS[name]}"
    request = urllib.request.Request(url, method="HEAD", headers={"Accept": MANIFEST})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:  # URLError and HTTPError are OSErrors
        return False


def missing(record: Path) -> list[str]:
    """The stand-ins that the hub does not serve, or serves as built from another recipe."""
    built = json.loads(record.read_text()) if record.exists() else {}
    return [name for name in STANDINS if built.get(name) != key(name) or not served(name)]


def build(names: list[str], busybox: Path, record: Path, log: Path) -> Iterator[tuple[str, float]]:
    """Build and push stand-ins in order. Yields each name with its seconds. Raises EngineError."""
    log.write_text("")
    with Dockerd() as engine:
        for name in names:
            start = time.monotonic()
            tag = f"{HUB.removeprefix('http://')}/library/{name}:{STANDINS[name]}"
            with tempfile.TemporaryDirectory(prefix="standin-") as folder:
                context = Path(folder, "context")
                shutil.copytree(RECIPES / name, context)
                env = {
                    **engine.env,
                    "SOURCE_DATE_EPOCH": str(EPOCH),
                    "LABKIT_BUSYBOX": str(busybox),
                    "DOCKER_BUILDKIT": "0",
                    "LC_ALL": "C.UTF-8",
                }

                saved, settled = Path(folder, "saved.tar"), Path(folder, "settled.tar")
                if (context / "prepare.py").exists():
                    run([sys.executable, "prepare.py"], context, env, log)
                run(
                    ["docker", "build", "--network=host", "--force-rm", "--tag", tag, "."],
                    context,
                    env,
                    log,
                )
                run(["docker", "save", "--output", str(saved), tag], context, env, log)
                settle(saved, settled)
                run(["docker", "load", "--input", str(settled)], context, env, log)
                run(["docker", "push", tag], context, env, log)
            built = json.loads(record.read_text()) if record.exists() else {}
            record.write_text(json.dumps({**built, name: key(name)}, indent=1) + "\n")
            yield name, time.monotonic() - start


def run(argv: list[str], where: Path, env: dict[str, str], log: Path) -> None:
    """Run one step of a build; when interrupted, end all that it started.

    Raises EngineError when it fails.
    """
    with log.open("a") as out:
        print("$", *argv, file=out, flush=True)
        step = subprocess.Popen(
            argv, cwd=where, env=env, stdout=out, stderr=out, start_new_session=True
        )
        try:
            step.wait()
        except BaseException:
            os.killpg(step.pid, signal.SIGTERM)  # SIGTERM, so that mmdebstrap removes its own files
            step.wait()
            raise
    if step.returncode:
        last = log.read_text(errors="replace").strip().splitlines()[-1]
        raise EngineError(f"{Path(argv[0]).name} {argv[1]} failed: {last} (log: {log})")


# A build stamps the hour and the engine into an image, so its id would differ on every machine.
# `settle` takes them out again: what remains depends only on the recipe and the package versions.


def settle(saved: Path, settled: Path) -> None:
    """Copy a `docker save` archive, newer dates set to EPOCH, the builder's traces gone."""
    with tarfile.open(saved) as source, tarfile.open(settled, "w") as target:
        entry = json.load(opened(source, "manifest.json"))[0]
        config = json.load(opened(source, entry["Config"]))
        layers, diff_ids = [], []
        for path in entry["Layers"]:
            with tempfile.TemporaryFile() as layer:
                clamp(opened(source, path), layer)
                layer.seek(0)
                diff_ids.append(hashlib.file_digest(layer, "sha256").hexdigest())
                layers.append(f"{diff_ids[-1]}/layer.tar")
                append(target, layers[-1], layer)
        config["rootfs"]["diff_ids"] = [f"sha256:{digest}" for digest in diff_ids]
        config["created"] = CREATED
        for step in config["history"]:
            step["created"] = CREATED
        for trace in ("container", "container_config", "docker_version"):
            config.pop(trace, None)
        for trace in ("Hostname", "Image"):
            config["config"].pop(trace, None)
        data = json.dumps(config, sort_keys=True, separators=(",", ":")).encode()
        image = f"{hashlib.sha256(data).hexdigest()}.json"
        append(target, image, io.BytesIO(data))
        manifest = [{"Config": image, "RepoTags": entry["RepoTags"], "Layers": layers}]
        append(target, "manifest.json", io.BytesIO(json.dumps(manifest).encode()))


def opened(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(
        name
    )  # follows the links that `docker save` makes for a layer used twice
    if file is None:
        raise EngineError(f"docker save wrote no file {name}")
    return file


def append(archive: tarfile.TarFile, name: str, data: IO[bytes]) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mtime = data.seek(0, os.SEEK_END), EPOCH
    data.seek(0)
    archive.addfile(info, data)


def clamp(source: IO[bytes], target: IO[bytes]) -> None:
    """Copy a layer: with a newer date in it written anew, else as it is, byte for byte."""
    with tarfile.open(fileobj=source, mode="r:") as layer:
        newer = any(member.mtime > EPOCH for member in layer)
        if newer:
            with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as copy:
                for member in layer:
                    member.mtime = min(int(member.mtime), EPOCH)
                    dates = ("mtime", "atime", "ctime")
                    member.pax_headers = {
                        k: v for k, v in member.pax_headers.items() if k not in dates
                    }
                    copy.addfile(member, layer.extractfile(member) if member.isreg() else None)
    if not newer:
        source.seek(0)
        shutil.copyfileobj(source, target)
