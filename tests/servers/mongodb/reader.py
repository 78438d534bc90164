"""A reader that has never heard of tower-audit: pymongo, and the collection as such readers know it.

Reads questions as JSON lines from standard input and prints the answer to each as a line.
"""

import json
import sys
from datetime import datetime
from uuid import UUID

from pymongo import DESCENDING, MongoClient


def condition(ask):
    wanted = {}
    if "event_id" in ask:
        wanted["event_id"] = UUID(ask["event_id"]).hex
    if "event_type" in ask:
        wanted["event_type"] = ask["event_type"]
    if "user_email" in ask:
        wanted["actor.user_email"] = ask["user_email"]
    span = {}
    if "since" in ask:
        span["$gte"] = datetime.fromisoformat(ask["since"])
    if "until" in ask:
        span["$lt"] = datetime.fromisoformat(ask["until"])
    if span:
        wanted["created_at"] = span
    if "n" in ask:
        wanted["details.n"] = ask["n"]
    return wanted


def shown(document):
    names = ("event_id", "event_type", "actor", "resource", "outcome", "details")
    event = {name: document[name] for name in names}
    event["created_at"] = document["created_at"].isoformat(timespec="milliseconds")
    return event


def answer(events, ask):
    if ask["what"] == "count":
        return events.count_documents(condition(ask))
    if ask["what"] == "purge":
        return events.delete_many(condition(ask)).deleted_count
    cursor = events.find(condition(ask)).sort([("created_at", DESCENDING)])
    if "limit" in ask:
        cursor = cursor.limit(ask["limit"])
    if "skip" in ask:
        cursor = cursor.skip(ask["skip"])
    return [shown(document) for document in cursor]


def main():
    events = MongoClient(sys.argv[1]).get_default_database()["audit_events"]
    for line in sys.stdin:
        print(json.dumps(answer(events, json.loads(line))), flush=True)


main()
