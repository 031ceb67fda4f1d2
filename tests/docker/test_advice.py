"""What Docker says when something fails, as it really says it, and the line that helps."""

from __future__ import annotations

import pytest

from labkit.docker.advice import because

SOCKET = "/var/run/docker.sock"
HELP = {
    "sudo usermod -aG docker $USER": [
        f"permission denied while trying to connect to the Docker daemon socket at unix://{SOCKET}",
        f'Get "http://x/_ping": dial unix {SOCKET}: connect: permission denied',
    ],
    "The Docker engine does not answer": [
        f"Cannot connect to the Docker daemon at unix://{SOCKET}. Is the docker daemon running?",
        "error during connect: this error may indicate that the docker daemon is not running",
        "dial tcp 127.0.0.1:2375: connect: connection refused",
        "error reading from server: EOF",
        'Post "http://%2Fvar%2Frun%2Fdocker.sock/v1.41/containers/create": EOF\n',
        'level=error msg="error waiting for container: unexpected EOF"',
        "read unix @->/var/run/docker.sock: read: connection reset by peer",
    ],
    "The engine's disk is full": [
        "write /var/lib/docker/tmp/GetImageBlob1: no space left on device",
        "dd: error writing '/big.bin': No space left on device",
    ],
    "The hub limits pulls": [
        "toomanyrequests: You have reached your pull rate limit.",
        "You have reached your unauthenticated pull rate limit",
    ],
    "another number before the colon of -p": [
        "Bind for 127.0.0.1:8080 failed: port is already allocated",
        "listen tcp4 0.0.0.0:80: bind: address already in use",
    ],
    "`labkit prefetch`": [
        "dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: no such host",
        "lookup registry-1.docker.io: server misbehaving",
        "dial tcp 44.205.64.79:443: i/o timeout",
        "dial tcp 44.205.64.79:443: connect: network is unreachable",
        'Get "https://registry-1.docker.io/v2/": proxyconnect tcp: Forbidden',
        'Get "https://registry-1.docker.io/v2/": context deadline exceeded',
        "net/http: TLS handshake timeout",
    ],
    "check the spelling; `docker images`": [
        "Error response from daemon: No such image: nosuch:latest",
        "manifest for busybox:nosuch not found: manifest unknown: manifest unknown",
        "pull access denied for nosuch, repository does not exist or may require 'docker login'",
        "docker.io/library/nosuch:latest: not found: does not exist",
    ],
    "`docker ps -a` lists all": ["Error response from daemon: No such container: nosuch"],
}


@pytest.mark.parametrize("words,told", [(words, told) for told in HELP for words in HELP[told]])
def test_each_failure_is_told_what_helps(words: str, told: str) -> None:
    assert told in because(words) and "\n" not in because(words)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "EOF is the end of a file",
        "ls: /nosuch: No such file or directory",
        "ls: can't open '/root': Permission denied",
        "unknown flag: --frobnicate",
    ],
)
def test_words_that_are_enough_are_left_alone(words: str) -> None:
    assert because(words) == ""
