#include "kernels/memory/buffer_pool.h"

#include <gtest/gtest.h>

#include <optional>
#include <utility>

namespace attention {
namespace {

TEST(BufferPool, GivesTheSmallestFreeBufferThatIsLargeEnough) {
  BufferPool pool;
  Buffers buffers(pool);
  std::optional<Buffers::Loan> small(buffers.Borrow(100)), large(buffers.Borrow(1000));
  const float* const small_data = small->data();
  const float* const large_data = large->data();
  small.reset();
  large.reset();
  const Buffers::Loan first = buffers.Borrow(50);
  const Buffers::Loan second = buffers.Borrow(50);
  EXPECT_EQ(first.data(), small_data);
  EXPECT_EQ(second.data(), large_data);
}

TEST(BufferPool, KeepsNothingThatIsTrimmed) {
  BufferPool pool;
  Buffers buffers(pool);
  buffers.Borrow(1000);
  pool.Trim();
  EXPECT_EQ(pool.Take(1).size(), 1);
}

TEST(Buffers, CountTheMostThatIsBorrowedAtATimeAsItWasAskedFor) {
  BufferPool pool;
  Buffers buffers(pool);
  { const Buffers::Loan large = buffers.Borrow(1000); }
  {
    const Buffers::Loan one = buffers.Borrow(100), other = buffers.Borrow(200);
    EXPECT_EQ(buffers.MostLentBytes(), 4000);
    buffers.ForgetMostLent();
    EXPECT_EQ(buffers.MostLentBytes(), 1200);
  }
  buffers.ForgetMostLent();
  EXPECT_EQ(buffers.MostLentBytes(), 0);
}

TEST(Buffers, OfTwoPiecesOfWorkCountApart) {
  BufferPool pool;
  Buffers one(pool), other(pool);
  const Buffers::Loan loan = one.Borrow(100);
  EXPECT_EQ(one.MostLentBytes(), 400);
  EXPECT_EQ(other.MostLentBytes(), 0);
}

TEST(Buffers, CountALoanOnceThatIsMoved) {
  BufferPool pool;
  Buffers buffers(pool);
  {
    Buffers::Loan loan = buffers.Borrow(100);
    const Buffers::Loan moved = std::move(loan);
    EXPECT_NE(moved.data(), nullptr);
  }
  buffers.ForgetMostLent();
  EXPECT_EQ(buffers.MostLentBytes(), 0);
}

}  // namespace
}  // namespace attention
