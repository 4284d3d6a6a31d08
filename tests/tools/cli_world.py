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


def about(cluster):
    """What every process says of itself, by its pid, without waiting for heartbeats as `gateways` does."""
    found = {}
    for key in cluster.redis.scan_iter("sb:{sb}:about:*"):
        fields = {name.decode(): value.decode() for name, value in cluster.redis.hgetall(key).items()}
        found[int(fields["pid"])] = {**fields, "id": key.decode().rsplit(":", 1)[1]}
    return found
