#!/usr/bin/python3
"""What compression costs: memory of an idle connection, and compressions for a broadcast.

    tests/bench/compression.py [--connections 2000]

A gateway is given so many idle connections of each kind; its resident memory grows by so many bytes for each. Those that
agreed on compression, without context takeover, own nothing for it. Then a message of 1 KiB of JSON goes to all of them: it is
compressed once.
"""
import argparse
import json
import tempfile

from fanout import Gateway, wait_until

KINDS = ('websocket', 'deflate', 'sse')
MESSAGE = json.dumps([{'market': f'M{n}', 'price': n * 17 % 101} for n in range(200)])[:1023].encode() + b']'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--connections', type=int, default=2000)
    count = parser.parse_args().connections
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            gateway = Gateway(kind, count, folder, kind, args=['--compress-min-bytes', '100', '--max-connections-per-address', '100000'])
            try:
                print(f'{kind}: {gateway.idle_bytes:.0f} bytes for an idle connection', flush=True)
                compressed, sent = gateway.metric('compressions_total'), gateway.metric('deliveries_total')
                gateway.publish(keys=[gateway.channel], args=[gateway.blob(MESSAGE)])
                wait_until(lambda: gateway.metric('deliveries_total') - sent == count, 'a broadcast')
                print(f'    {len(MESSAGE)} bytes to {count} clients: '
                      f'{gateway.metric("compressions_total") - compressed} compressions', flush=True)
            finally:
                gateway.close()


if __name__ == '__main__':
    main()
