#include "kernels/threads/executor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

namespace attention {
namespace {

TEST(Executor, RunsEveryTileOnceOnOneThreadAndOnMany) {
  for (const int threads : {1, 2, 5}) {
    Executor executor(threads);
    EXPECT_EQ(executor.threads(), threads);
    std::vector<std::atomic<int>> runs(1000);
    ASSERT_TRUE(executor
                    .ParallelFor(1000,
                                 [&](int64_t index, Workspace&) {
                                   ++runs[index];
                                   return absl::OkStatus();
                                 })
                    .ok());
    for (const auto& run : runs) EXPECT_EQ(run, 1);
  }
}

TEST(Executor, ReportsTheFailureWithTheLowestIndex) {
  Executor executor(2);
  for (int round = 0; round < 100; ++round) {
    const absl::Status status = executor.ParallelFor(100, [](int64_t index, Workspace&) {
      if (index == 7 || index == 93) return absl::InvalidArgumentError(std::to_string(index));
      return absl::OkStatus();
    });
    EXPECT_EQ(status, absl::InvalidArgumentError("7"));
  }
}

TEST(Executor, TurnsExceptionsIntoStatuses) {
  Executor executor(2);
  EXPECT_EQ(
      executor.ParallelFor(3, [](int64_t, Workspace&) -> absl::Status { throw std::bad_alloc(); })
          .code(),
      absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(executor
                .ParallelFor(
                    3, [](int64_t, Workspace&) -> absl::Status { throw std::runtime_error("why"); })
                .message(),
            "compute tile failed: why");
}

TEST(Executor, GivesEachTileAWorkspaceOfItsOwn) {
  Executor executor(2);
  ASSERT_TRUE(executor
                  .ParallelFor(200,
                               [](int64_t index, Workspace& workspace) {
                                 workspace.Grow(100 + index);
                                 const float mine = static_cast<float>(index);
                                 std::fill_n(workspace.data(), 100, mine);
                                 std::this_thread::yield();
                                 for (int i = 0; i < 100; ++i) {
                                   if (workspace.data()[i] != mine) {
                                     return absl::InternalError("another tile wrote here");
                                   }
                                 }
                                 return absl::OkStatus();
                               })
                  .ok());
}

TEST(Executor, FinishesEnqueuedTasksBeforeItIsDestroyed) {
  for (const int threads : {1, 2}) {
    std::atomic<int> finished = 0;
    {
      Executor executor(threads);
      for (int i = 0; i < 20; ++i) {
        executor.Enqueue([&] {
          const absl::Status status =
              executor.ParallelFor(10, [](int64_t, Workspace&) { return absl::OkStatus(); });
          finished += status.ok();
        });
      }
    }
    EXPECT_EQ(finished, 20);
  }
}

// With one thread oneTBB runs what was enqueued in a second slot of the arena, whose workspace once
// was not there.
TEST(Executor, AnEnqueuedTaskOfASingleThreadHasAWorkspace) {
  std::atomic<int> written = 0;
  {
    Executor executor(1);
    executor.Enqueue([&] {
      const absl::Status status = executor.ParallelFor(10, [&](int64_t, Workspace& workspace) {
        workspace.Grow(1000);
        std::fill_n(workspace.data(), 1000, 1.0f);
        ++written;
        return absl::OkStatus();
      });
      EXPECT_TRUE(status.ok());
    });
  }
  EXPECT_EQ(written, 10);
}

// oneTBB cancels a whole group of tasks with the first exception: the second task was never run.
TEST(Executor, ATaskThatThrowsLeavesTheOthersAlone) {
  for (const int threads : {1, 2}) {
    std::atomic<int> finished = 0;
    {
      Executor executor(threads);
      for (int i = 0; i < 10; ++i) {
        executor.Enqueue([&, i] {
          if (i % 3 == 0) throw std::bad_alloc();
          ++finished;
        });
      }
    }
    EXPECT_EQ(finished, 6);
  }
}

TEST(Executor, StopEndsALoopUnderWayBehindTheTilesThatHaveBegun) {
  for (const int threads : {1, 2}) {
    Executor executor(threads);
    std::atomic<int> runs = 0;
    const absl::Status status = executor.ParallelFor(1000, [&](int64_t, Workspace&) {
      ++runs;
      executor.Stop();
      return absl::OkStatus();
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
    EXPECT_LE(runs, threads) << "one tile a thread had begun";
  }
}

TEST(Executor, OnceStoppedItRunsTasksButNoTiles) {
  absl::Status status;
  {
    Executor executor(2);
    EXPECT_FALSE(executor.stopped());
    executor.Stop();
    EXPECT_TRUE(executor.stopped());
    executor.Enqueue([&] {
      status = executor.ParallelFor(3, [](int64_t, Workspace&) -> absl::Status {
        ADD_FAILURE() << "a tile began";
        return absl::OkStatus();
      });
    });
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
}

TEST(Executor, ALoopWhoseTilesAreAllThroughWhenItIsStoppedSucceeds) {
  Executor executor(1);
  const auto stop_at_the_end = [&](int64_t, Workspace&) {
    executor.Stop();
    return absl::OkStatus();
  };
  EXPECT_TRUE(executor.ParallelFor(1, stop_at_the_end).ok());
}

TEST(Executor, IsCancelledBetweenTwoTilesAndLeavesOtherWorkAlone) {
  Executor executor(1);
  std::atomic<bool> unwanted = false;
  std::atomic<int> runs = 0;
  Executor work(executor,
                {.run_between_tiles = nullptr, .is_cancelled = [&] { return unwanted.load(); }});
  const absl::Status status = work.ParallelFor(100, [&](int64_t, Workspace&) {
    unwanted = ++runs == 5;
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(runs, 5);
  unwanted = true;
  EXPECT_TRUE(executor.ParallelFor(1, [](int64_t, Workspace&) { return absl::OkStatus(); }).ok());
}

TEST(Executor, ShortWorkRunsBetweenTheTilesOfALongLoopAndSharesNoWorkspaceWithThem) {
  for (const int threads : {1, 3}) {
    Executor executor(threads);
    std::atomic<int> short_tiles = 0;
    const auto fill = [](Workspace& workspace, float number) {
      workspace.Grow(64);
      std::fill_n(workspace.data(), 64, number);
    };
    const auto short_work = [&](int slot) {
      ASSERT_GE(slot, 0);
      ASSERT_LE(slot, threads);
      ASSERT_TRUE(executor
                      .ParallelFor(3,
                                   [&](int64_t, Workspace& workspace) {
                                     fill(workspace, -1.0f);
                                     ++short_tiles;
                                     return absl::OkStatus();
                                   })
                      .ok());
    };
    Executor work(executor, {.run_between_tiles = short_work, .is_cancelled = nullptr});
    const absl::Status status = work.ParallelFor(50, [&](int64_t index, Workspace& workspace) {
      const auto mine = static_cast<float>(index);
      fill(workspace, mine);
      std::this_thread::yield();
      return workspace.data()[63] == mine ? absl::OkStatus() : absl::InternalError("overwritten");
    });
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_EQ(short_tiles, 150);
  }
}

TEST(Executor, RunsShortWorkOnTheThreadThatBringsIt) {
  Executor executor(2);
  Executor here(executor, Executor::OnCallingThread());
  const std::thread::id caller = std::this_thread::get_id();
  std::vector<int64_t> seen;
  EXPECT_TRUE(here.ParallelFor(5,
                               [&](int64_t index, Workspace& workspace) {
                                 workspace.Grow(10);
                                 EXPECT_EQ(std::this_thread::get_id(), caller);
                                 seen.push_back(index);
                                 return absl::OkStatus();
                               })
                  .ok());
  EXPECT_EQ(seen, (std::vector<int64_t>{0, 1, 2, 3, 4}));
  seen.clear();
  const absl::Status failed = here.ParallelFor(5, [&](int64_t index, Workspace&) {
    seen.push_back(index);
    return index == 2 ? absl::InvalidArgumentError("two") : absl::OkStatus();
  });
  EXPECT_EQ(failed.message(), "two");
  EXPECT_EQ(seen.size(), 3u);
  executor.Stop();
  EXPECT_EQ(here.ParallelFor(1, [](int64_t, Workspace&) { return absl::OkStatus(); }).code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace attention
