// SPDX-License-Identifier: Apache-2.0
// Load generator of the bench: HTTP/1.1, plain or TLS, one thread, epoll. Prints one JSON line.
//
//   lg -p PORT -c CONNECTIONS -n REQUESTS [option...]
//   -R RATE    open loop: requests a second; latency counts from the intended send time
//   -t         TLS 1.3
//   -x         a new connection for each request, without TLS resumption
//   -P NAME    last path segment; the backend answers by it (1k)
//   -r N       N routes: host h<i>.bench.test, path /p<i>/; each connection stays with one
//   -w         wide: every request goes to the next of the N routes instead
//   -b PREFIX  path prefix instead of /p<i>/
//   -a FIELD   one more header field, "Name: value"
//   -u BYTES   POST a body of this size
//   -i SECS    open all connections, one request on each, and hold them
//   -W N       windows of N requests: also the median of their 99th percentiles, without the first
//   -D SECS    hard time limit (60)
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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
#include <time.h>
#include <unistd.h>

// A prime, so that walking the routes in such steps visits each of them, far from the one before.
enum { ROUTE_STEP = 7919, CHUNK = 262144, MAX_ERRORS = 1000 };

typedef unsigned long long u64;
enum { CLOSED, CONN, HAND, IDLE, SEND, RECV };

struct request {
  char* text;
  int size;
};

// One client connection.
struct C {
  int fd, st;            // st: CLOSED ... RECV
  int ev;                // what epoll watches; 0: not registered
  int rn, hdr, chunked;  // bytes in buf; head complete; body is chunked
  long want, body;       // announced and received body bytes
  long left, sent, seq;  // body bytes to upload; head bytes sent; open loop: my next request
  u64 t0;                // when the request was, or should have been, sent
  SSL* ssl;
  const struct request* req;
  char buf[4096];  // the response head
  char tail[5];    // last bytes of a chunked body
};

static int port, nc = 64, tls, newc, routes = 1, wide, idle, ep, open_conns;
static long total = 10000, issued, done, errs, bytes, upload, non2xx, next_route, window;
static double rate, limit = 60;
static const char *seg = "1k", *prefix;
static char extra[8192], *big;
static SSL_CTX* ctx;
static struct C* cs;
static struct request* requests;  // one for each route
static u64 T0;
static unsigned* lat;  // latencies in units of 100 ns, as they ended
static long nlat;

