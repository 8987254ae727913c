// Texts in blocks: each stays as it is until it goes, and blocks are used again.
#include "coordinator/watch/byte_queue.h"

#include <gtest/gtest.h>

#include <cstring>
#include <deque>
#include <string>
#include <string_view>

#include "base/entropy.h"
#include "tests/counting/counts.h"

namespace holdfast::watch {
namespace {

std::string_view keep(ByteQueue& queue, const std::string& text) {
  char* const at = queue.push(text.size());
  std::memcpy(at, text.data(), text.size());
  return {at, text.size()};
}

TEST(ByteQueues, KeepEveryTextUntilItGoes) {
  SplitMix random(1);
  ByteQueue queue;
  std::deque<std::pair<std::string, std::string_view>> kept;
  for (int i = 0; i < 20'000; ++i) {
    // Now and then one that has a block of its own, and times at which all go.
    const size_t size = random.below(500) == 0 ? ByteQueue::kSharedMax + 1 : 1 + random.below(900);
    const std::string text(size, static_cast<char>('a' + i % 26));
    kept.emplace_back(text, keep(queue, text));
    for (uint64_t gone = random.below(i % 2'000 < 1'000 ? 2 : 4); gone > 0 && !kept.empty();
         --gone) {
      ASSERT_EQ(kept.front().first, kept.front().second);
      queue.pop(kept.front().first.size());
      kept.pop_front();
    }
  }
}

// But for what is begun, and a spare one.
TEST(ByteQueues, TakeWhatTheTextsHaveAndSayTheyLeaveUnused) {
  for (const size_t size : {100UL, 10'000UL, ByteQueue::kSharedMax - 1, ByteQueue::kSharedMax + 1,
                            ByteQueue::kBlockBytes / 2 + 1, ByteQueue::kBlockBytes + 1}) {
    SCOPED_TRACE(size);
    ByteQueue queue;
    const uint64_t before = counting::live_bytes;
    const size_t texts = (16 << 20) / size;
    for (size_t i = 0; i < 2 * texts; ++i) {
      queue.push(size);
      if (i >= texts) queue.pop(size);
    }
    const uint64_t said = texts * size + queue.unused();
    EXPECT_LE(said, (16 << 20) / 15 * 16);
    EXPECT_LE(counting::live_bytes - before, said + said / 100 + 3 * ByteQueue::kBlockBytes);
    for (size_t i = 0; i < texts; ++i) queue.pop(size);
    EXPECT_EQ(queue.unused(), 0u);
  }
}

TEST(ByteQueues, TakeNoMemoryForTextsThatComeAndGo) {
  ByteQueue queue;
  const std::string text(300, 't');
  constexpr int kKept = 10'000;
  uint64_t before = 0, bytes = 0;
  for (int i = 0; i < 20 * kKept; ++i) {
    if (i == 10 * kKept) {
      before = counting::allocations;
      bytes = counting::live_bytes;
    }
    keep(queue, text);
    if (i >= kKept) queue.pop(text.size());
  }
  EXPECT_LE(counting::live_bytes, bytes + ByteQueue::kBlockBytes);
  // The list of blocks is one itself, of some blocks' places each.
  EXPECT_LE(counting::allocations - before, 10 * kKept * text.size() / ByteQueue::kBlockBytes / 4);
}

}  // namespace
}  // namespace holdfast::watch
