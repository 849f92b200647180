"""Texts as they are compared: equal where they differ by typography alone, and the words for "answer" of many languages.

Typography is composed and wide forms (NFKC), quotes, dashes, blanks, signs without width, case, and digits of other scripts. A raised digit
is not a digit: 10² is not 102. It does not cover accents (Café is not Cafe), nor spelling.
"""

import re
import unicodedata

_UNSEEN = (
    0xAD,
    0x61C,
    0x640,
    0x180E,
    0xFEFF,
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x206A),
    *range(0xFE00, 0xFE10),
)
_SIGNS: dict[int, str | None] = dict.fromkeys(_UNSEEN)
for _plain, _all in {"'": "‘’‚‛′´ʼ׳‹›", '"': "“”„‟″«»״「」『』《》〈〉", "-": "‐‑‒–—―−﹘﹣－⁃", "·": "・‧∙•"}.items():
    _SIGNS |= dict.fromkeys(map(ord, _all), _plain)
_SIGNS |= {ord(sign): f"^{digit}" for digit, sign in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}

UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\u3040-\u30ff\uac00-\ud7af"
"""Scripts that set no blanks between words, and Korean, which sets none before particles: for a class of a pattern."""

ANSWER = re.compile(
    unicodedata.normalize(
        "NFKC",
        r"""(?ix)
    \b(?: antwort | lösung | r[ée]ponse | respuesta | risposta | resposta | antwoord | odpowied[źz] | odpove[ďd] | odpov[ěe][ďd]
        | ответ\w{0,3} | відповід\w{0,3} | отговор\w{0,3} | odgovor | одговор | răspuns\w{0,4} | válasz | megoldás
        | cevap\w{0,3} | yanıt\w{0,3} | cavab
        | jawaban\w{0,3} | jawapan\w{0,3} | đáp\ án | câu\ trả\ lời | svar(?:et)? | vastaus | απάντηση | jibu | vastus | atsakymas | atbilde
        | (?:ال)?[إا]جابة | (?:ال)?جواب | پاسخ | گزینه | ה?תשובה | उत्तर | जवाब | উত্তর
        | opción | opção | opzione | optie | вариант | варіант | seçenek | opsi | pilihan | lựa\ chọn | alternativ | vaihtoehto
        | sagot | erantzun\w{0,3}
        | (?:ال)?خيار | विकल्प | wähle | choisis | elijo | escolho | scelgo | выбираю | kies | wybieram
        | richtige?[rns]? | korrekt\w{0,2} | correct[ae]s? | corretta | correta | juist\w?
        | poprawn\w{1,3} | правильн\w{1,3} | верн\w{1,3} | вірн\w{1,3}
        | doğru\w{0,3} | صحيحة? | נכונה? | सही | đúng | benar | rätt | riktig\w{0,2} )\b
    | விடை | சமாధానம் | సమాధానం | ಉತ್ತರ | ഉത്തരം | คำตอบ | ตอบ | ข้อ | 선택지
    | 答案 | 答え? | 正解 | 回答 | 解答 | 正确 | 正確 | 正しい | 故选 | 故選 | [应應]?[选選]择?[项項]? | 정답 | 답변? | 옳 | 맞
    """,
    )
)
"""A word for an answer, or for right, in languages other than English."""
IS = re.compile(
    r"(?i)(?:\s*(?:\([^()\n]{0,20}\)|correct[ae]?|corretta|correta|finale?|final|richtige?)){0,2}"
    r"(?:\s*[:=]|\s+(?:ist|lautet|est|es|è|é|is|jest|to|este|adalah|là|är|er|on|je|είναι|هي|هو|היא|הוא|-)\s*:?(?=\s)|\s*[是为為は은는]\s*:?)\s*"
)
"""What stands between such a word and a short answer."""
NOT = re.compile(
    r"(?i)\b(?:nicht|kein\w{0,2}|weder|neither|pas|non?|não|nie|не|ні|değil|niet|inte|ikke|bukan|không|ليس\w?|לא|नहीं|not)\b|不|非|ない|아니|ไม่"
)


def signs(text: str) -> str:
    """The text in one typography, with its case and line ends."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text.translate(_SIGNS))
    return re.sub(r"(?![0-9])\d", lambda match: str(unicodedata.decimal(match[0])), text)


def folded(text: str) -> str:
    """What two texts are compared by: one typography, no case, single blanks."""
    text = signs(text).casefold()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.replace("i\u0307", "i"))
    return " ".join(text.split())
