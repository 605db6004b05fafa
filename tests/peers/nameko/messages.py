"""Puts messages on the bus byte by byte, as no client of nameko's would, and tells what came back.

    messages.py URI FILE [PATIENCE]     FILE: a list of objects; PATIENCE: seconds for the last answer

Each has its "body" (text) or "hex", and what it changes of an ordinary call: "key" (routing key), "exchange", "age" in
seconds, and "properties", where null takes one away. Each has a routing key for its answer to itself, so that it is
known what is answered however little of the message is left. Where the last one is answered, all were dealt with.

Prints "sent", "answered" with the first answer, and at the end a list as long: the bodies of the answers to each.
"""

import json
import socket
import sys
import time
import urllib.parse

import amqp

QUIET = 0.5


def connect(uri):
    """A channel that confirms."""
    at = urllib.parse.urlsplit(uri)
    connection = amqp.Connection(
        f"{at.hostname}:{at.port}",
        userid=urllib.parse.unquote(at.username),
        password=urllib.parse.unquote(at.password),
        virtual_host=urllib.parse.unquote(at.path[1:]),
        confirm_publish=True,
    )
    connection.connect()
    return connection, connection.channel()


def message(row, n):
    body = bytes.fromhex(row["hex"]) if "hex" in row else row["body"].encode()
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "delivery_mode": 2,
        "correlation_id": f"call-{n}",
        "reply_to": f"answer-{n}",
    }
    for name, value in row.get("properties", {}).items():
        if value is None:
            properties.pop(name)
        elif name == "headers":
            properties["application_headers"] = value
        else:
            properties[name] = value
    if "age" in row:
        properties["timestamp"] = max(0, int(time.time()) - row["age"])
    return amqp.Message(body, **properties)


def main():
    uri, rows = sys.argv[1], json.load(open(sys.argv[2]))
    patience = float(sys.argv[3]) if len(sys.argv) > 3 else 30
    connection, channel = connect(uri)
    channel.exchange_declare("nameko-rpc", "topic", durable=True, auto_delete=False)
    queue = channel.queue_declare("", exclusive=True).queue
    for n in range(len(rows)):
        channel.queue_bind(queue, "nameko-rpc", f"answer-{n}")
    answers = [[] for _ in rows]
    errors = []

    def answered(answer):
        n = int(answer.delivery_info["routing_key"].split("-")[1])
        echoed = answer.properties.get("correlation_id")
        sent = rows[n].get("properties", {}).get("correlation_id", f"call-{n}")
        if not any(answers):
            print("answered", flush=True)
        if echoed != sent or answer.properties.get("content_type") != "application/json":
            errors.append(f"{n}: {answer.properties}")
        answers[n].append(json.loads(answer.body))

    channel.basic_consume(queue, callback=answered, no_ack=True)
    for n, row in enumerate(rows):
        exchange, key = row.get("exchange", "nameko-rpc"), row.get("key", "ungleichotp.verify")
        channel.basic_publish(message(row, n), exchange, key)
    print("sent", flush=True)

    def drain(seconds):
        try:
            connection.drain_events(timeout=seconds)
            return True
        except (socket.timeout, TimeoutError):
            return False

    until = time.monotonic() + patience
    while not answers[-1] and time.monotonic() < until:
        drain(1)
    while drain(QUIET):
        pass
    assert not errors, errors
    print(json.dumps(answers))
    connection.close()


if __name__ == "__main__":
    main()
