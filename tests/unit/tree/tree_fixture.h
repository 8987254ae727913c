// A key tree driven one entry at a time, with the state rebuilt from its rows beside it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/tree/key_tree.h"
#include "tests/support/row_mirror.h"

namespace holdfast::tree {

inline Operation put(std::string_view path, std::string_view value = "",
                     int64_t expected = kAnyVersion) {
  return {.kind = OperationKind::kPut, .path = path, .value = value, .expected_version = expected};
}
inline Operation create(std::string_view path, std::string_view value = "") {
  return {.kind = OperationKind::kCreate, .path = path, .value = value};
}
inline Operation ephemeral(std::string_view path, uint64_t session) {
  Operation operation = create(path, "of a session");
  operation.key_kind = KeyKind::kEphemeral;
  operation.session = SessionId(session);
  return operation;
}
inline Operation container(std::string_view path) {
  Operation operation = create(path);
  operation.key_kind = KeyKind::kContainer;
  return operation;
}
inline Operation timed(std::string_view path, int64_t ttl_ms) {
  Operation operation = create(path);
  operation.key_kind = KeyKind::kTtl;
  operation.ttl_ms = ttl_ms;
  return operation;
}
inline Operation sequential(Operation operation) {
  operation.sequential = true;
  return operation;
}
inline Operation with_parents(Operation operation) {
  operation.make_parents = true;
  return operation;
}
inline Operation remove(std::string_view path, int64_t expected = kAnyVersion) {
  return {.kind = OperationKind::kRemove, .path = path, .expected_version = expected};
}
inline Operation remove_all(std::string_view path) {
  Operation operation = remove(path);
  operation.recursive = true;
  return operation;
}

/// "created /a v1 = x", "changed /a v2 = y", "removed /a v2: session ended".
inline std::string in_words(const Event& event) {
  static constexpr const char* kKinds[] = {"", "created ", "changed ", "removed "};
  static constexpr const char* kReasons[] = {"", "removed", "session ended", "TTL", "container"};
  std::string words = kKinds[static_cast<int>(event.kind)] + std::string(event.path) + " v" +
                      std::to_string(event.version);
  if (event.kind == EventKind::kRemoved) {
    return words + ": " + kReasons[static_cast<int>(event.reason)];
  }
  return event.value.empty() ? words : words + " = " + std::string(event.value);
}

class KeyTreeTest : public ::testing::Test {
 protected:
  /// One entry in which `command` runs after what is due; checks every invariant behind it.
  template <class Command>
  void entry(Command&& command) {
    ++revision_;
    tree().begin(Revision(revision_), now_ms_, unix_ms(now_ms_));
    due_removed_ = tree().run_due(due_limit_);
    command();
    events_.clear();
    for (const Event& event : tree().settle().events) {
      EXPECT_EQ(event.revision, Revision(revision_));
      expect_origin(event);
      events_.push_back(in_words(event));
    }
    row_changes_ = log_.size();
    EXPECT_TRUE(each_row_once(log_));
    rows_.take(log_);
    EXPECT_EQ(tree().check_invariants(), "") << "at revision " << revision_;
    EXPECT_EQ(tree().digest(), rows_.digest()) << "at revision " << revision_;
  }
  /// Whatever happens to a key is told with the create revision, kind and owner that it began with.
  void expect_origin(const Event& event) {
    Origin& origin = origins_[std::string(event.path)];
    if (event.kind == EventKind::kCreated) {
      origin = {Revision(revision_), event.key_kind, event.ephemeral_owner};
    }
    EXPECT_EQ(event.create_revision, origin.create_revision) << event.path;
    EXPECT_EQ(event.key_kind, origin.kind) << event.path;
    EXPECT_EQ(event.ephemeral_owner, origin.owner) << event.path;
  }
  void tick_at(int64_t now_ms) {
    now_ms_ = now_ms;
    entry([] {});
  }
  void end(std::vector<uint64_t> ids) {
    std::vector<SessionId> sessions;
    for (uint64_t id : ids) sessions.emplace_back(id);
    entry([&] { tree().end_sessions(sessions); });
  }

  /// Runs the operations as one transaction in an entry of their own.
  ErrorCode try_run(std::vector<Operation> operations) {
    entry([&] { failure_ = tree().apply(operations, limits_, outcomes_); });
    // Views of outcomes are valid until the next entry; tests look at them later.
    path_ = outcomes_.empty() ? "" : std::string(outcomes_.back().path);
    return failure_ ? failure_->error.code : ErrorCode::kOk;
  }
  ErrorCode try_run(const Operation& operation) { return try_run(std::vector{operation}); }
  void run(std::vector<Operation> operations) {
    EXPECT_EQ(try_run(std::move(operations)), ErrorCode::kOk) << failure_->error.message;
  }
  void run(const Operation& operation) { run(std::vector{operation}); }
  const std::string& message() const { return failure_->error.message; }

  bool exists(std::string_view path) { return tree().get(path).has_value(); }
  std::string value(std::string_view path) {
    const auto key = tree().get(path);
    return key ? std::string(key->value) : "(no key)";
  }
  Stat stat(std::string_view path) {
    const auto key = tree().get(path);
    EXPECT_TRUE(key) << path;
    return key ? key->stat : Stat{};
  }
  std::vector<std::string> list(const ListRequest& request) {
    const Result<KeyPage> page = tree().list(request);
    EXPECT_TRUE(page.ok());
    std::vector<std::string> paths;
    if (page.ok()) {
      for (const ListedKey& key : page->keys) paths.push_back(key.path);
    }
    return paths;
  }
  std::vector<std::string> below(std::string_view path) {
    return list({.path = path, .scope = ListScope::kSubtree});
  }

  /// Goes on with a tree that was built from the rows alone.
  void reload() {
    auto tree = std::make_unique<KeyTree>(log_, Options{.hash_seed = 4711});
    const Status status = rows_.load_into(*tree);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(tree->digest(), tree_->digest());
    EXPECT_EQ(tree->check_invariants(), "");
    tree_ = std::move(tree);
  }
  KeyTree& tree() { return *tree_; }
  static int64_t unix_ms(int64_t now_ms) { return 1'700'000'000'000 + now_ms; }

  uint64_t revision_ = 100;
  int64_t now_ms_ = 1'000;
  size_t due_limit_ = 1'000;
  size_t due_removed_ = 0;
  size_t row_changes_ = 0;
  Limits limits_;
  std::optional<Failure> failure_;
  std::vector<Outcome> outcomes_;
  std::string path_;  ///< of the last outcome
  std::vector<std::string> events_;
  struct Origin {
    Revision create_revision;
    KeyKind kind = KeyKind::kPersistent;
    SessionId owner;
  };
  std::map<std::string, Origin> origins_;  ///< by path, of its latest key
  RowLog log_;
  RowMirror rows_;
  std::unique_ptr<KeyTree> tree_ = std::make_unique<KeyTree>(log_);
};

}  // namespace holdfast::tree
