"""What the tests of whole processes share: a cluster of one's own, clients that may break rules, and waiting.

Start with cluster.Cluster; raw_ws.Client is the client that most tests use.
"""
from .cluster import BIN, BUILD, ROOT, Cluster, Process, Reply, free_port
from .raw_ws import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Client, Closed, Frame, Head, RawWs, Refused,
                     close_body, deflated, encode_frame, inflated)
from .sse import SseClient
from .channels import Channel, Multiplex
from .waiting import always, eventually
from .fanout import Fanout

__all__ = ["Channel", "Multiplex", "BIN", "BUILD", "ROOT", "Cluster", "Process", "Reply", "free_port", "BINARY", "CLOSE", "CONTINUATION",
           "PING", "PONG", "TEXT", "Client", "Closed", "Frame", "Head", "RawWs", "Refused", "SseClient", "close_body",
           "always", "deflated", "encode_frame", "eventually", "inflated", "Fanout"]
