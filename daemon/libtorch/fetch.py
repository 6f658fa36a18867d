#!/usr/bin/env python3
"""Put the libtorch that tch expects into a folder: `fetch.py DEST [--cuda]`.

It comes out of the PyPI wheel of torch, pinned by version and hash, through pip. Only what a program
linked to libtorch needs is unpacked: headers, CPU libraries, and the two small CUDA libraries that
libtorch_cpu itself is linked to. With --cuda the CUDA libraries of the wheel stay too; those of NVIDIA
that they need in turn are installed beside them. Safe to repeat: a finished folder is left alone.
"""
import os, platform, shutil, subprocess, sys, tempfile, zipfile
from pathlib import Path

TORCH = "2.13.0"
PINS = f"""
torch=={TORCH} --hash=sha256:60fcdcb2f3876e21146cb4524ef06397d727ca9ad5f020818547e25075fe3cb7
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
nvidia-cuda-cupti==13.0.85 --hash=sha256:4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
"""
# What the CUDA libraries of the wheel need besides (unpinned by hash: none of it is linked on a CPU machine).
CUDA = [
    "nvidia-cudnn-cu13==9.20.0.48", "nvidia-cusparselt-cu13==0.8.1", "nvidia-nccl-cu13==2.29.7", "nvidia-nvshmem-cu13==3.4.5",
    "cuda-toolkit[cublas,cudart,cufft,cufile,cupti,curand,cusolver,cusparse,nvjitlink,nvrtc,nvtx]==13.0.3",
]
# The wheel for one Python version serves every machine: nothing of Python in it is used.
TARGET = ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11", "--abi=cp311", "--abi=none"]
TARGET += [f"--platform=manylinux_{glibc}_x86_64" for glibc in ("2_28", "2_25", "2_17")] + ["--platform=manylinux2014_x86_64"]
CPU_LIBRARIES = {"libtorch_cpu.so", "libc10.so", "libtorch.so", "libtorch_global_deps.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13"}


def pip(*args):
    try:
        subprocess.run([sys.executable, "-m", "pip", *args], check=True)
    except subprocess.CalledProcessError as err:
        sys.exit(f"{' '.join(err.cmd)}\nfailed (see above). Without network: set LIBTORCH to an unpacked libtorch {TORCH}.")


def wanted(name, cuda):
    path = Path(name)
    if name.startswith("torch/include/"):
        return Path(*path.parts[1:])
    if ".so" in path.name and "lib" in path.parts and (cuda or path.name in CPU_LIBRARIES) and path.name != "libtorch_python.so":
        return Path("lib") / path.name
    return None


def unpack(wheel, dest, cuda):
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            target = wanted(name, cuda)
            if target is None or name.endswith("/"):
                continue
            (dest / target).parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, open(dest / target, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)


def main():
    cuda, args = "--cuda" in sys.argv, [a for a in sys.argv[1:] if a != "--cuda"]
    if len(args) != 1:
        sys.exit(__doc__)
    dest = Path(args[0])
    made = f"{TORCH}{'+cuda' if cuda else ''}"
    if (dest / "finetuned-made").exists() and (dest / "finetuned-made").read_text().strip() == made:
        return
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        sys.exit(f"there is no pinned libtorch for {platform.system()} {platform.machine()}: set LIBTORCH to a libtorch {TORCH}")
    print(f"libtorch {made}: downloading (500 MB) and unpacking into {dest}", flush=True)
    partial = dest.with_name(dest.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=partial.parent) as tmp:
        pins = Path(tmp) / "pins.txt"
        pins.write_text(PINS)
        pip("download", "-q", "--no-deps", "--require-hashes", "-r", str(pins), "-d", tmp, *TARGET)
        if cuda:
            pip("download", "-q", "-d", tmp, *TARGET, *CUDA)
        for wheel in sorted(Path(tmp).glob("*.whl")):
            unpack(wheel, partial, cuda)
    (partial / "build-version").write_text(TORCH)  # torch-sys compares this with the version that it expects
    (partial / "finetuned-made").write_text(made)
    shutil.rmtree(dest, ignore_errors=True)
    os.rename(partial, dest)


if __name__ == "__main__":
    main()
