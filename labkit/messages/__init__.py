r"""The sentences that a student can meet, in the language of the notebook.

A sentence stands in English where it is used, with named places for what varies, so that a
translator sees it whole: ``_("There is no image {name:.60} here.", name=name)``. Translations are
gettext catalogues beside the code: ``labkit/messages/es.po``, ``notebooks/lessons/NN/es.po``, which
are made alike.

    pybabel extract -k N_ -k many:1,2 -k LabError -k MissingProgram -k NotRecorded -k NotYet \
        -o all.pot labkit
    pybabel init -i all.pot -l es -o labkit/messages/es.po
"""

from __future__ import annotations

import gettext
import io
from functools import lru_cache
from pathlib import Path

_language = "en"


def speak_as_in(folder: Path) -> None:
    """Speak the language that a folder of notebooks is called by: ``notebooks/es``.

    What its catalogue lacks stays English, and so does all if there is no such catalogue.
    """
    global _language  # a notebook has one language, and so has its kernel
    _language = folder.name


@lru_cache
def _translations(folders: tuple[Path, ...], language: str) -> gettext.NullTranslations:
    found = gettext.NullTranslations()
    for folder in folders:
        if (file := folder / f"{language}.po").is_file():
            from babel.messages.mofile import write_mo  # late: English needs no catalogue
            from babel.messages.pofile import read_po

            compiled = io.BytesIO()
            write_mo(compiled, read_po(io.BytesIO(file.read_bytes())))
            compiled.seek(0)
            found.add_fallback(gettext.GNUTranslations(compiled))
    return found


class Catalogue:
    """The sentences of what lies in ``folders``: call it with one. By custom it is named ``_``."""

    def __init__(self, *folders: Path) -> None:
        self.folders = folders

    def add(self, folder: Path) -> None:
        """Know also what is said in a folder."""
        if folder not in self.folders:
            self.folders += (folder,)

    def _known(self) -> gettext.NullTranslations:
        return _translations(self.folders, _language)

    def __call__(self, message: str, /, **values: object) -> str:
        """A sentence in the language spoken, its ``{places}`` filled with ``values``.

        Without values it is taken as it stands, braces and all.
        """
        said = self._known().gettext(message) if message else ""  # gettext's "" is about the file
        return said.format(**values) if values else said

    def many(self, one: str, more: str, n: int, /, **values: object) -> str:
        """Whichever fits the number ``n``, which also fills the place ``{n}``."""
        return self._known().ngettext(one, more, n).format(n=n, **values)


def N_(message: str) -> str:
    """Mark a sentence that stands in a table; ``_`` translates it where it is shown."""
    return message


_ = Catalogue(Path(__file__).parent)
