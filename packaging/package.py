#!/usr/bin/env python3
"""Make a package of the built binaries: `package.py deb|tar BINARIES LIBTORCH OUT`.

BINARIES is a folder with finetuned and finetuned-worker, the latter linked with FINETUNED_RPATH
'$ORIGIN/../lib'. Both kinds hold the same tree, libtorch in a folder of its own; the tarball's runs
wherever it is unpacked, on the glibc of NEWEST or a newer one. Times are those of the last commit (or SOURCE_DATE_EPOCH), so that the same
binaries give the same bytes. Needs binutils; for deb dpkg-dev too.
"""
import gzip, os, re, shutil, subprocess, sys, tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UNITS = ROOT / "packaging/systemd"
LIBRARIES = ("libtorch_cpu.so", "libc10.so", "libtorch.so", "libtorch_global_deps.so", "libgomp.so.1", "libcudart.so.13", "libcupti.so.13")
VERSION = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.M)[1]
INBOX = "/var/spool/finetuned"
PLUGINS = "/usr/lib/finetuned/plugins"
# Of Enterprise Linux 8 and Debian 10, which libtorch itself asks for.
NEWEST = {"GLIBC": "2.28", "GLIBCXX": "3.4.25", "CXXABI": "1.3.11"}


def run(*args, **more):
    return subprocess.run([str(it) for it in args], check=True, text=True, stdout=subprocess.PIPE, **more).stdout


def epoch():
    return int(os.environ.get("SOURCE_DATE_EPOCH") or run("git", "log", "-1", "--format=%ct", cwd=ROOT))


def place(source, target, mode=0o644):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def write(target, text, mode=0o644):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    target.chmod(mode)


def packed(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(source.read_bytes(), mtime=0))


def product(prefix, binaries, libtorch):
    """What every package holds: binaries, libtorch, manual pages, completions, documents."""
    ours = prefix / "lib/finetuned"
    for name in ("finetuned", "finetuned-worker"):
        place(binaries / name, ours / "bin" / name, 0o755)
        run("strip", ours / "bin" / name)
    if "$ORIGIN/../lib" not in run("readelf", "-d", ours / "bin/finetuned-worker"):
        sys.exit(f"{binaries}/finetuned-worker looks for libtorch elsewhere: build it with FINETUNED_RPATH='$ORIGIN/../lib'")
    for name in LIBRARIES:
        place(libtorch / "lib" / name, ours / "lib" / name)
    (prefix / "bin").mkdir()
    (prefix / "bin/finetuned").symlink_to("../lib/finetuned/bin/finetuned")
    command = binaries / "finetuned"
    with tempfile.TemporaryDirectory() as pages:
        run(command, "man", pages)
        for page in sorted(Path(pages).iterdir()):
            packed(page, prefix / "share/man/man1" / f"{page.name}.gz")
    for shell, file in {"bash": "bash-completion/completions/finetuned", "zsh": "zsh/vendor-completions/_finetuned", "fish": "fish/vendor_completions.d/finetuned.fish"}.items():
        write(prefix / "share" / file, run(command, "completions", shell))
    documents = prefix / "share/doc/finetuned"
    for file in sorted((ROOT / "docs").glob("*.md")) + [ROOT / "README.md"]:
        place(file, documents / file.name)
    packed(ROOT / "CHANGELOG.md", documents / "changelog.gz")
    write(documents / "copyright", "".join(f"{(ROOT / name).read_text()}\n" for name in ("LICENSE-MIT", "LICENSE-APACHE")))
    place(UNITS / "gpu.conf", documents / "examples/gpu.conf")
    write(documents / "examples/config.toml", configuration())


def configuration():
    """docs/config.md's example with every setting as a comment, and an inbox that the group can write."""
    example = (ROOT / "docs/config.md").read_text().split("```toml\n")[1].split("```")[0]
    lines = [f"# {line}".rstrip() if line else "" for line in example.splitlines()]
    head = ["# finetuned's configuration, read again by `systemctl reload finetuned`. Every key has a default;", "# finetuned's config.md explains them. What stands here is an example.", ""]
    live = ["", "# Members of the group finetuned hand drops over here.", "[[inbox]]", f'path = "{INBOX}"', "", "[plugins]", f'folder = "{PLUGINS}"']
    return "\n".join(head + lines + live) + "\n"


