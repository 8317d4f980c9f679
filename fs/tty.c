/* SPDX-License-Identifier: MIT */
/*
 * The program's standard streams, and the terminal.
 *
 * The wire carries three streams (base/wire.h).  Where the host's descriptor is
 * a terminal, the program's is /dev/console, open for reading and writing, with
 * the terminal's ioctls; the line discipline is the host's, and settings are
 * passed to it.  Elsewhere the descriptor looks like a pipe's end.  /dev/tty
 * writes to a stream whose host descriptor is the terminal, and reads where
 * descriptor 0 is; what has no such way is EIO, where Linux finds one.
 *
 * A write is cut into pieces that go through a kernel buffer, because the
 * console's queues are filled under a spinlock, where the program's memory
 * cannot be touched.  One mutex per stream keeps the writes of two threads
 * apart.  A waiting writer holds it; interruptions end its wait, so that those
 * behind it come through.
 *
 * Order: stream mutex, then the console's own locks.  termios_lock (RANK_PIPE)
 * guards the settings alone.
 */
#include <asm-generic/errno.h>
#include <asm-generic/ioctls.h>
#include <asm-generic/poll.h>
#include <asm/termbits.h>
#include <linux/stat.h>
#include "arch/x86_64/uaccess.h"
#include "base/format.h"
#include "base/string.h"
#include "dev/console.h"
#include "fs/dev_impl.h"
#include "fs/fdtable.h"
#include "kernel/slab.h"
#include "kernel/timer.h"

#define SMALL_WRITE 256
#define LARGE_WRITE KIB(32)

static struct mutex stream_mutex[3]; /* by enum wire_stream */
static unsigned terminals;           /* bit n: descriptor n is one; constant after boot */

static struct spinlock termios_lock = SPINLOCK_INIT(RANK_PIPE);
static struct wire_termios settings = {
    /* termios_lock */
    .iflag = ICRNL | IXON,
    .oflag = OPOST | ONLCR,
    .cflag = B38400 | CS8 | CREAD,
    .lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN,
    .cc = { [VINTR] = 3,
            [VQUIT] = 28,
            [VERASE] = 127,
            [VKILL] = 21,
            [VEOF] = 4,
            [VMIN] = 1,
            [VSTART] = 17,
            [VSTOP] = 19,
            [VSUSP] = 26,
            [VREPRINT] = 18,
            [VDISCARD] = 15,
            [VWERASE] = 23,
            [VLNEXT] = 22 },
};

bool tty_exists(void) {
    return terminals != 0;
}

static struct wire_termios termios_now(void) {
    spin_lock(&termios_lock);
    struct wire_termios t = settings;
    spin_unlock(&termios_lock);
    return t;
}

/* Until when a read may wait for its first byte; 0: not at all. */
static uint64_t read_deadline(const struct file *f) {
    if (f->ops != &tty_file_ops)
        return TIME_NEVER;
    struct wire_termios t = termios_now();
    if (t.lflag & ICANON || t.cc[VMIN])
        return TIME_NEVER;
    return t.cc[VTIME] ? clock_now_ns() + t.cc[VTIME] * 100 * NS_PER_MS : 0;
}

static long stream_read(struct file *f, struct iter *to, uint64_t *pos) {
    (void)pos;
    if (!to->left)
        return 0;
    size_t size = MIN(to->left, LARGE_WRITE);
    char small[SMALL_WRITE], *buffer = size <= sizeof small ? small : kmalloc(size);
    if (!buffer)
        return -ENOMEM;
    uint64_t deadline = read_deadline(f);
    long n;
    while ((n = (long)console_read(buffer, size)) == 0 && !console_at_eof() && deadline) {
        if (file_is_nonblocking(f)) {
            n = -EAGAIN;
            break;
        }
        int err = wait_until(&console_readable, console_readable_bytes() || console_at_eof(),
                             deadline, true);
        if (err) {
            n = err == -ETIMEDOUT ? 0 : err;
            break;
        }
    }
    if (n > 0)
        n = iter_result(to, iter_to(to, buffer, (size_t)n));
    if (buffer != small)
        kfree(buffer);
    return n;
}

