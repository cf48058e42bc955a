#ifndef ATTENTION_TESTS_SERVER_ENGINE_CGROUP_FOLDER_H_
#define ATTENTION_TESTS_SERVER_ENGINE_CGROUP_FOLDER_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "server/engine/cgroup.h"

namespace attention::engine {

// A folder that looks like /proc and /sys/fs/cgroup to those who read what a process may use.
class CgroupFolder : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(testing::TempDir()) /
            testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(root_);
    files_ = {.membership = root_ / "membership", .root = root_ / "cgroup"};
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& file, const std::string& text) const {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text << "\n";
  }

  std::filesystem::path root_;
  CgroupFiles files_;
};

}  // namespace attention::engine

#endif  // ATTENTION_TESTS_SERVER_ENGINE_CGROUP_FOLDER_H_
