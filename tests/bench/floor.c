// SPDX-License-Identifier: Apache-2.0
// The floor: what moving the bytes costs. A TCP relay without HTTP, on epoll; each client
// connection owns one kept upstream connection. A request is read, write, read, write, and no
// epoll_ctl.
//
//   floor LISTEN_PORT BACKEND_PORT [CERTIFICATE KEY]   with a certificate: TLS 1.3 to the client
//
// FLOOR_ET=1: edge-triggered. FLOOR_CC=reno: congestion control of both sides. FLOOR_SPLICE=1:
// bytes by splice(2) through a pipe.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
struct P;
struct H {
  int fd, client;
  struct P* p;
  int want;
};
// left-over output waits in buf[side] (side 0: towards the client) until the socket is writable
// again
struct P {
  int pipe[2][2];
  struct H c, u;
  SSL* ssl;
  int hs;
  char* buf[2];
  int n[2], off[2];
  int dead;
  struct P* next;
};
static int ep, et, spl;
static const char* cc;
static struct P* grave;
static char tmp[65536];
static SSL_CTX* ctx;
static void want(struct H* h, int w) {
  if (et) return;
  if (h->want == w) return;
  h->want = w;
  struct epoll_event e = {.events = w, .data.ptr = h};
  epoll_ctl(ep, EPOLL_CTL_MOD, h->fd, &e);
}
static void kill_(struct P* p) {
  if (p->dead) return;
  p->dead = 1;
  if (p->ssl) {
    if (p->hs) SSL_shutdown(p->ssl);
    SSL_free(p->ssl);
  }
  close(p->c.fd);
  close(p->u.fd);
  if (spl)
    for (int i = 0; i < 4; i++) close(p->pipe[i / 2][i % 2]);
  p->next = grave;
  grave = p;
}
static ssize_t wr(struct P* p, struct H* h, const char* b, int n) {
  if (h->client && p->ssl) {
    ERR_clear_error();
    int r = SSL_write(p->ssl, b, n);
    if (r > 0) return r;
    int e = SSL_get_error(p->ssl, r);
    errno = (e == SSL_ERROR_WANT_WRITE || e == SSL_ERROR_WANT_READ) ? EAGAIN : EPIPE;
    return -1;
  }
  return send(h->fd, b, n, MSG_NOSIGNAL);
}
static ssize_t rd(struct P* p, struct H* h) {
  if (h->client && p->ssl) {
    ERR_clear_error();
    int r = SSL_read(p->ssl, tmp, sizeof tmp);
    if (r > 0) return r;
    int e = SSL_get_error(p->ssl, r);
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) {
      errno = EAGAIN;
      return -1;
    }
    return 0;
  }
  return recv(h->fd, tmp, sizeof tmp, 0);
}
static void on(struct H* h, int evs) {
  struct P* p = h->p;
  if (p->dead) return;
  if (h->client && p->ssl && !p->hs) {
    ERR_clear_error();
    int r = SSL_accept(p->ssl);
    if (r != 1) {
      int e = SSL_get_error(p->ssl, r);
      if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE) kill_(p);
      return;
    }
    p->hs = 1;
  }
  struct H* o = h->client ? &p->u : &p->c;
  int me = h->client ? 0 : 1, ot = !me;
  if (spl) {  // what waits for this side first, then what it has sent
    for (;;) {
      if (p->n[me]) {
        ssize_t w =
            splice(p->pipe[me][0], 0, h->fd, 0, p->n[me], SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (w > 0)
          p->n[me] -= w;
        else if (errno != EAGAIN)
          return kill_(p);
        if (p->n[me]) break;
        want(h, EPOLLIN);
        want(o, EPOLLIN);
      }
      break;
    }
    if (!(evs & (EPOLLIN | EPOLLHUP | EPOLLERR)) || p->n[ot]) return;
    for (;;) {
      ssize_t r = splice(h->fd, 0, p->pipe[ot][1], 0, 1 << 20, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
      if (r <= 0) {
        if (r == 0 || errno != EAGAIN) kill_(p);
        return;
      }
      p->n[ot] = r;
      ssize_t w = splice(p->pipe[ot][0], 0, o->fd, 0, r, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
      if (w < 0 && errno != EAGAIN) return kill_(p);
      if (w > 0) p->n[ot] -= w;
      if (p->n[ot]) {
        want(o, EPOLLOUT);
        want(h, 0);
      }
      return;
    }
  }
  if (evs & EPOLLOUT) {
    if (p->n[me]) {
      ssize_t w = wr(p, h, p->buf[me] + p->off[me], p->n[me]);
      if (w > 0) {
        p->off[me] += w;
        p->n[me] -= w;
      } else if (errno != EAGAIN)
        return kill_(p);
      if (p->n[me]) return;
    }
    want(h, EPOLLIN);
    want(o, EPOLLIN);
  }
  if (!(evs & (EPOLLIN | EPOLLHUP | EPOLLERR)) || p->n[ot]) return;
  for (;;) {
    ssize_t r = rd(p, h);
    if (r <= 0) {
      if (r == 0 || errno != EAGAIN) kill_(p);
      return;
    }
    ssize_t w = wr(p, o, tmp, r);
    if (w < 0) {
      if (errno != EAGAIN) return kill_(p);
      w = 0;
    }
    if (w < r) {
      if (!p->buf[ot]) p->buf[ot] = malloc(sizeof tmp);
      memcpy(p->buf[ot], tmp + w, r - w);
      p->n[ot] = r - w;
      p->off[ot] = 0;
      want(o, EPOLLOUT);
      want(h, 0);
      return;
    }
    if (!(h->client && p->ssl && SSL_pending(p->ssl)) && r < (ssize_t)sizeof tmp &&
        !(evs & EPOLLRDHUP))
      return;  // short read: drained, no second recv
  }
}
int main(int ac, char** av) {
  signal(SIGPIPE, SIG_IGN);
  struct rlimit rl;
  getrlimit(RLIMIT_NOFILE, &rl);
  rl.rlim_cur = rl.rlim_max;
  setrlimit(RLIMIT_NOFILE, &rl);
  if (ac > 4) {
    ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate_chain_file(ctx, av[3]);
    SSL_CTX_use_PrivateKey_file(ctx, av[4], SSL_FILETYPE_PEM);
    SSL_CTX_set_num_tickets(ctx, 0);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                              SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  }
  et = getenv("FLOOR_ET") != 0;
  spl = getenv("FLOOR_SPLICE") != 0;
  cc = getenv("FLOOR_CC");
  int ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt(ls, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
  struct sockaddr_in a = {.sin_family = AF_INET,
                          .sin_port = htons(atoi(av[1])),
                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                     b = a;
  b.sin_port = htons(atoi(av[2]));
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
      struct H* h = ev[i].data.ptr;
      if (h) {
        on(h, ev[i].events);
        continue;
      }
      for (;;) {
        int fd = accept4(ls, 0, 0, SOCK_NONBLOCK);
        if (fd < 0) break;
        int u = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(u, (void*)&b, sizeof b) && errno != EINPROGRESS) {
          close(fd);
          close(u);
          continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(u, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct P* p = calloc(1, sizeof *p);
        p->c = (struct H){fd, 1, p, EPOLLIN};
        p->u = (struct H){u, 0, p, EPOLLIN};
        if (ctx) {
          p->ssl = SSL_new(ctx);
          SSL_set_fd(p->ssl, fd);
        }
        if (cc) {
          setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, cc, strlen(cc));
          setsockopt(u, IPPROTO_TCP, TCP_CONGESTION, cc, strlen(cc));
        }
        if (spl)
          for (int i = 0; i < 2; i++) {
            pipe2(p->pipe[i], O_NONBLOCK);
            fcntl(p->pipe[i][1], F_SETPIPE_SZ, 1 << 20);
          }
        struct epoll_event x = {.events = et ? EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET : EPOLLIN,
                                .data.ptr = &p->c};
        epoll_ctl(ep, EPOLL_CTL_ADD, fd, &x);
        x.data.ptr = &p->u;
        epoll_ctl(ep, EPOLL_CTL_ADD, u, &x);
      }
    }
    while (grave) {
      struct P* p = grave;
      grave = p->next;
      free(p->buf[0]);
      free(p->buf[1]);
      free(p);
    }
  }
}
