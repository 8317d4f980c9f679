/* SPDX-License-Identifier: MIT */
/*
 * --strace: every system call, printed as strace(1) does, one line each when it
 * has returned (those that never do, before).  The table of system calls says
 * how the arguments of each read.
 */
#include <asm-generic/errno-base.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/mman.h>
#include <linux/sched.h>

#include "arch/x86_64/trap.h"
#include "arch/x86_64/uaccess.h"
#include "base/format.h"
#include "base/string.h"
#include "kernel/log.h"
#include "linux/errno_name.h"
#include "linux/process.h"
#include "linux/syscalls.h"
#include "net/socket_abi.h"

#define STRING_SHOWN   32
#define FIRST_REALTIME 32 /* as the kernel counts, not the C library */

#define SYSCALL(number, name, argc, args, status, note)                                            \
    _Static_assert(sizeof(args) == argc + 1, #name);
#include "linux/syscalls.tbl.h"
#undef SYSCALL

static const char *const formats[SYSCALL_COUNT] = {
#define SYSCALL(number, name, argc, args, status, note) [number] = args,
#include "linux/syscalls.tbl.h"
#undef SYSCALL
};

struct flag {
    uint64_t bit;
    const char *name;
};

#define FLAG(name)                                                                                 \
    { name, #name }
static const struct flag open_flags[] = {
    FLAG(O_CREAT),    FLAG(O_EXCL),      FLAG(O_NOCTTY),   FLAG(O_TRUNC),   FLAG(O_APPEND),
    FLAG(O_NONBLOCK), FLAG(O_DIRECTORY), FLAG(O_NOFOLLOW), FLAG(O_CLOEXEC), FLAG(O_PATH),
};
static const struct flag prot_flags[] = { FLAG(PROT_READ), FLAG(PROT_WRITE), FLAG(PROT_EXEC) };
static const struct flag map_flags[] = {
    FLAG(MAP_SHARED),    FLAG(MAP_PRIVATE), FLAG(MAP_FIXED),           FLAG(MAP_ANONYMOUS),
    FLAG(MAP_GROWSDOWN), FLAG(MAP_LOCKED),  FLAG(MAP_NORESERVE),       FLAG(MAP_POPULATE),
    FLAG(MAP_STACK),     FLAG(MAP_HUGETLB), FLAG(MAP_FIXED_NOREPLACE),
};
static const struct flag clone_flags[] = {
    FLAG(CLONE_VM),           FLAG(CLONE_FS),
    FLAG(CLONE_FILES),        FLAG(CLONE_SIGHAND),
    FLAG(CLONE_THREAD),       FLAG(CLONE_SYSVSEM),
    FLAG(CLONE_SETTLS),       FLAG(CLONE_PARENT_SETTID),
    FLAG(CLONE_DETACHED),     FLAG(CLONE_CHILD_CLEARTID),
    FLAG(CLONE_CHILD_SETTID), FLAG(CLONE_VFORK),
};
static const struct flag message_flags[] = {
    FLAG(MSG_OOB),        FLAG(MSG_PEEK),     FLAG(MSG_TRUNC),        FLAG(MSG_DONTWAIT),
    FLAG(MSG_EOR),        FLAG(MSG_WAITALL),  FLAG(MSG_NOSIGNAL),     FLAG(MSG_MORE),
    FLAG(MSG_WAITFORONE), FLAG(MSG_ERRQUEUE), FLAG(MSG_CMSG_CLOEXEC),
};
static const struct flag socket_flags[] = { FLAG(SOCK_NONBLOCK), FLAG(SOCK_CLOEXEC) };
static const char *const socket_types[] = {
    [SOCK_STREAM] = "SOCK_STREAM",
    [SOCK_DGRAM] = "SOCK_DGRAM",
    [SOCK_RAW] = "SOCK_RAW",
    [SOCK_SEQPACKET] = "SOCK_SEQPACKET",
};
static const char *const futex_commands[] = {
    "FUTEX_WAIT",        "FUTEX_WAKE",        "FUTEX_FD",          "FUTEX_REQUEUE",
    "FUTEX_CMP_REQUEUE", "FUTEX_WAKE_OP",     "FUTEX_LOCK_PI",     "FUTEX_UNLOCK_PI",
    "FUTEX_TRYLOCK_PI",  "FUTEX_WAIT_BITSET", "FUTEX_WAKE_BITSET", "FUTEX_WAIT_REQUEUE_PI",
};

static const char *const epoll_changes[] = { "0", "EPOLL_CTL_ADD", "EPOLL_CTL_DEL",
                                             "EPOLL_CTL_MOD" };
static const char *const mask_changes[] = { "SIG_BLOCK", "SIG_UNBLOCK", "SIG_SETMASK" };

static const char *const whences[] = { "SEEK_SET", "SEEK_CUR", "SEEK_END", "SEEK_DATA",
                                       "SEEK_HOLE" };

struct line {
    char text[400];
    size_t used;
};

static void put(struct line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct line *l, const char *fmt, ...) {
    size_t room = sizeof(l->text) - l->used;
    va_list args;

    va_start(args, fmt);
    l->used += MIN((size_t)format_args(l->text + l->used, room, fmt, args), room - 1);
    va_end(args);
}

/* `first` stands before the flags whatever they are, unless NULL. */
static void put_flags(struct line *l, uint64_t value, const struct flag *flags, size_t count,
                      const char *first) {
    const char *bar = "";

    if (first) {
        put(l, "%s", first);
        bar = "|";
    }
    for (size_t i = 0; i < count; i++) {
        if ((value & flags[i].bit) != flags[i].bit)
            continue;
        put(l, "%s%s", bar, flags[i].name);
        value &= ~flags[i].bit;
        bar = "|";
    }
    if (value)
        put(l, "%s%#lx", bar, value);
    else if (!*bar)
        put(l, "0");
}

static void put_bytes(struct line *l, const char *bytes, size_t size, bool more) {
    put(l, "\"");
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)bytes[i];

        if (c == '\n')
            put(l, "\\n");
        else if (c == '"' || c == '\\')
            put(l, "\\%c", c);
        else if (c < ' ' || c > '~')
            put(l, "\\%o", c);
        else
            put(l, "%c", c);
    }
    put(l, more ? "\"..." : "\"");
}

