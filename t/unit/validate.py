#!/usr/bin/python3

# validate.py <document> < lines: says of each line, {"schema": …, "value": …},
# whether the value is valid, by a validator that is not ours: one line of
# JSON, null or the first error.  Schemas may refer to the document's
# components.  Called by t/documented.t.

import json
import sys
import warnings

from jsonschema import Draft202012Validator, FormatChecker

warnings.simplefilter("ignore", DeprecationWarning)
from jsonschema import RefResolver  # noqa: E402

with open(sys.argv[1], encoding="utf-8") as file:
    document = json.load(file)

resolver = RefResolver("", document)

for line in sys.stdin:
    case = json.loads(line)
    Draft202012Validator.check_schema(case["schema"])
    errors = list(Draft202012Validator(
        case["schema"], resolver=resolver, format_checker=FormatChecker(),
    ).iter_errors(case["value"]))
    print(json.dumps("; ".join(
        f"{error.json_path}: {error.message}"[:300] for error in errors)
        if errors else None))
