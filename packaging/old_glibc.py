#!/usr/bin/env python3
"""What makes binaries that an older glibc runs: `old_glibc.py FOLDER` (needs pip, c++) leaves `arguments` for the linker there,
and an object for programs of C++. It prints the folder, FINETUNED_LINK of the build scripts.

A binary wants the newest version of each function that the glibc which it was linked against has. Zig's compiler knows the
functions of every glibc: libraries without code, named as those of VERSION are, and the start of a program. They come from its
wheel. What runs is the machine's own glibc. Zig as the linker itself (as cargo-zigbuild does it) was turned down: it puts its
own C++ library in the place of the one that libtorch is compiled with.
"""
import os, subprocess, sys, venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSION = "2.28"
ZIG = "ziglang==0.17.1"


def run(*command, **more):
    return subprocess.run([str(it) for it in command], check=True, **more)


def zig(folder):
    """The compiler, in an environment of its own."""
    python = folder / "zig/bin/python"
    if not python.exists():
        venv.create(folder / "zig", with_pip=True)
        run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ZIG, stdout=sys.stderr)
    return [python, "-m", "ziglang", "cc", "-target", f"x86_64-linux-gnu.{VERSION}"]


def stubs(folder):
    """A program of nothing leaves all that it was linked against in the cache."""
    cache = folder / f"glibc-{VERSION}"
    if not any(cache.glob("o/*/Scrt1.o")):
        source = folder / "nothing.c"
        source.write_text("int main(void) { return 0; }\n")
        env = dict(os.environ, ZIG_GLOBAL_CACHE_DIR=str(cache), ZIG_LOCAL_CACHE_DIR=str(cache))
        run(*zig(folder), "-pie", source, "-o", folder / "nothing", env=env)
    only = lambda name: next(iter(sorted(cache.glob(f"o/*/{name}"))))
    return only("libc.so.6").parent, only("libc_nonshared.a"), only("Scrt1.o")


def of_compiler(name):
    return run("c++", f"-print-file-name={name}", capture_output=True, text=True).stdout.strip()


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    shared, nonshared, start = stubs(folder)
    links = folder / "link"
    links.mkdir(exist_ok=True)
    for name, version in {"m": 6, "pthread": 0, "dl": 2, "rt": 1, "util": 1, "resolv": 2}.items():
        link = links / f"lib{name}.so"
        link.unlink(missing_ok=True)
        link.symlink_to(shared / f"lib{name}.so.{version}")
    (links / "libc.so").write_text(f"GROUP ( {shared}/libc.so.6 {nonshared} {shared}/libld.so.2 )\n")
    run("c++", "-std=c++20", "-O2", "-fPIC", "-c", HERE / "old_glibc.cpp", "-o", folder / "old_glibc.o")
    arguments = ["-nostartfiles", start, of_compiler("crti.o"), of_compiler("crtbeginS.o"), f"-L{links}", "-Wl,--allow-shlib-undefined",
                 of_compiler("crtendS.o"), of_compiler("crtn.o")]
    (folder / "arguments").write_text("\n".join(map(str, arguments)) + "\n")
    print(folder)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]).resolve())
