#ifndef ATTENTION_SERVER_HOST_CGROUP_H_
#define ATTENTION_SERVER_HOST_CGROUP_H_

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace attention::engine {

// Where the kernel tells what this process may use; tests name folders of their own.
struct CgroupFiles {
  std::string membership = "/proc/self/cgroup";
  std::string root = "/sys/fs/cgroup";
};

// The folders of the control groups that bound this process's use of `controller` ("cpu",
// "memory"): its own group and all groups above it, version 1 and 2 alike. Not all of them need
// exist.
std::vector<std::filesystem::path> CgroupFolders(absl::string_view controller,
                                                 const CgroupFiles& files);

// Empty where there is no such file.
std::string FirstLine(const std::filesystem::path& file);

}  // namespace attention::engine

#endif  // ATTENTION_SERVER_HOST_CGROUP_H_
