#ifndef ATTENTION_TESTS_SERVER_HOST_CGROUP_FOLDER_H_
#define ATTENTION_TESTS_SERVER_HOST_CGROUP_FOLDER_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "server/host/cgroup.h"
#include "tests/temporary_folder.h"

namespace attention::engine {

// A folder that looks like /proc and /sys/fs/cgroup to those who read what a process may use.
class CgroupFolder : public testing::Test {
 protected:
  void Write(const std::string& file, const std::string& text) const {
    const std::filesystem::path path = folder_.path() / file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << "\n";
  }

  const TemporaryFolder folder_;
  const CgroupFiles files_ = {.membership = folder_.path() / "membership",
                              .root = folder_.path() / "cgroup"};
};

}  // namespace attention::engine

#endif  // ATTENTION_TESTS_SERVER_HOST_CGROUP_FOLDER_H_
