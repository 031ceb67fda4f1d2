"""What a lesson made on the engine: noticed, noted in the ledger, and removed again.

A new thing belongs to the lesson whose command named it, or in whose output it stands; others may
be at work meanwhile. Cleaning removes what the ledger holds and nothing else, and never prunes.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from itertools import chain

from labkit.docker.client import Client, Thing, World, asking, called, ids
from labkit.docker.command_line import Words, full_name
from labkit.docker.ledger import Entry, Ledger
from labkit.engine import PREFETCHED
from labkit.errors import LabError
from labkit.messages import _


class Ownership:
    """Whose the things of an engine are. A ledger's entry is one of:

    ("container" | "image" | "volume" | "network", ID); ("tag", name, image ID): a name we gave;
    ("was", name, image ID): the student's image that had the name before a pull took it away.
    """

    def __init__(self, client: Client, ledger: Ledger) -> None:
        self.client, self.ledger = client, ledger

    def owns_tag(self, tag: str, image: str) -> bool:
        """True if labkit gave this name to that image."""
        return self.ledger.owns("tag", tag, image)

    def owns(self, kind: str, thing: Thing, name: str = "") -> bool:
        """True if labkit made this thing.

        Of an image, all names must be ours that would go if ``name`` were removed; with its last
        name the image goes itself.
        """
        tags, named = thing.get("tags", ()), full_name(name)
        going = [named] if named in tags else tags
        if not all(self.owns_tag(tag, thing["id"]) for tag in going):
            return False
        return len(going) < len(tags) or self.ledger.owns(kind.removesuffix("s"), thing["id"])

    # -- noticing what a command made -----------------------------------------------------------

    def made(self, before: World, words: Words, heard: str, container: str) -> list[Entry]:
        """Entries for what is new since ``before`` and the lesson's.

        ``heard``: what the command printed; ``container``: the ID of the one it made, or "".
        """
        mentioned = set(self._mentioned(words, heard, container))
        entries: list[Entry] = []
        for kind, things in self.client.world(words.name == "build").items():
            old = {thing["id"]: thing for thing in before[kind]}
            for thing in things:
                known = old.get(thing["id"], {})
                tags = mentioned & set(thing.get("tags", ())) - set(known.get("tags", ()))
                if not known and (tags or mentioned & ids(thing)):
                    entries.append((kind.removesuffix("s"), thing["id"]))
                for tag in sorted(tags):
                    entries += self._taken_away(tag, before)
                    entries.append(("tag", tag, thing["id"]))
        return entries

    def _taken_away(self, tag: str, before: World) -> list[Entry]:
        """If a name was an image's of the student's, it is to be given back one day."""
        images = [image["id"] for image in before["images"] if tag in image["tags"]]
        return [("was", tag, image) for image in images if not self.owns_tag(tag, image)]

    def _mentioned(self, words: Words, heard: str, container: str) -> Iterator[str]:
        """Each name and ID in a command and in what it printed, and what belongs to them."""
        options = [value for _option, value in words.options]
        for text in (*self._texts(words, heard, container), *options):
            for word in re.split(r"[\s=,]+", text):
                yield from (word, word.split(":")[0], full_name(word))

    def _texts(self, words: Words, heard: str, container: str) -> Iterator[str]:
        if words.name in ("run", "create"):
            # What comes after the image, and what it prints, may say anything.
            image = "".join(words.words[:1])
            yield from (image, container)
            about = self.client.inspect("container", container) or {}
            yield from (mount.get("Name", "") for mount in about.get("Mounts", ()))
        else:
            yield from (*words.words, heard)
            image = _image_of(words, heard)
        yield from self.client.stack(image)  # -q is quiet about those it was built on

    # -- cleaning -------------------------------------------------------------------------------

    def clean(self, lesson: str, since: int = 0, names: Container[str] | None = None) -> list[str]:
        """Remove what a lesson made; say what had to stay, and why.

        From its ledger's line ``since`` on, and only what is called one of ``names``, if given.
        Without a word stays what is another lesson's too, and what a prefetched image stands on.
        """
        entries = self.ledger.entries(lesson)
        earlier, later = entries[:since], entries[since:]
        if not later:
            return []
        with asking():
            self.client.api.ping()
        spared = self._not_called(entries, names)
        kept = spared | self._of_others(lesson)
        doomed = [entry for entry in reversed(later) if entry not in kept]
        refused = self._remove_all(doomed)
        staying = {entry[-1] for entry in (*spared, *refused)}
        # A name that an image has lost may be given to it again, by another.
        lost = {entry for entry in doomed if entry[0] == "tag"} - refused.keys()
        left = [entry for entry in later if entry[-1] in staying and entry not in lost]
        self.ledger.keep(lesson, [*earlier, *left])
        return self._told(refused, lesson)

    def _told(self, refused: dict[Entry, str], lesson: str) -> list[str]:
        """What had to stay, and why; of images that prefetched ones stand on, nothing."""
        silent: set[Entry] = set()
        if refused and lesson != PREFETCHED:
            for entry in self.ledger.entries(PREFETCHED):
                silent.update(("image", image) for image in self.client.stack(entry[-1]))
        return [
            _("{name} stays: {why}", name=entry[1][:60], why=why)
            for entry, why in refused.items()
            if entry not in silent
        ]

    def _not_called(self, entries: Sequence[Entry], names: Container[str] | None) -> set[Entry]:
        """What is there and called otherwise now, whoever removed the rest."""
        if names is None:
            return set()
        things = chain.from_iterable(self.client.world(intermediate=True).values())
        spared = {
            thing["id"] for thing in things if not any(name in names for name in called(thing))
        }
        return {entry for entry in entries if entry[-1] in spared}

    def _of_others(self, lesson: str) -> set[Entry]:
        others = [other for other in self.ledger.lessons() if other != lesson]
        return {entry for other in others for entry in self.ledger.entries(other)}

    def _remove_all(self, doomed: Sequence[Entry]) -> dict[Entry, str]:
        """Remove things; which had to stay, and why."""
        refused = dict.fromkeys(doomed, "")
        while True:  # things stand on one another in any order, so once more while that helps
            left = {entry: why for entry in refused if (why := self._remove(entry))}
            if len(left) == len(refused):
                return left
            refused = left

    def _remove(self, entry: Entry) -> str:
        """Remove one thing; why it has to stay, or ""."""
        from docker.errors import NotFound

        kind, name = entry[0], entry[1]
        api = self.client.api
        try:
            with asking(), suppress(NotFound):
                if kind == "container":
                    api.remove_container(name, force=True, v=True)  # v: its unnamed volumes only
                elif kind in ("volume", "network"):
                    getattr(api, f"remove_{kind}")(name)
                elif image := self.client.thing("images", entry[-1]):
                    return self._remove_image(kind, name, image)
        except LabError as error:
            return str(error)
        return ""

    def _remove_image(self, kind: str, name: str, image: Thing) -> str:
        """Remove an image, one of its names, or give a name back; why it has to stay, or ""."""
        if kind == "was":
            self._give_back(name, image)
        elif kind == "tag" and name in image["tags"] and not self.owns("images", image, name):
            return _("it is the only name of an image of your own, which would go with it.")
        elif name in image["tags"] or (kind == "image" and not image["tags"]):
            # noprune: what the image stands on may be the student's
            self.client.api.remove_image(name, noprune=True)
        return ""

    def _give_back(self, name: str, image: Thing) -> None:
        """The student's image gets the name again, unless the student has given it to another."""
        holder = self.client.thing("images", name)
        if not holder or self.owns_tag(name, holder["id"]):
            repository, _colon, tag = name.rpartition(":")
            self.client.api.tag(image["id"], repository, tag)


def _image_of(words: Words, heard: str) -> str:
    """The image that a command pulled or built, if its words do not tell of those below it."""
    if words.name == "pull":
        return "".join(words.words)
    if words.name == "build" and words.has("-q"):
        return "".join(re.findall("sha256:[0-9a-f]{64}", heard)[-1:])
    return ""
