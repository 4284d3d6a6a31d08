#!/usr/bin/python3
"""Publishes a message from a program that is no client: to an admin listener, or to Redis.

    examples/python/publish.py http://127.0.0.1:9090 Room '{"from":"python","text":"hello"}' [KEY]
    examples/python/publish.py redis://localhost     Room '{"from":"python","text":"hello"}' [KEY]

It tries until the message is accepted. Since each attempt has the same key, the message is
published once, however many of them got through. KEY is that key, for a message that has a natural
one, such as the number of an order. For HTTP SIGNALBOX_TOKEN is the admin token (`signalbox up`
keeps it in .signalbox/admin-token); Redis needs the package redis (Debian: python3-redis).
"""
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid


def post(url, message, key):
    """Whether it was accepted. Exits when another attempt would not help."""
    token = os.environ.get("SIGNALBOX_TOKEN", "")
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
    request = urllib.request.Request(f"{url}/send", json.dumps(message).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            print(json.load(answer)["entry"])
            return True
    except urllib.error.HTTPError as error:
        if error.code < 500 and error.code != 429:
            sys.exit(f"refused: {error.code} {error.read().decode().strip()}")
        return False
    except OSError:
        return False


def add(url, message, key):
    """The same by Redis: durable from the moment when Redis answers."""
    import redis
    try:
        text = json.dumps({**message, "id": key})
        print(redis.Redis.from_url(url).xadd("signalbox:send", {"m": text}).decode())
        return True
    except redis.ConnectionError:
        return False


def main(url, name, data, key=None):
    accept = post if url.startswith("http") else add
    message, key = {"name": name, "data": json.loads(data)}, key or str(uuid.uuid4())
    while not accept(url.rstrip("/"), message, key):
        print("not accepted, trying again", file=sys.stderr)
        time.sleep(1)


if __name__ == "__main__":
    if not 4 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
