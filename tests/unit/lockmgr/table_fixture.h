// A lock table driven one entry at a time, with the state rebuilt from its rows beside it.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "lockmgr/lock_table.h"
#include "tests/support/row_mirror.h"

namespace holdfast::lockmgr {

/// What a test says of one acquire; the rest has the defaults of a plain unbounded wait.
struct Ask {
  uint64_t session = 0;
  uint64_t sequence = 1;
  std::vector<Claim> claims;
  int64_t wait_ms = -1;
  int64_t lock_delay_ms = 0;
  uint32_t max_queue = 0;
  std::string value = "";
  int64_t ttl_ms = 10'000;
};

inline Claim exclusive(std::string_view path) { return {.path = path}; }
inline Claim shared(std::string_view path) { return {.path = path, .mode = LockMode::kShared}; }
inline Claim permits(std::string_view path, uint32_t wanted, uint32_t limit) {
  return {.path = path, .mode = LockMode::kSemaphore, .permits = wanted, .limit = limit};
}

class LockTableTest : public ::testing::Test {
 protected:
  static constexpr std::string_view kPath = "/jobs/nightly";

  /// One entry in which `command` runs after what is due; checks every invariant behind it.
  template <class Command>
  const Effects& entry(Command&& command) {
    ++revision_;
    table().begin(Revision(revision_), now_ms_, unix_ms(now_ms_));
    table().run_due();
    command();
    const Effects& effects = table().settle();
    rows_.take(log_);
    EXPECT_EQ(table().check_invariants(), "") << "at revision " << revision_;
    EXPECT_EQ(table().digest(), rows_.digest()) << "at revision " << revision_;
    return effects;
  }
  const Effects& tick() {
    return entry([] {});
  }
  const Effects& tick_at(int64_t now_ms) {
    now_ms_ = now_ms;
    return tick();
  }

  Status try_ask(const Ask& ask) {
    std::optional<Status> status;
    entry([&] { status = put(ask); });
    return *status;
  }
  /// Returns the acquire's holder id.
  Revision ask(const Ask& ask) {
    const Status status = try_ask(ask);
    EXPECT_TRUE(status.ok()) << status.error().message;
    return Revision(revision_);
  }
  /// The plain case: a session's own exclusive wait for kPath.
  Revision ask(uint64_t session, uint64_t sequence = 1) {
    return ask({.session = session, .sequence = sequence, .claims = {exclusive(kPath)}});
  }
  Status put(const Ask& ask) {
    const std::string name = "worker-" + std::to_string(ask.session);
    return table().acquire({.session = SessionId(ask.session),
                            .sequence = Sequence(ask.sequence),
                            .session_name = name,
                            .session_ttl_ms = ask.ttl_ms,
                            .owner = "handle"},
                           ask.claims,
                           {.wait_ms = ask.wait_ms,
                            .value = ask.value,
                            .lock_delay_ms = ask.lock_delay_ms,
                            .max_queue = ask.max_queue},
                           limits_);
  }
  ReleaseStatus release(uint64_t session, Revision holder_id, std::string_view path = kPath,
                        Revision to = Revision{}) {
    ReleaseStatus status{};
    entry([&] { status = table().release(path, holder_id, SessionId(session), to); });
    return status;
  }
  CancelResult cancel(uint64_t session, uint64_t sequence, std::string_view path = kPath) {
    CancelResult result;
    entry([&] {
      result = table().cancel_acquire(path, SessionId(session), Sequence(sequence)).value();
    });
    return result;
  }
  const Effects& end(std::vector<uint64_t> sessions, EndReason reason) {
    std::vector<SessionEnd> ends;
    for (uint64_t id : sessions) ends.push_back({SessionId(id), reason});
    return entry([&] { table().end_sessions(ends); });
  }
  size_t revoke(const RevokeRequest& request) {
    size_t concerned = 0;
    entry([&] { concerned = table().revoke(request); });
    return concerned;
  }

  std::optional<AcquireState> find(uint64_t session, uint64_t sequence = 1) {
    return table().find(SessionId(session), Sequence(sequence));
  }
  bool granted(uint64_t session, uint64_t sequence = 1) {
    const auto state = find(session, sequence);
    return state && state->granted;
  }
  uint64_t position(uint64_t session, uint64_t sequence = 1) {
    const auto state = find(session, sequence);
    return state ? state->position : 0;
  }
  std::vector<uint64_t> holders(std::string_view path = kPath) {
    std::vector<uint64_t> ids;
    for (const HolderInfo& holder : table().describe(path).holders) {
      ids.push_back(holder.session.value);
    }
    return ids;
  }
  std::vector<uint64_t> waiters(std::string_view path = kPath) {
    std::vector<uint64_t> ids;
    for (const WaiterInfo& waiter : table().describe(path).waiters) {
      ids.push_back(waiter.session.value);
    }
    return ids;
  }

  /// Goes on with a table that was built from the rows alone.
  void reload() {
    auto table = std::make_unique<LockTable>(log_);
    const Status status = rows_.load_into(*table);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(table->digest(), table_->digest());
    EXPECT_EQ(table->check_invariants(), "");
    table_ = std::move(table);
  }
  LockTable& table() { return *table_; }
  static int64_t unix_ms(int64_t now_ms) { return 1'700'000'000'000 + now_ms; }

  uint64_t revision_ = 100;
  int64_t now_ms_ = 1'000;
  Limits limits_;
  RowLog log_;
  RowMirror rows_;
  std::unique_ptr<LockTable> table_ = std::make_unique<LockTable>(log_);
};

}  // namespace holdfast::lockmgr
