"""What reaches a terminal: commands that can be pasted as they stand, and text of others that cannot steer it.

What is not here: pages and tables (errata.programs.report.markup), and when something is said (errata.programs.run.progress).
"""

import json
import re
import shlex
from pathlib import Path

# C0 and C1 controls but tab and newline, soft hyphen, directional and other invisible marks, line and paragraph separators, lone
# surrogates; the two joiners stay, which emoji and several scripts are written with
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Characters that are not seen, or that move the cursor, colour the screen or turn the direction of reading."""


def visible(text: str) -> str:
    """The text with each such character as its number, e.g. `\\u001b`; a JSON document means the same before and after."""
    return UNSEEN.sub(lambda found: json.dumps(found[0])[1:-1], text.replace("\r\n", "\n"))


def command(*words: object) -> str:
    """A command line of Errata's with each word quoted for the shell: paths may hold spaces, quotes and a leading dash."""
    plain = [f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word) for word in words]
    return shlex.join(["errata", *plain])
