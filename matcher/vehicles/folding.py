"""Reduces a name to the key under which all its spellings meet. Pure.

Must not know what the names stand for: makes and their ambiguities belong to `makes`.
"""

import unicodedata

# After NFKD the hamza and madda seats of alef, waw and yeh are separate marks and fall with all other
# marks; what is left are letters that Unicode keeps apart but writers of Arabic, Persian and Turkish do not.
_SAME_LETTER = str.maketrans(
    {
        "ٱ": "ا",  # alef wasla
        "ة": "ه",  # ta marbuta
        "ى": "ي",  # alef maksura
        "ی": "ي",  # Persian yeh
        "ک": "ك",  # Persian kaf
        "گ": "ك",  # gaf
        "پ": "ب",  # peh
        "چ": "ج",  # tcheh
        "ژ": "ز",  # zheh
        "ڤ": "ف",  # veh
        "ء": None,  # free-standing hamza
        "ـ": None,  # tatweel: decoration
        "ı": "i",  # dotless i
    }
)


def fold(text: str) -> str:
    """The key of `text`: no case, accents, Arabic diacritics, punctuation or blanks. Idempotent."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(character for character in decomposed.translate(_SAME_LETTER) if character.isalnum())
