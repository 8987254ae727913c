// Histories of a server that is right: random clients whose calls overlap. The checker must accept
// them all, and refuse them once a single answer is changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "tests/unit/history/random.h"

namespace holdfast::history {
namespace {

/// One exclusive lock with a queue and values; every command is one revision.
class World {
 public:
  World(uint64_t seed, uint64_t clients) : random_(seed), clients_(clients) {}

  std::vector<Operation> run(int calls) {
    for (int i = 0; i < calls; ++i) step(1 + random_.below(clients_));
    for (auto& [client, state] : state_) append(renews(client), client, revision_);
    return calls_.operations();
  }

 private:
  struct Client {
    uint64_t sequence = 0, acquire = 0, holder = 0;
    int64_t free_at = 0;  ///< its last call returned
  };

  void append(Said said, uint64_t client, uint64_t revision) {
    calls_.append(std::move(said), revision, state_[client].free_at);
  }

  void step(uint64_t client) {
    Client& mine = state_[client];
    calls_.wait_for(mine.free_at);
    if (random_.below(4) == 0) return describe(client);
    if (mine.holder == 0) return acquire(client);
    const bool holds = !queue_.empty() && queue_.front() == client;
    if (!holds) return answer(client);
    if (random_.below(3) != 0) return release(client);
    value_ = std::to_string(++revision_);
    append(sets(client, ++mine.sequence, mine.holder, value_), client, revision_);
  }

  void acquire(uint64_t client) {
    Client& mine = state_[client];
    mine.acquire = ++mine.sequence;
    mine.holder = ++revision_;
    queue_.push_back(client);
    if (queue_.size() == 1) grant();
    answer(client);
  }

  void answer(uint64_t client) {
    const Client& mine = state_[client];
    const auto position = std::find(queue_.begin(), queue_.end(), client) - queue_.begin();
    Said said = acquires(client, mine.acquire);
    append(position == 0 ? std::move(said).granted(mine.holder, token_)
                         : std::move(said).waiting(mine.holder, static_cast<uint32_t>(position)),
           client, revision_);
  }

  void release(uint64_t client) {
    Client& mine = state_[client];
    ++revision_;
    queue_.erase(queue_.begin());
    if (!queue_.empty()) grant();
    append(releases(client, ++mine.sequence, mine.holder).released(), client, revision_);
    mine.holder = 0;
  }

  void grant() {
    token_ = revision_;
    value_ = "";
  }

  void describe(uint64_t client) {
    std::vector<Seen> holders, waiters;
    for (const uint64_t queued : queue_) {
      auto& list = holders.empty() ? holders : waiters;
      list.push_back({.holder_id = state_[queued].holder, .session = queued});
    }
    if (!holders.empty()) {
      holders[0].token = token_;
      holders[0].value = value_;
    }
    append(describes().shows(holders, waiters), client, revision_);
  }

  SplitMix random_;
  const uint64_t clients_;
  std::map<uint64_t, Client> state_;
  std::vector<uint64_t> queue_;  ///< the first holds
  Overlapping calls_{random_};
  uint64_t revision_ = 1, token_ = 0;
  std::string value_;
};

/// The histories of so many calls, by their seeds.
auto histories_of(int calls) {
  return [calls](uint64_t seed) { return World(seed, 6).run(calls); };
}

bool shows_holder(const Operation& op) { return !op.answer.holders.empty(); }

TEST(RandomHistory, OverlappingCallsOfARightServerAreAccepted) {
  expect_accepted(100, histories_of(300));
}

TEST(RandomHistory, LongHistoriesCostAboutAStepPerOperation) {
  expect_steps_each(20, World(7, 12).run(20'000));
}

TEST(RandomHistory, OneDescriptionThatForgetsTheHolderIsRefused) {
  expect_refused(histories_of(120), shows_holder, [](Operation& op) { op.answer.holders.clear(); });
}

TEST(RandomHistory, OneValueThatIsTooOldIsRefused) {
  const auto shows_value = [](const Operation& op) {
    return shows_holder(op) && !op.answer.holders[0].value.empty();
  };
  expect_refused(histories_of(300), shows_value,
                 [](Operation& op) { op.answer.holders[0].value = "0"; });
}

TEST(RandomHistory, AReleaseThatWasAnsweredTheOtherWayIsRefused) {
  expect_refused(
      histories_of(120), [](const Operation& op) { return op.call == Call::kRelease; },
      [](Operation& op) { op.answer.release = ReleaseStatus::kNotHeld; });
}

TEST(RandomHistory, AnExhaustedBudgetIsUndecidedAndNoSuccess) {
  History history;
  for (const Operation& op : World(3, 6).run(300)) history.record(op);
  const Verdict verdict = check(history, 50);
  EXPECT_EQ(verdict.kind, Verdict::Kind::kUndecided);
  EXPECT_FALSE(verdict.good());
}

}  // namespace
}  // namespace holdfast::history
