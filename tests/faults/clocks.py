"""A wall clock of its own for each process of a cluster; see clock.c.

    w = world(prepare=Clocks)
    w.prepared.jump("redis", 3600)
"""
import mmap
import pathlib
import struct
import subprocess

SOURCE = pathlib.Path(__file__).parent / "clock.c"
ROOT = SOURCE.parents[2]


class Clocks:
    def __init__(self, cluster):
        """The processes have not begun yet."""
        library = cluster.folder / "clock.so"
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", f"-I{ROOT}", "-o", library, SOURCE], check=True)
        self.offsets = {}
        for process in cluster.processes:
            path = cluster.folder / f"clock-{process.name}"
            path.write_bytes(bytes(8))
            with open(path, "r+b") as file:
                self.offsets[process.name] = mmap.mmap(file.fileno(), 8)
            process.env.update({"LD_PRELOAD": str(library), "FAULTS_CLOCK": str(path)})

    def jump(self, name, offset_s):
        """From now on its wall clock is that far from the true one."""
        self.offsets[name][:] = struct.pack("=q", offset_s)
