/* What comes from sockets: the upgrade, frames, and the three commands of fanfare.v1
 * that `fanfare bench` sends. Part of baseline.c; trusts what it reads. */

/* The text after a key such as "room":" up to end, or NULL. */
static const char *value(const char *p, size_t n, const char *name, char end, size_t *len) {
    const char *at = memmem(p, n, name, strlen(name));
    if (!at) return NULL;
    at += strlen(name);
    const char *stop = memchr(at, end, (size_t)(p + n - at));
    *len = stop ? (size_t)(stop - at) : (size_t)(p + n - at);
    return at;
}

static void join(int fd, const char *room, size_t room_len, const char *id, size_t id_len) {
    conn *c = &conns[fd];
    pthread_mutex_lock(&rooms_lock);
    uint32_t slot = room_slot(room, (uint32_t)room_len), number = rooms[slot].number;
    uint64_t offset = rooms[slot].offset;
    pthread_mutex_unlock(&rooms_lock);
    room_share *r = share(number);
    int already = 0;
    for (uint32_t i = 0; i < c->seat_count; i++) already |= c->seats[i].room == number;
    if (!already) {
        if (r->count == r->cap) r->members = need(realloc(r->members, (r->cap = r->cap ? r->cap * 2 : 4) * sizeof(int)));
        c->seats = need(realloc(c->seats, (c->seat_count + 1u) * sizeof *c->seats));
        c->seats[c->seat_count++] = (seat){number, r->count};
        r->members[r->count++] = fd;
    }
    char answer[512];
    int n = snprintf(answer, sizeof answer, "{\"type\":\"joined\",\"room\":\"%.*s\",\"id\":%.*s,\"epoch\":1,\"offset\":%llu}",
                     (int)room_len, room, (int)id_len, id, (unsigned long long)offset);
    put_frame(fd, 1, answer, (size_t)n);
}

/* Frames the message once and puts it into every thread's inbox. */
static void publish(const char *room, size_t room_len, const char *data, size_t data_len) {
    char head[512];
    pthread_mutex_lock(&rooms_lock);
    uint32_t slot = room_slot(room, (uint32_t)room_len), number = rooms[slot].number;
    int head_len = snprintf(head, sizeof head, "{\"type\":\"message\",\"room\":\"%.*s\",\"offset\":%llu,\"data\":", (int)room_len, room,
                            (unsigned long long)++rooms[slot].offset);
    size_t n = (size_t)head_len + data_len + 1;
    for (int i = 0; i < thread_count; i++) {
        loop *l = &loops[i];
        message *m = need(malloc(sizeof *m + n + 10));
        uint32_t at = put_header(m->frame, 1, n);
        memcpy(m->frame + at, head, (size_t)head_len);
        memcpy(m->frame + at + head_len, data, data_len);
        m->frame[at + n - 1] = '}';
        m->room = number;
        m->len = (uint32_t)(at + n);
        pthread_mutex_lock(&l->lock);
        if (l->inbox_count == l->inbox_cap) {
            l->inbox_cap = l->inbox_cap ? l->inbox_cap * 2 : 16;
            l->inbox = need(realloc(l->inbox, l->inbox_cap * sizeof *l->inbox));
        }
        l->inbox[l->inbox_count++] = m;
        int first = l->inbox_count == 1;
        pthread_mutex_unlock(&l->lock);
        if (first && l != self) eventfd_write(l->wake, 1);
    }
    pthread_mutex_unlock(&rooms_lock);
}

static void command(int fd, const char *p, size_t n) {
    size_t room_len, len;
    const char *room = value(p, n, "\"room\":\"", '"', &room_len);
    if (!room || room_len > 200) return;
    if (n > 16 && !memcmp(p, "{\"type\":\"publish\"", 17)) {
        const char *data = memmem(p, n, "\"data\":", 7);
        if (data) publish(room, room_len, data + 7, (size_t)(p + n - 1 - data - 7));
    } else if (n > 13 && !memcmp(p, "{\"type\":\"join\"", 14)) {
        const char *id = value(p, n, "\"id\":", '}', &len);
        if (id && len < 40) join(fd, room, room_len, id, len);
    }
}

/* Handles one whole frame at the start of p; returns its length, 0: not whole, -1: hang up. */
static ssize_t one_frame(int fd, char *p, size_t n) {
    if (n < 2) return 0;
    uint64_t len = p[1] & 0x7f;
    size_t head = 6;
    if (len == 126) {
        if (n < 4) return 0;
        len = (uint64_t)(uint8_t)p[2] << 8 | (uint8_t)p[3];
        head = 8;
    } else if (len == 127) return -1;
    if (n < head + len) return 0;
    char *mask = p + head - 4, *body = p + head;
    for (uint64_t i = 0; i < len; i++) body[i] ^= mask[i & 3];
    switch (p[0] & 0x0f) {
    case 1: command(fd, body, len); break;
    case 8: return -1;
    case 9: put_frame(fd, 10, body, len); break;
    }
    return (ssize_t)(head + len);
}

/* Answers the request at the start of p; returns its length, 0: not whole, -1: hang up. */
static ssize_t upgrade(int fd, const char *p, size_t n) {
    static const char welcome[] = "{\"type\":\"welcome\",\"socket\":\"0\",\"instance\":\"baseline\",\"user\":\"\",\"ping\":30}";
    const char *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end) return n > 8192 ? -1 : 0;
    size_t len;
    const char *key = value(p, n, "Sec-WebSocket-Key: ", '\r', &len);
    if (!key || len != 24) return -1;
    char text[60], answer[512];
    uint8_t digest[20];
    memcpy(text, key, 24);
    memcpy(text + 24, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    sha1(text, sizeof text, digest);
    base64(digest, text);
    size_t size = (size_t)snprintf(answer, sizeof answer,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %.28s\r\nSec-WebSocket-Protocol: fanfare.v1\r\n\r\n", text);
    size += put_header(answer + size, 1, sizeof welcome - 1);
    memcpy(answer + size, welcome, sizeof welcome - 1);
    put(fd, answer, size + sizeof welcome - 1);
    conns[fd].state = 2;
    return end + 4 - p;
}

/* Reads once; epoll tells again if there is more. */
static void readable(int fd) {
    conn *c = &conns[fd];
    size_t kept = c->carry ? c->carry->len : 0, at = 0;
    if (kept) memcpy(read_buffer, c->carry->data, kept);
    drop(&c->carry);
    ssize_t n = recv(fd, read_buffer + kept, READ_BUFFER - kept, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) n = 0;
    else if (n <= 0) {
        hang_up(fd);
        return;
    }
    for (size_t total = kept + (size_t)n; at < total;) {
        ssize_t used = c->state == 1 ? upgrade(fd, read_buffer + at, total - at) : one_frame(fd, read_buffer + at, total - at);
        if (used < 0) {
            hang_up(fd);
            return;
        }
        if (used == 0) {
            keep(&c->carry, read_buffer + at, total - at);
            return;
        }
        at += (size_t)used;
    }
}
