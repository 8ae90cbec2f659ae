"""A category for a retail item out of its description: the head noun of its name."""

import re

_WORD = re.compile(r"[A-Z][A-Z'-]*[A-Z]|[A-Z]{2,}")
_LEADING = re.compile(r"^(?:(?:SET|S|PACK|BOX|CARD|PK)\s*(?:OF|/)\s*\d+\s*|\d+\s+)+")
_LINKS = re.compile(r"\s(?:WITH|W/|OF|FOR|IN|ON|AND|WITHOUT)\s|[,&+(]")
_NO_NOUN = re.compile(
    r"AMBER|AMETHYST|ASS|ASSORTED|ASST|BLACK|BLUE|BROWN|CERAMIC|CHRISTMAS|CLEAR|CM|COLOUR|COLOURS|COTTON"
    r"|CREAM|DARK|DESIGN|DESIGNS|ENAMEL|FONT|GARDEN|GINGHAM|GOLD|GREEN|GREY|IVORY|LARGE|LARGEST|LIGHT|LILAC"
    r"|MEDIUM|METAL|MINI|ORANGE|PAISLEY|PAPER|PC|PCS|PINK|POLKADOT|PURPLE|RED|RETROSPOT|ROUND|SET|SILVER"
    r"|SKULLS|SMALL|SMALLER|SPOT|SPOTS|SPOTTY|SQUARE|STRIPE|STYLE|TALL|TRADITIONAL|TURQUOISE|VINTAGE|WHITE"
    r"|WOOD|WOODEN|YELLOW|ZINC"
)
UNKNOWN = "other"


def head_noun(description: str) -> str:
    """What the thing is, in lower case and singular: ``holder`` for ``WHITE HANGING HEART T-LIGHT HOLDER``.

    The last word of the name that is no colour, size or the like, before the first ``with``, ``of``, ``for`` …, after
    a leading ``SET OF 3``; ``other`` where none is left.
    """
    text = _LEADING.sub("", description.upper().strip())
    for part in (_LINKS.split(text)[0], text):
        for word in reversed(_WORD.findall(part)):
            if len(word) > 2 and not _NO_NOUN.fullmatch(word):
                return _singular(word).lower()
    return UNKNOWN


def _singular(word: str) -> str:
    if word.endswith("IES") and len(word) > 4:
        return word[:-3] + "Y"
    if word.endswith(("SSES", "SHES", "CHES", "XES")):
        return word[:-2]
    return word[:-1] if word.endswith("S") and not word.endswith(("SS", "US", "AS", "IS")) and len(word) > 3 else word
