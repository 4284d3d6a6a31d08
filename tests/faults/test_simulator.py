"""The backplane's scripts under the fault simulator, then the simulator's own proof: weakened scripts have to fail.
Each corner case by itself is in scripts/."""
import pytest

from simulation.layout import Violation
from simulation.scripts import MUTATIONS
from simulation.world import run

QUICK_SEED = {'no-restore': 4}  # the first seed to try: others need more steps


@pytest.mark.parametrize('seed', [1, 2])
def test_I1_to_I8_under_faults(seed):
    stats = run(seed, 12000)
    assert stats['messages'] > 500 and stats['events'] > 100
    assert stats['FENCED'] > 20 and stats['suppressed in'] > 50


@pytest.mark.parametrize('seed', [3, 4])
def test_F14_redis_falls_back_to_an_older_snapshot(seed):
    stats = run(seed, 8000, has_rollback=True)
    assert stats['rollbacks'] > 2 and stats['messages'] > 300


@pytest.mark.parametrize('mutation', sorted(MUTATIONS))
def test_mutation_is_caught(mutation):
    with pytest.raises(Violation):
        first = QUICK_SEED.get(mutation, 1)
        for seed in range(first, first + 8):
            run(seed, 25000, mutation)
