// The key tree beside its naive twin: random entries, compared after each in all that can be seen;
// and rebuilt from its rows again and again, going on as the rebuilt one.
#include "tests/unit/tree/tree_model.h"

#include <deque>

#include "base/entropy.h"
#include "tests/unit/tree/tree_fixture.h"

namespace holdfast::tree {
namespace {

constexpr uint64_t kSessions = 4;

class Twins {
 public:
  explicit Twins(uint64_t seed) : random_(seed) {}

  void step() {
    now_ms_ += pick(4) == 0 ? pick(200) : pick(3);
    ++revision_;
    texts_.clear();
    const int64_t unix_ms = now_ms_ + 7'000'000;
    tree_->begin(Revision(revision_), now_ms_, unix_ms);
    model_.begin(revision_, now_ms_, unix_ms);
    const size_t limit = pick(5) == 0 ? 1 : 1'000;
    ASSERT_EQ(tree_->run_due(limit), model_.run_due(limit));
    command();
    compare_events(tree_->settle());
    EXPECT_TRUE(each_row_once(log_));
    rows_.take(log_);
    compare();
    if (pick(8) == 0) reload();
  }
  uint64_t failures() const { return failures_; }
  uint64_t undone() const { return undone_; }

 private:
  uint64_t pick(uint64_t below) { return random_.below(below); }
  std::string_view keep(std::string text) { return texts_.emplace_back(std::move(text)); }

  /// Few names and few levels, so that paths meet; '-' and '.' stand on both sides of '/'.
  std::string_view path() {
    static constexpr std::string_view kNames[] = {"a", "b", "a-b", "a.", "a0", "\xc3\xa4"};
    if (pick(40) == 0) return "/";
    if (pick(3) == 0 && model_.keys.size() > 1) {
      return keep(std::next(model_.keys.begin(), 1 + pick(model_.keys.size() - 1))->first);
    }
    std::string path;
    for (uint64_t depth = 1 + pick(4); depth > 0; --depth) {
      path += "/" + std::string(kNames[pick(std::size(kNames))]);
    }
    return keep(path);
  }

  int64_t expected(std::string_view path) {
    if (pick(3) != 0) return kAnyVersion;
    const auto found = model_.keys.find(path);
    if (found == model_.keys.end() || pick(4) == 0) return static_cast<int64_t>(pick(6)) - 2;
    return static_cast<int64_t>(found->second.stat.version);
  }

  std::string_view value() {
    static constexpr uint64_t kSizes[] = {0, 3, 20, 400, 600, 1'500, 4'000};
    const uint64_t size = kSizes[pick(std::size(kSizes))];
    return keep(std::string(size, static_cast<char>('a' + pick(26))));
  }

  Operation operation() {
    Operation operation{.path = path(), .value = value(), .make_parents = pick(2) == 0};
    const uint64_t which = pick(10);
    operation.kind = which < 3   ? OperationKind::kPut
                     : which < 8 ? OperationKind::kCreate
                                 : OperationKind::kRemove;
    operation.recursive = pick(2) == 0;
    if (operation.kind != OperationKind::kCreate) {
      operation.expected_version = expected(operation.path);
      return operation;
    }
    operation.key_kind = static_cast<KeyKind>(1 + pick(4));
    operation.sequential = pick(4) == 0;
    if (operation.key_kind == KeyKind::kEphemeral) operation.session = session();
    if (operation.key_kind == KeyKind::kTtl || pick(50) == 0) {
      operation.ttl_ms = static_cast<int64_t>(pick(300));
    }
    return operation;
  }

  SessionId session() { return SessionId(pick(20) == 0 ? 0 : 1 + pick(kSessions)); }

  void command() {
    if (pick(12) == 0) {
      std::vector<SessionId> ids;
      for (uint64_t id = 1; id <= kSessions + 1; ++id) {
        if (pick(3) == 0) ids.emplace_back(id);
      }
      tree_->end_sessions(ids);
      return model_.end_sessions(ids);
    }
    for (uint64_t i = pick(6) == 0 ? 2 : 1; i > 0; --i) transact();
  }

  void transact() {
    Limits limits{.path_bytes = 60};
    if (pick(10) == 0) limits.keys = 10 + pick(30);
    if (pick(10) == 0) limits.bytes = 2'000 + pick(20'000);
    if (pick(10) == 0) limits.value_bytes = 500;
    if (pick(10) == 0) limits.ephemerals_of_a_session = pick(4);
    std::vector<Operation> operations;
    for (uint64_t i = pick(3) == 0 ? 2 + pick(6) : 1; i > 0; --i) operations.push_back(operation());
    const auto failure = tree_->apply(operations, limits, outcomes_);
    const auto expected = model_.apply(operations, limits);
    ASSERT_EQ(failure.has_value(), expected.has_value()) << (failure ? failure->error.message : "");
    failures_ += failure ? 1 : 0;
    undone_ += failure && failure->index > 0 ? 1 : 0;
    if (failure) {
      EXPECT_EQ(failure->index, expected->first);
      EXPECT_EQ(failure->error.code, expected->second) << failure->error.message;
    }
    ASSERT_EQ(outcomes_.size(), model_.outcomes.size());
    for (size_t i = 0; i < outcomes_.size(); ++i) {
      EXPECT_EQ(outcomes_[i].path, model_.outcomes[i].path);
      EXPECT_EQ(outcomes_[i].version, model_.outcomes[i].version);
      EXPECT_EQ(outcomes_[i].created, model_.outcomes[i].created);
      EXPECT_EQ(outcomes_[i].keys, model_.outcomes[i].keys);
    }
  }

