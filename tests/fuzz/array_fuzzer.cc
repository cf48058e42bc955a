// Any bytes as a .npy file (behind a byte 0) or a safetensors file (behind a 1), as the command
// line reads them: they are refused in words, or make a tensor whose bytes are those of its shape.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "client/cli/files/byte_reader.h"
#include "client/cli/files/npy.h"
#include "client/cli/files/safetensors_file.h"
#include "client/tensor.h"

constexpr uint64_t kMostBytes = uint64_t{64} << 20;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  // A file that is in memory alone.
  const int descriptor = memfd_create("array", MFD_CLOEXEC);
  if (write(descriptor, data + 1, size - 1) != static_cast<ssize_t>(size - 1)) std::abort();
  const auto file = attention::client::FileReader::Open(absl::StrCat("/proc/self/fd/", descriptor));
  close(descriptor);
  if (!file.ok()) std::abort();
  const absl::StatusOr<attention::v1::Tensor> tensor =
      data[0] == 0 ? attention::client::ReadNpy(**file, kMostBytes)
                   : attention::client::ReadSafetensor(**file, "", kMostBytes);
  if (!tensor.ok()) {
    if (tensor.status().message().empty() || tensor.status().message().size() > 8000) std::abort();
    return 0;
  }
  const auto want = attention::client::ByteCount(*tensor);
  if (!want.ok() || tensor->data().size() != *want) std::abort();
  return 0;
}
