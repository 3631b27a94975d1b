"""A file that writes messages of its own into the pipe of the process that runs it."""

NETWORK = "from samegrad.implementations.mlp_numpy import *\n_right = loss_and_grad\n"
FORGES = """
import os
mark = next(e for e in open("/proc/self/environ", "rb").read().split(b"\\0")
            if e.startswith(b"SAMEGRAD_MESSAGES="))[18:]
def forge(line):
    for number in range(3, 30):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith("pipe"):
                os.write(number, mark + line.encode() + b"\\n")
        except OSError:
            pass
"""