static u64 now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}
static void ev(struct C* c, int w) {
  if (c->ev == w) return;
  struct epoll_event e = {.events = w, .data.ptr = c};
  epoll_ctl(ep, c->ev ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &e);
  c->ev = w;
}
static void start(struct C* c);
static void shut(struct C* c) {
  if (c->st == CLOSED) return;
  if (c->ssl) {
    if (c->st >= IDLE) SSL_shutdown(c->ssl);
    SSL_free(c->ssl);
    c->ssl = 0;
  }
  close(c->fd);
  c->st = CLOSED;
  c->ev = 0;
}
static void dial(struct C* c) {
  static unsigned rot;
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  struct sockaddr_in s = {.sin_family = AF_INET}, a = {.sin_family = AF_INET,
                                                       .sin_port = htons(port),
                                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (newc) {
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    s.sin_addr.s_addr = htonl(0x7f010001 + (rot++ & 127));
    bind(c->fd, (void*)&s, sizeof s);
  }
  c->ev = 0;
  c->st = CONN;
  if (tls) {
    c->ssl = SSL_new(ctx);
    SSL_set_fd(c->ssl, c->fd);
    char h[64];
    snprintf(h, 64, "h%d.bench.test", 0);
    SSL_set_tlsext_host_name(c->ssl, h);
    SSL_set_connect_state(c->ssl);
  }
  if (connect(c->fd, (void*)&a, sizeof a) && errno != EINPROGRESS) {
    errs++;
    shut(c);
    return;
  }
  ev(c, EPOLLOUT);
}
static void fail(struct C* c) {
  int had = c->st >= SEND;
  errs++;
  shut(c);
  if (had || c->st == CLOSED) {
    done++;
  }
  if (errs < MAX_ERRORS && issued < total) {
    if (!idle) start(c);
  }
}
static void finish(struct C* c) {
  u64 t = now();
  if (nlat < total) lat[nlat++] = (t - c->t0) / 100 > 4000000000u ? 4000000000u : (t - c->t0) / 100;
  done++;
  c->st = IDLE;
  if (idle) {
    if (open_conns < nc) start(&cs[open_conns++]);
    ev(c, EPOLLIN);
    return;
  }
  if (newc) shut(c);
  if (rate == 0 && issued < total) start(c);
}
static int tx(struct C* c, const char* b, long n) {
  if (!c->ssl) {
    ssize_t w = send(c->fd, b, n, MSG_NOSIGNAL);
    return w >= 0 ? w : errno == EAGAIN ? 0 : -1;
  }
  ERR_clear_error();
  int r = SSL_write(c->ssl, b, n);
  if (r > 0) return r;
  int e = SSL_get_error(c->ssl, r);
  return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? 0 : -1;
}
static void output(struct C* c) {
  while (c->sent < c->req->size) {
    int w = tx(c, c->req->text + c->sent, c->req->size - c->sent);
    if (w < 0) return fail(c);
    if (!w) return ev(c, EPOLLIN | EPOLLOUT);
    c->sent += w;
  }
  while (c->left > 0) {
    int w = tx(c, big, c->left > CHUNK ? CHUNK : c->left);
    if (w < 0) return fail(c);
    if (!w) return ev(c, EPOLLIN | EPOLLOUT);
    c->left -= w;
  }
  c->st = RECV;
  ev(c, EPOLLIN);
}
static void begin(struct C* c) {
  if (wide) c->req = &requests[next_route++ * ROUTE_STEP % routes];
  c->st = SEND;
  c->sent = 0;
  c->left = upload;
  c->rn = c->hdr = c->chunked = 0;
  c->body = 0;
  c->want = 0;
  output(c);
}
static void start(struct C* c) {
  if (rate == 0) {
    c->t0 = now();
    issued++;
  }
  if (c->st == CLOSED)
    dial(c);
  else
    begin(c);
}
static void input(struct C* c) {
  static char sink[CHUNK];
  for (;;) {
    char* b;
    long cap;
    if (c->hdr)
      b = sink, cap = sizeof sink;
    else
      b = c->buf + c->rn, cap = (long)sizeof c->buf - 1 - c->rn;
    ssize_t r;
    if (c->ssl) {
      ERR_clear_error();
      r = SSL_read(c->ssl, b, cap);
      if (r <= 0) {
        int e = SSL_get_error(c->ssl, r);
        if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) return;
        r = 0;
      }
    } else {
      r = recv(c->fd, b, cap, 0);
      if (r < 0) {
        if (errno == EAGAIN) return;
        r = 0;
      }
    }
    if (r == 0) {
      if (c->st == IDLE) {
        shut(c);
        return;
      }
      return fail(c);
    }
    if (c->st != RECV && c->st != SEND) return;
    bytes += r;
    char* p = b;
    long m = r;
    if (!c->hdr) {
      c->rn += r;
      c->buf[c->rn] = 0;
      char* e = strstr(c->buf, "\r\n\r\n");
      if (!e) {
        if (c->rn >= (int)sizeof c->buf - 1) return fail(c);
        continue;
      }
      c->hdr = 1;
      *e = 0;
      if (atoi(c->buf + 9) / 100 != 2) non2xx++;
      char* q = strcasestr(c->buf, "\ncontent-length:");
      c->want = 0;
      if (q)
        c->want = atol(q + 16);
      else if (strcasestr(c->buf, "\ntransfer-encoding:"))
        c->chunked = 1;
      p = e + 4;
      m = c->buf + c->rn - p;
    }
    c->body += m;
    int fin = 0;
    if (c->chunked) {
      for (long i = m > 5 ? m - 5 : 0; i < m; i++) {
        memmove(c->tail, c->tail + 1, 4);
        c->tail[4] = p[i];
      }
      fin = !memcmp(c->tail, "0\r\n\r\n", 5);
    } else
      fin = c->body >= c->want;
    if (fin) return finish(c);
    if (!c->ssl && r < cap) return;
  }
}
static void on(struct C* c, int e) {
  if (c->st == CLOSED) return;
  if (c->st == CONN) {
    int er = 0;
    socklen_t l = sizeof er;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &er, &l);
    if (er) return fail(c);
    c->st = tls ? HAND : IDLE;
    if (!tls) return begin(c);
  }
  if (c->st == HAND) {
    ERR_clear_error();
    int r = SSL_do_handshake(c->ssl);
    if (r == 1) return begin(c);
    int x = SSL_get_error(c->ssl, r);
    if (x == SSL_ERROR_WANT_READ) return ev(c, EPOLLIN);
    if (x == SSL_ERROR_WANT_WRITE) return ev(c, EPOLLOUT);
    return fail(c);
  }
  if (c->st == SEND && (e & EPOLLOUT)) output(c);
  if (e & (EPOLLIN | EPOLLHUP | EPOLLERR)) input(c);
}
static int cmp(const void* a, const void* b) {
  unsigned x = *(unsigned*)a, y = *(unsigned*)b;
  return x < y ? -1 : x > y;
}

static int parse_options(int ac, char** av) {
  int o;
  while ((o = getopt(ac, av, "p:c:n:R:txP:r:wb:a:u:i:W:D:")) > 0) switch (o) {
      case 'p': port = atoi(optarg); break;
      case 'c': nc = atoi(optarg); break;
      case 'n': total = atol(optarg); break;
      case 'R': rate = atof(optarg); break;
      case 't': tls = 1; break;
      case 'x': newc = 1; break;
      case 'P': seg = optarg; break;
      case 'r': routes = atoi(optarg); break;
      case 'w': wide = 1; break;
      case 'b': prefix = optarg; break;
      case 'a':
        if (strlen(extra) + strlen(optarg) + 3 > sizeof extra) return 0;
        strcat(strcat(extra, optarg), "\r\n");
        break;
      case 'u': upload = atol(optarg); break;
      case 'i': idle = atoi(optarg); break;
      case 'W': window = atol(optarg); break;
      case 'D': limit = atof(optarg); break;
      default: return 0;
    }
  return port > 0 && nc > 0 && routes > 0;
}

