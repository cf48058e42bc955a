#ifndef ATTENTION_CLIENT_PROGRAMS_FREED_MEMORY_H_
#define ATTENTION_CLIENT_PROGRAMS_FREED_MEMORY_H_

namespace attention::client {

// Tells glibc's malloc to keep what is freed for the next call rather than give it back to the
// kernel: where messages have a megabyte, page faults are more than half of what a call costs a
// client. For programs to call once, before their threads start; the process then stays as large as
// it once was.
void KeepFreedMemory();

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_PROGRAMS_FREED_MEMORY_H_
