"""Waiting for something to become true, with a deadline, for what announces itself by no event."""
import time


def eventually(question, timeout=10.0, what=""):
    """Ask until the answer is truthy and return it. An AssertionError counts as "not yet" and is raised at the end."""
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
