"""Reads [[pattern, [text, ...]], ...] and answers with [null | [bool, ...], ...]: what `re.match` says, null for an error."""

import json
import re
import sys
import warnings

warnings.simplefilter("ignore")
answers = []
for pattern, texts in json.load(sys.stdin):
    try:
        compiled = re.compile(pattern)
    except (re.error, ValueError, OverflowError, RecursionError):
        answers.append(None)
        continue
    answers.append([compiled.match(text) is not None for text in texts])
json.dump(answers, sys.stdout)