/* All of [from, from + size), waiting where allowed; returns how much was accepted, or an error. */
static long stream_send(struct file *f, enum wire_stream s, const char *from, size_t size) {
    size_t done = 0;
    while (done < size) {
        long n = console_write(s, from + done, size - done);
        if (n == 0) {
            n = file_is_nonblocking(f) ? -EAGAIN : 0;
            if (!n)
                n = wait_until(&console_room, console_writable(s), TIME_NEVER, true);
        }
        if (n < 0)
            return done ? (long)done : n;
        done += (size_t)n;
    }
    return (long)done;
}

static long stream_write(struct file *f, struct iter *from, uint64_t *pos) {
    (void)pos;
    enum wire_stream s = (enum wire_stream)(uintptr_t)f->data;
    if (!from->left)
        return 0;
    size_t size = MIN(from->left, LARGE_WRITE), done = 0;
    char small[SMALL_WRITE], *buffer = size <= sizeof small ? small : kmalloc(size);
    if (!buffer)
        return -ENOMEM;
    long n = 0;
    if (!file_is_nonblocking(f))
        mutex_lock(&stream_mutex[s]);
    else if (!mutex_trylock(&stream_mutex[s]))
        n = -EAGAIN;
    if (!n) {
        size_t got;
        while ((got = iter_from(from, buffer, MIN(from->left, size))) > 0) {
            n = stream_send(f, s, buffer, got);
            if (n > 0)
                done += (size_t)n;
            if (n < (long)got)
                break;
        }
        mutex_unlock(&stream_mutex[s]);
    }
    if (buffer != small)
        kfree(buffer);
    return done || n >= 0 ? iter_result(from, done) : n;
}

static uint32_t poll_input(struct file *f, struct poll_table *pt, uint32_t at_end) {
    poll_wait(pt, f, &console_readable);
    if (console_readable_bytes())
        return POLLIN | POLLRDNORM;
    return console_at_eof() ? at_end : 0;
}

static uint32_t poll_output(struct file *f, struct poll_table *pt) {
    enum wire_stream s = (enum wire_stream)(uintptr_t)f->data;
    poll_wait(pt, f, &console_room);
    if (!console_writable(s))
        return 0;
    /* Writing nothing tells a reader that is gone from room. */
    return POLLOUT | POLLWRNORM | (console_write(s, "", 0) == -EPIPE ? POLLERR : 0);
}

static uint32_t stream_poll(struct file *f, struct poll_table *pt) {
    return f->data ? poll_output(f, pt) : poll_input(f, pt, POLLHUP);
}

/* A terminal that is not behind descriptor 0 has no way in. */
static bool has_input(void) {
    return !terminals || terminals >> WIRE_STDIN & 1;
}

static uint32_t tty_poll(struct file *f, struct poll_table *pt) {
    uint32_t in = has_input() ? poll_input(f, pt, POLLIN | POLLRDNORM) : 0;
    return in | (f->data ? poll_output(f, pt) : 0);
}

static long answer(uintptr_t arg, const void *value, size_t size) {
    return copy_to_user((void *)arg, value, size);
}

static long stream_ioctl(struct file *f, unsigned command, uintptr_t arg) {
    (void)f;
    int waiting = (int)MIN(console_readable_bytes(), (size_t)INT32_MAX);
    return command == FIONREAD ? answer(arg, &waiting, sizeof waiting) : -ENOTTY;
}

/* Linux's struct termios2: the older one and two speeds. */
struct termios_2 {
    struct wire_termios base;
    uint32_t input_speed, output_speed;
};

static long get_termios(uintptr_t arg, bool with_speed) {
    struct termios_2 t = { .base = termios_now(), .input_speed = 38400, .output_speed = 38400 };
    return answer(arg, &t, with_speed ? sizeof t : sizeof t.base);
}

static long set_termios(uintptr_t arg, bool flush_input) {
    struct wire_termios t;
    if (copy_from_user(&t, (const void *)arg, sizeof t))
        return -EFAULT;
    char lost[64];
    while (flush_input && has_input() && console_read(lost, sizeof lost))
        ;
    spin_lock(&termios_lock);
    settings = t;
    spin_unlock(&termios_lock);
    console_set_termios(&t);
    return 0;
}

