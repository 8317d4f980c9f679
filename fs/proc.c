/* SPDX-License-Identifier: MIT */
/*
 * /proc: the mechanism.
 *
 * Nodes are made at boot and stay for ever, so that walking among them needs no
 * lock.  Entries are made for each lookup and belong to whoever looked up; only
 * the mount at /proc itself is in a directory's listing.
 *
 * A file's text is made when it is read from the start, and kept with the open
 * file until it is read from the start again: a reader in small steps sees one
 * text, and one that goes back sees the new one, as on Linux.  The text has a
 * mutex of its own, since pread does not take the position's.
 */
#include "fs/proc.h"

#include <asm-generic/errno.h>
#include <linux/stat.h>
#include "base/format.h"
#include "base/string.h"
#include "fs/ramfs.h"
#include "fs/vfs_impl.h"
#include "kernel/panic.h"
#include "kernel/slab.h"

struct proc_node {
    struct inode inode; /* never freed: the node keeps the first reference */
    const char *name;   /* constant, not terminated */
    size_t name_length;
    uint64_t cookie, next_cookie;      /* place in its directory; of its next child */
    struct proc_node *children, *next; /* constant after boot */
    void (*generate)(struct proc_buffer *b);
    int (*accept)(const char *text, size_t size);
    unsigned (*counters)(struct proc_counter *out, unsigned max);
    long (*target)(char *to, size_t size);
    int (*follow)(struct entry **out);
    const struct proc_numbers *numbers;
    bool json;
};

struct proc_open {
    struct mutex lock; /* guards text and made */
    struct proc_buffer text;
    bool made;
};

/* One name in a directory of numbers; lives as long as its entry. */
struct proc_number {
    struct inode inode;
    const struct proc_numbers *numbers;
    int number;
};

static struct proc_node *root;
static const struct inode_ops proc_inode_ops, proc_link_ops, proc_jump_ops, number_ops;
static const struct file_ops proc_file_ops, proc_writable_ops;

char *proc_reserve(struct proc_buffer *b, size_t n) {
    if (b->capacity - b->size < n) {
        size_t want = MAX(MAX(b->capacity * 2, b->size + n), (size_t)1024);
        char *bigger = kmalloc(want);
        if (!bigger) {
            b->failed = true;
            return NULL;
        }
        if (b->text)
            memcpy(bigger, b->text, b->size);
        kfree(b->text);
        b->text = bigger;
        b->capacity = want;
    }
    return b->text + b->size;
}

void proc_write(struct proc_buffer *b, const void *bytes, size_t n) {
    char *at = proc_reserve(b, n);
    if (at) {
        memcpy(at, bytes, n);
        b->size += n;
    }
}

void proc_printf(struct proc_buffer *b, const char *fmt, ...) {
    va_list args;
    char *at = proc_reserve(b, 256);
    if (!at)
        return;
    va_start(args, fmt);
    int n = format_args(at, b->capacity - b->size, fmt, args);
    va_end(args);
    if ((size_t)n >= b->capacity - b->size) {
        at = proc_reserve(b, (size_t)n + 1);
        if (!at)
            return;
        va_start(args, fmt);
        n = format_args(at, (size_t)n + 1, fmt, args);
        va_end(args);
    }
    b->size += (size_t)n;
}

static struct proc_node *node_of(struct inode *i) {
    return container_of(i, struct proc_node, inode);
}

static struct proc_node *node_find(struct proc_node *dir, const char *name, size_t length) {
    for (struct proc_node *n = dir->children; n; n = n->next)
        if (n->name_length == length && memcmp(n->name, name, length) == 0)
            return n;
    return NULL;
}

static struct proc_node *node_create(struct proc_node *dir, const char *name, size_t length,
                                     uint32_t mode) {
    struct proc_node *n = kmalloc(sizeof *n);
    if (!n)
        give_up("too little memory for /proc");
    inode_init(&n->inode, (mode & S_IFMT) == S_IFLNK ? &proc_link_ops : &proc_inode_ops,
               VFS_DEV_PROC, mode);
    n->inode.file_ops = (mode & S_IFMT) == S_IFREG ? &proc_file_ops : NULL;
    n->name = name;
    n->name_length = length;
    n->next_cookie = 2;
    if ((mode & S_IFMT) == S_IFDIR)
        n->inode.links = 2;
    if (dir) {
        struct proc_node **end = &dir->children;
        while (*end)
            end = &(*end)->next;
        *end = n;
        n->cookie = dir->next_cookie++;
    }
    return n;
}