def service(root):
    place(UNITS / "finetuned.service", root / "usr/lib/systemd/system/finetuned.service")
    place(UNITS / "user/finetuned.service", root / "usr/lib/systemd/user/finetuned.service")
    place(UNITS / "finetuned.sysusers", root / "usr/lib/sysusers.d/finetuned.conf")
    place(UNITS / "finetuned.tmpfiles", root / "usr/lib/tmpfiles.d/finetuned.conf")
    write(root / "etc/finetuned/config.toml", configuration())
    (root / PLUGINS.lstrip("/")).mkdir()


def dependencies(root):
    """Of both binaries and of libtorch, which brings its own libgomp, by Debian's own tool."""
    files = [it for folder in ("bin", "lib") for it in sorted((root / "usr/lib/finetuned" / folder).iterdir())]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "debian/control", "Source: finetuned\n\nPackage: finetuned\nArchitecture: any\n")
        found = run("dpkg-shlibdeps", "-O", "--warnings=0", "--ignore-missing-info", "-xlibgomp1", f"-l{root}/usr/lib/finetuned/lib", *(f"-e{it}" for it in files), cwd=folder, stderr=subprocess.DEVNULL)
    return found.strip().removeprefix("shlibs:Depends=")


def settle(root, at):
    """One time and ordinary modes everywhere, whatever the umask was."""
    for path in [root, *root.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        os.utime(path, (at, at), follow_symlinks=False)


def runs_on_older(root):
    """The tarball's promise: nothing in it wants newer functions than these."""
    for file in [it for folder in ("bin", "lib") for it in sorted((root / "lib/finetuned" / folder).iterdir())]:
        # What is weak may be absent: the program asks before it calls.
        wanted = [line for line in run("objdump", "-T", file).splitlines() if "*UND*" in line and " w " not in line]
        for name, newest in NEWEST.items():
            found = max((tuple(map(int, it.split("."))) for line in wanted for it in re.findall(rf"\b{name}_([0-9.]+)", line)), default=(0,))
            if tuple(map(int, newest.split("."))) < found:
                sys.exit(f"{file.name} wants {name} {'.'.join(map(str, found))}, newer than {newest}: link it with packaging/old_glibc.py's arguments (make dist)")


def deb(binaries, libtorch, out):
    architecture = run("dpkg", "--print-architecture").strip()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "root"
        product(root / "usr", binaries, libtorch)
        service(root)
        size = sum(it.lstat().st_size for it in root.rglob("*") if it.is_file()) // 1024
        control = f"Package: finetuned\nVersion: {VERSION}\nArchitecture: {architecture}\nMaintainer: finetuned <finetuned@localhost>\nInstalled-Size: {size}\nDepends: {dependencies(root)}\nRecommends: systemd\nSection: science\nPriority: optional\nDescription: drops of labelled data become proven fine-tuned models\n A daemon that watches folders, fine-tunes Hugging Face models on the data sets\n that are dropped there, and proves each result by loading it again.\n"
        write(root / "DEBIAN/control", control)
        write(root / "DEBIAN/conffiles", "/etc/finetuned/config.toml\n")
        for name in ("postinst", "prerm", "postrm"):
            place(ROOT / "packaging/debian" / name, root / "DEBIAN" / name, 0o755)
        settle(root, epoch())
        file = out / f"finetuned_{VERSION}_{architecture}.deb"
        run("dpkg-deb", "--build", "--root-owner-group", "-Zzstd", root, file, env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch())})
        return file


def tar(binaries, libtorch, out):
    name = f"finetuned-{VERSION}-{os.uname().machine}"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / name
        product(root, binaries, libtorch)
        runs_on_older(root)
        for unit in ("finetuned.service", "user/finetuned.service", "finetuned.sysusers", "finetuned.tmpfiles", "gpu.conf"):
            place(UNITS / unit, root / "share/systemd" / unit)
        settle(root, epoch())
        file = out / f"{name}.tar.gz"
        with gzip.GzipFile(file, "wb", compresslevel=6, mtime=0) as packed_tar:
            order = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner"]
            packer = subprocess.Popen(["tar", "-C", folder, *order, "-c", name], stdout=subprocess.PIPE)
            shutil.copyfileobj(packer.stdout, packed_tar)
            if packer.wait():
                sys.exit("tar failed")
        return file


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[1] not in ("deb", "tar"):
        sys.exit(__doc__)
    binaries, libtorch, out = (Path(it).resolve() for it in sys.argv[2:])
    out.mkdir(parents=True, exist_ok=True)
    print({"deb": deb, "tar": tar}[sys.argv[1]](binaries, libtorch, out))
