/* SPDX-License-Identifier: MIT */
/*
 * The wire: what the kernel and the `mimosa` command say to one another.
 *
 * One byte stream carries frames in both directions: a port of a virtio console
 * device (QEMU: virtio-serial-device or virtio-serial-pci with one
 * `virtserialport`; the command holds the other end of a socket pair).  Not a
 * `virtconsole`: QEMU drops what a full socket does not take from that kind of
 * port, where it holds back a virtserialport.  A frame is an eight-byte
 * header and `length` bytes of payload; every number is little-endian.
 *
 * Order is kept between all frames of one direction, so a program's standard
 * output and error reach the terminal in the order in which it wrote them.
 *
 * Flow control is by credit, one account for each data stream, so that a
 * stream nobody reads never holds up another, nor a control frame: a sender
 * may have at most WIRE_WINDOW bytes of a stream under way; the receiver gives
 * them back with WIRE_CREDIT as it consumes them.  For standard output and error
 * the kernel starts with the full window.  For standard input the command
 * starts with nothing: it sends no input before WIRE_HELLO, whose stdin_credit
 * (at most WIRE_WINDOW; small on a small machine) is its first credit; later
 * WIRE_CREDIT frames add to it and may add more than was consumed, as the
 * kernel's buffer grows, up to WIRE_WINDOW under way.  Control frames (everything
 * that is not stream data) need no credit.
 *
 * The first frame from the kernel is WIRE_HELLO.  A kernel that finds no such
 * port (a packed image started by hand) writes plain text to the first serial
 * port instead and reads standard input from there.
 *
 * The first serial port always carries the kernel's log and its panics as
 * plain text.  In it, a kernel address that the command should symbolise is
 * written <k:ffffffff80001234>, a program address <u:0000000000401234>
 * (as linked: what a static PIE was moved by is taken off).  A last line
 * `mimosa: cannot start: WHY` says that the machine will not do (too little
 * memory, most of all); that is no panic, and the command shows it alone.
 *
 * Neither side trusts the other: a frame with an unknown type, a length above
 * WIRE_MAX_PAYLOAD or more data than credit allows ends the conversation.
 */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include <stdint.h>

#define WIRE_VERSION     1u
#define WIRE_WINDOW      (1u << 20) /* bytes of one stream under way at most */
#define WIRE_MAX_PAYLOAD (1u << 16) /* bytes in one frame at most */

struct wire_header {
    uint8_t type;    /* enum wire_type */
    uint8_t stream;  /* enum wire_stream, for DATA, CREDIT, EOF and CLOSED; else 0 */
    uint16_t zero;   /* must be 0 */
    uint32_t length; /* bytes of payload that follow */
};

enum wire_stream {
    WIRE_STDIN = 0,  /* command to kernel */
    WIRE_STDOUT = 1, /* kernel to command */
    WIRE_STDERR = 2, /* kernel to command */
};

enum wire_type {
    /* Both directions. */
    WIRE_DATA = 1,   /* payload: bytes of a stream */
    WIRE_CREDIT = 2, /* payload: uint32_t, bytes of the stream consumed */
    WIRE_EOF = 3,    /* no payload; the stream's sender will send no more */

    /* Kernel to command. */
    WIRE_HELLO = 16,   /* payload: struct wire_hello */
    WIRE_EXIT = 17,    /* payload: struct wire_exit; the kernel's last frame */
    WIRE_LOG = 18,     /* payload: text for the command's standard error (strace, reports) */
    WIRE_TERMIOS = 19, /* payload: struct wire_termios; the program called TCSETS */

    /* Command to kernel. */
    WIRE_SIGNAL = 32,  /* payload: uint32_t Linux signal number for the program */
    WIRE_WINSIZE = 33, /* payload: struct wire_winsize */
    WIRE_CLOSED = 34,  /* no payload; the stream's reader is gone: write() is EPIPE */
    WIRE_DUMP = 35,    /* no payload; log every thread's state, then WIRE_DUMPED */

    WIRE_DUMPED = 20, /* kernel to command: the answer to WIRE_DUMP is complete */
};

struct wire_hello {
    uint32_t version;      /* WIRE_VERSION */
    uint32_t cpus;         /* CPUs that run */
    uint32_t stdin_credit; /* bytes of WIRE_STDIN that the command may send at first */
    uint8_t build_id[20];
};

struct wire_exit {
    uint32_t status; /* 0 to 255: exit(status), or 128 + signal */
    uint32_t signal; /* the fatal signal, or 0 */
};

struct wire_winsize {
    uint16_t rows, columns, x_pixels, y_pixels;
};

struct wire_termios { /* Linux's struct termios of the kernel ABI */
    uint32_t iflag, oflag, cflag, lflag;
    uint8_t line;
    uint8_t cc[19];
};

/*
 * The initrd is a cpio archive ("newc").  The file WIRE_MANIFEST in it is for
 * the kernel alone and is not shown to the program.  It is a list of records
 * `key=value`, each ended by a NUL byte, since an argument or an environment
 * variable may hold anything else:
 *
 *   program=PATH     the ELF file to start, a path in the archive (required)
 *   arg=TEXT         one argument; repeated, in order, argv[0] first (required)
 *   env=NAME=VALUE   one environment variable; repeated, in order
 *   cwd=PATH         working directory, "/" unless given
 *   time=NANOSECONDS the host's real time when the command started QEMU
 *   seed=NUMBER      seeds all of the kernel's randomness (reproducible runs)
 *   tty=BITS         bit n set: descriptor n (0 to 2) is a terminal on the host
 *   winsize=ROWSxCOLUMNS
 *   net=dhcp         there is a network card: ask on its network for an address
 *   net=ADDR/PREFIX[,GATEWAY[,DNS]]  the card's IPv4 address, and who leads on and knows names;
 *                    without the key, no card is looked for
 *   verbose=1        kernel log at level debug to the serial port
 *   strace=1         print every system call
 *   populate=1       commit every mapping when it is made
 *
 * An unknown key is logged and skipped.
 */
#define WIRE_MANIFEST ".mimosa/manifest"

#endif
