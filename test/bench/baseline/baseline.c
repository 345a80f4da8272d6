/* The bare baseline: what a broadcast gateway costs at the least.
 *
 * It frames a message once and calls send(2) for every socket in the room, and
 * does nothing else: no limits, no checks, no auth, no history, no pings. It
 * speaks just enough fanfare.v1 for `fanfare bench`, and trusts what it reads.
 * Never for anything but measuring on loopback.
 *
 *   gcc -O2 -Wall -Wextra -pthread -o baseline baseline.c
 *   ./baseline [-t THREADS] PORT        port 0: any free one
 *
 * prints "listening PORT". One epoll loop a thread; a thread owns the sockets it
 * accepted (SO_REUSEPORT spreads them). Like Fanfare it combines: all that came
 * in one epoll round leaves in one send a socket. A publish goes to every
 * thread's inbox under one lock, so that all sockets see the same order.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sha1.h"

enum { READ_BUFFER = 256 << 10, EVENTS = 256, MAX_PENDING = 4 << 20, MAX_THREADS = 64 };

typedef struct { char *data; size_t len, cap; } bytes;
typedef struct { uint32_t room, place; } seat;          /* a room a socket is in, its place among the members */
typedef struct {                                        /* one socket; all zero: none */
    bytes *carry, *pending;                             /* not yet parsed, not yet sent; NULL: nothing */
    seat *seats;
    uint16_t seat_count;
    uint8_t state;                                      /* 0: none, 1: reads the request, 2: open */
    uint8_t wants_out;
} conn;
typedef struct { int *members; uint32_t count, cap; bytes log; uint8_t dirty; } room_share; /* a thread's part of a room */
typedef struct { uint32_t room, len; char frame[]; } message;
typedef struct {
    int epoll, listener, wake;
    room_share *rooms;                                  /* by room number; owned by the thread, as all above */
    uint32_t rooms_cap;
    uint32_t *dirty, dirty_count, dirty_cap;
    bytes scratch;
    pthread_mutex_t lock;                               /* guards what follows */
    message **inbox;
    uint32_t inbox_count, inbox_cap;
} loop;

static conn *conns;                                     /* by file descriptor; each owned by one thread */
static uint32_t max_files;
static loop loops[MAX_THREADS];
static int thread_count = 1;
static __thread loop *self;
static __thread char read_buffer[READ_BUFFER];

static void die(const char *what) { perror(what); exit(1); }

static void *need(void *p) {
    if (!p) die("memory");
    return p;
}

static void append(bytes *b, const void *data, size_t n) {
    if (b->len + n > b->cap) {
        b->cap = b->cap * 2 > b->len + n ? b->cap * 2 : b->len + n;
        b->data = need(realloc(b->data, b->cap));
    }
    memcpy(b->data + b->len, data, n);
    b->len += n;
}

static void drop(bytes **b) {
    if (*b) free((*b)->data);
    free(*b);
    *b = NULL;
}

/* Appends to a buffer that is made when first needed. */
static void keep(bytes **b, const void *data, size_t n) {
    if (!*b) *b = need(calloc(1, sizeof **b));
    append(*b, data, n);
}

#include "rooms.h"

/* This thread's part of a room. */
static room_share *share(uint32_t room) {
    if (room >= self->rooms_cap) {
        uint32_t cap = self->rooms_cap ? self->rooms_cap : 16;
        while (cap <= room) cap *= 2;
        self->rooms = need(realloc(self->rooms, cap * sizeof *self->rooms));
        memset(self->rooms + self->rooms_cap, 0, (cap - self->rooms_cap) * sizeof *self->rooms);
        self->rooms_cap = cap;
    }
    return &self->rooms[room];
}

static void watch(int fd, int how, uint32_t events) {
    struct epoll_event ev = {.events = events, .data.fd = fd};
    if (epoll_ctl(self->epoll, how, fd, &ev)) die("epoll_ctl");
}

static void hang_up(int fd) {
    conn *c = &conns[fd];
    for (uint32_t i = 0; i < c->seat_count; i++) {
        room_share *r = share(c->seats[i].room);
        int last = r->members[--r->count];
        r->members[c->seats[i].place] = last;
        for (uint32_t j = 0; j < conns[last].seat_count; j++)
            if (conns[last].seats[j].room == c->seats[i].room) conns[last].seats[j].place = c->seats[i].place;
    }
    free(c->seats);
    drop(&c->carry);
    drop(&c->pending);
    memset(c, 0, sizeof *c);
    close(fd);
}

