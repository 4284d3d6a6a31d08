"""The parts of simulator.py, from below: redis, scripts, layout, processes, model, checker, world."""
