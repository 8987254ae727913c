// Polls whose answers take long, against scripted servers: taken up in the end, and asked about.
#include "tests/unit/client/session_fixture.h"

namespace holdfast::client {
namespace {

/// A session on one server that answers every poll `delay_` after it has one to give. Its
/// connection is never given up meanwhile.
class KeeperTest : public SessionTest {
 protected:
  KeeperTest() {
    ClientOptions options;
    options.servers = {a_.address()};
    options.pool.patience_min = 60s;
    options.pool.patience_max = 60s;
    client_ = std::move(*ClientCore::create(loop_, entropy_, options));
  }

  void answer_slowly(Duration delay) {
    mute_polls_ = true;
    delay_ = delay;
    answered_ = polls_.size() - 1;  // the parked poll is answered yet
    note_polls();
  }
  void pass_slowly(Duration total) {
    for (Duration gone{0}; gone < total; gone += 20ms) {
      pass(20ms);
      note_polls();
      for (; !due_.empty() && due_.front() <= clock_.now(); due_.pop_front()) {
        answer_poll(answered_++);
        note_polls();
      }
    }
  }
  void note_polls() {
    for (; answered_ + due_.size() < polls_.size();) {
      const auto poll = polls_[answered_ + due_.size()].second.request<api::PollRequest>();
      Instant at = clock_.now() + delay_ + (poll.renewNow ? Duration(0) : from_ms(kTtlMs / 4));
      if (!due_.empty()) at = std::max(at, due_.back());
      due_.push_back(at);
    }
  }
  /// Polls since `first` that acknowledge a reply: one that was taken up.
  int acknowledging(size_t first) const {
    int count = 0;
    for (size_t i = first; i < polls_.size(); ++i) {
      const auto poll = polls_[i].second.request<api::PollRequest>();
      if (poll.acknowledgedDelivery > 2) ++count;
    }
    return count;
  }
  int questions() const {
    return static_cast<int>(std::ranges::count_if(
        commands_, [](const auto& command) { return command.second.name == "checkToken"; }));
  }

  Duration delay_{0};
  size_t answered_ = 0;
  std::deque<Instant> due_;
};

TEST_F(KeeperTest, AnswersThatAlwaysTakeLongerThanTheFirstPatienceAreTakenUp) {
  hold_lock();
  const size_t before = polls_.size();
  answer_slowly(from_ms(kTtlMs / 16) * 3);
  pass_slowly(30s);
  EXPECT_FALSE(lost_);
  EXPECT_GE(acknowledging(before), 3);
  EXPECT_GE(questions(), 1) << "what was told meanwhile may be lost, and nobody asked";
}

// Longer than a poll is parked: another poll is always sent before the answer comes.
TEST_F(KeeperTest, LocksAreAskedForThoughNoReplyIsTakenUp) {
  hold_lock();
  const size_t before = polls_.size();
  answer_slowly(from_ms(kTtlMs / 16) * 6);
  pass_slowly(15s);
  EXPECT_FALSE(lost_) << "replies that come late renew";
  EXPECT_EQ(acknowledging(before), 0);
  EXPECT_GE(questions(), 1);
}

TEST_F(KeeperTest, TheFirstRenewalIsBackedAsSoonAsEver) {
  open();
  mute_polls_ = true;
  pass(from_ms(kTtlMs / 4 + kTtlMs / 16) + 20ms);
  ASSERT_EQ(polls_.size(), 3u);
  pass(from_ms(kTtlMs / 16));
  EXPECT_EQ(polls_.size(), 4u);
}

}  // namespace
}  // namespace holdfast::client
