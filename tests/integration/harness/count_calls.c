// SPDX-License-Identifier: Apache-2.0
// Preloaded into the gateway by a test: counts what its worker threads ask of the allocator and of
// the kernel, in a file that the test maps as well. The slots are those of calls.py.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { kAllocate, kReceive, kSend, kControl, kOption, kWait, kSplice, kLock, kSlots };

extern void* __libc_malloc(size_t size);
extern void* __libc_calloc(size_t count, size_t size);
extern void* __libc_realloc(void* block, size_t size);
extern void* __libc_memalign(size_t alignment, size_t size);

static _Atomic unsigned long* counts;

__attribute__((constructor)) static void map_counts(void) {
  const char* path = getenv("COUNT_CALLS_FILE");
  const int file = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
  void* mapped =
      file >= 0 ? mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  if (mapped != MAP_FAILED) counts = mapped;
}

static void count(int slot) {
  static _Thread_local int is_worker;
  if (counts == NULL) return;
  if (!is_worker) {  // a thread gets its name a moment after its start
    char name[16] = "";
    prctl(PR_GET_NAME, name);
    is_worker = strncmp(name, "hw-worker", 9) == 0;
    if (!is_worker) return;
  }
  counts[slot]++;
}

void* malloc(size_t size) {
  count(kAllocate);
  return __libc_malloc(size);
}

void* calloc(size_t number, size_t size) {
  count(kAllocate);
  return __libc_calloc(number, size);
}

void* realloc(void* block, size_t size) {
  count(kAllocate);
  return __libc_realloc(block, size);
}

void* aligned_alloc(size_t alignment, size_t size) {
  count(kAllocate);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void** out, size_t alignment, size_t size) {
  count(kAllocate);
  *out = __libc_memalign(alignment, size);
  return *out == NULL ? 12 : 0;
}

// PASS(slot, return type, name, (parameters), (arguments)): counts, then calls the real one.
#define PASS(slot, type, name, parameters, arguments)           \
  type name parameters {                                        \
    static type(*real) parameters;                              \
    if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, #name); \
    count(slot);                                                \
    return real arguments;                                      \
  }

PASS(kReceive, ssize_t, recv, (int fd, void* to, size_t size, int flags), (fd, to, size, flags))
PASS(kReceive, ssize_t, read, (int fd, void* to, size_t size), (fd, to, size))
PASS(kReceive, ssize_t, readv, (int fd, const struct iovec* to, int parts), (fd, to, parts))
PASS(kReceive, ssize_t, recvmsg, (int fd, struct msghdr* to, int flags), (fd, to, flags))
PASS(kSend, ssize_t, send, (int fd, const void* from, size_t size, int flags),
     (fd, from, size, flags))
PASS(kSend, ssize_t, write, (int fd, const void* from, size_t size), (fd, from, size))
PASS(kSend, ssize_t, writev, (int fd, const struct iovec* from, int parts), (fd, from, parts))
PASS(kSend, ssize_t, sendmsg, (int fd, const struct msghdr* from, int flags), (fd, from, flags))
PASS(kControl, int, epoll_ctl, (int set, int what, int fd, struct epoll_event* event),
     (set, what, fd, event))
PASS(kOption, int, setsockopt, (int fd, int level, int name, const void* value, socklen_t size),
     (fd, level, name, value, size))
PASS(kOption, int, getsockopt, (int fd, int level, int name, void* value, socklen_t* size),
     (fd, level, name, value, size))
PASS(kOption, int, getpeername, (int fd, struct sockaddr* to, socklen_t* size), (fd, to, size))
PASS(kOption, int, getsockname, (int fd, struct sockaddr* to, socklen_t* size), (fd, to, size))
PASS(kWait, int, epoll_wait, (int set, struct epoll_event* events, int most, int ms),
     (set, events, most, ms))
PASS(kLock, int, pthread_mutex_lock, (pthread_mutex_t * mutex), (mutex))
PASS(kLock, int, pthread_mutex_trylock, (pthread_mutex_t * mutex), (mutex))
PASS(kLock, int, pthread_rwlock_rdlock, (pthread_rwlock_t * lock), (lock))
PASS(kLock, int, pthread_rwlock_wrlock, (pthread_rwlock_t * lock), (lock))
PASS(kLock, int, pthread_cond_signal, (pthread_cond_t * condition), (condition))
PASS(kSplice, ssize_t, splice,
     (int in, loff_t* from, int out, loff_t* to, size_t size, unsigned flags),
     (in, from, out, to, size, flags))
