// Records what a process does to the files below a folder, in the order in which it does it, so that a test can say what
// a disk may hold after the power fails at any point. Can also have syncs fail, as a bad disk does. Loaded with LD_PRELOAD.
//
//   RECORDER_ROOT       the folder, an absolute path without symbolic links
//   RECORDER_LOG        the record; must exist
//   RECORDER_FAIL_SYNC  every so manieth sync fails with EIO and brings nothing to the disk; absent: none
//
// An entry: kind (1 byte), length of the path (u32), offset (u64), length of the data (u32), path, data; little endian.
//   C created  W written  T cut to offset  S sync begins (offset: its number)  D it is done  F it failed
//   R renamed (data: the new path)  U unlinked  M folder made  A for the test's own remarks
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST_FILES 4096
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *paths[MOST_FILES];
static char owed[MOST_FILES]; // the file is to hear of a sync that failed through another descriptor
static const char *root;
static int record = -1;
static long fail_every = 0, syncs = 0;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void start(void) {
  const char *log = getenv("RECORDER_LOG"), *fail = getenv("RECORDER_FAIL_SYNC");
  root = getenv("RECORDER_ROOT");
  if (fail) fail_every = atol(fail);
  if (root && log) record = REAL(open)(log, O_WRONLY | O_APPEND | O_CLOEXEC);
}

static int within(const char *path) { return record >= 0 && strncmp(path, root, strlen(root)) == 0; }

static void note(char kind, const char *path, uint64_t offset, const void *data, uint32_t length) {
  unsigned char head[17];
  uint32_t name = strlen(path);
  head[0] = kind;
  memcpy(head + 1, &name, 4);
  memcpy(head + 5, &offset, 8);
  memcpy(head + 13, &length, 4);
  struct iovec parts[3] = {{head, 17}, {(void *)path, name}, {(void *)data, length}};
  if (REAL(writev)(record, parts, length ? 3 : 2) < 0) abort();
}

// A path without links and dots, even of what does not exist yet; NULL when it is none of ours.
static const char *resolve(int dir, const char *path, char *out) {
  char full[PATH_MAX], parent[PATH_MAX];
  if (record < 0) return NULL;
  if (path[0] == '/' || dir == AT_FDCWD) snprintf(full, sizeof full, "%s", path);
  else if (dir >= 0 && dir < MOST_FILES && paths[dir]) snprintf(full, sizeof full, "%s/%s", paths[dir], path);
  else return NULL;
  char *slash = strrchr(full, '/');
  if (!slash) return NULL;
  *slash = 0;
  if (!realpath(slash == full ? "/" : full, parent)) return NULL;
  if (snprintf(out, PATH_MAX, "%s/%s", parent, slash + 1) >= PATH_MAX) return NULL;
  return within(out) ? out : NULL;
}

static int opened(int dir, const char *path, int flags, mode_t mode) {
  char buffer[PATH_MAX];
  const char *mine = resolve(dir, path, buffer);
  struct stat before;
  if (!mine) return REAL(openat)(dir, path, flags, mode);
  pthread_mutex_lock(&lock);
  int is_new = stat(mine, &before) != 0;
  int fd = REAL(openat)(dir, path, flags, mode);
  if (fd >= 0 && fd < MOST_FILES) {
    free(paths[fd]);
    paths[fd] = strdup(mine);
    owed[fd] = 0;
    if (is_new) note('C', mine, 0, NULL, 0);
    else if ((flags & O_TRUNC) && before.st_size > 0) note('T', mine, 0, NULL, 0);
  }
  pthread_mutex_unlock(&lock);
  return fd;
}

#define MODE(flags, mode) mode_t mode = 0; if ((flags) & O_CREAT) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE(flags, mode) return opened(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, mode) return opened(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE(flags, mode) return opened(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE(flags, mode) return opened(dir, path, flags, mode); }

int close(int fd) {
  if (fd >= 0 && fd < MOST_FILES && paths[fd]) {
    pthread_mutex_lock(&lock);
    free(paths[fd]);
    paths[fd] = NULL;
    pthread_mutex_unlock(&lock);
  }
  return REAL(close)(fd);
}

static int ours(int fd) { return fd >= 0 && fd < MOST_FILES && paths[fd]; }

