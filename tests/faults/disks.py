"""File systems of their own, which may be filled, or lose their power: only root can mount them."""
import os, shutil, subprocess, tempfile, time
from pathlib import Path

from home import MEMORY

SIZE = 24 << 20


def can_mount():
    return os.geteuid() == 0


def shell(*command):
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


class Disk:
    """An ext4 in an image in memory. Nothing is written back that is not flushed: the journal commits every ten minutes."""

    def __init__(self, folder, name):
        self.image, self.mount = folder / f"{name}.img", folder / name
        self.mount.mkdir()
        with open(self.image, "wb") as image:
            image.truncate(SIZE)
        shell("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        self.up()

    def up(self):
        shell("mount", "-o", "loop,commit=600", self.image, self.mount)

    def down(self):
        end = time.monotonic() + 30
        while subprocess.run(["umount", self.mount], capture_output=True).returncode:
            # Its last processes are still dying.
            assert time.monotonic() < end, f"{self.mount} can't be unmounted"
            time.sleep(0.02)


class Power:
    """A home's folder and an inbox's, on two disks whose power can be cut."""

    def __init__(self):
        self.parent = Path(tempfile.mkdtemp(prefix="faults-disks-", dir=MEMORY))
        self.disks = [Disk(self.parent, "near"), Disk(self.parent, "far")]
        self.folder, self.far = [it.mount for it in self.disks]

    def begin(self):
        """What was prepared is on the disks; where their power is cut."""
        for disk in self.disks:
            shell("sync", "-f", disk.mount)
        return [it.mount for it in self.disks]

    def come_up(self):
        for disk in self.disks:
            disk.down()
            disk.up()

    def close(self):
        for disk in self.disks:
            disk.down()
        shutil.rmtree(self.parent, ignore_errors=True)


class Small:
    """A home on a file system that can be filled: of so many bytes, or of so many names."""

    def __init__(self, options):
        self.parent = Path(tempfile.mkdtemp(prefix="faults-small-", dir="/tmp"))
        self.folder, self.far = self.parent / "near", self.parent / "far"
        for folder in (self.folder, self.far):
            folder.mkdir()
        shell("mount", "-t", "tmpfs", "-o", options, "tmpfs", self.folder)

    def fill(self):
        with open(self.folder / "ballast", "ab", buffering=0) as file:
            for block in (1 << 16, 1):
                try:
                    while file.write(b"\0" * block):
                        pass
                except OSError:
                    pass

    def use_up_names(self):
        names = self.folder / "names"
        try:
            names.mkdir()
            for n in range(1_000_000):
                (names / str(n)).touch()
        except OSError:
            pass

    def empty(self):
        shutil.rmtree(self.folder / "names", ignore_errors=True)
        (self.folder / "ballast").unlink(missing_ok=True)

    def close(self):
        subprocess.run(["umount", "-l", self.folder], capture_output=True)
        shutil.rmtree(self.parent, ignore_errors=True)
