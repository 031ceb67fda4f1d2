"""Run one command: an argv, never a shell. The only module that starts a process."""

from __future__ import annotations

import codecs
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from labkit.errors import Interrupted, LabError, MissingProgram

GRACE = 1.5  # seconds a command has to end by itself after an interrupt, and again after a request to end


class Result(NamedTuple):
    """What one command did.

    ``chunks`` are ("out" | "err", text) in the order they arrived; ``code`` is the exit status,
    negative for a signal as in :attr:`subprocess.Popen.returncode`; ``seconds`` is wall time.
    """

    argv: tuple[str, ...]
    code: int
    chunks: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.0

    @property
    def out(self) -> str:
        """Standard output alone."""
        return "".join(text for stream, text in self.chunks if stream == "out")

    @property
    def err(self) -> str:
        """Standard error alone."""
        return "".join(text for stream, text in self.chunks if stream == "err")

    @property
    def text(self) -> str:
        """Both streams in the order they arrived, as a terminal shows them."""
        return "".join(text for _, text in self.chunks)


def merge(chunks: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Join neighbours of the same stream."""
    merged: list[tuple[str, str]] = []
    for stream, text in chunks:
        if merged and merged[-1][0] == stream:
            merged[-1] = (stream, merged[-1][1] + text)
        elif text:
            merged.append((stream, text))
    return tuple(merged)


def _pump(stream: str, pipe: IO[bytes], chunks: queue.SimpleQueue[tuple[str, str]]) -> None:
    decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
    with pipe:
        while data := pipe.read1(65536):  # type: ignore[attr-defined]
            chunks.put((stream, decode(data)))
    chunks.put((stream, decode(b"", True)))
    chunks.put(("end", stream))


def _feed(pipe: IO[bytes], data: bytes) -> None:
    try:
        with pipe:
            pipe.write(data)
    except BrokenPipeError:
        return  # the command ended without reading all of it, as it may


def _end(process: subprocess.Popen[bytes]) -> None:
    """Bring a command to its end: interrupt, then terminate, then kill."""
    for stop in (
        None if sys.platform == "win32" else signal.SIGINT,
        signal.SIGTERM,
        getattr(signal, "SIGKILL", None),
    ):
        if process.poll() is not None:
            return
        if stop is not None:
            process.send_signal(stop)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    process.wait()


def run(
    argv: Sequence[str],
    stdin: str | None = None,
    *,
    on_text: Callable[[str], None] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    merged: bool = False,
) -> Result:
    """Run ``argv`` to its end and return what it did; a failing command is a result, not an error.

    ``stdin`` is sent as UTF-8 and closed; ``on_text`` sees each piece of output as it arrives;
    ``cwd`` is the folder it runs in; ``timeout`` is in seconds. ``merged``: both streams through one pipe, as "out",
    for only then their order is certain.

    Raises :class:`MissingProgram` if the program is not there, :class:`Interrupted` after a
    KeyboardInterrupt (the process has ended by then), :class:`LabError` if the system refuses the
    arguments or the time is over.
    """
    argv = tuple(argv)
    started = time.perf_counter()
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            env=None if env is None else dict(env),
            cwd=cwd,
        )
    except FileNotFoundError:
        if cwd and not cwd.is_dir():
            raise LabError(
                f"The folder {cwd} is gone: run the %lesson cell again, which makes it anew."
            ) from None
        raise MissingProgram(
            f"{argv[0]} is not installed here, or not on PATH; `labkit doctor` says how to get it."
        ) from None
    except (ValueError, UnicodeEncodeError):
        raise LabError(
            "A command cannot contain a NUL or an unprintable half character; retype that word."
        ) from None
    except OSError as error:
        raise LabError(
            f"{argv[0]} could not be started: {error.strerror or error}; check that word or its length."
        ) from None
    arrived: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    threads = [
        threading.Thread(target=_pump, args=(name, pipe, arrived), daemon=True)
        for name, pipe in (("out", process.stdout), ("err", process.stderr))
        if pipe
    ]
    open_pipes = len(threads)
    if process.stdin:
        threads.append(
            threading.Thread(
                target=_feed,
                args=(process.stdin, (stdin or "").encode("utf-8", "replace")),
                daemon=True,
            )
        )
    chunks: list[tuple[str, str]] = []

    def result() -> Result:
        whole = tuple((stream, text.replace("\r\n", "\n")) for stream, text in merge(chunks))
        return Result(argv, process.returncode, whole, time.perf_counter() - started)

    try:
        for thread in threads:
            thread.start()
        while open_pipes:
            left = None if timeout is None else max(0.0, started + timeout - time.perf_counter())
            stream, text = arrived.get(timeout=left)
            if stream == "end":
                open_pipes -= 1
                continue
            chunks.append((stream, text))
            if on_text and text:
                on_text(text)
        process.wait()
        return result()
    except queue.Empty:
        _end(process)
        raise LabError(
            f"{argv[0]} did not answer within {timeout:g} s and was stopped: is the engine busy?"
        ) from None
    except KeyboardInterrupt:
        _end(process)
        for thread in threads:
            thread.join(0.5)  # its last words; a grandchild may hold the pipe for longer
        while not arrived.empty():
            stream, text = arrived.get()
            if stream != "end":
                chunks.append((stream, text))
        raise Interrupted(result()) from None
    finally:
        if process.poll() is None:
            _end(process)