/* The node at `path`, made with its directories if it is not there. */
static struct proc_node *node_at(const char *path, uint32_t mode) {
    struct proc_node *dir = root;
    if (string_starts(path, "self/")) {
        dir = node_find(root, "1", 1);
        path += 5;
    }
    for (;;) {
        size_t length = 0;
        while (path[length] && path[length] != '/')
            length++;
        struct proc_node *n = node_find(dir, path, length);
        bool last = !path[length];
        if (!n)
            n = node_create(dir, path, length, last ? mode : S_IFDIR | 0555);
        if (last)
            return n;
        dir = n;
        path += length + 1;
    }
}

void proc_register(const char *path, void (*generate)(struct proc_buffer *b)) {
    node_at(path, S_IFREG | 0444)->generate = generate;
}

void proc_register_writable(const char *path, void (*generate)(struct proc_buffer *b),
                            int (*accept)(const char *text, size_t size)) {
    struct proc_node *n = node_at(path, S_IFREG | 0644);
    n->generate = generate;
    n->accept = accept;
    n->inode.file_ops = &proc_writable_ops;
}

void proc_register_link(const char *path, long (*target)(char *to, size_t size)) {
    node_at(path, S_IFLNK | 0777)->target = target;
}

void proc_register_jump(const char *path, int (*follow)(struct entry **out)) {
    struct proc_node *n = node_at(path, S_IFLNK | 0777);
    n->follow = follow;
    n->inode.ops = &proc_jump_ops;
}

void proc_register_numbers(const char *path, const struct proc_numbers *numbers) {
    node_at(path, S_IFDIR | 0500)->numbers = numbers;
}

void proc_register_counters(const char *path,
                            unsigned (*get)(struct proc_counter *out, unsigned max)) {
    size_t size = strlen(path) + sizeof ".json";
    char *json = kmalloc(size); /* the node's name for ever */
    if (!json)
        give_up("too little memory for /proc");
    format(json, size, "%s.json", path);
    node_at(path, S_IFREG | 0444)->counters = get;
    struct proc_node *n = node_at(json, S_IFREG | 0444);
    n->counters = get;
    n->json = true;
}

static void generate_counters(const struct proc_node *n, struct proc_buffer *b) {
    struct proc_counter *c = kmalloc(PROC_COUNTERS_MAX * sizeof *c);
    if (!c) {
        b->failed = true;
        return;
    }
    unsigned count = n->counters(c, PROC_COUNTERS_MAX);
    if (n->json)
        proc_printf(b, "{");
    for (unsigned i = 0; i < count; i++) {
        if (n->json)
            proc_printf(b, "%s\"%s\": %lu", i ? ", " : "", c[i].name, c[i].value);
        else
            proc_printf(b, "%-24s %lu\n", c[i].name, c[i].value);
    }
    if (n->json)
        proc_printf(b, "}\n");
    kfree(c);
}

static int proc_open_file(struct file *f) {
    if (inode_type(f->inode) != S_IFREG)
        return 0;
    struct proc_open *o = kmalloc(sizeof *o);
    if (!o)
        return -ENOMEM;
    mutex_init(&o->lock);
    f->data = o;
    return 0;
}

static void proc_release(struct file *f) {
    struct proc_open *o = f->data;
    kfree(o->text.text);
    kfree(o);
}

static long read_locked(struct file *f, struct proc_open *o, struct iter *to, uint64_t *pos) {
    const struct proc_node *n = node_of(f->inode);
    if (*pos == 0 || !o->made) {
        o->text.size = 0;
        o->text.failed = false;
        o->made = true;
        if (n->generate)
            n->generate(&o->text);
        else
            generate_counters(n, &o->text);
    }
    if (o->text.failed)
        return -ENOMEM;
    if (*pos >= o->text.size)
        return 0;
    size_t moved = iter_to(to, o->text.text + *pos, o->text.size - *pos);
    *pos += moved;
    return iter_result(to, moved);
}

static long proc_read(struct file *f, struct iter *to, uint64_t *pos) {
    struct proc_open *o = f->data;
    mutex_lock(&o->lock);
    long n = read_locked(f, o, to, pos);
    mutex_unlock(&o->lock);
    return n;
}

static long proc_accept(struct file *f, struct iter *from, uint64_t *pos) {
    char text[PROC_WRITE_MAX];
    size_t asked = from->left, size = iter_from(from, text, MIN(asked, sizeof text));
    (void)pos;
    if (size < MIN(asked, sizeof text))
        return -EFAULT;
    int err = node_of(f->inode)->accept(text, size);
    return err ? err : (long)asked;
}

static const struct file_ops proc_writable_ops = {
    .read = proc_read, .write = proc_accept, .release = proc_release, .positional = true
};
static const struct file_ops proc_file_ops = { .read = proc_read,
                                               .release = proc_release,
                                               .positional = true };

