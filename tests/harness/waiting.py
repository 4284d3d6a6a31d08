"""Waiting for something to become true, with a deadline, for what announces itself by no event."""
import time


def eventually(question, timeout=30.0, what=""):
    """Ask until the answer is truthy and return it. An AssertionError counts as "not yet" and is raised at the end.

    The deadline is for a busy machine; give one only where the time itself is what is tested."""
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        failure = None
        try:
            answer = question()
            if answer:
                return answer
        except AssertionError as error:
            answer, failure = None, error
        if time.monotonic() >= deadline:
            raise failure or AssertionError(f"not within {timeout} s: {what or question}; last answer: {answer!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def always(question, seconds):
    """Ask for so long; every answer must be truthy. For what must not happen, and would announce itself by no event."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert question(), f"no longer: {question}"
        time.sleep(0.02)
