/* The table of rooms. Part of baseline.c. */

/* All rooms: name to number, and the last offset. Guarded by rooms_lock. */
static pthread_mutex_t rooms_lock = PTHREAD_MUTEX_INITIALIZER;
static struct { char *name; uint32_t len, number; uint64_t offset; } *rooms;
static uint32_t room_count, rooms_slots;

/* The index in rooms of a name, which becomes a room if it is none. Needs rooms_lock. */
static uint32_t find_room(const char *name, uint32_t len) {
    if (room_count * 2 >= rooms_slots) {
        uint32_t old = rooms_slots;
        typeof(rooms) before = rooms;
        rooms_slots = old ? old * 2 : 64;
        rooms = need(calloc(rooms_slots, sizeof *rooms));
        for (uint32_t i = 0; i < old; i++)
            if (before[i].name) rooms[find_room(before[i].name, before[i].len)] = before[i];
        free(before);
    }
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < len; i++) h = (h ^ (uint8_t)name[i]) * 16777619u;
    for (h &= rooms_slots - 1; rooms[h].name; h = (h + 1) & (rooms_slots - 1))
        if (rooms[h].len == len && !memcmp(rooms[h].name, name, len)) return h;
    return h;
}

static uint32_t room_slot(const char *name, uint32_t len) {
    uint32_t i = find_room(name, len);
    if (!rooms[i].name) {
        rooms[i].name = need(malloc(len));
        memcpy(rooms[i].name, name, len);
        rooms[i].len = len;
        rooms[i].number = room_count++;
    }
    return i;
}
