"""A Redis for all tests of the scripts, emptied for each."""
import pytest

from bench import Bench


@pytest.fixture(scope='session')
def running(tmp_path_factory):
    bench = Bench(tmp_path_factory.mktemp('bench'))
    yield bench
    bench.server.close()


@pytest.fixture
def bench(running):
    running.begin()
    return running