  void compare_events(const Effects& effects) {
    std::vector<std::string> events;
    for (const Event& event : effects.events) {
      events.push_back(in_words(event));
      EXPECT_EQ(event.revision, Revision(revision_));
    }
    EXPECT_EQ(events, model_.events);
  }

  void compare() {
    EXPECT_EQ(tree_->check_invariants(), "");
    EXPECT_EQ(tree_->digest(), rows_.digest());
    EXPECT_EQ(tree_->next_due_ms(), model_.next_due_ms());
    EXPECT_EQ(tree_->key_count(), model_.keys.size() - 1);
    EXPECT_EQ(tree_->bytes(), model_.bytes());
    uint64_t ephemerals = 0;
    for (uint64_t id = 1; id <= kSessions; ++id) {
      EXPECT_EQ(tree_->ephemerals_of(SessionId(id)), model_.ephemerals_of(SessionId(id)));
      ephemerals += model_.ephemerals_of(SessionId(id));
    }
    EXPECT_EQ(tree_->ephemeral_count(), ephemerals);
    for (const auto& [path, key] : model_.keys) {
      const auto present = tree_->get(path);
      ASSERT_TRUE(present) << path;
      EXPECT_EQ(present->stat, key.stat) << path;
      EXPECT_EQ(present->value, key.value) << path;
    }
    compare_pages(pick(4) == 0 ? "/" : path(), static_cast<ListScope>(1 + pick(2)));
    compare_page_after(path(), path());
    compare_comparison();
  }

  /// Pages of random sizes, put together, are all there is below `top`.
  void compare_pages(std::string_view top, ListScope scope) {
    std::vector<std::string> paths;
    for (bool more = true; more;) {
      const Result<KeyPage> page = tree_->list({.path = top,
                                                .scope = scope,
                                                .after = paths.empty() ? "" : paths.back(),
                                                .with_values = true,
                                                .count = pick(5),
                                                .bytes = pick(3'000)});
      ASSERT_EQ(page.ok(), model_.keys.contains(top));
      if (!page.ok()) return;
      more = page->more;
      ASSERT_TRUE(!page->keys.empty() || !more);
      for (const ListedKey& key : page->keys) {
        const ModelKey& same = model_.keys.find(key.path)->second;
        EXPECT_EQ(key.stat, same.stat);
        EXPECT_EQ(key.value, same.value);
        paths.push_back(key.path);
      }
    }
    EXPECT_EQ(paths, model_.list(top, scope, ""));
  }

  void compare_page_after(std::string_view top, std::string_view after) {
    for (const ListScope scope : {ListScope::kChildren, ListScope::kSubtree}) {
      const Result<KeyPage> page = tree_->list({.path = top, .scope = scope, .after = after});
      if (!page.ok()) continue;
      std::vector<std::string> paths;
      for (const ListedKey& key : page->keys) paths.push_back(key.path);
      EXPECT_EQ(paths, model_.list(top, scope, after)) << top << " after " << after;
    }
  }

  void compare_comparison() {
    const Compare compare{.path = path(),
                          .target = static_cast<CompareTarget>(1 + pick(5)),
                          .relation = static_cast<Relation>(1 + pick(4)),
                          .number = pick(2) == 0 ? pick(3) : pick(revision_ + 2),
                          .value = value()};
    EXPECT_EQ(tree_->holds(compare), model_.holds(compare));
  }

  /// Other hashes as well: nothing that is compared depends on them.
  void reload() {
    auto copy = std::make_unique<KeyTree>(log_, Options{.hash_seed = random_.next()});
    const Status status = rows_.load_into(*copy);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(copy->digest(), tree_->digest());
    tree_ = std::move(copy);
    compare();
  }

  SplitMix random_;
  uint64_t revision_ = 0;
  int64_t now_ms_ = 0;
  std::deque<std::string> texts_;  ///< of the step's operations
  std::vector<Outcome> outcomes_;
  uint64_t failures_ = 0;
  uint64_t undone_ = 0;
  RowLog log_;
  RowMirror rows_;
  std::unique_ptr<KeyTree> tree_ = std::make_unique<KeyTree>(log_);
  TreeModel model_;
};

class TreeModelTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(TreeModelTest, TheTreeAndItsNaiveTwinNeverDiffer) {
  Twins twins(GetParam());
  for (int i = 0; i < 2'000 && !HasFailure(); ++i) twins.step();
  EXPECT_GT(twins.failures(), 100u) << "no refusal was compared";
  EXPECT_GT(twins.undone(), 20u) << "no transaction was undone";
}

INSTANTIATE_TEST_SUITE_P(Seeds, TreeModelTest, ::testing::Range<uint64_t>(1, 13));

}  // namespace
}  // namespace holdfast::tree
