"""Calls a service with Google's own client for gRPC, and says in JSON how each call ended.

    grpc_client.py ADDRESS METHOD ASKED [retry]

With `retry`, the client has a policy by which it tries UNAVAILABLE and UNKNOWN again.
"""

import json
import sys

import grpc

address, method, asked = sys.argv[1:4]
policy = {
    "methodConfig": [{
        "name": [{}],
        "retryPolicy": {
            "maxAttempts": 2,
            "initialBackoff": "0.01s",
            "maxBackoff": "0.01s",
            "backoffMultiplier": 1,
            "retryableStatusCodes": ["UNAVAILABLE", "UNKNOWN"],
        },
    }]
}
options = [("grpc.service_config", json.dumps(policy))] if sys.argv[4:] == ["retry"] else []
messages = []
with grpc.insecure_channel(address, options) as channel:
    if method == "Open":
        answer = channel.unary_unary("/bank.Vault/Open").future(asked.encode(), timeout=30)
    else:
        answer = channel.unary_stream("/bank.Vault/Watch")(asked.encode(), timeout=30)
    try:
        for message in [answer.result()] if method == "Open" else answer:
            messages.append(message.decode())
    except grpc.RpcError:
        pass
    print(json.dumps({
        "messages": messages,
        "code": answer.code().value[0],
        "details": answer.details(),
        "trailing": {key: value for key, value in answer.trailing_metadata() or ()},
    }))