/* The entry of a number that is present. */
static int number_lookup(struct entry *dir, const struct proc_numbers *numbers, const char *name,
                         size_t length, struct entry **out) {
    const char *at = name;
    uint64_t value;
    if ((length > 1 && *name == '0') || length > 10 || !string_number(&at, &value) ||
        (size_t)(at - name) != length || value > INT32_MAX ||
        numbers->next((int)value) != (int)value)
        return -ENOENT;
    struct proc_number *n = kmalloc(sizeof *n);
    if (!n)
        return -ENOMEM;
    inode_init(&n->inode, &number_ops, VFS_DEV_PROC, S_IFLNK | 0700);
    n->numbers = numbers;
    n->number = (int)value;
    *out = entry_create(dir, name, length, &n->inode);
    if (*out)
        return 0;
    inode_put(&n->inode);
    return -ENOMEM;
}

static int proc_lookup(struct entry *dir, const char *name, size_t length, struct entry **out) {
    struct proc_node *d = node_of(dir->inode);
    if (d->numbers)
        return number_lookup(dir, d->numbers, name, length, out);
    struct proc_node *n = node_find(d, name, length);
    if (!n)
        return -ENOENT;
    inode_get(&n->inode);
    *out = entry_create(dir, name, length, &n->inode);
    if (*out)
        return 0;
    inode_put(&n->inode);
    return -ENOMEM;
}

static int list_numbers(const struct proc_numbers *numbers, uint64_t cursor, struct lister *l) {
    char name[12];
    for (int n = numbers->next((int)(cursor - 2)); n >= 0; n = numbers->next(n + 1)) {
        struct listed shown = { .name = name,
                                .name_length = (size_t)format(name, sizeof name, "%d", n),
                                .inode = (uint64_t)n + 1000000, /* not kept between lookups */
                                .next = (uint64_t)n + 3,
                                .mode = S_IFLNK };
        if (!l->emit(l, &shown))
            break;
    }
    return 0;
}

static int proc_list(struct entry *dir, uint64_t cursor, struct lister *l) {
    struct proc_node *d = node_of(dir->inode);
    if (cursor > INT32_MAX)
        return 0;
    if (d->numbers)
        return list_numbers(d->numbers, cursor, l);
    for (struct proc_node *n = d->children; n; n = n->next) {
        struct listed shown = { .name = n->name,
                                .name_length = n->name_length,
                                .inode = n->inode.number,
                                .next = n->cookie + 1,
                                .mode = inode_type(&n->inode) };
        if (n->cookie >= cursor && !l->emit(l, &shown))
            break;
    }
    return 0;
}

static long proc_readlink(struct entry *e, char *to, size_t size) {
    return node_of(e->inode)->target(to, size);
}

static struct proc_number *number_of(struct entry *e) {
    return container_of(e->inode, struct proc_number, inode);
}

static int number_follow(struct entry *e, struct entry **out) {
    return number_of(e)->numbers->follow(number_of(e)->number, out);
}

static int proc_jump(struct entry *e, struct entry **out) {
    return node_of(e->inode)->follow(out);
}

/* For readlink(2) on a link that is followed by its `follow`; not under the tree lock. */
static long jump_readlink(struct entry *e, char *to, size_t size) {
    struct entry *target;
    int err = e->inode->ops->follow(e, &target);
    if (err)
        return err;
    char *path = kmalloc(VFS_PATH_MAX);
    long length = path ? entry_path(target, path, VFS_PATH_MAX) : -ENOMEM;
    if (length > 0) {
        length = MIN(length, (long)size);
        memcpy(to, path, (size_t)length);
    }
    kfree(path);
    entry_put(target);
    return length;
}

static void number_destroy(struct inode *i) {
    kfree(container_of(i, struct proc_number, inode));
}

static const struct inode_ops proc_inode_ops = { .lookup = proc_lookup,
                                                 .list = proc_list,
                                                 .open = proc_open_file };
static const struct inode_ops proc_link_ops = { .readlink = proc_readlink };
static const struct inode_ops proc_jump_ops = { .readlink = jump_readlink, .follow = proc_jump };
static const struct inode_ops number_ops = { .readlink = jump_readlink,
                                             .follow = number_follow,
                                             .destroy = number_destroy };

static long self_target(char *to, size_t size) {
    *to = '1';
    return size > 0;
}

int proc_init(void) {
    root = node_create(NULL, "", 0, S_IFDIR | 0555);
    node_create(root, "1", 1, S_IFDIR | 0555);
    node_at("self", S_IFLNK | 0777)->target = self_target;
    proc_register_machine();

    int err = vfs_unlink(vfs_root, "/proc", true); /* an empty one from the archive gives way */
    if (err && err != -ENOENT)
        return err;
    inode_get(&root->inode);
    mutex_lock(&vfs_tree_lock);
    struct entry *e = entry_create(vfs_root, "proc", 4, &root->inode);
    if (e)
        ramfs_attach(vfs_root, e);
    mutex_unlock(&vfs_tree_lock);
    return e ? 0 : -ENOMEM;
}
