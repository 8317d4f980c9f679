/* SPDX-License-Identifier: MIT */
/* lwIP runs without an operating system of its own (NO_SYS): nothing to tell. */
