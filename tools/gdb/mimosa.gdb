# SPDX-License-Identifier: MIT
# For gdb on a machine that `mimosa run --gdb` started (the command prints the
# line to type).  Adds:
#
#   mimosa-threads          every thread: where it is in the kernel, in the program
#   mimosa-backtrace TID    both backtraces of one thread
#   mimosa-pie FILE         the names of a position-independent program that runs
#
# A thread that is running has no saved context: gdb's own `info threads` shows
# the CPUs, and `thread N` with `bt` what each does.  Backtraces of the program
# follow frame pointers: compile with -fno-omit-frame-pointer.

set pagination off
set confirm off
set architecture i386:x86-64

define mimosa-frames
  # $arg0: frame pointer, $arg1: address.  At most 24 frames.
  set $frame = (unsigned long)$arg0
  set $address = (unsigned long)$arg1
  set $depth = 0
  while $depth < 24 && $address != 0
    printf "    #%-2d ", $depth
    output/a $address
    printf "\n"
    set $address = 0
    if $frame != 0 && ($frame & 7) == 0
      set $address = ((unsigned long *)$frame)[1]
      set $next = ((unsigned long *)$frame)[0]
      if $next <= $frame
        set $next = 0
      end
      set $frame = $next
    end
    set $depth = $depth + 1
  end
end

define mimosa-kernel-frames
  # $arg0: struct thread *.  switch_context left r15 r14 r13 r12 rbp rbx and the return address.
  if $arg0->on_cpu
    printf "    (on CPU %d)\n", $arg0->cpu
  else
    set $saved = (unsigned long *)$arg0->saved_rsp
    mimosa-frames $saved[4] $saved[6]
  end
end

define mimosa-program-frames
  # $arg0: struct thread *.  The frame from ring 3 ends at the top of the kernel stack.
  if $arg0->aspace != 0
    set $trap = (struct trap_frame *)($arg0->stack_top - sizeof(struct trap_frame))
    printf "  program:\n"
    mimosa-frames $trap->rbp $trap->rip
  end
end

define mimosa-threads
  set $link = all_threads.next
  while $link != &all_threads
    set $thread = (struct thread *)((char *)$link - (unsigned long)&((struct thread *)0)->all_link)
    printf "thread %d %s: ", $thread->tid, $thread->name
    output (enum thread_state)$thread->state
    printf ", CPU %d\n", $thread->cpu
    mimosa-kernel-frames $thread
    mimosa-program-frames $thread
    set $link = $link->next
  end
end
document mimosa-threads
Lists the guest's threads with their backtraces in the kernel and in the program.
end

define mimosa-pie
  eval "add-symbol-file $arg0 -o 0x%lx", the_process->load_bias
end
document mimosa-pie
mimosa-pie FILE: reads the names of a static PIE, where the kernel has put it.
end

define mimosa-backtrace
  set $wanted = $arg0
  set $link = all_threads.next
  while $link != &all_threads
    set $thread = (struct thread *)((char *)$link - (unsigned long)&((struct thread *)0)->all_link)
    if $thread->tid == $wanted
      printf "thread %d %s, kernel:\n", $thread->tid, $thread->name
      mimosa-kernel-frames $thread
      mimosa-program-frames $thread
    end
    set $link = $link->next
  end
end
document mimosa-backtrace
mimosa-backtrace TID: a thread's backtraces in the kernel and in the program.
end
