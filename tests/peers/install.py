#!/usr/bin/env python3
"""Put the Python libraries that finetuned is compared with into a virtual environment: `install.py DEST`.

PyPI's torch for Linux is built for CUDA and asks for four gigabytes of NVIDIA libraries that a CPU never runs.
So nothing but the closed list in requirements.txt is installed, and those libraries are replaced by empty ones
of the same names: the loader is content as long as functions are bound when they are first called,
which on a CPU is never. Needs python3 with pip (not venv's own) and a C compiler.

Safe to repeat: a finished environment with the same list is left alone.
"""
import hashlib, os, shutil, subprocess, sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
# All that libtorch_cuda and libtorch_python name, less libcudart and libcupti, which are small and really used.
ABSENT = """libcublas.so.13 libcublasLt.so.13 libcudnn.so.9 libcufft.so.12 libcufile.so.0 libcurand.so.10 libcusparse.so.12
libcusparseLt.so.0 libnccl.so.2 libnvrtc.so.13 libnvshmem_host.so.3""".split()
# The one function whose address is taken when the library is loaded; calling it ends the process.
STUB = "void nvshmem_init(void) { __builtin_trap(); }\n"
# A line that site runs at start-up: there is no library to bind torch's CUDA functions to, so bind none before it is called.
LAZY = "import os, sys; sys.setdlopenflags(os.RTLD_LAZY)\n"


def run(*command, **options):
    try:
        subprocess.run([str(part) for part in command], check=True, **options)
    except FileNotFoundError:
        sys.exit(f"there is no {command[0]}: install it (Debian: apt-get install build-essential python3-pip) and try again")
    except subprocess.CalledProcessError:
        sys.exit(f"{' '.join(map(str, command))}\nfailed (see above)")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if sys.version_info < (3, 11):
        sys.exit(f"{sys.executable} is Python {sys.version.split()[0]}, but the libraries to compare with want 3.11 or newer")
    dest = Path(sys.argv[1])
    made = hashlib.sha256(REQUIREMENTS.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    if (dest / "made").exists() and (dest / "made").read_text() == made:
        return
    print(f"{dest}: installing transformers, torch and others to compare with (600 MB to fetch)", flush=True)
    shutil.rmtree(dest, ignore_errors=True)
    run(sys.executable, "-m", "venv", "--without-pip", dest)
    python = dest / "bin/python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:",
        "--no-compile", "-r", REQUIREMENTS)
    packages = next(dest.glob("lib/python3*/site-packages"))
    (packages / "bind_lazily.pth").write_text(LAZY)
    for name in ABSENT:
        run("cc", "-shared", "-fPIC", "-nostdlib", f"-Wl,-soname,{name}", "-x", "c", "-", "-o", packages / "torch/lib" / name, input=STUB.encode())
    run(python, "-c", "import torch; assert (torch.ones(2, 2) @ torch.ones(2, 2)).sum() == 8")
    (dest / "made").write_text(made)


if __name__ == "__main__":
    main()
