"""What test_promises.py asks of clients, asked of clients/js: in Node and in Chromium, over all transports at once."""
import os
import pathlib
import shutil

import pytest

from browser import Page
from fleet import Fleet
from harness import ROOT
from test_promises import PLAYERS, SECONDS, await_all, config_of, judge, play
from world import LONG

LIBRARY = os.environ.get("SIGNALBOX_JS") or str(ROOT / "clients" / "js" / "src" / "index.js")
CONNECT_MS = 4000 if LONG else 10000  # shorter than some gateways are stopped for, or longer
TRANSPORTS = (os.environ.get("SIGNALBOX_PROMISES_TRANSPORTS") or "ws sse channel").split()


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node(seed):
    """clients/js; the ids are made up by gateways, and kept by the tokens."""
    with Fleet(seed) as fleet:
        argv = ["node", "--expose-gc", "--unhandled-rejections=strict", PLAYERS / "player.mjs"]
        player = play(fleet, argv, config_of(fleet, TRANSPORTS, library=LIBRARY, connectMs=CONNECT_MS))
        ended = judge(fleet, player, fleet.befall(SECONDS))
        assert ended["held"] == []


@pytest.mark.skipif(shutil.which("chromedriver") is None, reason="Chromium is not installed")
def test_chromium(seed):
    """clients/js in a page of another origin. Event streams and posts share six connections: two clients."""
    with Fleet(seed) as fleet:
        config = config_of(fleet, TRANSPORTS, most_streams=2, connectMs=CONNECT_MS)
        player = await_all(fleet, Page(pathlib.Path(LIBRARY), config, fleet.cluster.folder), config)
        before = player.heap()
        ended = judge(fleet, player, fleet.befall(SECONDS))
        assert ended["held"] == []
        print(f"heap {before} {player.heap()}")