/* Sends, or keeps what does not fit. */
static void put(int fd, const char *data, size_t n) {
    conn *c = &conns[fd];
    if (!c->pending) {
        ssize_t sent = send(fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent == (ssize_t)n) return;
        if (sent < 0 && errno != EAGAIN) return;        /* reading tells that it has gone */
        if (sent > 0) data += sent, n -= (size_t)sent;
    }
    keep(&c->pending, data, n);
    if (c->pending->len > MAX_PENDING) {
        shutdown(fd, SHUT_RDWR);                        /* too slow; reading ends it */
        drop(&c->pending);
    } else if (!c->wants_out) {
        c->wants_out = 1;
        watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
}

static void put_pending(int fd) {
    bytes *b = conns[fd].pending;
    conns[fd].pending = NULL;
    conns[fd].wants_out = 0;
    watch(fd, EPOLL_CTL_MOD, EPOLLIN);
    if (b) put(fd, b->data, b->len);
    drop(&b);
}

static uint32_t put_header(char *dst, uint8_t op, size_t n) {
    dst[0] = (char)(0x80 | op);
    if (n < 126) return dst[1] = (char)n, 2;
    if (n < 65536) {
        uint16_t len = htons((uint16_t)n);
        return dst[1] = 126, memcpy(dst + 2, &len, 2), 4;
    }
    uint64_t len = htobe64(n);
    return dst[1] = 127, memcpy(dst + 2, &len, 8), 10;
}

static void put_frame(int fd, uint8_t op, const char *data, size_t n) {
    char head[10];
    self->scratch.len = 0;
    append(&self->scratch, head, put_header(head, op, n));
    append(&self->scratch, data, n);
    put(fd, self->scratch.data, self->scratch.len);
}

#include "protocol.h"

/* Appends what came in to the rooms' logs, then sends each log to each member. */
static void flush(void) {
    pthread_mutex_lock(&self->lock);
    uint32_t count = self->inbox_count;
    message **inbox = self->inbox;
    self->inbox = NULL;
    self->inbox_count = self->inbox_cap = 0;
    pthread_mutex_unlock(&self->lock);
    for (uint32_t i = 0; i < count; i++) {
        room_share *r = share(inbox[i]->room);
        if (r->count) {
            append(&r->log, inbox[i]->frame, inbox[i]->len);
            if (!r->dirty) {
                r->dirty = 1;
                if (self->dirty_count == self->dirty_cap) {
                    self->dirty_cap = self->dirty_cap ? self->dirty_cap * 2 : 16;
                    self->dirty = need(realloc(self->dirty, self->dirty_cap * sizeof *self->dirty));
                }
                self->dirty[self->dirty_count++] = inbox[i]->room;
            }
        }
        free(inbox[i]);
    }
    free(inbox);
    for (uint32_t i = 0; i < self->dirty_count; i++) {
        room_share *r = &self->rooms[self->dirty[i]];
        for (uint32_t j = 0; j < r->count; j++) put(r->members[j], r->log.data, r->log.len);
        r->log.len = 0;
        r->dirty = 0;
    }
    self->dirty_count = 0;
}

static void accept_all(void) {
    for (int i = 0; i < 64; i++) {
        int fd = accept4(self->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        if ((uint32_t)fd >= max_files) die("files");
        conns[fd].state = 1;
        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void *work(void *arg) {
    struct epoll_event events[EVENTS];
    self = arg;
    watch(self->listener, EPOLL_CTL_ADD, EPOLLIN);
    watch(self->wake, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        int n = epoll_wait(self->epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == self->listener) accept_all();
            else if (fd == self->wake) {
                eventfd_t count;
                eventfd_read(fd, &count);
            } else {
                if (events[i].events & EPOLLOUT) put_pending(fd);
                if (events[i].events & ~EPOLLOUT) readable(fd);
            }
        }
        flush();
    }
    return NULL;
}

static int listen_on(uint16_t *port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (thread_count > 1) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* inherited */
    if (bind(fd, (struct sockaddr *)&a, sizeof a) || listen(fd, 4096)) die("listen");
    getsockname(fd, (struct sockaddr *)&a, &len);
    *port = ntohs(a.sin_port);
    return fd;
}

int main(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "t:")) == 't') thread_count = atoi(optarg);
    if (option != -1 || optind != argc - 1 || thread_count < 1 || thread_count > MAX_THREADS) {
        fprintf(stderr, "usage: baseline [-t THREADS] PORT\n");
        return 2;
    }
    uint16_t port = (uint16_t)atoi(argv[optind]);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    max_files = (uint32_t)(files.rlim_cur < 1 << 22 ? files.rlim_cur : 1 << 22);
    conns = need(calloc(max_files, sizeof *conns));
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < thread_count; i++) {
        pthread_mutex_init(&loops[i].lock, NULL);
        loops[i].listener = listen_on(&port);
        loops[i].epoll = epoll_create1(EPOLL_CLOEXEC);
        loops[i].wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    }
    printf("listening %u\n", port);
    fflush(stdout);
    for (int i = 1; i < thread_count; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, work, &loops[i])) die("thread");
    }
    work(&loops[0]);
}
