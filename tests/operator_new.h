#ifndef ATTENTION_TESTS_OPERATOR_NEW_H_
#define ATTENTION_TESTS_OPERATOR_NEW_H_

#include <cstddef>

// operator_new.cc replaces operator new and delete in the program that it is linked into, all of
// them, as AddressSanitizer wants. The program defines these three, which must be thread-safe and
// must not allocate. What comes from malloc by another way is not seen.
namespace attention {

// Before a block is allocated; `alignment` is 1 where the type has none of its own, `caller` an
// address in the function that asks. May throw std::bad_alloc.
void WhenAsked(size_t bytes, size_t alignment, const void* caller);
void WhenAllocated(void* memory);
void WhenFreed(void* memory);  // just before; never null

}  // namespace attention

#endif  // ATTENTION_TESTS_OPERATOR_NEW_H_
