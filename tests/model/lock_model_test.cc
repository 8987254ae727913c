// The lock table beside its naive twin: random commands, compared after every entry in all that can
// be seen; and rebuilt from its rows again and again, going on as the rebuilt one.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <tuple>

#include "base/entropy.h"
#include "lockmgr/lock_table.h"
#include "tests/model/lock_model.h"
#include "tests/support/row_mirror.h"

namespace holdfast::lockmgr {
namespace {

const std::vector<std::string> kPaths = {"/a", "/b", "/b/c", "/d", "/e/f", "/g"};
constexpr uint64_t kTenures = 50;
constexpr int64_t kUnixOffset = 5'000'000;

class Twins {
 public:
  explicit Twins(uint64_t seed) : random_(seed) {}

  void step() {
    now_ms_ += pick(4) == 0 ? pick(300) : pick(20);
    ++revision_;
    table_->begin(Revision(revision_), now_ms_, now_ms_ + kUnixOffset);
    model_.begin(revision_, now_ms_);
    table_->run_due();
    model_.run_due();
    command();
    const Effects& effects = table_->settle();
    model_.settle();
    rows_.take(log_);
    compare_effects(effects);
    compare();
    if (pick(10) == 0) reload();
  }

 private:
  uint64_t pick(uint64_t below) { return random_.below(below); }
  const std::string& path() { return kPaths[pick(kPaths.size())]; }
  uint64_t session() { return 1 + pick(6); }

  Claim claim(const std::string& at) {
    switch (pick(4)) {
      case 0:
        return {.path = at, .mode = LockMode::kShared};
      case 1:
        return {.path = at,
                .mode = LockMode::kSemaphore,
                .permits = static_cast<uint32_t>(1 + pick(3)),
                .limit = pick(12) == 0 ? 2u : 3u};
      default:
        return {.path = at};
    }
  }

  /// Mostly a holder and its path as they are; sometimes something else.
  ModelClaim some_claim(const std::vector<ModelClaim>& from) {
    if (from.empty() || pick(12) == 0) {
      return {.holder_id = pick(revision_ + 1), .session = session(), .path = path()};
    }
    ModelClaim chosen = from[pick(from.size())];
    if (pick(20) == 0) chosen.session = session();
    return chosen;
  }

  void command() {
    switch (pick(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4:
        return acquire(1);
      case 5:
        return acquire(2 + pick(3));
      case 6:
      case 7:
      case 8:
        return release(false);
      case 9:
        return release(true);
      case 10:
        return cancel();
      case 11:
        return end_sessions();
      case 12:
        return revoke();
      case 13:
        return acknowledge();
      case 14:
        return tick();
      default:
        return other();
    }
  }

  void acquire(size_t count) {
    const uint64_t who = session(), sequence = ++sequence_;
    std::vector<Claim> claims;
    for (size_t i = 0; i < count; ++i) claims.push_back(claim(path()));
    const std::string value = "v" + std::to_string(sequence);
    const std::string name = "session-" + std::to_string(who);
    AcquireOptions options{.wait_ms = -1, .value = value};
    if (pick(3) == 0) options.wait_ms = static_cast<int64_t>(pick(2) * (1 + pick(500)));
    if (pick(3) == 0) options.lock_delay_ms = static_cast<int64_t>(pick(200));
    if (pick(6) == 0) options.max_queue = static_cast<uint32_t>(1 + pick(2));
    const Acquirer acquirer{.session = SessionId(who),
                            .sequence = Sequence(sequence),
                            .session_name = name,
                            .session_ttl_ms = 100,
                            .owner = "o"};
    EXPECT_EQ(table_->acquire(acquirer, claims, options, {}).ok(),
              model_.acquire(who, sequence, 100, claims, options));
  }

  void release(bool hand_over) {
    const ModelClaim from = some_claim(model_.held);
    const auto queue = model_.waiters(from.path);
    const uint64_t to = !hand_over      ? 0
                        : pick(5) == 0  ? pick(revision_) + 1
                        : queue.empty() ? 1
                                        : queue[pick(queue.size())].holder_id;
    EXPECT_EQ(
        table_->release(from.path, Revision(from.holder_id), SessionId(from.session), Revision(to)),
        model_.release(from.path, from.holder_id, from.session, to));
  }

  void cancel() {
    const ModelClaim of = some_claim(pick(3) == 0 ? model_.held : model_.waiting);
    const auto result =
        table_->cancel_acquire(of.path, SessionId(of.session), Sequence(of.sequence));
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result->status, model_.cancel(of.session, of.sequence));
  }

