"""What kind of word each token of a response belongs to."""

import re
from collections.abc import Sequence

KINDS = ("function word", "content word", "number", "punctuation", "special token")
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
ENDING = re.compile(r"(n?['’]).*")

CLOSED_CLASSES = """
articles, demonstratives, quantifiers:
    a an the this that these those each every either neither some any no none all both half many
    much few fewer little less more most several enough such another other others same own
pronouns:
    i me my mine myself you your yours yourself yourselves he him his himself she her hers
    herself it its itself we us our ours ourselves they them their theirs themselves one ones
    oneself someone somebody something anyone anybody anything everyone everybody everything
    nobody nothing who whom whose which what whoever whatever whichever there
prepositions:
    about above across after against along amid among around as at before behind below beneath
    beside besides between beyond by despite down during except for from in inside into like
    near of off on onto out outside over past per since through throughout till to toward
    towards under underneath until up upon via with within without
conjunctions:
    and but or nor so yet if unless because although though while whereas whether than when whenever
    where wherever why how once lest provided
auxiliaries:
    am is are was were be been being do does did doing done have has had having can could may might
    must shall should will would ought need dare used ca wo sha
particles, adverbs of grammar:
    not never also too very just only even still already again ever quite rather almost then thus
    hence therefore however here now perhaps maybe else away back
"""
"""The closed classes of English. A word that is in none of them is a content word."""

FUNCTION_WORDS = frozenset(re.sub(r"^\S.*:$", "", CLOSED_CLASSES, flags=re.MULTILINE).split())


def is_function_word(word: str) -> bool:
    """Whether an English word, contracted or not, is of a closed class."""
    lower = word.lower()
    return lower in FUNCTION_WORDS or ENDING.sub("", lower) in FUNCTION_WORDS


def kinds(added: Sequence[str]) -> list[str]:
    """The kind of each token, one of `KINDS`: that of the first word that it is a part of.

    Args:
        added: the text that each token adds (`model.token_texts`). One that adds nothing counts to
            what follows; after all text, it is a special token, such as ends a turn.
    """
    text = "".join(added)
    word_at: dict[int, str] = {}
    for found in WORD.finditer(text):
        kind = "function word" if is_function_word(found[0]) else "content word"
        word_at.update(dict.fromkeys(range(*found.span()), kind))
    result, start = [], 0
    for piece in added:
        end = start + max(1, len(piece))
        words = [word_at[place] for place in range(start, end) if place in word_at]
        if start == len(text):
            result.append("special token")
        elif words:
            result.append(words[0])
        else:
            digits = any(character.isnumeric() for character in text[start:end])
            result.append("number" if digits else "punctuation")
        start += len(piece)
    return result
