// SPDX-License-Identifier: Apache-2.0
// Backend of the bench: HTTP/1.1, one thread, epoll, keep-alive, safe with pipelining, and cheap.
//
//   backend PORT
//
// The last path segment chooses the answer: /0 is empty, /1k 1 KiB, /1m and /100m as they say,
// /echo the request's head. Request bodies are read and dropped, by Content-Length or chunked.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#define IN 16384
struct C {
  int fd, n;    // n: bytes in `in`
  long skip;    // request body bytes still to drop
  int chunked;  // the request body is chunked
  int posted;   // an answer is due when `skip` has come to 0
  long left;    // answer body bytes still to send
  char in[IN];
};
static char* big;
static int ep;
static char h1k[2048], h0[256], h1m[256], h100m[256];
static int l1k, l0, l1m, l100m;
static void arm(struct C* c, int out) {
  struct epoll_event e = {.events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = c};
  epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}
// Sends what is left of the body: 1 when all is out, 0 when blocked, -1 on an error.
static int flush(struct C* c) {
  while (c->left > 0) {
    long m = c->left > 262144 ? 262144 : c->left;
    ssize_t w = send(c->fd, big, m, MSG_NOSIGNAL);
    if (w < 0) return errno == EAGAIN ? 0 : -1;
    c->left -= w;
  }
  return 1;
}
static int reply(struct C* c, char* req, int hl) {
  char *e = memchr(req, '\r', hl), *p = memchr(req, ' ', hl);
  if (!e || !p) return -1;
  p++;
  char* q = memchr(p, ' ', e - p);
  if (!q) return -1;
  char* s = q;
  while (s > p && s[-1] != '/') s--;
  int n = q - s;
  const char* h = h1k;
  int l = l1k;
  char eb[IN + 256];
  if (n >= 1 && s[0] == '0')
    h = h0, l = l0;
  else if (n >= 4 && !memcmp(s, "100m", 4))
    h = h100m, l = l100m, c->left = 100L << 20;
  else if (n >= 2 && !memcmp(s, "1m", 2))
    h = h1m, l = l1m, c->left = 1 << 20;
  else if (n >= 4 && !memcmp(s, "echo", 4)) {
    l = snprintf(eb, sizeof eb,
                 "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nContent-Type: text/plain\r\n\r\n", hl);
    memcpy(eb + l, req, hl);
    l += hl;
    h = eb;
  }
  if (send(c->fd, h, l, MSG_NOSIGNAL) != l) return -1;
  if (c->left > 0) {
    int r = flush(c);
    if (r < 0) return -1;
    if (!r) {
      arm(c, 1);
      return 0;
    }
  }
  return 1;
}
static int process(struct C* c) {
  int off = 0;
  while (c->left == 0) {
    if (c->skip > 0) {
      long k = c->n - off;
      if (k > c->skip) k = c->skip;
      off += k;
      c->skip -= k;
      if (c->skip) break;
      if (reply(c, c->posted ? "POST /0 x\r\n" : "", 11) < 0) return -1;
      c->posted = 0;
      continue;
    }
    if (c->chunked) {
      char* t = memmem(c->in + off, c->n - off, "0\r\n\r\n", 5);
      if (!t) {
        int keep = c->n - off > 4 ? 4 : c->n - off;
        memmove(c->in, c->in + c->n - keep, keep);
        c->n = keep;
        return 1;
      }
      off = t + 5 - c->in;
      c->chunked = 0;
      if (reply(c, "POST /0 x\r\n", 11) < 0) return -1;
      continue;
    }
    char* b = c->in + off;
    int m = c->n - off;
    if (!m) break;
    char* t = memmem(b, m, "\r\n\r\n", 4);
    if (!t) {
      if (m == IN) return -1;
      break;
    }
    int hl = t + 4 - b;
    off += hl;
    if (b[0] == 'P') {
      t[2] = 0;
      char* cl = strcasestr(b, "\ncontent-length:");
      if (cl) {
        c->skip = atol(cl + 16);
        if (c->skip) {
          c->posted = 1;
          continue;
        }
      } else if (strcasestr(b, "\ntransfer-encoding:")) {
        c->chunked = 1;
        continue;
      }
      t[2] = '\r';
    }
    if (reply(c, b, hl) < 0) return -1;
  }
  if (off) {
    memmove(c->in, c->in + off, c->n - off);
    c->n -= off;
  }
  return 1;
}
int main(int ac, char** av) {
  if (ac != 2) {
    fprintf(stderr, "usage: backend PORT\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit rl;
  getrlimit(RLIMIT_NOFILE, &rl);
  rl.rlim_cur = rl.rlim_max;
  setrlimit(RLIMIT_NOFILE, &rl);
  big = malloc(1 << 20);
  memset(big, 'x', 1 << 20);
  const char* f =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nX-Backend: b1\r\n\r\n";
  l1k = sprintf(h1k, f, 1024);
  memset(h1k + l1k, 'a', 1024);
  l1k += 1024;
  l0 = sprintf(h0, f, 0);
  l1m = sprintf(h1m, f, 1 << 20);
  l100m = sprintf(h100m, f, 100 << 20);
  int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port = htons(atoi(av[1])),
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(ls, (void*)&a, sizeof a) || listen(ls, 4096)) {
    perror("bind");
    return 1;
  }
  ep = epoll_create1(0);
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = 0}, ev[256];
  epoll_ctl(ep, EPOLL_CTL_ADD, ls, &e);
  for (;;) {
    int n = epoll_wait(ep, ev, 256, -1);
    for (int i = 0; i < n; i++) {
      struct C* c = ev[i].data.ptr;
      if (!c) {
        for (;;) {
          int fd = accept4(ls, 0, 0, SOCK_NONBLOCK);
          if (fd < 0) break;
          setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
          c = calloc(1, sizeof *c);
          c->fd = fd;
          struct epoll_event x = {.events = EPOLLIN, .data.ptr = c};
          epoll_ctl(ep, EPOLL_CTL_ADD, fd, &x);
        }
        continue;
      }
      int ok = 1;
      if (c->left > 0 && (ev[i].events & EPOLLOUT)) {
        int r = flush(c);
        if (r < 0)
          ok = -1;
        else if (r) {
          arm(c, 0);
          ok = process(c);
        }
      }
      if (ok > 0 && (ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && c->n < IN) {
        static char dump[1 << 18];
        if (c->skip > IN && c->n == 0) {
          ssize_t r = recv(c->fd, dump,
                           c->skip - 1 > (long)sizeof dump ? (long)sizeof dump : c->skip - 1, 0);
          if (r > 0)
            c->skip -= r;
          else if (r == 0 || errno != EAGAIN)
            ok = -1;
        } else {
          ssize_t r = recv(c->fd, c->in + c->n, IN - c->n, 0);
          if (r > 0) {
            c->n += r;
            ok = process(c);
          } else if (r == 0 || errno != EAGAIN)
            ok = -1;
        }
      }
      if (ok < 0) {
        close(c->fd);
        free(c);
      }
    }
  }
}