  void end_sessions() {
    const EndReason reasons[] = {EndReason::kSessionClosed, EndReason::kSessionExpired,
                                 EndReason::kSessionRevoked, EndReason::kSessionExpired};
    std::vector<SessionEnd> ends;
    for (uint64_t id = 1; id <= 6; ++id) {
      if (pick(4) == 0) ends.push_back({SessionId(id), reasons[pick(4)]});
    }
    table_->end_sessions(ends);
    model_.end_sessions(ends);
  }

  void revoke() {
    const ModelClaim of = some_claim(model_.held);
    const uint64_t holder_id = pick(2) == 0 ? of.holder_id : 0;
    const bool force = pick(3) == 0;
    const auto notice_ms = static_cast<int64_t>(pick(150));
    EXPECT_EQ(table_->revoke({.path = of.path,
                              .holder_id = Revision(holder_id),
                              .notice_ms = notice_ms,
                              .reason = "r",
                              .force = force}),
              model_.revoke(of.path, holder_id, notice_ms, force));
  }

  void acknowledge() {
    ModelClaim of = some_claim(model_.held);
    for (const ModelClaim& claim : model_.held) {
      if (claim.notice_id != 0 && pick(2) == 0) of = claim;
    }
    const Revision id(of.notice_id);
    EXPECT_EQ(table_->acknowledge_notices(SessionId(of.session), {&id, 1}),
              model_.acknowledge(of.session, of.notice_id));
  }

  void tick() {
    const uint64_t applied = revision_ - 1 - pick(4);
    table_->start_revocation_clocks(Revision(applied));
    model_.start_clocks(applied);
  }

  void other() {
    const ModelClaim of = some_claim(model_.held);
    if (pick(2) == 0) {
      EXPECT_EQ(table_->release_all(Revision(of.holder_id), SessionId(of.session)),
                model_.release_all(of.holder_id, of.session));
      return;
    }
    const std::string value = "w" + std::to_string(revision_);
    EXPECT_EQ(
        table_->set_holder_value(of.path, Revision(of.holder_id), SessionId(of.session), value),
        model_.set_value(of.path, of.holder_id, of.session, value));
  }

