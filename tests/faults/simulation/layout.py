"""What the keys are called, which Names there are, and what an entry leads to: known to processes and checks alike."""

PARTITIONS = 3
NAMES = [[f'{p}.a', f'{p}.b', f'{p}.off'] for p in range(PARTITIONS)]  # *.off keeps no history
CLIENTS = ['ann', 'ann', 'ann', 'bob']  # few, so that they take over from each other
INGEST_LIMIT = 40
NO_LIMIT = 10**6
LEASE_MS = 3600 * 1000  # leases end by theft, never by time


class Violation(Exception):
    """A promise was broken."""


def key(p, rest):
    return f'sb:{{{p}}}:{rest}'


def history(p, name):
    return key(p, 'h*' if name == '*' else 'h:' + name)


def last(p, name):
    return key(p, 'l*' if name == '*' else 'l:' + name)


def channel(p, name):
    return key(p, 'n*' if name == '*' else 'n:' + name)


def partition_of(name):
    return int(name.split('.')[0])


def parse_id(text):
    term, seq = text.split('-')
    return int(term), int(seq)


def route(p, entry):
    """What one ingest entry leads to: ([(name, uid, index)], [(partition, index, entry)]).

    Deterministic, as the contract asks of routes. Index 0 is the Name the message was sent to;
    the others are sends of its route."""
    outputs, forwards = [(entry['name'], entry['u'], entry['x'])], []
    if entry['final']:
        return outputs, forwards
    if entry['name'] == '*':
        targets = [(q, '*') for q in range(PARTITIONS) if q != p]
    else:
        targets = [(partition_of(n), n) for n in entry['to']]
    for i, (q, name) in enumerate(targets, 1):
        sent = dict(entry, u=f"{entry['u']}/{i}", name=name, x=i, final=True)
        if q == p:
            outputs.append((name, sent['u'], i))
        else:
            forwards.append((q, i, sent))
    return outputs, forwards


def expand(p, entry):
    """Every (partition, name, uid) that an accepted entry must appear as, exactly once."""
    outputs, forwards = route(p, entry)
    return [(p, name, uid) for name, uid, _ in outputs] + \
           [(q, sent['name'], sent['u']) for q, _, sent in forwards]
