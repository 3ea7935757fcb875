/* Preloaded into a process, it writes down every change to the files below a folder:
 * where, what, and when it was synced. tests/power/disk.py reads that and makes of it
 * what a disk may hold after a power cut.
 *
 * A record: operation (1 byte), length of the path (4), the path, offset (8), length of
 * the data (8), the data; integers in the machine's order.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int record_to(void) {
    static int fd = -2;
    if (fd == -2) {
        const char *path = getenv("POWER_LOG");
        fd = path ? REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    }
    return fd;
}

static int below(const char *path) {
    const char *folder = getenv("POWER_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static int path_of(int fd, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static void note(char op, const char *path, int64_t at, const void *data, size_t size) {
    int fd = record_to();
    uint32_t length = (uint32_t)strlen(path);
    uint64_t bytes = size;
    struct iovec parts[] = {
        {&op, 1}, {&length, 4}, {(void *)path, length}, {&at, 8}, {&bytes, 8},
        {(void *)data, size},
    };
    if (fd >= 0 && writev(fd, parts, 6) < 0) abort();
}

static void note_fd(char op, int fd, int64_t at, const void *data, size_t size) {
    char path[4096];
    if (path_of(fd, path, sizeof path)) note(op, path, at, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    ssize_t done = REAL(pwrite)(fd, data, size, at);
    if (done > 0) note_fd('W', fd, at, data, (size_t)done);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    ssize_t done = REAL(pwrite64)(fd, data, size, at);
    if (done > 0) note_fd('W', fd, at, data, (size_t)done);
    return done;
}

ssize_t write(int fd, const void *data, size_t size) {
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = REAL(write)(fd, data, size);
    if (done > 0 && at >= 0) note_fd('W', fd, at, data, (size_t)done);
    return done;
}

int ftruncate(int fd, off_t size) {
    int done = REAL(ftruncate)(fd, size);
    if (done == 0) note_fd('T', fd, size, "", 0);
    return done;
}

int ftruncate64(int fd, off64_t size) {
    int done = REAL(ftruncate64)(fd, size);
    if (done == 0) note_fd('T', fd, size, "", 0);
    return done;
}

int fsync(int fd) {
    int done = REAL(fsync)(fd);
    if (done == 0) note_fd('S', fd, 0, "", 0);
    return done;
}

int fdatasync(int fd) {
    int done = REAL(fdatasync)(fd);
    if (done == 0) note_fd('S', fd, 0, "", 0);
    return done;
}

int unlink(const char *path) {
    int done = REAL(unlink)(path);
    if (done == 0 && below(path)) note('U', path, 0, "", 0);
    return done;
}

static int opened(int fd, const char *path, int flags, int was) {
    if (fd >= 0 && (flags & O_CREAT) && !was && below(path)) note('C', path, 0, "", 0);
    return fd;
}

#define OPEN(name)                                                          \
    int name(const char *path, int flags, ...) {                            \
        va_list more;                                                       \
        va_start(more, flags);                                              \
        mode_t mode = (flags & O_CREAT) ? va_arg(more, mode_t) : 0;         \
        va_end(more);                                                       \
        int was = access(path, F_OK) == 0;                                  \
        return opened(REAL(name)(path, flags, mode), path, flags, was);     \
    }

OPEN(open)
OPEN(open64)
