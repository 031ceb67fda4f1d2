"""docker's command line taken apart: the spellings people type."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from live import plain
from samples.errors import refused

from labkit.docker import command_line
from labkit.docker.command_line import Words, flags, full_name, parse
from labkit.errors import LabError

# what is typed → name, options, words; written down from `docker COMMAND --help`
SPELLINGS = [  # options as -x or -x=value
    ("", "", "", ""),
    ("ps", "ps", "", ""),
    ("version", "version", "", ""),
    ("--version", "--version", "", ""),
    ("run busybox", "run", "", "busybox"),
    ("run -dti busybox", "run", "-d -t -i", "busybox"),
    ("run --detach --tty --interactive busybox", "run", "-d -t -i", "busybox"),
    ("run -p8080:80 httpd", "run", "-p=8080:80", "httpd"),
    ("run -p 8080:80 httpd", "run", "-p=8080:80", "httpd"),
    ("run -p=8080:80 httpd", "run", "-p=8080:80", "httpd"),
    ("run --publish 8080:80 httpd", "run", "-p=8080:80", "httpd"),
    ("run -dp 8080:80 httpd", "run", "-d -p=8080:80", "httpd"),
    ("run -P httpd", "run", "-P", "httpd"),
    ("run --name=x httpd", "run", "--name=x", "httpd"),
    ("run --name x httpd", "run", "--name=x", "httpd"),
    ("run --rm=true httpd", "run", "--rm=true", "httpd"),
    ("run -e A=1 -v /a:/b:ro -w / httpd", "run", "-e=A=1 -v=/a:/b:ro -w=/", "httpd"),
    ("run --sig-proxy busybox ls", "run", "--sig-proxy", "busybox ls"),
    ("run busybox ls -la --color=never", "run", "", "busybox ls -la --color=never"),
    ("run --rm -- busybox -x", "run", "--rm", "busybox -x"),
    ("container run -d httpd", "run", "-d", "httpd"),
    ("create -it busybox sh", "create", "-i -t", "busybox sh"),
    ("exec x ls -la", "exec", "", "x ls -la"),
    ("exec -it x sh -c 'a; b'", "exec", "-i -t", "x sh -c 'a; b'"),
    ("exec -e A=1 -u root x env -i", "exec", "-e=A=1 -u=root", "x env -i"),
    ("image ls", "images", "", ""),
    ("image list -q", "images", "-q", ""),
    ("images -f dangling=true", "images", "-f=dangling=true", ""),
    ("images busybox --quiet", "images", "-q", "busybox"),
    ("ps -a -f name=x", "ps", "-a -f=name=x", ""),
    ("ps --all --filter name=x", "ps", "-a --filter=name=x", ""),
    ("ps -aqn 3", "ps", "-a -q -n=3", ""),
    ("container ls -a", "ps", "-a", ""),
    ("container rm -f x", "rm", "-f", "x"),
    ("rm x y -fv", "rm", "-f -v", "x y"),
    ("rm -- -x", "rm", "", "-x"),
    ("image rm busybox -f", "rmi", "-f", "busybox"),
    ("stop -t 5 x", "stop", "-t=5", "x"),
    ("stop x --time=5", "stop", "--time=5", "x"),
    ("start -a x", "start", "-a", "x"),
    ("start --attach x", "start", "--attach", "x"),
    ("restart -s HUP x", "restart", "-s=HUP", "x"),
    ("kill -s HUP x", "kill", "-s=HUP", "x"),
    ("logs -f x", "logs", "-f", "x"),
    ("logs x --follow --tail 5", "logs", "-f --tail=5", "x"),
    ("logs -tn 5 x", "logs", "-t -n=5", "x"),
    ("inspect -f {{.Id}} x", "inspect", "-f={{.Id}}", "x"),
    ("image inspect -f {{.Id}} x", "image inspect", "-f={{.Id}}", "x"),
    ("container inspect x --format {{.Id}}", "container inspect", "--format={{.Id}}", "x"),
    ("history -H --no-trunc x", "history", "-H --no-trunc", "x"),
    ("build -t a:1 -f D .", "build", "-t=a:1 -f=D", "."),
    ("build . -qt a:1", "build", "-q -t=a:1", "."),
    ("build --force-rm --pull -t a .", "build", "--force-rm --pull -t=a", "."),
    ("build --load --no-cache -t a .", "build", "--load --no-cache -t=a", "."),
    ("image build -t a -", "build", "-t=a", "-"),
    ("buildx build -t a .", "build", "-t=a", "."),
    ("cp a x:/b", "cp", "", "a x:/b"),
    ("cp -aL - x:/b", "cp", "-a -L", "- x:/b"),
    ("tag a b:1", "tag", "", "a b:1"),
    ("image tag a b:1", "tag", "", "a b:1"),
    ("commit -p -a me -m why x y:1", "commit", "-p -a=me -m=why", "x y:1"),
    ("commit x -m why y:1", "commit", "-m=why", "x y:1"),
    ("pull -q busybox", "pull", "-q", "busybox"),
    ("pull busybox --all-tags", "pull", "--all-tags", "busybox"),
    ("load -i x.tar", "load", "-i=x.tar", ""),
    ("volume create -d local v", "volume create", "-d=local", "v"),
    ("volume ls -f name=v", "volume ls", "-f=name=v", ""),
    ("volume rm -f v", "volume rm", "-f", "v"),
    ("volume remove v", "volume rm", "", "v"),
    ("network create --internal -d bridge n", "network create", "--internal -d=bridge", "n"),
    ("network connect --link a:b n x", "network connect", "--link=a:b", "n x"),
    ("network --help", "network", "--help", ""),
    ("stats --no-stream x", "stats", "--no-stream", "x"),
    ("events -f type=image --since 1h", "events", "-f=type=image --since=1h", ""),
    ("system df -v", "system df", "-v", ""),
    ("system prune -f", "system prune", "-f", ""),
    ("run --name", "run", "--name", ""),
    ("run -e", "run", "-e", ""),
]


@pytest.mark.parametrize("typed,name,options,words", SPELLINGS, ids=[s[0] for s in SPELLINGS])
def test_spellings(typed: str, name: str, options: str, words: str) -> None:
    given = [option.partition("=")[::2] for option in options.split()]
    assert parse(shlex.split(typed)) == Words(name, given, shlex.split(words))


@pytest.mark.parametrize(
    "one,other",
    [
        ("run -d -p 8080:80 --name x httpd", "run --name=x -dp 8080:80 httpd"),
        ("run --detach --publish=8080:80 httpd", "run -p8080:80 -d httpd"),
        ("image ls -a", "images --all"),
        ("container ls --all", "ps -a"),
        ("container rm x -f", "rm --force x"),
        ("image rm busybox", "rmi busybox"),
        ("container exec -ti x sh", "exec -i -t x sh"),
        ("container commit x y", "commit x y"),
        ("build . -t a", "build -t=a ."),
        ("volume remove v", "volume rm v"),
        ("system info", "info"),
    ],
)
def test_spellings_that_mean_the_same_have_one_key(one: str, other: str) -> None:
    assert parse(one.split()).key == parse(other.split()).key


@pytest.mark.parametrize(
    "one,other",
    [
        ("run -d httpd", "run httpd"),
        ("run httpd ls -a", "run httpd ls"),
        ("run -e A=1 -e A=2 x env", "run -e A=2 -e A=1 x env"),  # the last one wins
        ("exec x ls -a -l", "exec x ls -l -a"),  # not docker's options
        ("tag a b", "tag b a"),
        ("ps -f name=x", "ps -f name=y"),
        ("ps", "ps -a"),
    ],
)
def test_what_means_something_else_has_another_key(one: str, other: str) -> None:
    assert parse(one.split()).key != parse(other.split()).key


COMMANDS = ["run", "rm", "image", "container", "ls", "build", "exec", "volume", "network", "buildx"]
OTHERS = ["cp", "--", "-", "-d", "-it", "-p", "--name", "--name=x", "-f", "--rm", "busybox", "x:y"]


@settings(max_examples=300)
@given(st.lists(st.one_of(st.text(max_size=6), st.sampled_from([*COMMANDS, *OTHERS])), max_size=8))
def test_no_words_whatever_are_too_odd(argv: list[str]) -> None:
    try:
        words = parse(argv)
    except LabError as error:
        assert argv[0].startswith("-") and "\n" not in str(error).replace(argv[0], "")
        return
    assert words.key[0] == "docker" and all(isinstance(word, str) for word in words.key)
    assert isinstance(words.reads_only, bool)
    assert parse(argv).key == words.key


@given(st.sampled_from(["run", "exec", "container run"]), st.lists(st.text(max_size=8), max_size=5))
def test_what_follows_the_image_is_never_read(name: str, words: list[str]) -> None:
    assert parse([*name.split(), "-i", "x", *words]).words == ["x", *words]


@pytest.mark.parametrize(
    "option", ["-H", "--host=tcp://x", "--context", "-c", "--config", "-D", "-l"]
)
def test_an_option_for_another_engine_is_refused(option: str) -> None:
    assert "one engine" in refused(parse, [option, "ps"])


READING = """
ps -a|images|image ls|history x|inspect x|image inspect x|logs x|diff x|info|version|search x|port x
top x|volume ls|network inspect x|system df|rm --help|run --help|--version|save x|events|stats x
wait x|
"""
CHANGING = """
run x|create x|rm x|rmi x|pull x|build .|commit x|tag a b|exec x ls|cp a b|start x|stop x|kill x
rename a b|volume create|volume rm x|network create x|network connect a b|system prune|load|import x
update x|pause x|login|swarm init|frobnicate
"""


def test_what_only_looks_and_what_may_change_something() -> None:
    for text, reads_only in ((READING, True), (CHANGING, False)):
        for typed in re.split(r"[|\n]", text.strip("\n")):
            assert parse(typed.split()).reads_only == reads_only, typed


# -- options without a value -------------------------------------------------------------------

TABLE = re.findall(
    "^([a-z ]+):", Path(command_line.__file__).with_name("flags.txt").read_text(), re.M
)


def test_each_line_of_the_table_is_a_command_as_it_is_taken_apart() -> None:
    assert [parse(command.split()).name for command in TABLE] == TABLE == sorted(set(TABLE))


def below(*command: str) -> Iterator[tuple[str, ...]]:
    """All commands that the docker on PATH has below one, of plug-ins none."""
    names = re.findall(r"^  ([a-z]+)  +\S", plain(*command, "--help"), re.M)
    for name in names:
        yield from below(*command, name)
    if not names:
        yield command


@pytest.mark.live("docker")
@pytest.mark.usefixtures("on_engine")
def test_the_table_agrees_with_the_docker_on_path() -> None:
    commands = list(below())
    assert len(commands) > 100
    for command in commands:
        name = parse(command).name
        assert name in TABLE, f"{name} is no line of the table"
        shown = re.findall(
            r"^ {2,6}(?:(-\w), )?(--[\w-]+)( \S+)?(?:  |$)", plain(*command, "--help"), re.M
        )
        for letter, option, value in shown:
            for spelling in filter(None, (letter, option)):
                assert (spelling not in flags(name)) == bool(value), (name, spelling)


# -- names of images ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name,full",
    [
        ("busybox", "busybox:latest"),
        ("busybox:1", "busybox:1"),
        ("docker.io/library/busybox", "busybox:latest"),
        ("docker.io/me/app", "me/app:latest"),
        ("library/busybox:1", "busybox:1"),
        ("me/app", "me/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest"),
        ("localhost:5000/app:2", "localhost:5000/app:2"),
        ("busybox@sha256:ab", "busybox@sha256:ab"),
        ("a/b:1@sha256:ab", "a/b:1@sha256:ab"),
    ],
)
def test_full_name(name: str, full: str) -> None:
    assert full_name(name) == full == full_name(full)