  void compare_effects(const Effects& effects) {
    using Grant = std::tuple<uint64_t, uint64_t, uint64_t, std::string>;
    std::vector<Grant> seen, expected;
    for (const Granted& g : effects.granted) {
      seen.emplace_back(g.session.value, g.sequence.value, g.token.value, g.path);
    }
    for (const ModelClaim& c : model_.granted) {
      expected.emplace_back(c.session, c.sequence, c.token, c.path);
    }
    std::sort(seen.begin(), seen.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(seen, expected);
    std::vector<ModelRefusal> refused;
    for (const Refused& r : effects.refused) {
      refused.push_back({r.session.value, r.sequence.value, r.reason});
    }
    std::sort(refused.begin(), refused.end());
    std::sort(model_.refused.begin(), model_.refused.end());
    EXPECT_EQ(refused, model_.refused);
  }

  void compare() {
    EXPECT_EQ(table_->check_invariants(), "");
    EXPECT_EQ(table_->digest(), rows_.digest());
    EXPECT_EQ(table_->next_due_ms(), model_.next_due_ms());
    EXPECT_EQ(table_->holder_count(), model_.held.size());
    EXPECT_EQ(table_->waiter_count(), model_.waiting.size());
    EXPECT_EQ(table_->tenure_count(), std::min<uint64_t>(model_.past.size(), kTenures));
    std::vector<LockInfo> listed;
    table_->list("/", "", 100, 1, listed);
    std::vector<std::string> names;
    for (const LockInfo& lock : listed) names.emplace_back(lock.path);
    EXPECT_EQ(names, model_.paths());
    for (const std::string& at : kPaths) compare_lock(at);
    for (const auto* list : {&model_.held, &model_.waiting}) {
      for (const ModelClaim& claim : *list) compare_acquire(claim);
    }
  }

  void compare_lock(const std::string& at) {
    SCOPED_TRACE(at);
    const LockInfo info = table_->describe(at);
    const auto holders = model_.holders(at);
    const auto waiters = model_.waiters(at);
    EXPECT_EQ(info.closed_until_ms, model_.closed_until(at));
    ASSERT_EQ(info.holders.size(), holders.size());
    ASSERT_EQ(info.waiters.size(), waiters.size());
    for (size_t i = 0; i < holders.size(); ++i) {
      const HolderInfo& seen = info.holders[i];
      EXPECT_EQ(seen.holder_id.value, holders[i].holder_id);
      EXPECT_EQ(seen.token.value, holders[i].token);
      EXPECT_EQ(seen.session.value, holders[i].session);
      EXPECT_EQ(seen.mode, holders[i].mode);
      EXPECT_EQ(seen.permits, holders[i].permits);
      EXPECT_EQ(seen.value, holders[i].value);
      EXPECT_EQ(seen.since_unix_ms, holders[i].since_ms + kUnixOffset);
      EXPECT_EQ(seen.revoking, holders[i].notice_id != 0);
      EXPECT_TRUE(table_->check_token(at, seen.token));
      EXPECT_TRUE(table_->holds(at, seen.holder_id, seen.session));
    }
    for (size_t i = 0; i < waiters.size(); ++i) {
      const WaiterInfo& seen = info.waiters[i];
      EXPECT_EQ(seen.holder_id.value, waiters[i].holder_id);
      EXPECT_EQ(seen.deadline_ms, waiters[i].deadline_ms);
      EXPECT_EQ(seen.locks_wanted,
                model_.claims_of(waiters[i].session, waiters[i].sequence).size());
      EXPECT_FALSE(table_->holds(at, seen.holder_id, seen.session));
    }
    compare_tenures(info, at);
  }

  void compare_tenures(const LockInfo& info, const std::string& at) {
    const auto oldest_kept = model_.past.size() - std::min<size_t>(model_.past.size(), kTenures);
    std::vector<ModelTenure> kept;
    for (size_t i = model_.past.size(); i-- > oldest_kept;) {
      if (model_.past[i].claim.path == at && kept.size() < 16) kept.push_back(model_.past[i]);
    }
    ASSERT_EQ(info.tenures.size(), kept.size());
    for (size_t i = 0; i < kept.size(); ++i) {
      const TenureInfo& seen = info.tenures[i];
      EXPECT_EQ(seen.holder_id.value, kept[i].claim.holder_id);
      EXPECT_EQ(seen.token.value, kept[i].claim.token);
      EXPECT_EQ(seen.end_revision.value, kept[i].end_revision);
      EXPECT_EQ(seen.reason, kept[i].reason);
      const bool operators_doing =
          kept[i].reason == EndReason::kRevoked || kept[i].claim.notice_id != 0;
      EXPECT_EQ(seen.note, operators_doing ? "r" : "");
      EXPECT_TRUE(table_->find_tenure(seen.session, seen.sequence));
    }
  }

  void compare_acquire(const ModelClaim& claim) {
    const auto state = table_->find(SessionId(claim.session), Sequence(claim.sequence));
    ASSERT_TRUE(state);
    EXPECT_EQ(state->granted, claim.token != 0);
    EXPECT_EQ(state->holder_id.value, claim.holder_id);
    EXPECT_EQ(state->token.value, claim.token);
    EXPECT_EQ(state->locks, model_.claims_of(claim.session, claim.sequence).size());
    EXPECT_EQ(state->position, model_.position(claim.session, claim.sequence));
  }

  void reload() {
    const Options options{.hash_seed = random_.next(), .tenure_capacity = kTenures};
    auto rebuilt = std::make_unique<LockTable>(log_, options);
    const Status status = rows_.load_into(*rebuilt);
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(rebuilt->digest(), table_->digest());
    table_ = std::move(rebuilt);
    compare();
  }

  SplitMix random_;
  RowLog log_;
  RowMirror rows_;
  std::unique_ptr<LockTable> table_ =
      std::make_unique<LockTable>(log_, Options{.tenure_capacity = kTenures});
  LockModel model_;
  uint64_t revision_ = 1'000;
  uint64_t sequence_ = 0;
  int64_t now_ms_ = 0;
};

class LockTwins : public ::testing::TestWithParam<uint64_t> {};

TEST_P(LockTwins, AgreeAfterEveryRandomEntryAndEveryReload) {
  Twins twins(GetParam());
  for (int i = 0; i < 1'500; ++i) {
    twins.step();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << GetParam() << ", entry " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, LockTwins, ::testing::Range<uint64_t>(1, 13));

}  // namespace
}  // namespace holdfast::lockmgr
