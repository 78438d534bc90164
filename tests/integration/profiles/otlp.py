"""Reads each line of standard input as `LogsData` of OTLP/JSON, and prints the record as it was understood."""

import base64
import json
import sys

from google.protobuf import json_format
from opentelemetry.proto.logs.v1.logs_pb2 import LogsData

# Unlike the JSON of Protocol Buffers, OTLP/JSON has ids in hexadecimal digits.
def with_base64(value):
    for resource in value["resourceLogs"]:
        for scope in resource["scopeLogs"]:
            for record in scope["logRecords"]:
                if "traceId" in record:
                    record["traceId"] = base64.b64encode(bytes.fromhex(record["traceId"])).decode()
    return value


def plain(value):
    return getattr(value, value.WhichOneof("value"))


for line in sys.stdin.buffer.read().split(b"\n"):
    if not line:
        continue
    # A field that the protocol does not know is an error.
    data = json_format.ParseDict(with_base64(json.loads(line)), LogsData(), ignore_unknown_fields=False)
    (resource,) = data.resource_logs
    (scope,) = resource.scope_logs
    (record,) = scope.log_records
    keys = [attribute.key for attribute in record.attributes]
    assert len(keys) == len(set(keys)), keys
    assert len(record.trace_id) in (0, 16)
    print(
        json.dumps(
            {
                "service": plain(resource.resource.attributes[0].value),
                "time": record.time_unix_nano or None,
                "severity": record.severity_number,
                "name": record.event_name,
                "body": plain(record.body),
                "trace": record.trace_id.hex(),
                "attributes": {attribute.key: plain(attribute.value) for attribute in record.attributes},
            }
        )
    )
