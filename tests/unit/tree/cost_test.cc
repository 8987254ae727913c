// What keys cost: no allocations where none is needed, and memory counted byte by byte.
#include <string>

#include "base/entropy.h"
#include "coordinator/tree/key_tree.h"
#include "tests/counting/counted_new.h"
#include "tests/unit/tree/tree_fixture.h"

namespace holdfast::tree {
namespace {

using counting::allocations;
using counting::live_bytes;

class TreeCosts : public ::testing::Test {
 protected:
  void apply(const Operation& operation) {
    tree_.begin(Revision(++revision_), 0, 0);
    tree_.run_due();
    ASSERT_FALSE(tree_.apply({&operation, 1}, {}, outcomes_));
    ASSERT_EQ(tree_.settle().events.empty(), false);
    log_.clear();
  }
  template <class Command>
  uint64_t allocations_of(Command&& command) {
    const uint64_t before = allocations;
    command();
    return allocations - before;
  }
  /// Bytes that a tree takes for `count` keys made by `make(i)`, besides their paths and values.
  template <class Make>
  double overhead(uint64_t count, uint64_t path_and_value, Make&& make) {
    const uint64_t before = live_bytes;
    for (uint64_t i = 0; i < count; ++i) make(i);
    const uint64_t taken = live_bytes - before;
    return static_cast<double>(taken) / static_cast<double>(count) -
           static_cast<double>(path_and_value);
  }