static void put_buffer(struct line *l, long addr, long size) {
    char bytes[STRING_SHOWN];
    size_t shown = size < 0 ? 0 : MIN((size_t)size, sizeof(bytes));

    if (size < 0 || copy_from_user(bytes, (const void *)addr, shown))
        put(l, "%#lx", addr);
    else
        put_bytes(l, bytes, shown, (size_t)size > shown);
}

static void put_path(struct line *l, long addr) {
    char path[128];
    long n = string_from_user(path, (const char *)addr, sizeof(path));

    if (n == -EFAULT)
        put(l, addr ? "%#lx" : "NULL", addr);
    else
        put_bytes(l, path, n < 0 ? sizeof(path) - 1 : (size_t)n, n < 0);
}

static void put_open_flags(struct line *l, uint64_t value) {
    static const char *const access[] = { "O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE" };

    put_flags(l, value & ~3ul & ~0100000ul, open_flags, ARRAY_SIZE(open_flags), access[value & 3]);
}

static void put_futex(struct line *l, uint64_t op) {
    unsigned command = op & FUTEX_CMD_MASK;

    if (command < ARRAY_SIZE(futex_commands))
        put(l, "%s", futex_commands[command]);
    else
        put(l, "%u", command);
    put(l, "%s%s", op & FUTEX_PRIVATE_FLAG ? "_PRIVATE" : "",
        op & FUTEX_CLOCK_REALTIME ? "|FUTEX_CLOCK_REALTIME" : "");
}

static void put_prot(struct line *l, long value) {
    if (value == PROT_NONE)
        put(l, "PROT_NONE");
    else
        put_flags(l, (uint64_t)value, prot_flags, ARRAY_SIZE(prot_flags), NULL);
}

static void put_timespec(struct line *l, long addr) {
    int64_t t[2];

    if (!addr || copy_from_user(t, (const void *)addr, sizeof(t)))
        put(l, addr ? "%#lx" : "NULL", addr);
    else
        put(l, "{tv_sec=%ld, tv_nsec=%ld}", t[0], t[1]);
}

static void put_name(struct line *l, unsigned value, const char *const *names, size_t count) {
    if (value < count)
        put(l, "%s", names[value]);
    else
        put(l, "%#x", value);
}

