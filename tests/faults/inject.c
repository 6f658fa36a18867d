// Makes system calls of one program fail, short or fatal: the n-th of those that match, and all that follow it up to
// a number. Calls are stopped by seccomp (user notification), so that those are seen too that bypass the C library.
// What a fault means for the program, and how many there are to try, its caller decides.
//
//   inject LOG PROGRAM CALLS FAULT FROM COUNT ROOTS POWER -- COMMAND...
//
// PROGRAM: the name of the executable whose calls count. CALLS: their names, with commas; `create` are opens that make
// or empty a file. FAULT: `none`, `kill` (before the call), `power` (the file systems at POWER are shut down as they
// are on their disks, then the whole command is killed), `short` (half of the bytes), or the number of an error.
// FROM: the first call that has it, or 0. ROOTS: folders, with colons; calls on other paths do not count. Each call
// that counts is a line of LOG: its number, name, path; a `!` marks those that had the fault.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

// Which of a call's arguments say on which file it works.
enum kind { FD, PATH, AT, TWO_PATHS, TWO_AT, OPEN_AT, OPEN, NO_FILE };

static const struct call { const char *name; int number; enum kind kind; } CALLS[] = {
    {"open", SYS_open, OPEN}, {"openat", SYS_openat, OPEN_AT}, {"openat2", SYS_openat2, AT}, {"creat", SYS_creat, PATH},
    {"write", SYS_write, FD}, {"pwrite64", SYS_pwrite64, FD}, {"writev", SYS_writev, FD}, {"pwritev", SYS_pwritev, FD},
    {"read", SYS_read, FD}, {"pread64", SYS_pread64, FD}, {"readv", SYS_readv, FD}, {"getdents64", SYS_getdents64, FD},
    {"fsync", SYS_fsync, FD}, {"fdatasync", SYS_fdatasync, FD}, {"syncfs", SYS_syncfs, FD},
    {"ftruncate", SYS_ftruncate, FD}, {"truncate", SYS_truncate, PATH}, {"fallocate", SYS_fallocate, FD},
    {"copy_file_range", SYS_copy_file_range, FD}, {"sendfile", SYS_sendfile, FD},
    {"rename", SYS_rename, TWO_PATHS}, {"renameat", SYS_renameat, TWO_AT}, {"renameat2", SYS_renameat2, TWO_AT},
    {"link", SYS_link, TWO_PATHS}, {"linkat", SYS_linkat, TWO_AT}, {"symlink", SYS_symlink, TWO_PATHS},
    {"symlinkat", SYS_symlinkat, NO_FILE}, {"unlink", SYS_unlink, PATH}, {"unlinkat", SYS_unlinkat, AT},
    {"mkdir", SYS_mkdir, PATH}, {"mkdirat", SYS_mkdirat, AT}, {"rmdir", SYS_rmdir, PATH}, {"chmod", SYS_chmod, PATH},
    {"fchmod", SYS_fchmod, FD}, {"fchmodat", SYS_fchmodat, AT}, {"utimensat", SYS_utimensat, AT},
    {"stat", SYS_stat, PATH}, {"lstat", SYS_lstat, PATH}, {"statx", SYS_statx, AT}, {"newfstatat", SYS_newfstatat, AT},
    {"access", SYS_access, PATH}, {"faccessat", SYS_faccessat, AT}, {"readlink", SYS_readlink, PATH},
    {"statfs", SYS_statfs, PATH}, {"flock", SYS_flock, FD}, {"fcntl", SYS_fcntl, FD},
    {"socket", SYS_socket, NO_FILE}, {"pipe2", SYS_pipe2, NO_FILE}, {"pidfd_open", SYS_pidfd_open, NO_FILE},
    {"clone3", SYS_clone3, NO_FILE}, {"clone", SYS_clone, NO_FILE}, {"vfork", SYS_vfork, NO_FILE},
    {"inotify_init1", SYS_inotify_init1, NO_FILE}, {"inotify_add_watch", SYS_inotify_add_watch, NO_FILE},
};
#define CALL_COUNT (sizeof CALLS / sizeof *CALLS)

static char wanted[CALL_COUNT], only_opens_that_create;
static const char *program, *fault, *roots, *power;

static void die(const char *what) { perror(what); exit(99); }

static const struct call *call_of(int number) {
    for (size_t i = 0; i < CALL_COUNT; i++)
        if (wanted[i] && CALLS[i].number == number) return &CALLS[i];
    return NULL;
}

