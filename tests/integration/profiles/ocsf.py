"""Validates each line of standard input by the schema of its class, and prints the name of the class."""

import json
import sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

VERSION = "1.8.0"
NAMES = {6003: "api_activity", 3002: "authentication", 3001: "account_change"}

schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=VERSION))
# Without profiles: an event names none.
validators = {uid: Draft202012Validator(schemas.get_class_schema(name, profiles=[])) for uid, name in NAMES.items()}

# A schema that takes everything would prove nothing.
wrong = {"class_uid": 6003, "activity_id": 1, "category_uid": 6, "unknown": 1}
assert len(list(validators[6003].iter_errors(wrong))) > 5

for line in sys.stdin.buffer.read().split(b"\n"):
    if not line:
        continue
    event = json.loads(line)
    assert event["metadata"]["version"] == VERSION
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    errors = [f"{list(error.path)}: {error.message[:200]}" for error in validators[event["class_uid"]].iter_errors(event)]
    if errors:
        sys.exit(f"{errors}\n{line[:2000]}")
    print(NAMES[event["class_uid"]])