static void put_signal(struct line *l, int signo) {
    if (signo >= FIRST_REALTIME && signo <= SIGNAL_COUNT)
        put(l, "SIGRT_%d", signo - FIRST_REALTIME);
    else if (signo > 0 && signo < FIRST_REALTIME)
        put(l, "%s", signal_name(signo));
    else
        put(l, "%d", signo);
}

static void put_family(struct line *l, unsigned family) {
    if (family == AF_UNIX)
        put(l, "AF_UNIX");
    else if (family == AF_INET || family == AF_INET6)
        put(l, family == AF_INET ? "AF_INET" : "AF_INET6");
    else if (family == AF_NETLINK)
        put(l, "AF_NETLINK");
    else
        put(l, "%u", family);
}

static void put_socket_type(struct line *l, uint64_t value) {
    unsigned type = value & SOCK_TYPE_MASK;
    const char *name = type < ARRAY_SIZE(socket_types) ? socket_types[type] : NULL;

    if (value & ~(uint64_t)SOCK_TYPE_MASK || !type)
        put_flags(l, value & ~(uint64_t)SOCK_TYPE_MASK, socket_flags, ARRAY_SIZE(socket_flags),
                  type ? name : NULL);
    else if (name)
        put(l, "%s", name);
    else
        put(l, "%u", type);
}

static void put_address(struct line *l, long addr, long size) {
    union {
        uint16_t family;
        uint8_t bytes[128];
    } a = { .family = AF_UNSPEC };
    size_t n = MIN((size_t)size, sizeof(a));

    if (!addr || n < sizeof(a.family) || copy_from_user(&a, (const void *)addr, n)) {
        put(l, addr ? "%#lx" : "NULL", addr);
        return;
    }
    put(l, "{");
    put_family(l, a.family);
    if (a.family == AF_UNIX && n > 2) {
        const char *path = (const char *)a.bytes + 2;
        bool abstract = !*path;

        put(l, abstract ? ", @" : ", ");
        path += abstract;
        n -= 2u + abstract;
        put_bytes(l, path, abstract ? n : strnlen(path, n), false);
    } else if (a.family == AF_INET && n >= 8) {
        put(l, ", %u.%u.%u.%u:%u", a.bytes[4], a.bytes[5], a.bytes[6], a.bytes[7],
            a.bytes[2] << 8 | a.bytes[3]);
    } else if (a.family == AF_INET6 && n >= 24) {
        put(l, ", [");
        for (unsigned i = 8; i < 24; i += 2)
            put(l, i == 8 ? "%x" : ":%x", a.bytes[i] << 8 | a.bytes[i + 1]);
        put(l, "]:%u", a.bytes[2] << 8 | a.bytes[3]);
    }
    put(l, "}");
}

/* One that a call filled, if it did; its size lies at `user_size`. */
static void put_filled_address(struct line *l, long addr, long user_size, long result) {
    uint32_t size = 0;

    if (result < 0 || user_read_u32(&size, (const uint32_t *)user_size))
        size = 0;
    put_address(l, addr, size);
}

static void put_number(struct line *l, char kind, long value) {
    switch (kind) {
    case 'd':
        put(l, "%d", (int)value);
        break;
    case 'l':
        put(l, "%ld", value);
        break;
    case 'u':
        put(l, "%lu", (unsigned long)value);
        break;
    case 'o':
        put(l, "%#o", (unsigned)value);
        break;
    case 'p':
        put(l, value ? "%#lx" : "NULL", value);
        break;
    default:
        put(l, "%#lx", (unsigned long)value);
        break;
    }
}

static void put_socket_argument(struct line *l, char kind, long value, long next, long result) {
    switch (kind) {
    case 'D':
        put_family(l, (unsigned)value);
        break;
    case 'K':
        put_socket_type(l, (uint32_t)value);
        break;
    case 'G':
        put_flags(l, (uint32_t)value, message_flags, ARRAY_SIZE(message_flags), NULL);
        break;
    case 'N':
        put_address(l, value, MAX((int)next, 0));
        break;
    case 'n':
        put_filled_address(l, value, next, result);
        break;
    default:
        put_number(l, kind, value);
        break;
    }
}