static long tty_ioctl(struct file *f, unsigned command, uintptr_t arg) {
    int number = 0;
    switch (command) {
    case TCGETS:
    case TCGETS2:
        return get_termios(arg, command == TCGETS2);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
        return set_termios(arg, command == TCSETSF);
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
        return set_termios(arg, command == TCSETSF2);
    case TIOCGWINSZ: {
        struct wire_winsize size = console_winsize();
        return answer(arg, &size, sizeof size);
    }
    case TIOCGPGRP:
    case TIOCGSID:
        number = 1; /* the one process is its own group and session */
        return answer(arg, &number, sizeof number);
    case TIOCOUTQ:
    case TIOCGETD:
        return answer(arg, &number, sizeof number);
    case TIOCSWINSZ: /* the host's terminal keeps its own size */
    case TIOCSPGRP:
    case TIOCSCTTY:
    case TCSBRK:
    case TCSBRKP:
    case TCXONC:
    case TCFLSH:
        return 0;
    default:
        return stream_ioctl(f, command, arg);
    }
}

static long tty_read(struct file *f, struct iter *to, uint64_t *pos) {
    return has_input() ? stream_read(f, to, pos) : -EIO;
}

static long tty_write(struct file *f, struct iter *from, uint64_t *pos) {
    return f->data ? stream_write(f, from, pos) : -EIO;
}

const struct file_ops tty_file_ops = {
    .read = tty_read, .write = tty_write, .ioctl = tty_ioctl, .poll = tty_poll
};
static const struct file_ops input_ops = { .read = stream_read,
                                           .ioctl = stream_ioctl,
                                           .poll = stream_poll };
static const struct file_ops output_ops = { .write = stream_write,
                                            .ioctl = stream_ioctl,
                                            .poll = stream_poll };

static void stream_destroy(struct inode *i) {
    kfree(i);
}

/* /proc/self/fd/N of a stream opened again: the same stream. rdev's place holds its number. */
static int stream_open(struct file *f) {
    uint32_t stream = f->inode->rdev;
    if (stream == WIRE_STDIN ? file_is_writable(f) : file_is_readable(f))
        return -EACCES;
    f->data = (void *)(uintptr_t)stream;
    return 0;
}

static const struct inode_ops stream_inode_ops = { .open = stream_open, .destroy = stream_destroy };

/* The file of a stream that is no terminal. */
static int open_stream(unsigned stream, struct file **out) {
    struct inode *i = kmalloc(sizeof *i);
    if (!i)
        return -ENOMEM;
    inode_init(i, &stream_inode_ops, VFS_DEV_ANONYMOUS, S_IFIFO | 0600);
    i->file_ops = stream == WIRE_STDIN ? &input_ops : &output_ops;
    i->rdev = stream;
    char name[32];
    format(name, sizeof name, "pipe:[%lu]", i->number);
    struct entry *e = entry_create_anonymous(name, i);
    if (!e)
        return -ENOMEM;
    *out = file_create(i->file_ops, e, stream == WIRE_STDIN ? 0 : 1);
    entry_put(e);
    if (!*out)
        return -ENOMEM;
    (*out)->data = (void *)(uintptr_t)stream;
    return 0;
}

/* Where the terminal shows what is written to it; WIRE_STDIN: nowhere. */
static enum wire_stream terminal_stream(void) {
    if (!terminals || terminals >> WIRE_STDOUT & 1)
        return WIRE_STDOUT; /* with no terminal at all, that is the console */
    return terminals >> WIRE_STDERR & 1 ? WIRE_STDERR : WIRE_STDIN;
}

int tty_open(struct file *f) {
    if (f->inode->rdev == VFS_RDEV(5, 0) && !tty_exists())
        return -ENXIO;
    f->data = (void *)(uintptr_t)terminal_stream();
    return 0;
}

int fs_open_standard_streams(struct fd_table *t, unsigned tty_bits) {
    terminals = tty_bits & 7;
    for (unsigned n = 0; n < 3; n++) {
        struct file *f;
        mutex_init(&stream_mutex[n]);
        int err = terminals >> n & 1 ? vfs_open_file("/dev/console", 2, &f) : open_stream(n, &f);
        if (err)
            return err;
        if (terminals >> n & 1 && n == WIRE_STDERR)
            f->data = (void *)(uintptr_t)WIRE_STDERR;
        int fd = fd_install(t, f, (int)n, false);
        if (fd < 0) {
            file_put(f);
            return fd;
        }
    }
    return 0;
}
