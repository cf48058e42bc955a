#ifndef ATTENTION_CLIENT_PROGRAMS_FREED_MEMORY_H_
#define ATTENTION_CLIENT_PROGRAMS_FREED_MEMORY_H_

namespace attention::client {

// Tells glibc's malloc to keep freed memory for the next call instead of giving it back to the
// kernel. For messages of a megabyte, page faults would be more than half of a call's cost for the
// client. A program calls it once, before its threads start; the memory of the process then never
// shrinks.
void KeepFreedMemory();

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_PROGRAMS_FREED_MEMORY_H_