/* One argument; `next` is the one behind it, `result` what the call returned. */
static void put_argument(struct line *l, char kind, long value, long next, long result) {
    switch (kind) {
    case 's':
        put_path(l, value);
        break;
    case 'b':
        put_buffer(l, value, next);
        break;
    case 'B':
        put_buffer(l, value, result);
        break;
    case 'O':
        put_open_flags(l, (uint32_t)value);
        break;
    case 'A':
        if ((int)value == AT_FDCWD)
            put(l, "AT_FDCWD");
        else
            put(l, "%d", (int)value);
        break;
    case 'P':
        put_prot(l, value);
        break;
    case 'M':
        put_flags(l, (uint64_t)value, map_flags, ARRAY_SIZE(map_flags), NULL);
        break;
    case 'C':
        put_flags(l, (uint64_t)value, clone_flags, ARRAY_SIZE(clone_flags), NULL);
        break;
    case 'F':
        put_futex(l, (uint64_t)value);
        break;
    case 'E':
        put_name(l, (unsigned)value, epoll_changes, ARRAY_SIZE(epoll_changes));
        break;
    case 'H':
        put_name(l, (unsigned)value, mask_changes, ARRAY_SIZE(mask_changes));
        break;
    case 'W':
        put_name(l, (unsigned)value, whences, ARRAY_SIZE(whences));
        break;
    case 'S':
        put_signal(l, (int)value);
        break;
    case 'T':
        put_timespec(l, value);
        break;
    default:
        put_socket_argument(l, kind, value, next, result);
        break;
    }
}

/* How many of its arguments a call looks at, as its flags say. */
static unsigned used_arguments(const char *kinds, const long *args) {
    static const uint8_t of_futex[] = { [FUTEX_WAIT] = 4, [FUTEX_WAKE] = 3, [FUTEX_REQUEUE] = 5 };
    unsigned count = 0;

    for (; kinds[count]; count++) {
        if (count && kinds[count] == 'o' && kinds[count - 1] == 'O' && !(args[count - 1] & O_CREAT))
            return count; /* no mode */
        unsigned command = args[count] & FUTEX_CMD_MASK;
        if (kinds[count] == 'F' && command < sizeof of_futex && of_futex[command])
            return of_futex[command];
    }
    return count;
}

static void put_call(struct line *l, unsigned long number, const long *args, long result) {
    const char *name = syscall_name(number), *kinds = formats[number] ? formats[number] : "";

    if (atomic_load(&the_process->threaded))
        put(l, "[%d] ", current->tid);
    if (name)
        put(l, "%s(", name);
    else
        put(l, "syscall_%#lx(", number);
    for (unsigned i = 0, count = used_arguments(kinds, args); i < count; i++) {
        put(l, i ? ", " : "");
        put_argument(l, kinds[i], args[i], i < 5 ? args[i + 1] : 0, result);
    }
}

static void put_result(struct line *l, unsigned long number, long result) {
    const struct errno_name *e = errno_name(-result);

    if (e)
        put(l, ") = %s %s (%s)\n", -result < ERESTARTSYS ? "-1" : "?", e->name, e->text);
    else if (number == 9 || number == 12 || number == 25) /* mmap, brk, mremap: an address */
        put(l, ") = %#lx\n", (unsigned long)result);
    else
        put(l, ") = %ld\n", result);
}

/* Stands in the table for every call, so `number` is one of the table's. */
static long traced_call(long a, long b, long c, long d, long e, long f6) {
    const struct trap_frame *f = thread_user_frame(current);
    unsigned long number = f->error;
    long args[6] = { (long)f->rdi, (long)f->rsi, (long)f->rdx,
                     (long)f->r10, (long)f->r8,  (long)f->r9 };
    struct line line = { .used = 0 };
    long result;

    (void)a, (void)b, (void)c, (void)d, (void)e, (void)f6;
    if (number == 60 || number == 231 || number == 15) { /* exit, exit_group, rt_sigreturn */
        put_call(&line, number, args, 0);
        report("%s) = ?\n", line.text);
        return syscall_table[number](args[0], args[1], args[2], args[3], args[4], args[5]);
    }
    result = syscall_table[number](args[0], args[1], args[2], args[3], args[4], args[5]);
    put_call(&line, number, args, result);
    put_result(&line, number, result);
    report("%s", line.text);
    return result;
}

void strace_enable(void) {
    static syscall_function *const traced[SYSCALL_COUNT] = { [0 ... SYSCALL_COUNT - 1] =
                                                                 traced_call };
    syscall_handlers = traced;
}
