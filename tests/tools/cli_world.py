"""What the tests of the CLI share and no fixture holds."""
import pathlib
import socket

HERE = pathlib.Path(__file__).resolve().parent
APP = HERE / "app"


def answers(path):
    """Whether somebody listens on this unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
            return True
        except OSError:
            return False