static void make_tls_context(void) {
  ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_protos(ctx, (const unsigned char*)"\x08http/1.1", 9);
  SSL_CTX_set1_groups_list(ctx, "X25519");
  SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
}

static void make_requests(void) {
  requests = calloc(routes, sizeof *requests);
  for (int i = 0; i < routes; i++) {
    char path[256], length[64] = "";
    if (prefix)
      snprintf(path, sizeof path, "%s", prefix);
    else
      snprintf(path, sizeof path, "/p%d/", i);
    if (upload) snprintf(length, sizeof length, "Content-Length: %ld\r\n", upload);
    requests[i].size = asprintf(&requests[i].text,
                                "%s %s%s HTTP/1.1\r\n"
                                "Host: h%d.bench.test\r\n"
                                "User-Agent: lg/1.0 (bench)\r\n"
                                "Accept: */*\r\n"
                                "Accept-Encoding: identity\r\n"
                                "%s%s\r\n",
                                upload ? "POST" : "GET", path, seg, i, length, extra);
  }
}

// Open loop: connection i owns requests i, i+nc, ...; a late one is sent as soon as its connection
// is free. `due` is the number of requests whose time has come. Gives the time until the next.
static struct timespec send_due(long* due) {
  struct timespec wait = {1, 0};
  u64 t = now();
  while (*due < total && T0 + (u64)(*due * 1e9 / rate) <= t) ++*due;
  for (int i = 0; i < nc; i++) {
    struct C* c = &cs[i];
    if (c->seq < *due && (c->st == IDLE || c->st == CLOSED)) {
      c->t0 = T0 + (u64)(c->seq * 1e9 / rate);
      c->seq += nc;
      issued++;
      start(c);
    }
  }
  t = now();
  if (*due < total) {
    u64 at = T0 + (u64)(*due * 1e9 / rate), ns = at > t ? at - t : 0;
    wait.tv_sec = ns / 1000000000;
    wait.tv_nsec = ns % 1000000000;
  }
  return wait;
}

static void run(void) {
  const u64 end = T0 + (u64)(limit * 1e9);
  struct epoll_event events[256];
  long due = 0;
  if (idle) {
    open_conns = nc < 32 ? nc : 32;
    for (int i = 0, first = open_conns; i < first; i++) start(&cs[i]);
  } else if (rate == 0) {
    for (int i = 0; i < nc && issued < total; i++) start(&cs[i]);
  }
  while (done < total && errs < MAX_ERRORS && now() <= end) {
    struct timespec wait = {1, 0};
    if (rate != 0) wait = send_due(&due);
    int n = epoll_pwait2(ep, events, 256, &wait, 0);
    for (int i = 0; i < n; i++) on(events[i].data.ptr, events[i].events);
  }
}

// Of sorted values, in their unit.
static unsigned quantile(const unsigned* values, long count, double q) {
  return count ? values[(long)((count - 1) * q)] : 0;
}

// The first window opens the connections and is left out. Sorts within the windows.
static unsigned median_of_windows(double q) {
  long count = nlat / window, kept = 0;
  unsigned* values = malloc(nlat * sizeof *values);
  for (long i = 1; i < count; i++) {
    qsort(lat + i * window, window, sizeof *lat, cmp);
    values[kept++] = quantile(lat + i * window, window, q);
  }
  qsort(values, kept, sizeof *values, cmp);
  unsigned median = quantile(values, kept, .5);
  free(values);
  return median;
}

static double quantile_us(double q) { return quantile(lat, nlat, q) / 10.0; }

static void print_result(void) {
  double s = (now() - T0) / 1e9;
  double window99 = window > 0 ? median_of_windows(.99) / 10.0 : 0;
  qsort(lat, nlat, sizeof *lat, cmp);
  printf(
      "{\"done\":%ld,\"errors\":%ld,\"non2xx\":%ld,\"secs\":%.4f,\"rps\":%.1f,\"bytes\":%ld,"
      "\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f,\"window99\":%.1f}\n",
      nlat, errs, non2xx, s, nlat / s, bytes, quantile_us(.5), quantile_us(.9), quantile_us(.99),
      quantile_us(.999), quantile_us(1), window99);
  fflush(stdout);
}

int main(int ac, char** av) {
  if (!parse_options(ac, av)) {
    fprintf(stderr, "usage: see the top of lg.c\n");
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (idle) total = nc;
  big = malloc(CHUNK);
  memset(big, 'u', CHUNK);
  lat = malloc(total * sizeof *lat);
  cs = calloc(nc, sizeof *cs);
  ep = epoll_create1(0);
  if (tls) make_tls_context();
  make_requests();
  for (int i = 0; i < nc; i++) {
    cs[i].req = &requests[(long)i * ROUTE_STEP % routes];
    cs[i].seq = i;
  }
  T0 = now();
  run();
  print_result();
  if (idle) sleep(idle);
  return errs || nlat < total;
}
