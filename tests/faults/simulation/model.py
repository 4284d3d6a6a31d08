"""What was accepted and happened, as the publishers, gateways and clients know it."""
from collections import deque

from simulation.layout import PARTITIONS, Violation, expand


class Model:
    """What has happened to the data that Redis still holds: falls back together with Redis."""

    def __init__(self):
        self.sent = {}        # uid -> (outputs it must lead to, token or None)
        self.accepted = set()
        self.tokens = {}      # idempotency key -> entry id that every caller was told
        self.feed = {}        # (p, name) -> [(id, blob)] of this round
        self.last = {}        # (p, name) -> id of its last output
        self.top = ['0-0'] * PARTITIONS
        self.seen = set()     # (p, name, uid) of this round
        self.old_seen = deque(maxlen=4)
        self.lanes = {}       # (p, name, sender, home) -> (number, index) of the last output
        self.events = {}      # connection value -> ['C', 'D']
        self.terms = [['0'] for _ in range(PARTITIONS)]  # what a lineage is
        self.old_values = deque(maxlen=4)

    def copy(self):
        twin = Model()
        twin.sent = self.sent  # what was sent stays sent
        twin.accepted, twin.tokens = set(self.accepted), dict(self.tokens)
        twin.feed = {k: list(v) for k, v in self.feed.items()}
        twin.last, twin.top = dict(self.last), list(self.top)
        twin.seen, twin.old_seen = set(self.seen), self.old_seen
        twin.lanes = dict(self.lanes)
        twin.events = {k: list(v) for k, v in self.events.items()}
        twin.terms = [list(terms) for terms in self.terms]
        twin.old_values = self.old_values
        return twin

    def note_sent(self, p, entry, token=None):
        self.sent.setdefault(entry['u'], (expand(p, entry), token))

    def note_accepted(self, uids):
        self.accepted.update(uids)

    def note_token(self, token, entry_id):
        if not entry_id or self.tokens.setdefault(token, entry_id) != entry_id:
            raise Violation(f'F25: key {token} answered {entry_id!r}, before '
                            f'{self.tokens.get(token)!r}')
