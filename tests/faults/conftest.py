"""Fixtures of the fault tests: the world, its seed, and which tests are long."""
import os
import random

import pytest

from world import LONG, World


def pytest_configure(config):
    config.addinivalue_line("markers", "long: runs only with SIGNALBOX_LONG=1, as ./dev test --long sets it")


def pytest_collection_modifyitems(items):
    for item in items:
        if not LONG and item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: SIGNALBOX_LONG=1 runs it"))


@pytest.fixture
def seed():
    chosen = int(os.environ.get("SIGNALBOX_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"SIGNALBOX_SEED={chosen}")
    return chosen


@pytest.fixture
def world(seed):
    """world(**options) makes the test's World; it ends after the test, so that a failure can show the logs."""
    made = []

    def make(**options):
        made.append(World(seed, **options))
        return made[-1].begin()

    yield make
    failures = []
    for one in made:
        try:
            one.end()
        except AssertionError as error:
            failures.append(error)
    if failures:
        raise failures[0]
