/* SPDX-License-Identifier: MIT */
/* An intrusive, circular, doubly linked list.  No lock of its own: the owner's guards it. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include "base/types.h"

struct list {
    struct list *next, *prev;
};

#define LIST_INIT(name)                                                                            \
    { &(name), &(name) }

static inline void list_init(struct list *l) {
    l->next = l->prev = l;
}

static inline bool list_is_empty(const struct list *l) {
    return l->next == l;
}

/* Inserts `n` before `at`: at the tail, if `at` is the head. */
static inline void list_add_tail(struct list *at, struct list *n) {
    n->prev = at->prev;
    n->next = at;
    at->prev->next = n;
    at->prev = n;
}

static inline void list_add_head(struct list *head, struct list *n) {
    list_add_tail(head->next, n);
}

/* Takes `n` out and leaves it empty, so that a second removal does nothing. */
static inline void list_remove(struct list *n) {
    n->prev->next = n->next;
    n->next->prev = n->prev;
    list_init(n);
}

#define list_entry(n, type, member)    container_of(n, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)

/* The body may not remove the current entry; list_for_each_safe may. */
#define list_for_each(e, head, member)                                                             \
    for (e = list_first(head, __typeof__(*e), member); &e->member != (head);                       \
         e = list_entry(e->member.next, __typeof__(*e), member))
#define list_for_each_safe(e, tmp, head, member)                                                   \
    for (e = list_first(head, __typeof__(*e), member),                                             \
        tmp = list_entry(e->member.next, __typeof__(*e), member);                                  \
         &e->member != (head);                                                                     \
         e = tmp, tmp = list_entry(tmp->member.next, __typeof__(*e), member))

#endif