// The command's own process stops at every wanted call; the listener goes to the parent.
static int filter(void) {
    struct sock_filter code[CALL_COUNT + 3];
    size_t n = 0, left = 0;
    for (size_t i = 0; i < CALL_COUNT; i++) left += wanted[i];
    code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < CALL_COUNT; i++)
        if (wanted[i]) code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, CALLS[i].number, (uint8_t)left--, 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    struct sock_fprog prog = {.len = n, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) die("no_new_privs");
    int flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    int fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
    if (fd < 0) die("seccomp");
    return fd;
}

static void pass_fd(int socket, int fd) {
    char byte = 0, space[CMSG_SPACE(sizeof fd)] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
    *head = (struct cmsghdr){.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof fd)};
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    if (sendmsg(socket, &msg, 0) != 1) die("sendmsg");
}

static int take_fd(int socket) {
    char byte, space[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {&byte, 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    int fd;
    if (recvmsg(socket, &msg, 0) != 1) die("recvmsg");
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
    return fd;
}

static void link_of(pid_t tid, const char *what, char *text) {
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/%s", tid, what);
    ssize_t n = readlink(name, text, PATH_MAX - 1);
    text[n < 0 ? 0 : n] = 0;
}

static void fd_path(pid_t tid, int fd, char *text) {
    char what[32];
    snprintf(what, sizeof what, "fd/%d", fd);
    if (fd == AT_FDCWD) strcpy(what, "cwd");
    link_of(tid, what, text);
}

static int memory(pid_t tid, uint64_t at, void *bytes, size_t n, int write) {
    struct iovec ours = {bytes, n}, theirs = {(void *)at, n};
    return write ? process_vm_writev(tid, &ours, 1, &theirs, 1, 0) : process_vm_readv(tid, &ours, 1, &theirs, 1, 0);
}

static void text_at(pid_t tid, uint64_t at, char *text) {
    text[0] = 0;
    for (size_t n = 0; n + 1 < PATH_MAX;) {
        // Up to the end of a page: the next one may not be there.
        size_t step = 4096 - (at + n) % 4096;
        if (PATH_MAX - 1 - n < step) step = PATH_MAX - 1 - n;
        int got = memory(tid, at + n, text + n, step, 0);
        if (got <= 0) { text[n] = 0; return; }
        if (memchr(text + n, 0, got)) return;
        n += got;
        text[n] = 0;
    }
}

static void at_path(pid_t tid, int dir, uint64_t at, char *text) {
    static char name[PATH_MAX];
    text_at(tid, at, name);
    if (name[0] == '/') { strcpy(text, name); return; }
    fd_path(tid, dir, text);
    size_t n = strlen(text);
    if (name[0]) snprintf(text + n, PATH_MAX - n, "/%s", name);
}

static int is_under_roots(const char *path) {
    for (const char *root = roots; *root;) {
        size_t n = strcspn(root, ":");
        if (!strncmp(path, root, n) && (path[n] == '/' || !path[n])) return 1;
        root += n + (root[n] == ':');
    }
    return 0;
}

// Whether the call counts; `path` says on what it works.
static int counts(const struct call *call, const struct seccomp_notif *req, char *path) {
    static char exe[PATH_MAX], second[PATH_MAX];
    pid_t tid = req->pid;
    const uint64_t *arg = (const uint64_t *)req->data.args;
    link_of(tid, "exe", exe);
    const char *name = strrchr(exe, '/');
    if (strcmp(name ? name + 1 : exe, program)) return 0;
    path[0] = second[0] = 0;
    switch (call->kind) {
    case FD: fd_path(tid, arg[0], path); break;
    case PATH: case OPEN: at_path(tid, AT_FDCWD, arg[0], path); break;
    case AT: case OPEN_AT: at_path(tid, arg[0], arg[1], path); break;
    case TWO_PATHS: at_path(tid, AT_FDCWD, arg[0], path); at_path(tid, AT_FDCWD, arg[1], second); break;
    case TWO_AT: at_path(tid, arg[0], arg[1], path); at_path(tid, arg[2], arg[3], second); break;
    case NO_FILE: return 1;
    }
    if (only_opens_that_create && (call->kind == OPEN_AT || call->kind == OPEN)) {
        int flags = call->kind == OPEN ? arg[1] : arg[2];
        if (!(flags & (O_CREAT | O_TRUNC))) return 0;
    }
    return is_under_roots(path) || is_under_roots(second);
}

// Half of the bytes are moved by us, through the process's own file.
static int64_t half(const struct seccomp_notif *req, int number) {
    uint64_t n = req->data.args[2], take = n / 2;
    int pid_fd = syscall(SYS_pidfd_open, req->pid, 0200 /* PIDFD_THREAD */);
    int fd = pid_fd < 0 ? -1 : syscall(SYS_pidfd_getfd, pid_fd, (int)req->data.args[0], 0);
    if (0 <= pid_fd) close(pid_fd);
    if (fd < 0 || n < 2 || (64 << 20) < n) { if (0 <= fd) close(fd); return -1; }
    char *bytes = malloc(take);
    int64_t moved = -1;
    if (number == SYS_read || number == SYS_pread64) {
        moved = number == SYS_read ? read(fd, bytes, take) : pread(fd, bytes, take, req->data.args[3]);
        if (0 < moved && memory(req->pid, req->data.args[1], bytes, moved, 1) != moved) moved = -1;
    } else if (memory(req->pid, req->data.args[1], bytes, take, 0) == (int)take) {
        moved = number == SYS_write ? write(fd, bytes, take) : pwrite(fd, bytes, take, req->data.args[3]);
    }
    free(bytes);
    close(fd);
    return moved;
}

// What lies on the disks stays, and nothing more comes.
static void cut_power(void) {
    for (const char *at = power; *at;) {
        char path[PATH_MAX] = {0};
        size_t n = strcspn(at, ":");
        memcpy(path, at, n);
        int fd = open(path, O_RDONLY | O_DIRECTORY);
        uint32_t no_log_flush = 2;
        if (fd < 0 || ioctl(fd, _IOR('X', 125, uint32_t), &no_log_flush)) die("shutting down a file system");
        close(fd);
        at += n + (at[n] == ':');
    }
}

static void parse_calls(char *names) {
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        size_t i = 0;
        if (!strcmp(name, "create")) { only_opens_that_create = 1; name = "openat"; }
        while (i < CALL_COUNT && strcmp(CALLS[i].name, name)) i++;
        if (i == CALL_COUNT) { fprintf(stderr, "no call %s\n", name); exit(98); }
        wanted[i] = 1;
    }
}

int main(int argc, char **argv) {
    if (argc < 11 || strcmp(argv[9], "--")) { fprintf(stderr, "see the head of inject.c\n"); return 98; }
    FILE *log = fopen(argv[1], "w");
    if (!log) die(argv[1]);
    program = argv[2], fault = argv[4], roots = argv[7], power = argv[8];
    parse_calls(argv[3]);
    unsigned long from = strtoul(argv[5], NULL, 10), count = strtoul(argv[6], NULL, 10), seen = 0;
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair)) die("socketpair");
    pid_t child = fork();
    if (!child) {
        // A command without its injector would wait for ever.
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pass_fd(pair[1], filter());
        execvp(argv[10], argv + 10);
        die(argv[10]);
    }
    int listener = take_fd(pair[0]), status = 0, has_ended = 0;
    // Larger than the kernel's own may be.
    static union { struct seccomp_notif it; char space[4096]; } req;
    static union { struct seccomp_notif_resp it; char space[4096]; } resp;
    static char path[PATH_MAX];
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    for (;;) {
        if (!has_ended && waitpid(child, &status, WNOHANG) == child) has_ended = 1;
        struct pollfd wait = {listener, POLLIN, 0};
        int ready = poll(&wait, 1, has_ended ? 2000 : 20);
        // Workers that outlive the command are served until the last has gone.
        if (wait.revents & POLLHUP) { if (!has_ended) waitpid(child, &status, 0); break; }
        if (ready <= 0) continue;
        memset(&req, 0, sizeof req);
        if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &req.it)) continue;
        memset(&resp, 0, sizeof resp);
        resp.it.id = req.it.id;
        resp.it.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
        const struct call *call = call_of(req.it.data.nr);
        if (call && counts(call, &req.it, path)) {
            seen++;
            int strikes = from && from <= seen && seen - from < count && strcmp(fault, "none");
            fprintf(log, "%lu%s %s %s\n", seen, strikes ? "!" : "", call->name, path);
            fflush(log);
            if (strikes && !strcmp(fault, "kill")) {
                kill(req.it.pid, SIGKILL);
                continue;
            } else if (strikes && !strcmp(fault, "power")) {
                cut_power();
                kill(0, SIGKILL);
            } else if (strikes && !strcmp(fault, "short")) {
                int64_t moved = half(&req.it, call->number);
                if (0 <= moved) { resp.it.flags = 0; resp.it.val = moved; }
            } else if (strikes) {
                resp.it.flags = 0;
                resp.it.error = -atoi(fault);
            }
        }
        ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp.it);
    }
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
