#!/usr/bin/python3
"""What compression costs: memory of an idle connection, and compressions for a broadcast.

    tests/bench/compression.py [--connections 2000]

A gateway is given so many idle connections, whose clients all offer compression, once without and once with
--compress-min-bytes; its resident memory grows by so many bytes for each. Without context takeover they own nothing for it. Then a
message of 1 KiB of JSON goes to all of them: it is compressed once.
"""
import argparse
import json
import tempfile

from fanout import Gateway, wait_until

RUNS = {'off': ('deflate', []), 'on': ('deflate', ['--compress-min-bytes', '100']), 'event streams': ('sse', [])}
MESSAGE = json.dumps([{'market': f'M{n}', 'price': n * 17 % 101} for n in range(200)])[:1023].encode() + b']'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--connections', type=int, default=2000)
    count = parser.parse_args().connections
    with tempfile.TemporaryDirectory() as folder:
        for name, (kind, args) in RUNS.items():
            gateway = Gateway(name, count, folder, kind, args=[*args, '--max-connections-per-address', '100000'])
            try:
                print(f'{name}: {gateway.idle_bytes:.0f} bytes for an idle connection', flush=True)
                compressed, sent = gateway.metric('compressions_total'), gateway.metric('deliveries_total')
                gateway.publish(keys=[gateway.channel], args=[gateway.blob(MESSAGE)])
                wait_until(lambda: gateway.metric('deliveries_total') - sent == count, 'a broadcast')
                print(f'    {len(MESSAGE)} bytes to {count} clients: '
                      f'{gateway.metric("compressions_total") - compressed} compressions', flush=True)
            finally:
                gateway.close()


if __name__ == '__main__':
    main()