  RowLog log_;
  KeyTree tree_{log_};
  std::vector<Outcome> outcomes_;
  uint64_t revision_ = 0;
};

TEST_F(TreeCosts, OverwritingAValueAllocatesNothing) {
  const std::string path = "/config/a-service/with/a/path";
  apply(with_parents(put(path, std::string(100, 'a'))));
  const std::string large(5'000, 'x'), larger(100'000, 'y');
  apply(put("/large", large));
  apply(put("/larger", larger));
  for (int i = 0; i < 10; ++i) {
    apply(put(path, std::string(100, 'b')));
    apply(put("/large", large));
    apply(put("/larger", larger));
  }
  const std::string value(100, 'c');
  const std::string shorter(60, 'd');
  EXPECT_EQ(allocations_of([&] {
              for (int i = 0; i < 1'000; ++i) {
                apply(put(path, i % 2 == 0 ? value : shorter));
                apply(put("/large", large));
                apply(put("/larger", larger));
              }
            }),
            0u);
}

TEST_F(TreeCosts, AKeyIsOneAllocationAndReadingItNone) {
  apply(put("/a"));
  apply(put("/a/first", "value"));
  for (int i = 0; i < 2'000; ++i) apply(put("/a/" + std::to_string(i), "value"));
  for (int i = 0; i < 2'000; ++i) apply(remove("/a/" + std::to_string(i)));
  std::vector<std::string> paths;
  for (int i = 0; i < 1'000; ++i) paths.push_back("/a/" + std::to_string(i));
  EXPECT_EQ(allocations_of([&] {
              for (const std::string& path : paths) apply(put(path, "value"));
            }),
            1'000u);
  EXPECT_EQ(allocations_of([&] {
              for (const std::string& path : paths) ASSERT_TRUE(tree_.get(path));
            }),
            0u);
}

TEST_F(TreeCosts, AValueThatShrinksGivesItsMemoryBack) {
  apply(put("/a", std::string(1'000'000, 'x')));
  const uint64_t before = live_bytes;
  apply(put("/a", std::string(300'000, 'x')));
  EXPECT_LT(live_bytes, before - 600'000);
  apply(put("/a", ""));
  EXPECT_LT(live_bytes, before - 900'000);
  apply(put("/b", "short"));
  apply(put("/b", std::string(5'000, 'x')));
  apply(put("/b", "short"));
  const uint64_t in_its_node = live_bytes;
  apply(put("/b", std::string(5'000, 'x')));
  EXPECT_GT(live_bytes, in_its_node + 5'000);
  apply(put("/b", "short"));
  EXPECT_EQ(live_bytes, in_its_node);
}

// A small transaction may replace large values: what is kept to undo it is no second copy of them.
TEST_F(TreeCosts, ATransactionCopiesNoLargeValueThatItReplaces) {
  constexpr uint64_t kKeys = 50;
  const std::string large(1'000'000, 'x');
  std::vector<std::string> paths;
  for (uint64_t i = 0; i < kKeys; ++i) paths.push_back("/k" + std::to_string(i));
  for (const std::string& path : paths) apply(put(path, large));
  std::vector<Operation> replace;
  for (const std::string& path : paths) replace.push_back(put(path, "short"));
  std::vector<Operation> fails = replace;
  fails.push_back(put("/missing/parent", ""));
  const uint64_t before = live_bytes;
  tree_.begin(Revision(++revision_), 0, 0);
  EXPECT_TRUE(tree_.apply(fails, {}, outcomes_));
  EXPECT_LT(live_bytes, before + 1'000'000);
  for (const std::string& path : paths) ASSERT_EQ(tree_.get(path)->value, large);
  EXPECT_FALSE(tree_.apply(replace, {}, outcomes_));
  EXPECT_LT(live_bytes, before - (kKeys - 1) * large.size());
  tree_.settle();
  for (const std::string& path : paths) ASSERT_EQ(tree_.get(path)->value, "short");
  EXPECT_EQ(tree_.check_invariants(), "");
}

// ARCHITECTURE, Numbers: 1,000,000 keys. The bound holds for every kind, at any number of keys: the
// index is at its emptiest just after it grew.
TEST_F(TreeCosts, AMillionKeysTakeLessThan300BytesEachBesidesPathAndValue) {
  constexpr uint64_t kKeys = 1'000'000;
  const std::string value(100, 'v');
  apply(put("/services"));
  std::string path;
  uint64_t path_bytes = 0;
  double worst = 0;
  const uint64_t before = live_bytes;
  for (uint64_t i = 0; i < kKeys; ++i) {
    if (i % 1'000 == 0) apply(put("/services/group-" + std::to_string(i / 1'000)));
    path = "/services/group-" + std::to_string(i / 1'000) + "/instance-" + std::to_string(i);
    apply(put(path, value));
    path_bytes += path.substr(path.rfind('/') + 1).size() + value.size();
    if (i % 10'000 == 9'999 && i > 100'000) {
      worst = std::max(worst, static_cast<double>(live_bytes - before - path_bytes) /
                                  static_cast<double>(i + 1));
    }
  }
  RecordProperty("bytes_a_key", std::to_string(worst));
  EXPECT_LT(worst, 300);
  EXPECT_GT(worst, 150) << "less than a node has: the count is wrong";
  EXPECT_EQ(tree_.key_count(), kKeys + 1'001);
}

TEST_F(TreeCosts, KeysOfEveryKindTakeLessThan300Bytes) {
  uint64_t serial = 0;
  const auto name = [&] { return "/p/" + std::to_string(1'000'000 + serial++); };
  apply(put("/p"));
  constexpr uint64_t kCount = 100'000;
  const uint64_t size = 7 + std::string_view("of a session").size();
  EXPECT_LT(overhead(kCount, size, [&](uint64_t i) { apply(ephemeral(name(), 1 + i / 50)); }), 300);
  EXPECT_LT(overhead(kCount, 7, [&](uint64_t) { apply(timed(name(), 1'000'000)); }), 300);
}

TEST_F(TreeCosts, AnEmptiedTreeGivesItsKeysBack) {
  apply(put("/a"));
  const auto round = [&] {
    for (int i = 0; i < 5'000; ++i) apply(put("/a/" + std::to_string(i), std::string(700, 'v')));
    for (int i = 0; i < 5'000; ++i) apply(remove("/a/" + std::to_string(i)));
  };
  round();
  const uint64_t before = live_bytes;
  for (int i = 0; i < 3; ++i) round();
  EXPECT_EQ(live_bytes, before);
}

}  // namespace
}  // namespace holdfast::tree