static ssize_t wrote(int fd, const struct iovec *parts, int count, off_t offset, int placed) {
  if (!ours(fd)) return placed ? REAL(pwritev)(fd, parts, count, offset) : REAL(writev)(fd, parts, count);
  pthread_mutex_lock(&lock);
  if (!placed) offset = (fcntl(fd, F_GETFL) & O_APPEND) ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
  ssize_t done = placed ? REAL(pwritev)(fd, parts, count, offset) : REAL(writev)(fd, parts, count);
  ssize_t left = done;
  for (int i = 0; i < count && left > 0; i++) {
    ssize_t part = left < (ssize_t)parts[i].iov_len ? left : (ssize_t)parts[i].iov_len;
    note('W', paths[fd], offset, parts[i].iov_base, part);
    offset += part;
    left -= part;
  }
  pthread_mutex_unlock(&lock);
  return done;
}

static ssize_t wrote_one(int fd, const void *data, size_t length, off_t offset, int placed) {
  struct iovec part = {(void *)data, length};
  return wrote(fd, &part, 1, offset, placed);
}
ssize_t write(int fd, const void *data, size_t length) { return ours(fd) ? wrote_one(fd, data, length, 0, 0) : REAL(write)(fd, data, length); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return ours(fd) ? wrote_one(fd, data, length, offset, 1) : REAL(pwrite)(fd, data, length, offset); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return ours(fd) ? wrote_one(fd, data, length, offset, 1) : REAL(pwrite64)(fd, data, length, offset); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return wrote(fd, parts, count, 0, 0); }
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) { return wrote(fd, parts, count, offset, 1); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) { return wrote(fd, parts, count, offset, 1); }

static int cut(int fd, off_t length) {
  if (!ours(fd)) return REAL(ftruncate)(fd, length);
  pthread_mutex_lock(&lock);
  int result = REAL(ftruncate)(fd, length);
  if (result == 0) note('T', paths[fd], length, NULL, 0);
  pthread_mutex_unlock(&lock);
  return result;
}
int ftruncate(int fd, off_t length) { return cut(fd, length); }
int ftruncate64(int fd, off64_t length) { return cut(fd, length); }

static int synced(int fd, int (*really)(int)) {
  if (!ours(fd)) return really(fd);
  pthread_mutex_lock(&lock);
  long number = ++syncs;
  int fails = fail_every > 0 && number % fail_every == 0;
  // As on Linux: each descriptor of the file hears of the failure once, at the end of its next sync.
  if (fails) for (int i = 0; i < MOST_FILES; i++) if (i != fd && paths[i] && strcmp(paths[i], paths[fd]) == 0) owed[i] = 1;
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s", paths[fd]);
  note('S', path, number, NULL, 0);
  pthread_mutex_unlock(&lock);
  int result = fails ? -1 : really(fd);
  pthread_mutex_lock(&lock);
  note(result == 0 ? 'D' : 'F', path, number, NULL, 0);
  if (owed[fd]) result = -1;
  owed[fd] = 0;
  pthread_mutex_unlock(&lock);
  if (result != 0) errno = EIO;
  return result;
}
int fsync(int fd) { return synced(fd, REAL(fsync)); }
int fdatasync(int fd) { return synced(fd, REAL(fdatasync)); }

int rename(const char *from, const char *to) {
  char a[PATH_MAX], b[PATH_MAX];
  const char *mine = resolve(AT_FDCWD, from, a), *new_name = resolve(AT_FDCWD, to, b);
  pthread_mutex_lock(&lock);
  int result = REAL(rename)(from, to);
  if (result == 0 && mine && new_name) note('R', mine, 0, new_name, strlen(new_name));
  pthread_mutex_unlock(&lock);
  return result;
}

int unlink(const char *path) {
  char buffer[PATH_MAX];
  const char *mine = resolve(AT_FDCWD, path, buffer);
  pthread_mutex_lock(&lock);
  int result = REAL(unlink)(path);
  if (result == 0 && mine) note('U', mine, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  return result;
}

int mkdir(const char *path, mode_t mode) {
  char buffer[PATH_MAX];
  const char *mine = resolve(AT_FDCWD, path, buffer);
  pthread_mutex_lock(&lock);
  int result = REAL(mkdir)(path, mode);
  if (result == 0 && mine) note('M', mine, 0, NULL, 0);
  pthread_mutex_unlock(&lock);
  return result;
}
