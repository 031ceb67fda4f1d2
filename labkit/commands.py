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
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from labkit.errors import LabError, MissingProgram
from labkit.messages import N_

GRACE = 1.5  # seconds a command has to end after an interrupt, and again after a request to end
LAST_WORDS = 0.5  # seconds its output may still take then; a grandchild may hold it for longer

Chunk = tuple[str, str]  # ("out" | "err", text)


class Result(NamedTuple):
    """What one command did."""

    argv: tuple[str, ...]
    code: int  # the exit status; negative for a signal, as in subprocess.Popen.returncode
    chunks: tuple[Chunk, ...] = ()  # in the order they arrived
    seconds: float = 0.0  # wall time

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
        return "".join(text for _stream, text in self.chunks)


class Interrupted(LabError):
    """The user interrupted a command; it has ended. ``result`` holds what it had printed."""

    def __init__(self, result: Result) -> None:
        super().__init__(
            N_(
                "Stopped by you after {seconds:.0f} s: {program} has ended, nothing is left "
                "running. Run the cell again when you like."
            ),
            seconds=result.seconds,
            program=result.argv[0],
        )
        self.result = result


def merge(chunks: Sequence[Chunk]) -> tuple[Chunk, ...]:
    """Join neighbours of the same stream."""
    merged: list[Chunk] = []
    for stream, text in chunks:
        if merged and merged[-1][0] == stream:
            merged[-1] = (stream, merged[-1][1] + text)
        elif text:
            merged.append((stream, text))
    return tuple(merged)


class _Output:
    """What a process prints, read by a thread a stream; ``stdin`` is fed to it by one more."""

    def __init__(self, process: subprocess.Popen[bytes], stdin: str | None) -> None:
        self.chunks: list[Chunk] = []
        self._arrived: queue.SimpleQueue[Chunk] = queue.SimpleQueue()
        pipes = {"out": process.stdout, "err": process.stderr}
        jobs = [partial(self._pump, stream, pipe) for stream, pipe in pipes.items() if pipe]
        self._open = len(jobs)
        if process.stdin:
            jobs.append(partial(_feed, process.stdin, (stdin or "").encode("utf-8", "replace")))
        for job in jobs:
            threading.Thread(target=job, daemon=True).start()

    def _pump(self, stream: str, pipe: IO[bytes]) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("backslashreplace").decode
        with pipe:
            while data := pipe.read1(65536):  # type: ignore[attr-defined]
                self._arrived.put((stream, decode(data)))
        self._arrived.put((stream, decode(b"", True)))
        self._arrived.put(("end", stream))

    def follow(self, seconds: float | None, on_text: Callable[[str], None] | None = None) -> None:
        """Collect until all streams end. Raises :class:`queue.Empty` if that takes longer."""
        begun = time.perf_counter()
        while self._open:
            left = None if seconds is None else max(0.0, begun + seconds - time.perf_counter())
            stream, text = self._arrived.get(timeout=left)
            if stream == "end":
                self._open -= 1
            elif text:
                self.chunks.append((stream, text))
                if on_text:
                    on_text(text)


def _feed(pipe: IO[bytes], data: bytes) -> None:
    try:
        with pipe:
            pipe.write(data)
    except BrokenPipeError:
        return  # the command ended without reading all of it, as it may


def _end(process: subprocess.Popen[bytes]) -> None:
    """Bring a command to its end: interrupt, then terminate, then kill."""
    signals = [signal.SIGTERM] if sys.platform == "win32" else [signal.SIGINT, signal.SIGTERM]
    for number in signals:
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            continue
    process.kill()  # nothing happens to one that has ended
    process.wait()


def start(
    argv: Sequence[str],
    stdin: str | None,
    env: Mapping[str, str] | None,
    cwd: Path | None,
    merged: bool,
) -> subprocess.Popen[bytes]:
    """Start ``argv``, and let it go on. Raises :class:`LabError`."""
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merged else subprocess.PIPE,
            env=env,
            cwd=cwd,
        )
    except FileNotFoundError:
        if cwd and not cwd.is_dir():
            raise LabError(
                "The folder {folder} is gone: run the %lesson cell again, which makes it anew.",
                folder=cwd,
            ) from None
        raise MissingProgram(
            "{program} is not installed here, or not on PATH; `labkit doctor` says how to get it.",
            program=argv[0],
        ) from None
    except ValueError:  # UnicodeEncodeError is one
        raise LabError(
            "A command cannot contain a NUL or an unprintable half character; retype that word."
        ) from None
    except OSError as error:
        raise LabError(
            "{program} could not be started: {reason}; check that word or its length.",
            program=argv[0],
            reason=error.strerror or error,
        ) from None


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
    ``cwd`` is the folder it runs in; ``timeout`` is in seconds. ``merged``: both streams through
    one pipe, as "out", for only then their order is certain.

    Raises :class:`MissingProgram` if the program is not there, :class:`Interrupted` after a
    KeyboardInterrupt (the process has ended by then), :class:`LabError` if the system refuses the
    arguments or the time is over.
    """
    argv = tuple(argv)
    started = time.perf_counter()
    process = start(argv, stdin, env, cwd, merged)
    output = _Output(process, stdin)

    def result() -> Result:
        chunks = ((stream, text.replace("\r\n", "\n")) for stream, text in merge(output.chunks))
        return Result(argv, process.returncode, tuple(chunks), time.perf_counter() - started)

    try:
        output.follow(timeout, on_text)
        process.wait()
        return result()
    except queue.Empty:
        raise LabError(
            "{program} did not answer within {timeout:g} s and was stopped: is the engine busy?",
            program=argv[0],
            timeout=timeout,
        ) from None
    except KeyboardInterrupt:
        _end(process)
        with suppress(queue.Empty):
            output.follow(LAST_WORDS)
        raise Interrupted(result()) from None
    finally:
        if process.poll() is None:
            _end(process)
