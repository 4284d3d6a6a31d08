"""For all tests of whole processes: the harness on the path, logs on failure, an orderly end on SIGTERM."""
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from harness import cluster as harness_cluster  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "late: waits for something slow that began with the session; runs last")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def shares(item):
    """Whether the test uses a fixture of ours that lives longer than the test."""
    definitions = [found for each in item._fixtureinfo.name2fixturedefs.values() for found in each]
    return any(found.scope != "function" and found.baseid for found in definitions)


def pytest_collection_modifyitems(config, items):
    """Where several processes run the tests, those of a file that share a cluster stay together and go first."""
    items.sort(key=lambda item: item.get_closest_marker("late") is not None)
    if hasattr(config, "workerinput"):
        for item in filter(shares, items):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
        items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for running in harness_cluster.live_clusters:
            for name, tail in running.logs():
                if name != "redis":
                    report.sections.append((f"log of {name}", tail))
