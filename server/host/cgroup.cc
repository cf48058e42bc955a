#include "server/host/cgroup.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/str_split.h"

namespace attention::engine {
namespace {

namespace fs = std::filesystem;

// The folders in which the hierarchy with these controllers may be mounted: version 2 has no
// controllers in /proc/self/cgroup; beside version 1 it lies in `unified`.
std::vector<fs::path> Mounts(const fs::path& root, absl::string_view controllers,
                             absl::string_view controller) {
  if (controllers.empty()) return {root, root / "unified"};
  return {root / std::string(controllers), root / std::string(controller)};
}

bool HasController(absl::string_view controllers, absl::string_view controller) {
  if (controllers.empty()) return true;
  const std::vector<absl::string_view> names = absl::StrSplit(controllers, ',');
  return std::find(names.begin(), names.end(), controller) != names.end();
}

}  // namespace

std::vector<fs::path> CgroupFolders(absl::string_view controller, const CgroupFiles& files) {
  std::vector<fs::path> folders;
  std::ifstream membership(files.membership);
  for (std::string line; std::getline(membership, line);) {
    // "ID:CONTROLLERS:/PATH"
    const std::vector<std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3 || !HasController(parts[1], controller)) continue;
    for (const fs::path& mount : Mounts(files.root, parts[1], controller)) {
      // Inside a container the path may name a folder of the host that is not mounted here; then
      // the mount itself is the container's own group.
      fs::path group = folders.emplace_back(mount);
      for (const fs::path& step : fs::path(parts[2]).relative_path()) {
        folders.push_back(group /= step);
      }
    }
  }
  return folders;
}

std::string FirstLine(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

}  // namespace attention::engine
